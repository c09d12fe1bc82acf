"""Files that are replaced whole, and a lock that dies with its holder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from types import SimpleNamespace

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
    path = tmp_path / "a"
    path.write_text("what it holds")
    program = (
        "import sys; from nas_plugins import _files\n"
        "held = open(sys.argv[1]); _files.lock(held.fileno()); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder, path.open() as file, ThreadPoolExecutor() as threads:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        taken = threads.submit(_files.lock, file.fileno())
        with pytest.raises(FutureTimeoutError):
            taken.result(timeout=0.2)
        holder.kill()
        taken.result(timeout=10)
        _files.unlock(file.fileno())
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "what it holds"


def test_windows_locks_one_byte_behind_the_file_for_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    calls: list[tuple[int, str, int]] = []

    def locking(descriptor: int, mode: str, n: int) -> None:
        calls.append((os.lseek(descriptor, 0, os.SEEK_CUR), mode, n))
        if len(calls) < 3:
            raise OSError(errno.EDEADLOCK, "Resource deadlock avoided")

    fake = SimpleNamespace(LK_LOCK="lock", LK_UNLCK="unlock", locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    with path.open() as file:
        _files._lock_byte(file.fileno())
        _files._unlock_byte(file.fileno())
    place = calls[0][0]
    assert place > 2**30
    assert calls == [(place, "lock", 1)] * 3 + [(place, "unlock", 1)]
