"""The journal's lock and its mending."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

journal = pytest.importorskip("nas_plugins.runner.journal")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file locks need POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "j.log"
    file.touch()
    return file


def _hold_and_die(path: Path) -> None:
    journal.OwnedLock(path).acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_holder_is_noticed_at_once(path: Path):
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(path,))
    process.start()
    process.join()
    link = Path(f"{path}.lock")
    assert link.is_symlink()
    lock = journal.OwnedLock(path)
    begun = time.monotonic()
    lock.acquire()
    assert time.monotonic() - begun < 20  # Optuna's own lock waits for 30 seconds
    lock.release()
    assert not link.is_symlink()


def test_the_lock_excludes_itself_and_optunas_own(path: Path):
    for other in (journal.OwnedLock(path), JournalFileSymlinkLock(str(path))):
        lock, entered = journal.OwnedLock(path), threading.Event()

        def enter(other=other, entered=entered) -> None:
            other.acquire()
            entered.set()
            other.release()

        lock.acquire()
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.1)
        lock.release()
        assert entered.wait(30)
        thread.join()


def test_a_live_lock_of_optuna_is_respected(path: Path):
    foreign = JournalFileSymlinkLock(str(path))
    foreign.acquire()
    lock, entered = journal.OwnedLock(path), threading.Event()

    def enter() -> None:
        lock.acquire()
        entered.set()
        lock.release()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.1)
    foreign.release()
    assert entered.wait(30)
    thread.join()


def test_the_lock_must_be_held_to_be_released(path: Path):
    with pytest.raises(RuntimeError, match="not held"):
        journal.OwnedLock(path).release()


@pytest.mark.parametrize(
    ("content", "kept"),
    [(b"", 0), (b"{}\n", 3), (b"{}\n{", 3), (b"{", 0), (b"{}\n" * 50000 + b"x" * 70000, 150000)],
)
def test_mending_cuts_the_unfinished_line_only(path: Path, content: bytes, kept: int):
    path.write_bytes(content)
    assert journal.mend(path, journal.OwnedLock(path)) == len(content) - kept
    assert path.read_bytes() == content[:kept]


def test_without_mending_a_torn_journal_is_lost(path: Path):
    """What mending prevents: the next record is glued to the torn one."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    storage.create_new_study([1], "a")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    journal.mend(path, journal.OwnedLock(path))
    again = JournalStorage(journal.WatchedJournal(path, journal.OwnedLock(path)))
    again.create_new_study([1], "b")
    names = {
        study.study_name
        for study in JournalStorage(JournalFileBackend(str(path))).get_all_studies()
    }
    assert names == {"a", "b"}
    assert journal.damaged_line(path) is None


def test_the_damaged_line_is_found(path: Path):
    path.write_bytes(b'{"op_code": 1}\n{"op_code": \n{"op_code": 1}\n')
    assert journal.damaged_line(path) == 2
    path.write_bytes(b'{"op_code": 1}\n[]\n')
    assert journal.damaged_line(path) == 2


def test_what_a_dead_holder_left_half_written_is_cut(path: Path):
    path.write_bytes(b'{"op_code": 1}\n{"op_')
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(path,))
    process.start()
    process.join()
    lock = journal.OwnedLock(path)
    lock.acquire()
    assert path.read_bytes() == b'{"op_code": 1}\n'
    lock.release()


def test_a_link_that_nobody_noted_is_left_to_optunas_patience(path: Path, monkeypatch):
    """Killed between making the link and noting it: the wait must end."""
    Path(f"{path}.lock").symlink_to(path)
    lock = journal.OwnedLock(path)
    monkeypatch.setattr(lock._inner, "grace_period", 0.1)
    lock.acquire()
    lock.release()
    assert not Path(f"{path}.lock").is_symlink()
