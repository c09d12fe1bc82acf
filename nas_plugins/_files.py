"""Writing a file so that an old one is replaced only when the new one is complete; locks of files.

Downloads keep what has arrived on purpose and do not go through here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from nas_plugins._secrets import without_secrets


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a name beside `path` to write to, which takes its place when the block ends well.

    Where the block fails, an old file stays as it was and the new one is removed. The name is
    of this call alone, so that several processes may write the same file.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Writes a whole file, replacing an old one only when complete.

    Args:
        path: Its folder must exist.
        content: All of it.
        sync: Waits until the disk has it, so that a loss of power leaves the old file or the
            new one.

    Raises:
        OSError: The file cannot be written.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    r"""As `write_bytes`, for text in UTF-8 whose lines end with ``\n`` on every platform.

    No secret that is known gets into the file.
    """
    write_bytes(path, without_secrets(text).encode("utf-8"))


@contextlib.contextmanager
def holding(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a file that is there for nothing else, and removes the file in the end.

    What a dead process has left is taken over, as the system has freed its lock. The file holds
    the number of the process.

    Args:
        path: Its folder must exist.
        wait: Whether to wait for who holds it.

    Raises:
        BlockingIOError: Another one holds it, and `wait` is false.
        OSError: It cannot be made, or the file system has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(descriptor, wait=wait)
            # Its holder may have removed it meanwhile, and a third one may have made another.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            path.unlink()
        os.close(descriptor)


def lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> None:
    """Waits for the lock of an open file and takes it; the system frees it if its holder dies.

    Another descriptor of the same file in the same process waits as well. The file itself is
    locked and nothing is left beside it, which the package ``filelock`` cannot do.

    Args:
        descriptor: The file, open for reading at least.
        shared: Whether others may hold it too that ask for it shared; not so on Windows.
        wait: Whether to wait.

    Raises:
        BlockingIOError: Another one holds it, and `wait` is false.
        OSError: The file system has no locks.
    """
    if os.name == "nt":
        _lock_byte(descriptor, wait=wait)
    else:
        import fcntl

        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)


def unlock(descriptor: int) -> None:
    """Frees what `lock` took."""
    if os.name == "nt":
        _unlock_byte(descriptor)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


# Windows locks bytes, and keeps others even from reading them: one that no file reaches.
_BYTE = 2**31 - 2


def _lock_byte(descriptor: int, *, wait: bool = True) -> None:
    msvcrt: Any = import_module("msvcrt")
    while True:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            return
        except OSError as error:
            if not wait and error.errno == errno.EACCES:
                raise BlockingIOError(error.errno, "it is locked") from error
            if error.errno != errno.EDEADLOCK:  # that it gives up after ten seconds
                raise


def _unlock_byte(descriptor: int) -> None:
    msvcrt: Any = import_module("msvcrt")
    os.lseek(descriptor, _BYTE, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
