"""Checks of arguments, so that every one is refused in the same words."""

from __future__ import annotations

from typing import Any


def at_least(least: float, **values: float | None) -> None:
    """Refuses numbers below their least; ``None`` is no number and passes.

    Raises:
        ValueError: Names the first argument that is too small.
    """
    for name, value in values.items():
        if value is not None and not value >= least:
            raise ValueError(f"`{name}` must be >= {least}, got {value}")


def positive(**values: float | None) -> None:
    """Refuses numbers that are not above 0; ``None`` passes.

    Raises:
        ValueError: Names the first argument that is not positive.
    """
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be > 0, got {value}")


def integers(**values: Any) -> None:
    """Refuses what is no integer; ``True`` is none.

    Raises:
        TypeError: Names the first argument that is not an integer.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"`{name}` must be an integer, got {value!r}")


def shares(**values: float) -> None:
    """Refuses numbers outside [0, 1].

    Raises:
        ValueError: Names the first argument that is none.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {value}")
