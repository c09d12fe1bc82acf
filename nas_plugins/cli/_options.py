"""Options that several commands have, and words such as ``key=value`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

import typer

from nas_plugins.errors import UsageError

Words: TypeAlias = list[str] | None


def panel(title: str) -> Any:
    """Declares options that ``--help`` shows under a title."""
    return partial(typer.Option, rich_help_panel=title)


keep = panel("What to keep")

Json: TypeAlias = Annotated[bool, keep("--json", help="Print one JSON document.")]
Quiet: TypeAlias = Annotated[bool, keep("--quiet", "-q", help="Show no progress.")]


def read_options(words: Sequence[str] | None, option: str) -> dict[str, Any]:
    """Reads ``key=value`` words; a value that is JSON is read as such, any other is text.

    Dashes in a key become underscores, except in a name that qualifies it.

    Args:
        words: What was given.
        option: Name of the option on the command line, for messages.
    """
    from nas_plugins.composition import SEPARATOR

    found: dict[str, Any] = {}
    for word in words or ():
        key, separator, text = word.partition("=")
        if not separator or not key:
            raise UsageError(f"`{option}` must be written key=value, got {word!r}")
        owner, dot, plain = key.rpartition(SEPARATOR)
        key = f"{owner}{dot}{plain.replace('-', '_')}"
        try:
            found[key] = json.loads(text)
        except (ValueError, RecursionError):
            found[key] = text
    return found
