"""Ridge regression, its strength given or chosen by leaving one out.

Symbols
    ``X``       `(n, P)` columns, of which ``x_i`` is row i
    ``y``       `(n,)` values, or `(n, m)`, one column per target
    ``p``       `(P,)` penalties of the columns, ones by default
    ``q``       strength, the factor of all penalties
    ``w``       `(P,)` weights

The weights are those of least ``|y - X w|^2 + q sum_j p_j w_j^2``. In the scaled columns ``Z = X
diag(p)^(-1/2)``, whose left singular vectors are the columns of ``U`` and whose squared singular
values are ``s``, all penalties are equal, and the solution is ::

    w = diag(p)^(-1/2) Z' U diag(1 / (s + q)) U' y

so one decomposition serves any number of strengths, be n or P the larger (Hastie, Tibshirani and
Friedman, "The Elements of Statistical Learning", 2009, sections 3.4.1 and 18.3.5). A constant that
is not penalised is had by subtracting the means of X and y first.

Leaving one out: the fitted values are ``H y``, ``H = U diag(s / (s + q)) U'``, to which a constant
adds ``1 / n`` everywhere. Had row i been left out, its value would be missed by ``(y_i - (H y)_i)
/ (1 - H_ii)``, so that nothing need be fitted anew (Allen's PRESS, 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STRENGTHS = 10.0 ** np.arange(-8, 4)


@dataclass(frozen=True, eq=False)
class LinearFunction:
    """A fitted linear function.

    Attributes:
        constant: Value at zero.
        weights: `(P,)`.
        loo: Mean squared error of leaving one out, of the strength that was chosen.
    """

    constant: float
    weights: Floats
    loo: float

    def __call__(self, columns: Floats) -> Floats:
        """Maps `(B, P)` to `(B,)`."""
        # Not a matrix product: its rounding depends on the other rows of the batch.
        values: Floats = self.constant + (columns * self.weights).sum(axis=1)
        return values


def solve(columns: Floats, values: Floats, strength: float) -> Floats:
    """Weights `(P, m)` of a given strength, without a constant.

    Args:
        columns: `(n, P)`.
        values: `(n, m)`.
        strength: Positive; penalties are equal.
    """
    vectors, squares = _decomposed(columns)
    weights: Floats = columns.T @ (vectors @ (vectors.T @ values / (squares + strength)[:, None]))
    return weights


def fit(columns: Floats, values: Floats, penalties: Floats) -> LinearFunction:
    """Fits with a free constant and the strength of least leave-one-out error.

    Args:
        columns: `(n, P)`, n >= 2.
        values: `(n,)`.
        penalties: `(P,)` positive; the strength is one of twelve powers of ten.
    """
    scale = 1.0 / np.sqrt(penalties)
    scaled = columns * scale
    centre, mean = scaled.mean(axis=0), values.mean()
    vectors, squares = _decomposed(scaled - centre)
    residuals = values - mean
    projected = vectors.T @ residuals
    shrink = squares / (squares + _STRENGTHS[:, None])
    leverage = np.minimum(shrink @ (vectors**2).T + 1.0 / len(values), 1.0 - 1e-12)
    errors = (residuals - (shrink * projected) @ vectors.T) / (1.0 - leverage)
    loo = np.mean(errors**2, axis=1)
    best = int(np.argmin(loo))
    weights = (scaled - centre).T @ (vectors @ (projected / (squares + _STRENGTHS[best])))
    return LinearFunction(float(mean - centre @ weights), weights * scale, float(loo[best]))


def _decomposed(columns: Floats) -> tuple[Floats, Floats]:
    """Left singular vectors and squared singular values, the cheaper way."""
    n, p = columns.shape
    if p < n:
        vectors, values, _ = np.linalg.svd(columns, full_matrices=False)
        return vectors, values**2
    squares, vectors = np.linalg.eigh(columns @ columns.T)
    return vectors, np.maximum(squares, 0.0)
