"""Pickles from outside, read without running what they ask for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins.benchmarks.loaders.pickle_machine import Machine
from nas_plugins.errors import DataError

MOST_BYTES = 1 << 28
MOST_STEPS = 20_000_000
"""Opcodes of a pickle, and values within it; the largest benchmark has some 3 million."""

MOST_DEPTH = 50
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, type(None), np.generic, np.ndarray)


def loads(data: bytes, *, origin: str) -> Any:
    """Reads a pickle of plain containers, numbers and numpy arrays.

    Python's own reader calls what a file names with arguments that the file chooses, and sets
    aside as much memory as it says. This one knows the opcodes of plain values only, and checks
    every argument.

    Args:
        data: The pickle.
        origin: Name of the file, for messages.

    Raises:
        DataError: The pickle is torn, too large, or asks for anything else; nothing of it is run.
    """
    try:
        if len(data) > MOST_BYTES:
            raise pickle.UnpicklingError(f"it has more than {MOST_BYTES:,} bytes")
        value = Machine(data).run(MOST_STEPS)
        _measured(value, {})
    except Exception as error:  # a torn pickle raises whatever its bytes happen to mean
        reason = str(error)[:200] or type(error).__name__
        raise DataError(
            f"{origin} is not a pickle of plain numbers and containers: {reason}"
        ) from error
    return value


def load(path: Path) -> Any:
    """Reads a file as `loads` does."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return loads(data, origin=str(path))


def _measured(value: Any, known: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """How many values a walk through it meets, and how deep it goes; both are bounded.

    A list of twice the same list of twice the same list is a few bytes, and 2^40 numbers. A
    container within itself is deeper than any bound.

    Args:
        value: What was read.
        known: The same of the containers so far, by identity.
        depth: How deep it lies.
    """
    if isinstance(value, _PLAIN):
        return 1, 0
    total, height = known.get(id(value), (0, 0))
    if depth + height > MOST_DEPTH:
        raise pickle.UnpicklingError(f"it is nested more than {MOST_DEPTH} deep")
    if total:
        return total, height
    if not isinstance(value, dict | list | tuple | set | frozenset):
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__} by itself")
    total = 1
    for child in value.values() if isinstance(value, dict) else value:
        if type(child) in _PLAIN:  # most are, and a call each would double the time
            total += 1
            continue
        more, below = _measured(child, known, depth + 1)
        total, height = total + more, max(height, below + 1)
    if total > MOST_STEPS:
        raise pickle.UnpicklingError(f"it unfolds to more than {MOST_STEPS:,} values")
    known[id(value)] = total, height
    return total, height
