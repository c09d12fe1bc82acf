"""Numbers and foreign text in words: for terminals, reports and strategies' own summaries."""

from __future__ import annotations

import re

_MOST = 200
_LONGEST, _READ = 5_000, 100_000
# What begins a quotation in a message: a mark, or a list or the like behind "got".
_OPENING = re.compile(r"""(?<!\w)['"`]|(?<=\bgot )[\[({]""")
_CLOSING = {mark: re.compile(rf"{mark}(?!\w)") for mark in "'\"`"}
_WORD = re.compile(rf"\S{{{_MOST + 1},}}")
_IS_CUT = re.compile(r" \.\.\. \([\d,]+ characters\)")
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


def shortened(message: str) -> str:
    """A message of an error with at most 200 characters of each thing that it quotes.

    Whoever raises an error often cannot know how long the name or value is that is wrong. What
    stands between marks counts as quoted, a list or the like behind "got", and a long word.
    """
    if len(message) <= _MOST:
        return message
    message = message[:_READ]
    parts, at = [], 0
    open_: set[str] = set()  # marks that nothing closes any more: not looked for again
    while (opening := _OPENING.search(message, at)) is not None:
        begin, mark = opening.start(), opening[0]
        end = begin + 1 if mark in open_ else _end(message, opening)
        parts.append(_WORD.sub(lambda found: _cut(found[0]), message[at:begin]))
        quoted = message[begin:end]
        if end == begin + 1:
            open_.add(mark)
        elif mark in _CLOSING:
            quoted = f"{mark}{_cut(quoted[1:-1], mark)}"
        elif not _IS_CUT.match(message, begin + _MOST):
            quoted = _cut(quoted)
        parts.append(quoted)
        at = end
    parts.append(_WORD.sub(lambda found: _cut(found[0]), message[at:]))
    text = "".join(parts)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _end(message: str, opening: re.Match[str]) -> int:
    """Where a quotation ends; behind its mark where that is not closed."""
    if opening[0] not in _CLOSING:
        return found if (found := message.find("; ", opening.end())) > 0 else len(message)
    closing = _CLOSING[opening[0]].search(message, opening.end())
    if closing is None:
        return opening.end() if len(message) < _READ else len(message)
    return closing.end()


def _cut(quoted: str, mark: str = "") -> str:
    if len(quoted) <= _MOST:
        return f"{quoted}{mark}"
    return f"{quoted[:_MOST]}{mark} ... ({len(quoted):,} characters)"


def visible(text: str) -> str:
    """The text with what a terminal would obey written out, e.g. an escape as ``\\x1b``.

    Names, replies of models and messages of other programs can hold anything.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    """As `visible`, for a JSON document, which stays one of the same values."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
