"""Words such as ``key=value`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nas_plugins.composition import SEPARATOR
from nas_plugins.errors import UsageError


def read_options(words: Sequence[str] | None, option: str) -> dict[str, Any]:
    """Reads ``key=value`` words; a value that is JSON is read as such, any other is text.

    Dashes in a key become underscores, except in a name that qualifies it.

    Args:
        words: What was given.
        option: Name of the option on the command line, for messages.
    """
    found: dict[str, Any] = {}
    for word in words or ():
        key, separator, text = word.partition("=")
        if not separator or not key:
            raise UsageError(f"`{option}` must be written key=value, got {word!r}")
        owner, dot, plain = key.rpartition(SEPARATOR)
        key = f"{owner}{dot}{plain.replace('-', '_')}"
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


__all__ = ["read_options"]
