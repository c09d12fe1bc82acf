"""Ranks, ranks as normal scores, and their correlation.

Symbols
    ``v_1 .. v_n``  values, of which small ones are good
    ``r_i``         mid-rank of ``v_i``, from 1, the least
    ``s_i``         normal score of ``v_i``

Of a value that occurs ``c`` times, with ``b`` values below it, the ranks would be ``b + 1 .. b +
c``; each of the c gets their mean, ``r = b + (c + 1) / 2``. With the cumulated counts ``C = b +
c`` that is ``C - (c - 1) / 2``.

The normal score is the quantile of the standard normal at ``(r - 1/2) / n`` (Blom, "Statistical
Estimates and Transformed Beta-Variables", 1958, with his alpha at 1/2), between whole ranks
interpolated. Predictors learn it rather than raw losses: infinite losses and the long tail of
accuracies then do no harm.
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
    given, axis = np.asarray(values, dtype=np.float64), None
    if violations is not None:
        violation, axis = np.asarray(violations, np.float64), 0
        given = np.stack([violation, np.where(violation > 0, 0.0, given)], axis=1)
    _, inverse, counts = np.unique(given, axis=axis, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse.ravel()]


def normal_scores(values: npt.ArrayLike, violations: npt.ArrayLike | None = None) -> Floats:
    """Normal quantiles of the ranks, `(n,)`; small values get low scores, equals the same.

    Args:
        values: As those of `mid_ranks`.
        violations: Likewise.
    """
    ranks = mid_ranks(values, violations)
    return np.interp(ranks - 1, np.arange(len(ranks)), normal_quantiles(len(ranks)))


@lru_cache(maxsize=64)
def normal_quantiles(n: int) -> Floats:
    """The standard normal's quantiles at ``(i + 0.5) / n``, `(n,)`; read-only."""
    inverse = NormalDist().inv_cdf
    quantiles = np.array([inverse((i + 0.5) / n) for i in range(n)])
    quantiles.setflags(write=False)
    return quantiles


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation, that of the mid-ranks; 0 where either is constant.

    Args:
        first: `(n,)`.
        second: `(n,)`.
    """
    x, y = mid_ranks(first), mid_ranks(second)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0
