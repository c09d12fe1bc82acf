"""Whether results can be written where they shall lie, known before any work is done."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nas_plugins._files import holding
from nas_plugins.errors import OutputError


def prepare_folder(folder: Path) -> None:
    """Makes the folder and tries to write into it, before any work is done.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"`out={folder}` cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps other searches from writing into the folder until the block ends.

    Raises:
        OutputError: Another one does.
    """
    path = folder / ".nas-plugins.lock"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(holding(path, wait=False))
        except BlockingIOError as error:
            owner = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            raise OutputError(
                f"`out={folder}` is in use by another search"
                + (f" (process {owner})" if owner else "")
                + "; wait for it, or choose another folder"
            ) from error
        except OSError:
            pass  # a file system without locks: each file is still replaced as a whole
        yield


def prepare_file(file: Path) -> None:
    """As `prepare_folder`, for one file.

    Raises:
        OutputError: It cannot be written.
    """
    if file.is_dir():
        raise OutputError(f"`out={file}` is a folder; name a file")
    prepare_folder(file.resolve().parent)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one sentence where the block could not write `path`.

    Raises:
        OutputError: Instead of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
