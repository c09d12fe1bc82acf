"""Writing a file so that an old one is replaced only when the new one is complete; a lock.

Downloads keep what has arrived on purpose and do not go through here.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


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
    r"""As `write_bytes`, for text in UTF-8 whose lines end with ``\n`` on every platform."""
    write_bytes(path, text.encode("utf-8"))


def lock(path: Path) -> BaseFileLock:
    """The lock of `path` against other processes, in the file ``<path>.lock`` beside it.

    The system frees it when its holder dies. It may be taken again by the thread that holds it.
    """
    from filelock import FileLock

    # The default keeps other users from a file that they may write to.
    return FileLock(f"{path}.lock", mode=0o666)


__all__ = ["lock", "replacing", "write_bytes", "write_text"]
