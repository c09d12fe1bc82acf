"""The features of a space on one scale, so that one length scale serves them all.

Symbols
    ``F``   number of features that vary in the space
    ``f``   a feature, with mean and standard deviation over a sample of the space

Each feature becomes ``(f - mean) / (deviation sqrt(2 F))``: two architectures drawn from the
space are then at a mean squared distance of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import Rows, SearchSpace

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

_SAMPLE = 2000
_KEPT = 2**15
_EQUAL = 1e-9


class KeptValues(Generic[T]):
    """Computes a value of each architecture, and keeps those of architectures it met.

    Args:
        compute: From rows of choice indices `(B, D)` to B values, each row for itself.
    """

    def __init__(self, compute: Callable[[Rows], Iterable[T]]) -> None:
        self._compute = compute
        self._kept: dict[bytes, T] = {}

    def __call__(self, rows: Rows) -> list[T]:
        """`(B, D)` to B values."""
        # Never emptied but replaced, as another thread may be reading it.
        kept = self._kept = self._kept if len(self._kept) < _KEPT else {}
        names = [row.tobytes() for row in rows]
        new = {name: i for i, name in enumerate(names) if name not in kept}
        if new:
            kept.update(zip(new, self._compute(rows[list(new.values())]), strict=True))
        return [kept[name] for name in names]


class KeptRows:
    """As `KeptValues`, for values that are arrays of one shape.

    Args:
        compute: From rows of choice indices `(B, D)` to `(B, F)`, each row for itself.
    """

    def __init__(self, compute: Callable[[Rows], Floats]) -> None:
        self._compute = compute
        self._kept = KeptValues[Floats](compute)

    def __call__(self, rows: Rows) -> Floats:
        """`(B, D)` to `(B, F)`."""
        return np.stack(self._kept(rows)) if len(rows) else self._compute(rows)


@lru_cache(maxsize=8)
def scaled_features(space: SearchSpace) -> KeptRows:
    """Scaled features `(B, F)` of architectures of a space; no value of any is looked at."""
    found = space.features(space.random(_SAMPLE, np.random.default_rng(0)))
    deviations = found.std(axis=0)
    columns = np.flatnonzero(deviations > _EQUAL)
    means = found.mean(axis=0)[columns]
    factors = 1.0 / (deviations[columns] * np.sqrt(2.0 * max(len(columns), 1)))

    def scaled(rows: Rows) -> Floats:
        result: Floats = (space.features(rows)[:, columns] - means) * factors
        return result

    return KeptRows(scaled)


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Of all pairs of rows, `(B, F)` and `(B', F)` to `(B, B')`."""
    squares = [(z * z).sum(axis=1) for z in (first, second)]
    apart = squares[0][:, None] + squares[1] - 2.0 * (first @ second.T)
    result: Floats = np.maximum(apart, 0.0)
    return result
