"""Ranks, and ranks as normal scores: what predictors of architectures learn, not raw losses.

So infinite losses and the long tail of accuracies do no harm.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def mid_ranks(values: npt.ArrayLike, violations: npt.ArrayLike | None = None) -> Floats:
    """Ranks from 1, the least, `(n,)`; equal values share the mean of theirs.

    Args:
        values: `(n,)`, may be infinite.
        violations: `(n,)`, 0 where feasible, the default. Infeasible ones rank behind all
            feasible ones, by their violation.
    """
    given = np.asarray(values, dtype=np.float64)
    violation = np.zeros(len(given)) if violations is None else np.asarray(violations, np.float64)
    pairs = np.stack([violation, np.where(violation > 0, 0.0, given)], axis=1)
    _, inverse, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse.ravel()]
    return ranks


def normal_scores(values: npt.ArrayLike, violations: npt.ArrayLike | None = None) -> Floats:
    """Normal quantiles of the ranks, `(n,)`; small values get low scores, equals the same.

    Each value is turned into the quantile of the standard normal that belongs to its rank (Blom,
    "Statistical Estimates and Transformed Beta-Variables", 1958).

    Args:
        values: As those of `mid_ranks`.
        violations: Likewise.
    """
    ranks = mid_ranks(values, violations)
    scores: Floats = np.interp(ranks - 1, np.arange(len(ranks)), normal_quantiles(len(ranks)))
    return scores


@lru_cache(maxsize=64)
def normal_quantiles(n: int) -> Floats:
    """The standard normal's quantiles at ``(i + 0.5) / n``, `(n,)`; read-only."""
    inverse = NormalDist().inv_cdf
    quantiles = np.array([inverse((i + 0.5) / n) for i in range(n)])
    quantiles.setflags(write=False)
    return quantiles


__all__ = ["mid_ranks", "normal_quantiles", "normal_scores"]
