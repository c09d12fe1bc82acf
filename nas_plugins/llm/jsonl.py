"""A file of JSON lines that threads and processes append to and read together.

A line is written by one call that appends. What a killed process left of a line stays in the
file, made a line of its own and marked as torn, so that nothing is lost and nothing is mistaken.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas_plugins import _files
from nas_plugins._secrets import without_secrets
from nas_plugins.errors import DataError

_LOG = logging.getLogger(__name__)
_TORN = "torn"
_CHUNK = 4096


class JsonLines:
    """An append-only file of JSON objects.

    Args:
        path: The file; need not exist. Its folder is made at the first line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._read = 0
        self._lines = 0
        self._torn_at = -1
        self._peeked = b""
        self._held = False
        self._mutex = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def append(self, data: Mapping[str, Any]) -> None:
        """Writes one line.

        Raises:
            OSError: The file cannot be written.
        """
        with self.exclusive() as descriptor:
            self.append_to(descriptor, data)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[int]:
        """Keeps all others from reading and writing; yields what `append_to` takes.

        Raises:
            OSError: The file cannot be opened.
        """
        with self._mutex:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path, flags, 0o666)
            try:
                _files.lock(descriptor)
                self._held = True
                try:
                    yield descriptor
                finally:
                    self._held = False
                    _files.unlock(descriptor)
            finally:
                os.close(descriptor)

    def check(self) -> None:
        """Raises what writing a line would meet, as far as that can be told without writing.

        Nothing is made: a search that cannot begin leaves no file behind.

        Raises:
            OSError: The file cannot be opened to append or locked, or its folder takes no file.
        """
        if self.path.exists():
            with self.exclusive():
                return
        folder = self.path.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    def append_to(self, descriptor: int, data: Mapping[str, Any]) -> None:
        """Writes one line inside `exclusive`."""
        text = without_secrets(json.dumps(data, ensure_ascii=True, allow_nan=False))
        line = text.encode() + b"\n"
        line = _mending(descriptor) + line
        if os.write(descriptor, line) < len(line):
            raise OSError(f"{self.path} took only a part of a line; is the disk full?")

    def new(self) -> list[tuple[int, dict[str, Any]]]:
        """Returns the lines that came since the last call, with their numbers from 1.

        Raises:
            DataError: A line is not a JSON object; names it.
        """
        with self._mutex:
            try:
                with self.path.open("rb") as stream:
                    # A lock of this process's own on another descriptor would block as well.
                    if not self._held:
                        _files.lock(stream.fileno(), shared=True)
                    stream.seek(self._read)
                    data = stream.read()
                    if not self._held:
                        _files.unlock(stream.fileno())
            except FileNotFoundError:
                return []
            except OSError as error:
                raise DataError(f"cannot read {self.path}: {error}") from error
            return self._take(data)

    def _take(self, data: bytes) -> list[tuple[int, dict[str, Any]]]:
        whole, newline, rest = data.rpartition(b"\n")
        lines = whole.split(b"\n") if newline else []
        found = list(self._parsed(lines))
        if self._peeked and lines and lines[0] == self._peeked:
            # Returned already, before its newline was there.
            del found[:1]
        # Only now, so that a broken line is reported again by the next call.
        self._lines += len(lines)
        self._read += len(whole) + len(newline)
        if lines:
            self._peeked = b""
        if rest and rest != self._peeked:
            # A part of an object is never an object: then only the newline is missing.
            last = _object(rest)
            if last is not None:
                found.append((self._lines + 1, last))
                self._peeked = rest
            elif self._torn_at != self._read:
                _LOG.warning("the last line of %s is torn and not used", self.path)
                self._torn_at = self._read
        return found

    def _parsed(self, lines: list[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
        torn: tuple[int, int] | None = None
        for number, line in enumerate(lines, start=self._lines + 1):
            data = _object(line)
            if torn is not None:
                if data != {_TORN: torn[1]}:
                    raise self._broken(torn[0])
                _LOG.warning("line %d of %s is torn and not used", torn[0], self.path)
                torn = None
            elif data is not None:
                yield number, data
            elif line.strip():
                torn = number, len(line)
        if torn is not None:
            raise self._broken(torn[0])

    def _broken(self, number: int) -> DataError:
        return DataError(
            f"line {number} of {self.path} is not a JSON object, though another line follows or "
            "it is complete; mend or remove that line by hand, the others are as they were"
        )


def _mending(descriptor: int) -> bytes:
    """What to write first, where the file does not end with a whole line."""
    fragment = _behind_last_newline(descriptor)
    if not fragment:
        return b""
    if _object(fragment) is not None:
        return b"\n"
    return f'\n{{"{_TORN}": {len(fragment)}}}\n'.encode()


def _behind_last_newline(descriptor: int) -> bytes:
    end, fragment = os.lseek(descriptor, 0, os.SEEK_END), b""
    while end:
        start = max(0, end - _CHUNK)
        os.lseek(descriptor, start, os.SEEK_SET)
        _, newline, tail = os.read(descriptor, end - start).rpartition(b"\n")
        fragment = tail + fragment
        if newline:
            break
        end = start
    return fragment


def _object(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds, or ``None``."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):  # bad UTF-8 too
        return None
    return data if isinstance(data, dict) else None
