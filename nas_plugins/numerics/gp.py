"""A Gaussian process whose covariance is known up to a factor, which is fitted.

Symbols
    ``y``       `(n,)` known values, of mean 0
    ``K``       `(n, n)` their covariance, the noise included, up to the factor ``a``
    ``L``       lower triangular, ``K = L L'`` (Cholesky)
    ``k``       `(n, M)` covariance of the known values with M others, up to ``a``
    ``k0``      `(M,)` prior variances of the others, up to ``a``
    ``h``       ``L^-1 y``
    ``V``       ``L^-1 k``

The others are normal with means ``k' K^-1 y = V' h`` and variances ``a (k0 - diag(k' K^-1 k)) = a
(k0 - sum_i V_i^2)``, the sums taken down each column (Rasmussen and Williams, "Gaussian Processes
for Machine Learning", 2006, algorithm 2.1). ``h`` and ``V`` are solved for; nothing is inverted.

With one pseudo-value of variance 1 beside the n values, which keeps it from 0, the factor of
greatest likelihood is ``a = (h' h + 1) / (n + 1)``, and the log likelihood at it is, up to what
depends on neither K nor y, ::

    -(n + 1) / 2 log a - log det(K) / 2,   log det(K) / 2 = sum_i log L_ii

Had value i been left out, its mean would be ``y_i - (K^-1 y)_i / (K^-1)_ii`` (Rasmussen and
Williams, equation 5.12), so that nothing need be fitted anew.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BLOCK = 64


class GaussianPosterior:
    """What known values say about others.

    Args:
        covariance: K.
        values: y.

    Attributes:
        scale: a.
        log_likelihood: Up to a constant.

    Raises:
        numpy.linalg.LinAlgError: K is not positive definite.
    """

    def __init__(self, covariance: Floats, values: Floats) -> None:
        self._lower: Floats = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        self._values = values
        self._half = solve_lower(self._lower, values)
        self.scale = float(self._half @ self._half + 1.0) / (len(values) + 1.0)
        half_determinant = float(np.log(np.diag(self._lower)).sum())
        self.log_likelihood = (
            -0.5 * (len(values) + 1) * float(np.log(self.scale)) - half_determinant
        )

    def at(self, cross: Floats) -> tuple[Floats, Floats]:
        """Means of others `(M,)`, and V `(n, M)`, whose squares their variances lack.

        Args:
            cross: k.
        """
        columns = solve_lower(self._lower, cross)
        return self._half @ columns, columns

    @property
    def weights(self) -> Floats:
        """``K^-1 y``, `(n,)`; with k the means of others are ``k' K^-1 y``."""
        weights: Floats = self._inverse_half.T @ self._half
        return weights

    @property
    def left_out(self) -> Floats:
        """What each of the values would be predicted as, had it not been known, `(n,)`."""
        diagonal = (self._inverse_half**2).sum(axis=0)
        predicted: Floats = self._values - self.weights / diagonal
        return predicted

    @cached_property
    def _inverse_half(self) -> Floats:
        """``L^-1``."""
        return solve_lower(self._lower, np.eye(len(self._lower)))


def log_likelihood(covariance: Floats, values: Floats) -> float:
    """Log likelihood of known values, up to a constant; ``-inf`` where K is not positive definite.

    Args:
        covariance: K.
        values: y.
    """
    try:
        return GaussianPosterior(covariance, values).log_likelihood
    except np.linalg.LinAlgError:
        return -np.inf


def solve_lower(lower: Floats, right: Floats) -> Floats:
    """``L^-1 B`` by forward substitution in blocks, which NumPy lacks.

    Of each block of rows the solution so far is subtracted; what is left has a small triangle.

    Args:
        lower: `(n, n)` L, lower triangular; above the diagonal it must be 0.
        right: `(n,)` or `(n, M)` B.
    """
    solution = np.array(right, dtype=np.float64)
    for start in range(0, len(lower), _BLOCK):
        rows = slice(start, start + _BLOCK)
        left = solution[rows] - lower[rows, :start] @ solution[:start]
        solution[rows] = np.linalg.solve(lower[rows, rows], left)
    return solution
