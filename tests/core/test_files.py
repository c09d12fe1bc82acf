"""Files that are replaced whole, and a lock that dies with its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas_plugins import _files


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    _files.write_text(path, "ä\n")
    with pytest.raises(RuntimeError):
        _fail_to_replace(path)
    assert path.read_bytes() == "ä\n".encode()
    _files.write_bytes(path, b"new", sync=True)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def _fail_to_replace(path: Path) -> None:
    with _files.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError


def test_two_writers_of_one_file_do_not_share_a_half_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with _files.replacing(path) as first, _files.replacing(path) as second:
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_the_system_frees_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nas_plugins import _files\n"
        "held = _files.lock(Path(sys.argv[1])); held.acquire(); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError):
            _files.lock(tmp_path / "a").acquire(timeout=0.1)
        holder.kill()
    with _files.lock(tmp_path / "a").acquire(timeout=10):
        pass
