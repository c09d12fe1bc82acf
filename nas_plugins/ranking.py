"""Ranks as normal scores: what predictors of architectures learn instead of raw losses.

Each value is turned into the quantile of the standard normal that belongs to its rank (Blom,
"Statistical Estimates and Transformed Beta-Variables", 1958), so infinite losses and the long
tail of accuracies do no harm.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def normal_scores(values: npt.ArrayLike, violations: npt.ArrayLike | None = None) -> Floats:
    """Normal quantiles of the ranks, `(n,)`; small values get low scores, equals the same.

    Args:
        values: `(n,)`, may be infinite.
        violations: `(n,)`, 0 where feasible, the default. Infeasible ones rank behind all
            feasible ones, by their violation.
    """
    given = np.asarray(values, dtype=np.float64)
    violation = np.zeros(len(given)) if violations is None else np.asarray(violations, np.float64)
    pairs = np.stack([violation, np.where(violation > 0, 0.0, given)], axis=1)
    _, inverse, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    scores = np.interp(middle, np.arange(len(given)), normal_quantiles(len(given)))
    result: Floats = scores[inverse.ravel()]
    return result


@lru_cache(maxsize=64)
def normal_quantiles(n: int) -> Floats:
    """The standard normal's quantiles at ``(i + 0.5) / n``, `(n,)`; read-only."""
    inverse = NormalDist().inv_cdf
    quantiles = np.array([inverse((i + 0.5) / n) for i in range(n)])
    quantiles.setflags(write=False)
    return quantiles


__all__ = ["normal_quantiles", "normal_scores"]
