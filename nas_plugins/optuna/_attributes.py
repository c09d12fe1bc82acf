"""Texts in the attributes of trials and studies, in pieces that every storage takes.

A short text is one attribute. A long one is cut: the pieces are written first and the
attribute under the text's own name last, holding the number of pieces and a checksum. A reader
that meets a text half written, or half overwritten, therefore finds nothing rather than a part.

Anybody may have written into a storage, so nothing that is read here is taken for granted: what
is not of the expected kind counts as absent, and costs no more than there is of it.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from nas_plugins._secrets import without_secrets

PREFIX = "nas_plugins:"
PIECE = 2045
"""Characters of JSON per attribute, as in Optuna's own samplers: some storages cut at 2,048."""

_NOTE = "note:"
_MAX_NAME = 200
_CHOICES = "choices"
_DRAWN = "drawn"
_FAILURE, _INTERRUPTED = "failure", "interrupted"


def entries(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yields attribute keys and values in the order in which they must be written."""
    pieces = list(_pieces(text))
    if len(pieces) == 1:
        yield PREFIX + name, text
        return
    for i, piece in enumerate(pieces):
        yield _piece_key(name, i), piece
    yield PREFIX + name, {"pieces": len(pieces), "crc32": _checksum(text)}


def read(attributes: Mapping[str, Any], name: str) -> str | None:
    """Returns the text, or ``None`` if it is absent or not complete."""
    head = attributes.get(PREFIX + name)
    if not isinstance(head, dict):
        return head if isinstance(head, str) else None
    number = head.get("pieces")
    if not isinstance(number, int) or not 0 < number <= len(attributes):
        return None
    pieces = [attributes.get(_piece_key(name, i)) for i in range(number)]
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return text if _checksum(text) == head.get("crc32") else None


def read_json(attributes: Mapping[str, Any], name: str) -> Any:
    """Returns what the text says as JSON, or ``None`` if it is absent or no JSON."""
    text = read(attributes, name)
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def is_number(value: object) -> bool:
    """Whether a value is a number that fits into a float, not NaN and not a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:
        return False


def note_entries(notes: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yields the attributes of notes; names are cut to 200 characters."""
    for name, text in notes.items():
        # Before it is cut: the pieces of a secret are none that anybody would find.
        yield from entries(_NOTE + name[:_MAX_NAME], without_secrets(text))


def read_notes(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Returns the complete notes by name, in order of the names."""
    prefix = PREFIX + _NOTE
    names = sorted(key[len(prefix) :] for key in attributes if key.startswith(prefix))
    texts = {name: read(attributes, _NOTE + name) for name in names}
    return {name: text for name, text in texts.items() if text is not None}


def choices_entries(choices: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the attributes that publish the choices of a running trial."""
    return entries(_CHOICES, json.dumps(dict(choices)))


def read_choices(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the published choices; empty where there are none."""
    choices = _mapping(read_json(attributes, _CHOICES))
    return {n: c for n, c in choices.items() if c is None or isinstance(c, str | int | float)}


def with_choices(attributes: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a trial that has moved to another space, with its choices there.

    Where nothing was published, as another sampler was at work, nothing is.
    """
    told = _CHOICES in {_name(key) for key in attributes}
    kept = {k: v for k, v in attributes.items() if _name(k) not in (_CHOICES, _DRAWN)}
    if interrupted(attributes):
        kept.update([failure_entry(interrupted=True)])
    return {**kept, **dict(choices_entries(choices))} if told else kept


def belongs_to(key: str, name: str) -> bool:
    """Whether an attribute is a text of ours, or a piece of it."""
    return key.startswith(PREFIX) and _name(key) == name


def _name(key: str) -> str:
    """The name of the text that an attribute is, or is a piece of."""
    name = key.removeprefix(PREFIX)
    return name.split(":", 2)[-1] if name.startswith("piece:") else name


def drawn_entries(drawn: Mapping[str, int]) -> Iterator[tuple[str, Any]]:
    """Yields the attributes that publish decisions drawn one by one, as indices of choices."""
    return entries(_DRAWN, json.dumps(dict(drawn)))


def read_drawn(attributes: Mapping[str, Any]) -> dict[str, int]:
    """Returns the published indices of decisions drawn one by one; empty if there are none."""
    drawn = _mapping(read_json(attributes, _DRAWN))
    return {name: index for name, index in drawn.items() if type(index) is int}


def failure_entry(*, interrupted: bool) -> tuple[str, str]:
    """The attribute that tells why a trial failed: by itself, or interrupted."""
    return PREFIX + _FAILURE, _INTERRUPTED if interrupted else "own"


def interrupted(attributes: Mapping[str, Any]) -> bool:
    """Whether a failed trial ended without a failure of its own.

    So do those that were interrupted, and those that the sampler was never told the end of: the
    process was killed. Trials of other samplers are not known to be of these.
    """
    told = attributes.get(PREFIX + _FAILURE)
    if told is not None:
        return bool(told == _INTERRUPTED)
    return any(PREFIX + name in attributes for name in (_CHOICES, _DRAWN))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pieces(text: str) -> Iterator[str]:
    """Cuts where the JSON of a piece, escapes and quotes included, fits into an attribute."""
    start = 0
    while start < len(text) or start == 0:
        piece = text[start : start + PIECE - 2]
        while len(json.dumps(piece)) > PIECE:
            piece = piece[: len(piece) * PIECE // (len(json.dumps(piece)) + 12)]
        yield piece
        start += max(len(piece), 1)


def _piece_key(name: str, i: int) -> str:
    return f"{PREFIX}piece:{i}:{name}"


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
