"""Matérn covariance of one length scale, and its most probable scale and noise.

Symbols, beside those of `nas_plugins.numerics.gp`
    ``D``       `(n, n)` squared distances of the known points
    ``w``       weight of a squared distance, 1 over the square of the length scale
    ``v``       noise: variance of a value around the function, up to the factor ``a``
    ``C``       covariance of the function's values, up to ``a``; ``K = C + v I``
    ``b``       ``K^-1 y``

With ``s = sqrt(3 w D)`` in each entry the covariance of smoothness 3/2 is ``C = (1 + s) exp(-s)``,
with ``s = sqrt(5 w D)`` that of 5/2 is ``C = (1 + s + s^2 / 3) exp(-s)`` (Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2006, equation 4.17). Since ``ds / dlog w = s / 2``, ::

    dC / dlog w = -s^2 exp(-s) / 2              (3/2)
    dC / dlog w = -s^2 (1 + s) exp(-s) / 6      (5/2)

The factor of greatest likelihood is ``a = (y' b + 1) / (n + 1)``, so that its change is ``da = -b'
dK b / (n + 1)``, and the log likelihood at it changes by ::

    b' dK b / (2 a) - trace(K^-1 dK) / 2

(equation 5.9 there, with the factor profiled out). ``log w`` and ``log v`` have normal priors,
whose logarithm is added: few values say little of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.gp import Floats

_MAX_ITERATIONS = 25
_BOUNDS = ((-9.0, 6.0), (-14.0, 3.0))


@dataclass(frozen=True)
class MaternPrior:
    """Normal priors of the logarithms of weight and noise.

    Attributes:
        weight: Mean of ``log w``.
        weight_deviation: Its standard deviation.
        noise: Mean of ``log v``.
        noise_deviation: Its standard deviation.
        smooth: Whether the smoothness is 5/2 rather than 3/2.
    """

    weight: float = -1.0
    weight_deviation: float = 1.5
    noise: float = -3.5
    noise_deviation: float = 1.5
    smooth: bool = False


@dataclass(frozen=True)
class Matern:
    """A covariance up to a factor.

    Attributes:
        weight: w.
        noise: v.
        smooth: Whether the smoothness is 5/2 rather than 3/2.
    """

    weight: float
    noise: float
    smooth: bool = False

    def __call__(self, squares: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """C of pairs of points whose squared distances are given, in an array of their shape."""
        covariance = np.empty_like(squares)
        pairs = zip(np.atleast_2d(squares), np.atleast_2d(covariance), strict=True)
        # Line by line, as what is between stays in the cache then.
        for line, into in pairs:
            s = np.sqrt((5.0 if self.smooth else 3.0) * self.weight * line)
            np.exp(-s, out=into)
            np.multiply(into, 1.0 + s + s * s / 3.0 if self.smooth else 1.0 + s, out=into)
        return covariance


def fitted(squares: Floats, values: Floats, prior: MaternPrior) -> Matern:
    """The covariance of greatest posterior density, by L-BFGS from the prior's mean.

    Args:
        squares: D.
        values: `(n,)` y, of mean 0.
        prior: Priors of the two logarithms, and the smoothness.
    """
    from scipy.optimize import minimize

    start = np.array([prior.weight, prior.noise])
    found = minimize(
        _loss,
        start,
        args=(squares, values, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=_BOUNDS,
        options={"maxiter": _MAX_ITERATIONS},
    )
    weight, noise = np.exp(found.x if np.isfinite(found.fun) else start).tolist()
    return Matern(weight, noise, prior.smooth)


def _loss(
    logs: Floats, squares: Floats, values: Floats, prior: MaternPrior
) -> tuple[float, Floats]:
    """The negative logarithm of the posterior density, up to a constant, and its gradient."""
    from scipy.linalg import LinAlgError

    covariance, by_weight = with_derivative(squares, float(np.exp(logs[0])), prior.smooth)
    try:
        density, gradient = log_density(covariance, [by_weight], float(np.exp(logs[1])), values)
    except LinAlgError:
        return np.inf, np.zeros(2)
    means = np.array([prior.weight, prior.noise])
    deviations = np.array([prior.weight_deviation, prior.noise_deviation])
    z = (logs - means) / deviations
    return -float(density - 0.5 * z @ z), -(gradient - z / deviations)


def log_density(
    covariance: Floats, changes: Sequence[Floats], noise: float, values: Floats
) -> tuple[float, Floats]:
    """Log likelihood at the best factor, up to a constant, and its gradient.

    Args:
        covariance: C.
        changes: How C changes with each of P logarithms.
        noise: v.
        values: `(n,)` y, of mean 0.

    Returns:
        The log likelihood, and `(P + 1,)` its changes with the P logarithms and with ``log v``.

    Raises:
        scipy.linalg.LinAlgError: K is not positive definite.
    """
    from scipy.linalg import cho_factor, cho_solve

    n = len(values)
    factor = cho_factor(covariance + noise * np.eye(n), lower=True)
    inverse = cho_solve(factor, np.eye(n))
    b = inverse @ values
    scale = float(values @ b + 1.0) / (n + 1.0)
    density = -0.5 * (n + 1) * np.log(scale) - float(np.log(np.diag(factor[0])).sum())
    gradient = [0.5 * (b @ change @ b / scale - (inverse * change).sum()) for change in changes]
    gradient.append(0.5 * noise * (b @ b / scale - np.trace(inverse)))
    return float(density), np.array(gradient)


def with_derivative(squares: Floats, weight: float, smooth: bool) -> tuple[Floats, Floats]:
    """C and ``dC / dlog w``."""
    s = np.sqrt((5.0 if smooth else 3.0) * weight * squares)
    tail = np.exp(-s)
    if smooth:
        return (1.0 + s + s * s / 3.0) * tail, -s * s * (1.0 + s) / 6.0 * tail
    return (1.0 + s) * tail, -0.5 * s * s * tail
