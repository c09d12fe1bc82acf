"""The standard streams of a command: full or closed, they never cost what it has done."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from nas_plugins._secrets import without_secrets
from nas_plugins.errors import OutputError


class _Stream(io.TextIOBase):
    """Passes text on to a stream, without known secrets, whoever writes it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # a plain attribute of its base
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._failing():
            self._stream.write(without_secrets(text))
        return len(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        yield


class Output(_Stream):
    """The standard output stream; a full disk behind it is told as any file's is."""

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise  # its reader has enough
        except OSError as error:
            silence(self._stream)
            raise OutputError(f"standard output cannot be written: {error.strerror}") from error


class Remarks(_Stream):
    """The standard error stream; where nobody can be told anything, the work goes on."""

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            silence(self._stream)


def silence(stream: TextIO) -> None:
    """Sends what a stream still holds, and what comes, to nowhere."""
    with contextlib.suppress(OSError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Within, both streams are there and fail as `Output` and `Remarks` do."""
    _occupy()
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        # Python has none where the descriptor was closed.
        output, remarks = Output(before[0] or nowhere), Remarks(before[1] or nowhere)
        sys.stdout, sys.stderr = output, remarks
        try:
            yield
        finally:
            remarks.flush()
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def until_enough() -> Iterator[None]:
    """Prints to the standard output stream, until its reader has enough."""
    try:
        yield
        # A pipe that is closed should be noticed here and not at the end of the process.
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def _occupy() -> None:
    """Opens closed standard descriptors, so that no file of ours takes their numbers.

    What is printed, here or by a library, would be written into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
