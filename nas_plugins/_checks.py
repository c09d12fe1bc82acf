"""Checks of arguments, so that every one is refused in the same words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with Python's numbers instead of NumPy's, which JSON does not know."""
    import numpy as np  # not before there are options: `nas-plugins --help` needs none

    return {k: v.item() if isinstance(v, np.generic) else v for k, v in options.items()}


def at_least(least: float, **values: float | None) -> None:
    """Refuses numbers below their least; ``None`` is no number and passes.

    Raises:
        ValueError: Names the first argument that is too small.
        TypeError: Names the first argument that is no number.
    """
    numbers(**{name: value for name, value in values.items() if value is not None})
    for name, value in values.items():
        if value is not None and not value >= least:
            raise ValueError(f"`{name}` must be >= {least}, got {value}")


def positive(**values: float | None) -> None:
    """Refuses numbers that are not above 0; ``None`` passes.

    Raises:
        ValueError: Names the first argument that is not positive.
        TypeError: Names the first argument that is no number.
    """
    numbers(**{name: value for name, value in values.items() if value is not None})
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be > 0, got {value}")


def numbers(**values: Any) -> None:
    """Refuses what is no number, such as a text.

    Raises:
        TypeError: Names the first argument that is no number.
    """
    for name, value in values.items():
        if not hasattr(value, "__float__"):
            raise TypeError(f"`{name}` must be a number, got {value!r}")


def integers(**values: Any) -> None:
    """Refuses what is no integer, of whatever library; ``True`` is none.

    Raises:
        TypeError: Names the first argument that is not an integer.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"`{name}` must be an integer, got {value!r}")


def shares(**values: float) -> None:
    """Refuses numbers outside [0, 1].

    Raises:
        ValueError: Names the first argument that is none.
        TypeError: Names the first argument that is no number.
    """
    numbers(**values)
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {value}")


def as_path(name: str, given: str | os.PathLike[str]) -> Path:
    """The argument `name`, the path of a file or of a folder.

    Raises:
        TypeError: It is neither text nor a path.
    """
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"`{name}` must be a path, got {given!r}")
    return Path(given)
