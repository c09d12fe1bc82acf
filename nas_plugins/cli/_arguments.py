"""How the arguments of a public function are called on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas_plugins.errors import OutputError, UsageError


@contextmanager
def as_options(*names: str, **options: str) -> Iterator[None]:
    """Shows a wrong `argument` of a function under the option that it came from.

    Args:
        *names: Arguments whose options have their names, with dashes.
        **options: Options of the other arguments.

    Raises:
        UsageError: The block raises one.
    """
    known = {name: f"--{name.replace('_', '-')}" for name in names} | options
    try:
        yield
    except UsageError as error:
        pattern = r"`(\w+)(?:=True|(=[^`]*))?`"
        text = re.sub(
            pattern,
            lambda m: known[m[1]] + (m[2] or "").replace("=", " ", 1) if m[1] in known else m[0],
            str(error),
        )
        raise UsageError(text) from error


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """A block that writes what ``--out`` names.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"--out {file} cannot be written: {error.strerror}") from error


__all__ = ["as_options", "writing"]
