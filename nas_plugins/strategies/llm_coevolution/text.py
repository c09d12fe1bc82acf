"""Texts from outside, made harmless before they enter a prompt, a note or a report."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

_SPACE = re.compile(r"[\s\x00-\x1f\x7f\u0085\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]+")
_NAME = re.compile(r"[A-Za-z0-9_.:/%+-]+")
_LONE = re.compile("[\ud800-\udfff]")


def clean(text: object, limit: int) -> str:
    """One line of at most `limit` characters: no control characters, no lone surrogates.

    Args:
        text: Anything; what is not a text becomes empty.
        limit: Most characters; a text that is cut ends with an ellipsis.
    """
    if not isinstance(text, str):
        return ""
    # Nobody wants a megabyte searched for spaces of which 200 characters are kept.
    line = _LONE.sub("?", _SPACE.sub(" ", text[: 4 * limit])).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def quoted(text: object, limit: int = 60) -> str:
    """A text from outside as a JSON string, so that a reader sees where it ends."""
    return json.dumps(clean(text if isinstance(text, str) else str(text), limit))


def named(text: str, limit: int = 60) -> str:
    """A name as it is where it looks like one, else `quoted`."""
    return text if len(text) <= limit and _NAME.fullmatch(text) else quoted(text, limit)


def number(value: float) -> str:
    """Four significant digits; infinities in words."""
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"


def joined(items: Iterable[str], *, limit: int, separator: str = "\n") -> str:
    """As many items as fit into `limit` characters, the first ones."""
    kept: list[str] = []
    size = 0
    for item in items:
        size += len(item) + len(separator)
        if size > limit and kept:
            break
        kept.append(item)
    return separator.join(kept)


__all__ = ["clean", "joined", "named", "number", "quoted"]
