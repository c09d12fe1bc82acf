"""Downloads from a server on the loopback that breaks off, forgets ranges, or lies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nas_plugins import _files
from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.download import beside, download
from nas_plugins.benchmarks.files import Checksum, DataFile
from nas_plugins.errors import DataError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())


@dataclass
class Server:
    """How the server behaves, and what it was asked."""

    url: str = ""
    breaks: list[int] = field(default_factory=list)
    """Bytes after which the next connections are cut, one each."""
    ranges: bool = True
    status: int = 200
    content: bytes = CONTENT
    length: bool = True
    """Whether it says how long the file is."""
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = int(asked[6:-1]) if asked and state.ranges else 0
            size = len(state.content)
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if state.length:
                self.send_header("Content-Length", str(size - start))
            self.end_headers()
            end = start + state.breaks.pop(0) if state.breaks else size
            self.wfile.write(state.content[start:end])
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Keeps the test's output clean."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}/data.bin"
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_file_arrives_whole_and_reports_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "data.bin"
    found = download(
        server.url,
        target,
        checksum=SHA256,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found == target
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (300_000, 300_000)
    assert sorted(p.name for p in target.parent.iterdir()) == ["data.bin"]


def test_a_connection_that_breaks_is_continued(server: Server, tmp_path: Path) -> None:
    server.breaks = [100_000, 50_000]
    target = tmp_path / "data.bin"
    download(server.url, target, checksum=SHA256, pause=0.0)
    assert target.read_bytes() == CONTENT
    first, second, third = server.asked
    assert first is None
    assert 80_000 < start_of(second) <= 100_000 < start_of(third) <= 150_000


def start_of(header: str | None) -> int:
    return int((header or "")[len("bytes=") : -1])


def test_another_process_continues_what_is_there(server: Server, tmp_path: Path) -> None:
    server.breaks = [120_000, 0, 0]
    target = tmp_path / "data.bin"
    with pytest.raises(DataError, match=r"broke off; \S+ bytes are kept in .*\.part, .*; by hand"):
        download(server.url, target, checksum=SHA256, attempts=2, pause=0.0, advice="by hand")
    assert not target.exists()
    kept = beside(target, ".part").stat().st_size
    assert 100_000 < kept <= 120_000
    server.asked.clear()
    download(server.url, target, checksum=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [f"bytes={kept}-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.breaks = [100_000]
    target = tmp_path / "data.bin"
    download(server.url, target, checksum=SHA256, pause=0.0)
    assert target.read_bytes() == CONTENT


def test_a_complete_part_is_not_loaded_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "data.bin"
    beside(target, ".part").write_bytes(CONTENT)
    download(server.url, target, checksum=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=300000-"]


def test_a_part_of_something_longer_is_started_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "data.bin"
    beside(target, ".part").write_bytes(b"x" * 400_000)
    download(server.url, target, checksum=SHA256, pause=0.0)
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_is_kept_aside_and_the_next_try_is_fresh(
    server: Server, tmp_path: Path
) -> None:
    server.content = b"<html>quota exceeded</html>"
    target = tmp_path / "data.bin"
    with pytest.raises(DataError, match=r"has not sha256 \w+; it is kept as .*data\.bin\.bad"):
        download(server.url, target, checksum=SHA256)
    assert not target.exists()
    assert beside(target, ".bad").read_bytes() == server.content
    server.content = CONTENT
    download(server.url, target, checksum=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_damaged_file_is_replaced_and_kept_aside(server: Server, tmp_path: Path) -> None:
    for checksum in (SHA256, git_blob(CONTENT)):
        target = tmp_path / f"{checksum.algorithm}.bin"
        target.write_bytes(b"damaged")
        download(server.url, target, checksum=checksum)
        assert target.read_bytes() == CONTENT
        assert beside(target, ".bad").read_bytes() == b"damaged"


def git_blob(content: bytes) -> Checksum:
    return Checksum("git-blob", hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


def test_a_refusal_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match=r"404 .*; do it by hand"):
        download(server.url, tmp_path / "data.bin", pause=0.0, advice="do it by hand")
    assert len(server.asked) == 1


def test_a_failing_server_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(DataError, match="503"):
        download(server.url, tmp_path / "data.bin", attempts=3, pause=0.0)
    assert len(server.asked) == 3


@pytest.mark.parametrize("length", [True, False])
def test_more_than_the_file_can_have_is_refused_and_leaves_nothing_large(
    server: Server, tmp_path: Path, length: bool
) -> None:
    server.length = length
    target = tmp_path / "data.bin"
    with pytest.raises(DataError, match=r"the server \w+ .*20,000"):
        download(server.url, target, size=10_000, pause=0.0)
    assert len(server.asked) == 1
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == 0
    download(server.url, target, size=len(CONTENT) - 100)  # sizes are approximate
    assert target.read_bytes() == CONTENT


def test_two_that_want_the_same_file_load_it_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, waits = tmp_path / "data.bin", threading.Event()
    second = threading.Thread(target=download, args=(server.url, target))

    def holding(path: Path) -> AbstractContextManager[None]:
        if threading.current_thread() is second:
            waits.set()
        return _files.holding(path)

    def during(done: int, total: int | None) -> None:
        if not second.ident:
            second.start()
            assert waits.wait(30)

    monkeypatch.setattr("nas_plugins.benchmarks.download.holding", holding)
    download(server.url, target, checksum=SHA256, progress=during)
    second.join()
    assert target.read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["data.bin"]
    assert server.asked == [None]


def test_offline_says_what_to_download_and_where(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = DataFile("small", "a/small.bin", "", (), "MIT", url="http://127.0.0.1:9/small.bin")
    monkeypatch.setattr(files, "_FILES", (*files._FILES, file))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(DataError) as caught:
        files.fetch("small")
    advice = f"download http://127.0.0.1:9/small.bin and put it at {home / 'a' / 'small.bin'}"
    assert str(caught.value).endswith(advice)


def test_fetch_downloads_verifies_and_then_stays_at_home(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = DataFile("small", "a/small.bin", "", (), "MIT", url=server.url, checksum=SHA256)
    monkeypatch.setattr(files, "_FILES", (*files._FILES, file))
    assert files.fetch("small") == home / "a" / "small.bin"
    assert files.verify("small").ok
    assert files.fetch("small").read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_written_is_an_error_with_the_reason(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot download"):
        download(server.url, tmp_path / "folder" / "data.bin", checksum=SHA256)
