"""Journal files that survive ``kill -9``: a lock that dies with its holder, a mended tail.

A journal that is removed or cut while it is used is an error, where Optuna would begin another.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from optuna.exceptions import StorageInternalError
from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)

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


class WatchedJournal(BaseJournalBackend):
    """A journal file as Optuna writes it, which must stay what it was when it was opened.

    Optuna's own backend makes a file that has vanished anew, and reads on behind the end of one
    that was cut: a search would go on without what it had found.

    Args:
        path: The file, which is made where there is none.
        lock: Held while a record is written.
    """

    def __init__(self, path: Path, lock: OwnedLock) -> None:
        path.open("ab").close()
        self._path, self._lock = path, lock
        self._number = self._offset = 0  # records read so far, and where the next one begins

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yields the records from this number on; one that is only half written waits.

        Raises:
            StorageInternalError: The file is gone, was cut, or holds something else.
        """
        if log_number_from < self._number:
            self._number = self._offset = 0
        with self._opened("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                record = _record(line)
                if record is None:
                    raise StorageInternalError(f"its line {self._number + 1} is not a record")
                # Before the record is given out: whoever takes it may raise and come again.
                self._number, self._offset = self._number + 1, self._offset + len(line)
                if self._number > log_number_from:
                    yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes records and waits until the disk has them.

        Raises:
            StorageInternalError: They cannot be written, or the file is gone or was cut.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with _lost_on_error():
            self._lock.acquire()
        try:
            with _lost_on_error(), self._opened("rb+") as file:
                file.seek(0, os.SEEK_END)
                file.write(lines.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        finally:
            with _lost_on_error():
                self._lock.release()

    @contextlib.contextmanager
    def _opened(self, mode: str) -> Iterator[IO[bytes]]:
        """The file behind the last record that was read."""
        with _lost_on_error():
            file = open(self._path, mode)  # noqa: SIM115 - closed below, outside of the handler
        with file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(self._offset - 1, 0))
            if size < self._offset or (self._offset and file.read(1) != b"\n"):
                raise StorageInternalError(
                    f"its file was cut or replaced while it was used: {self._offset:,} bytes had "
                    f"been read, and it has {size:,} now"
                )
            yield file


@contextlib.contextmanager
def _lost_on_error() -> Iterator[None]:
    """What the system says of the file is an error of the storage, not of a trial."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageInternalError("its file was removed while it was used") from error
    except OSError as error:
        raise StorageInternalError(str(error)) from error


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line; ``None`` when it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "op_code" in record else None


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
        return next((n for n, line in enumerate(file, start=1) if _record(line) is None), None)
