"""What takes so long: a word from whoever works to whoever shows how far a search is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_NOW: list[str] = []


@contextlib.contextmanager
def doing(text: str) -> Iterator[None]:
    """Says what this process does in the block, e.g. ``"scoring 500 candidates"``."""
    _NOW.append(text)
    try:
        yield
    finally:
        _NOW.remove(text)


def what() -> str:
    """What was begun last and is not done yet; empty where nobody has said anything."""
    return next(iter(_NOW[-1:]), "")
