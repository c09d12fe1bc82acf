"""Numbers and foreign text in words: for terminals, reports and strategies' own summaries."""

from __future__ import annotations

import re

_MOST = 200
# What moves the cursor, rings, colours, or turns the direction of writing; not tab and newline.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 trial``, ``2 trials``, ``1,000 trials``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def excerpt(value: object, *, quotes: bool = True) -> str:
    """A foreign value as an error quotes it: at most 200 characters, written as in Python.

    Args:
        value: Anything; text is cut before it is quoted, so that it costs nothing.
        quotes: Whether text stands in quotation marks.
    """
    if isinstance(value, str):
        piece = value[:_MOST]
        written = repr(piece) if quotes else visible(piece)
        return written if len(value) <= _MOST else f"{written} ... ({len(value):,} characters)"
    written = visible(repr(value))
    return written if len(written) <= _MOST else f"{written[:_MOST]} ..."


def visible(text: str) -> str:
    """The text with what a terminal would obey written out, e.g. an escape as ``\\x1b``.

    Names, replies of models and messages of other programs can hold anything.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    """As `visible`, for a JSON document, which stays one of the same values."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
