"""Which data files there are, where they belong, and whether they are intact."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.files import Checksum, DataFile, FileStatus
from nas_plugins.errors import DataError, UnknownNameError

PUBLIC = ["nats-bench", "hw-nas-bench", "nasbench101", "nasbench301"]
TEXT = b"hello\n"


def registered(monkeypatch: pytest.MonkeyPatch, **changes: object) -> DataFile:
    """Registers a small file beside the real ones."""
    settings = {
        "name": "small",
        "filename": "small.bin",
        "description": "a small file",
        "benchmarks": ("nasbench201",),
        "licence": "MIT",
        "checksum": Checksum("sha256", hashlib.sha256(TEXT).hexdigest()),
        **changes,
    }
    file = DataFile(**settings)  # type: ignore[arg-type]
    monkeypatch.setattr(files, "_FILES", (*files._FILES, file))
    return file


@pytest.mark.usefixtures("home")
def test_listing_has_what_can_be_downloaded_and_what_is_there(home: Path) -> None:
    assert [file.name for file in files.listing()] == PUBLIC
    (home / "nb201_accuracy.npz").touch()
    assert [file.name for file in files.listing()] == [*PUBLIC, "nasbench201-compact"]
    for file in files.listing():
        assert file.description
        assert file.licence in ("MIT", "Apache-2.0")
        if file.public:
            assert file.checksum is not None
            assert (file.url or file.page).startswith("https://")


def test_the_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path))
    assert files.data_dir() == tmp_path
    assert files.get("nasbench301").path == tmp_path / "nb301_yahpo" / "new_model.onnx"
    monkeypatch.delenv(files.DATA_VARIABLE)
    monkeypatch.delenv(files.CACHE_VARIABLE, raising=False)
    assert "nas_plugins" in files.data_dir().parts
    assert files.data_dir().parent == files.cache_dir().parent


def test_unknown_names_suggest_the_nearest() -> None:
    for ask in (files.get, files.path, files.verify, files.fetch):
        with pytest.raises(UnknownNameError, match="data file 'nasbench102'; did you mean"):
            ask("nasbench102")


@pytest.mark.usefixtures("home")
def test_an_absent_file_is_one_sentence_with_what_and_where(home: Path) -> None:
    with pytest.raises(DataError, match=f"put it at {home / 'nasbench_only108.tfrecord'}$"):
        files.path("nasbench101")
    outcome = files.verify("nasbench101")
    assert (outcome.status, outcome.ok) == (FileStatus.ABSENT, False)
    assert "data fetch nasbench101" in outcome.detail


def test_what_only_a_browser_can_fetch_says_so(home: Path) -> None:
    with pytest.raises(DataError) as caught:
        files.fetch("nats-bench")
    message = str(caught.value)
    assert "cannot be fetched automatically" in message
    assert "https://drive.google.com/" in message
    assert message.endswith(f"put it at {home / 'NATS-tss-v1_0-3ffb9-simple.tar'}")


def test_the_unpacked_folder_serves_too(home: Path) -> None:
    folder = home / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    assert files.path("nats-bench") == folder
    assert files.trusted("nats-bench") == folder
    assert files.verify("nats-bench").status is FileStatus.UNVERIFIED
    assert files.fetch("nats-bench") == folder


@pytest.mark.parametrize(
    ("checksum", "status"),
    [
        (Checksum("sha256", hashlib.sha256(TEXT).hexdigest()), FileStatus.INTACT),
        (Checksum("git-blob", "ce013625030ba8dba906f756967f9e9ca394464a"), FileStatus.INTACT),
        (Checksum("git-blob", hashlib.sha1(TEXT).hexdigest()), FileStatus.DAMAGED),
        (Checksum("sha256", "0" * 64), FileStatus.DAMAGED),
        (None, FileStatus.UNVERIFIED),
    ],
)
def test_verify(
    home: Path, monkeypatch: pytest.MonkeyPatch, checksum: Checksum | None, status: FileStatus
) -> None:
    registered(monkeypatch, checksum=checksum)
    (home / "small.bin").write_bytes(TEXT)
    outcome = files.verify("small")
    assert outcome.status is status
    assert outcome.ok == (status is FileStatus.INTACT)
    assert outcome.usable == (status is not FileStatus.DAMAGED)
    if status is FileStatus.DAMAGED:
        with pytest.raises(DataError, match="has not the published"):
            files.trusted("small")
    else:
        assert files.trusted("small") == files.fetch("small") == home / "small.bin"
    assert outcome in list(files.verify_all())
