"""Ridge regression with one penalty per column, its strength chosen by leaving one out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas_plugins.evaluators.latency.features import Floats

_STRENGTHS = 10.0 ** np.arange(-8, 4)


@dataclass(frozen=True, eq=False)
class Linear:
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


def fit(columns: Floats, values: Floats, penalties: Floats) -> Linear:
    """Minimises the squared error plus ``strength * penalties @ weights**2``.

    The constant is free. The strength, of twelve powers of ten, is the one with the least
    leave-one-out error, in closed form (Allen's PRESS): the residual over one minus leverage.

    Args:
        columns: `(n, P)`, n >= 2.
        values: `(n,)`.
        penalties: `(P,)` positive.
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
    dual = vectors @ (projected / (squares + _STRENGTHS[best]))
    weights = (scaled - centre).T @ dual
    return Linear(float(mean - centre @ weights), weights * scale, float(loo[best]))


def _decomposed(columns: Floats) -> tuple[Floats, Floats]:
    """Left singular vectors and squared singular values, the cheaper way."""
    n, p = columns.shape
    if p < n:
        vectors, values, _ = np.linalg.svd(columns, full_matrices=False)
        return vectors, values**2
    squares, vectors = np.linalg.eigh(columns @ columns.T)
    return vectors, np.maximum(squares, 0.0)


__all__ = ["Linear", "fit"]
