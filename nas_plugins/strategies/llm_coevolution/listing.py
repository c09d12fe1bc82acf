"""What partitions are made from: lists or samples of architectures, filled gaps, hashes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import Key, Rows, SearchSpace
from nas_plugins.spaces.graph import mix64
from nas_plugins.strategies.llm_coevolution.kinds import Axis, Floats

Integers: TypeAlias = npt.NDArray[np.int64]

_ENUMERABLE = 2**16
_COSTLY = 512
_SAMPLE = 2048
_SEED = 2510_01472
_CHUNK = 512
_MAX_WALK = 256


@dataclass(frozen=True, eq=False)
class Members:
    """The distinct architectures of an enumerable space, each with its niche.

    Attributes:
        rows: `(U, D)` choice indices, one row per canonical key.
        keys: `(U,)` canonical keys.
        niches: `(U,)` index of the niche.
    """

    rows: Rows
    keys: npt.NDArray[Any]
    niches: Integers

    @cached_property
    def by_niche(self) -> list[tuple[Rows, list[Key]]]:
        """Rows and keys of each niche."""
        chosen = [np.flatnonzero(self.niches == i) for i in range(int(self.niches.max()) + 1)]
        return [(self.rows[c], self.keys[c].tolist()) for c in chosen]


def listed(space: SearchSpace, axis: Axis | None) -> tuple[Rows, npt.NDArray[Any]] | None:
    """One row per architecture, and the keys; ``None`` where that is too much to measure."""
    limit = _ENUMERABLE if axis is None or axis.cheap else _COSTLY
    if math.prod(space.cardinalities.tolist()) > limit:
        return None
    return _distinct(space, np.concatenate(list(space.enumerate())))


def drawn(space: SearchSpace, axis: Axis | None) -> tuple[Rows, npt.NDArray[Any]]:
    """A fixed sample of different architectures."""
    n = _SAMPLE if axis is None or axis.cheap else _COSTLY
    # NAS-Bench-101 draws uniformly over its cells in a method of its own.
    draw = getattr(space, "random_cells", space.random)
    return _distinct(space, draw(n, np.random.default_rng(_SEED)))


def _distinct(space: SearchSpace, rows: Rows) -> tuple[Rows, npt.NDArray[Any]]:
    keys = space.keys(rows)
    first = np.sort(np.unique(keys, return_index=True)[1])
    return rows[first], keys[first]


def reached(
    space: SearchSpace, axis: Axis, row: npt.NDArray[np.integer[Any]], low: float, high: float
) -> Rows | None:
    """Walks from a row to one with ``low <= value < high``, always to the nearest neighbour.

    Returns:
        A row `(D,)`, or ``None`` where the walk ends before.
    """
    nearest = np.inf
    for _ in range(_MAX_WALK):
        rows = space.neighbour_rows(row)
        if not len(rows):
            return None
        values = axis.measure_rows(rows)
        gaps = np.where(np.isfinite(values), np.maximum(low - values, values - high), np.inf)
        gaps = np.where((low <= values) & (values < high), -1.0, np.maximum(gaps, 0.0))
        best: Rows = rows[gaps.argmin()]
        if gaps.min() < 0:
            return best
        if gaps.min() >= nearest:
            return None
        row, nearest = best, gaps.min()
    return None


def filled(
    rows: npt.NDArray[np.integer[Any]], values: Floats, sample: Rows, sample_values: Floats
) -> Floats:
    """Values with each gap filled by the mean of those of a sample that differ the least."""
    gaps = np.flatnonzero(~np.isfinite(values))
    if not len(gaps):
        return values
    known = np.isfinite(sample_values)
    n_choices = 1 + max(int(sample.max()), int(np.asarray(rows).max()))
    known_values, known_flags = sample_values[known], _flags(sample[known], n_choices)
    result: Floats = values.copy()
    for start in range(0, len(gaps), _CHUNK):
        chosen = gaps[start : start + _CHUNK]
        equal = _flags(np.asarray(rows)[chosen], n_choices) @ known_flags.T
        nearest = equal == equal.max(axis=1, keepdims=True)
        result[chosen] = (nearest @ known_values) / nearest.sum(axis=1)
    return result


def _flags(rows: npt.NDArray[np.integer[Any]], n_choices: int) -> npt.NDArray[np.float32]:
    """One flag per decision and choice, `(B, D)` to `(B, D * C)`."""
    equal = rows[:, :, None] == np.arange(n_choices)
    flags: npt.NDArray[np.float32] = equal.reshape(len(rows), -1).astype(np.float32)
    return flags


def sortable(keys: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Gives raw bytes an order: numpy sorts and searches ``S`` but not ``V``."""
    if keys.dtype.kind != "V":
        return keys
    return np.ascontiguousarray(keys).view(f"S{keys.dtype.itemsize}")


def hashes(keys: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """64-bit hashes of canonical keys, `(B,)`, the same in every process (splitmix64)."""
    if keys.dtype.kind != "V":
        return mix64(keys.astype(np.int64).view(np.uint64))
    raw = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), -1)
    raw = np.pad(raw, ((0, 0), (0, -raw.shape[1] % 8)))
    state = np.zeros(len(keys), dtype=np.uint64)
    for word in raw.view("<u8").T:
        state = mix64(state ^ word)
    return state


__all__ = ["Integers", "Members", "drawn", "filled", "hashes", "listed", "reached", "sortable"]
