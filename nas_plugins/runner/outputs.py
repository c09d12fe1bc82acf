"""Whether results can be written where they shall lie, known before any work is done."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
    """Keeps other processes from writing into the folder until the block ends.

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
                f"`out={folder}` is in use by another process"
                + (f" ({owner})" if owner else "")
                + "; wait for it, or choose another folder"
            ) from error
        except OSError:
            pass  # a file system without locks: each file is still replaced as a whole
        yield


def prepare_file(file: Path, ours: Callable[[Path], bool], *, force: bool = False) -> None:
    """As `prepare_folder`, for one file, which must not hold what somebody else has written.

    Args:
        file: It may be absent or empty.
        ours: Tells of a file whether the caller's function has written it.
        force: Whether it is replaced whatever it holds.

    Raises:
        OutputError: It cannot be written, or must not be replaced.
    """
    try:
        special = file.exists() and not file.is_file()
    except OSError as error:  # a name that is too long
        raise OutputError(f"`out={file}` cannot be written: {error.strerror}") from error
    if file.is_dir():
        raise OutputError(f"`out={file}` is a folder; name a file")
    if special:
        raise OutputError(f"`out={file}` is a device or a pipe, which a file would replace")
    prepare_folder(file.resolve().parent)
    if not force and _holds(file) and not ours(file):
        raise OutputError(
            f"`out={file}` was not written by this command; pass `force=True` to replace it, or "
            "name another file"
        )


def prepare_results(
    folder: Path,
    own: Mapping[str, Callable[[Path], bool]],
    *,
    by: str = "search",
    force: bool | None = None,
) -> None:
    """As `prepare_folder`, for one that gets several files.

    Args:
        folder: It may have these files from an earlier run.
        own: Names of the files, and what tells whether the caller's function has written one.
        by: What that function does, for the message.
        force: Whether they are replaced whatever they hold; ``None`` where nothing allows that.

    Raises:
        OutputError: It cannot be written, or one of them must not be replaced.
    """
    prepare_folder(folder)
    for name, ours in own.items():
        if not force and _holds(folder / name) and not ours(folder / name):
            way = "move it away" if force is None else "pass `force=True` to replace it"
            raise OutputError(
                f"`out={folder}` has a {name} that no {by} has written; {way}, or name another "
                "folder"
            )


def _holds(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


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
