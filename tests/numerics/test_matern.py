"""The Matérn covariance against scikit-learn's formulas, differences and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import check_grad

from nas_plugins.numerics.gp import GaussianPosterior, log_likelihood
from nas_plugins.numerics.matern import Matern, MaternPrior, _loss, fitted


def _squares(n: int, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, 3))
    return ((points[:, None] - points) ** 2).sum(axis=-1)


@pytest.mark.parametrize("distance", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_covariance_is_the_textbooks(distance: float, scale: float) -> None:
    r = distance / scale
    rough = (1 + math.sqrt(3) * r) * math.exp(-math.sqrt(3) * r)
    smooth = (1 + math.sqrt(5) * r + 5 * r * r / 3) * math.exp(-math.sqrt(5) * r)
    squares = np.array([distance**2])
    assert Matern(scale**-2, 0.1)(squares)[0] == pytest.approx(rough)
    assert Matern(scale**-2, 0.1, smooth=True)(squares)[0] == pytest.approx(smooth)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_gradient_is_that_of_the_density(smooth: bool) -> None:
    squares, values = _squares(15), np.random.default_rng(1).normal(size=15)
    prior = MaternPrior(smooth=smooth)
    for logs in ([-1.0, -3.5], [0.7, 0.2], [-4.0, -8.0]):
        error = check_grad(
            lambda x: _loss(x, squares, values, prior)[0],
            lambda x: _loss(x, squares, values, prior)[1],
            np.array(logs),
        )
        assert error < 1e-3


def test_the_density_is_the_likelihood_times_the_prior() -> None:
    squares, values = _squares(12), np.random.default_rng(1).normal(size=12)
    prior, found = MaternPrior(), []
    for log_weight, log_noise in ((-1.0, -3.5), (0.5, -2.0)):
        covariance = Matern(math.exp(log_weight), math.exp(log_noise))
        whole = covariance(squares) + covariance.noise * np.eye(12)
        z = np.array([(log_weight + 1.0) / 1.5, (log_noise + 3.5) / 1.5])
        by_parts = log_likelihood(whole, values) - 0.5 * z @ z
        found.append(
            by_parts + _loss(np.array([log_weight, log_noise]), squares, values, prior)[0]
        )
    assert found[0] == pytest.approx(found[1])


def test_scale_and_noise_are_found() -> None:
    """Of samples of a process whose scale and noise are known."""
    squares = _squares(150)
    true = Matern(4.0, 0.1)
    whole = true(squares) + true.noise * np.eye(150)
    lower = np.linalg.cholesky(whole)
    rng = np.random.default_rng(3)
    found = [fitted(squares, lower @ rng.normal(size=150), MaternPrior()) for _ in range(8)]
    assert np.median([f.weight for f in found]) == pytest.approx(4.0, rel=0.5)
    assert np.median([f.noise for f in found]) == pytest.approx(0.1, rel=0.5)


def test_equal_points_and_equal_values_are_fitted_too() -> None:
    for squares in (np.zeros((5, 5)), _squares(5)):
        found = fitted(squares, np.zeros(5), MaternPrior())
        assert np.isfinite([found.weight, found.noise]).all()


def test_leaving_one_out_is_what_the_others_say() -> None:
    squares, values = _squares(20), np.random.default_rng(1).normal(size=20)
    covariance = Matern(1.0, 0.2)
    whole = covariance(squares) + 0.2 * np.eye(20)
    found = GaussianPosterior(whole, values).left_out
    for i in range(20):
        rest = np.delete(np.arange(20), i)
        without = GaussianPosterior(whole[np.ix_(rest, rest)], values[rest])
        mean, _ = without.at(whole[rest, i : i + 1])
        assert found[i] == pytest.approx(mean[0])
        assert whole[rest, i] @ without.weights == pytest.approx(mean[0])
