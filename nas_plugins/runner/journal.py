"""Journal files that survive ``kill -9``: a lock that dies with its holder, a mended tail."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, cast

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock

from nas_plugins import _files

_BLOCK = 65536


class OwnedLock:
    """Optuna's lock of a journal, taken over at once when its holder has died.

    That lock is a symbolic link, and on Windows, where making one takes a privilege, a file;
    either is called the link here. Optuna frees the link of a killed process after 30 seconds
    of waiting. The system frees a file lock when its holder dies, so one is held around the
    link, in ``<path>.owner``, with a note of which link was made. Whoever gets the file lock
    and finds that very link knows that its maker is dead, removes it, and cuts off what the
    dead one may have half written.
    Processes that use Optuna's lock alone are still kept out. Only a process killed between
    making the link and noting it is left to Optuna's 30 seconds.

    Args:
        path: The journal file, absolute: the link must lead somewhere.
    """

    def __init__(self, path: Path) -> None:
        # Not a base class: its `acquire` calls its own `release` on a link that is too old.
        kind = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock
        self._inner = kind(str(path))
        self._path = path
        self._link = Path(f"{path}.lock")
        self._owner = Path(f"{path}.owner")
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        """Waits for the lock and takes it."""
        held = open(self._owner, "a+", encoding="ascii")  # noqa: SIM115 - open until `release`
        try:
            _files.lock(held.fileno())
            held.seek(0)
            note = held.read()
            if note and note == self._identity():
                _cut(self._path)
                self._link.unlink(missing_ok=True)
            self._inner.acquire()
            self._write(held, self._identity())
        except BaseException:
            held.close()
            raise
        self._held = held
        return True

    def release(self) -> None:
        """Gives the lock back."""
        held, self._held = self._held, None
        if held is None:
            raise RuntimeError("the journal's lock is not held")
        with held:
            self._inner.release()
            self._write(held, "")
            _files.unlock(held.fileno())

    def _identity(self) -> str:
        """What tells this link from any other; empty when there is none."""
        try:
            status = os.lstat(self._link)
        except OSError:
            return ""
        return f"{status.st_dev} {status.st_ino} {status.st_ctime_ns}"

    @staticmethod
    def _write(held: IO[str], note: str) -> None:
        held.seek(0)
        held.truncate()
        held.write(note)
        held.flush()


def backend(path: Path, lock: OwnedLock) -> JournalFileBackend:
    """Opens the journal at `path` for Optuna."""
    # Optuna's type names a private base class and uses these two methods only.
    return JournalFileBackend(str(path), lock_obj=cast(JournalFileSymlinkLock, lock))


def mend(path: Path, lock: OwnedLock) -> int:
    """Cuts an unfinished record off the end of a journal; returns how many bytes it had.

    A process that dies while writing, or a full disk, leaves half a line. Appending to it
    would make the whole file unreadable.
    """
    lock.acquire()
    try:
        return _cut(path)
    finally:
        lock.release()


def _cut(path: Path) -> int:
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(end - _BLOCK, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
        return size - end


def damaged_line(path: Path) -> int | None:
    """Number of the first line that is not a record, from 1; ``None`` when all are."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
            except ValueError:
                return number
            if not isinstance(record, dict) or "op_code" not in record:
                return number
    return None
