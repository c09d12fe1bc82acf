"""The Gaussian process against the textbook's formulas with an inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_plugins.numerics.gp import GaussianPosterior, log_likelihood, solve_lower


def _covariance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (first[:, None] - second) ** 2)


def _known(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, K with a noise of .1, y."""
    x = np.random.default_rng(n).uniform(-3, 3, n)
    return x, _covariance(x, x) + 0.1 * np.eye(n), np.sin(x)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("shape", [(), (1,), (7,)])
def test_forward_substitution_solves(n: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(n)
    lower = np.tril(rng.normal(size=(n, n))) / np.sqrt(n) + 2 * np.eye(n)
    right = rng.normal(size=(n, *shape))
    before = right.copy()
    solution = solve_lower(lower, right)
    np.testing.assert_allclose(lower @ solution, right, atol=1e-10)
    assert np.array_equal(right, before)


@pytest.mark.parametrize("n", [1, 10, 150])
def test_the_posterior_is_the_textbooks(n: int) -> None:
    x, whole, values = _known(n)
    others = np.linspace(-4, 4, 33)
    cross, inverse = _covariance(x, others), np.linalg.inv(whole)
    posterior = GaussianPosterior(whole, values)
    means, columns = posterior.at(cross)
    np.testing.assert_allclose(means, cross.T @ inverse @ values, atol=1e-10)
    explained = np.einsum("nm,nk,km->m", cross, inverse, cross)
    np.testing.assert_allclose((columns**2).sum(axis=0), explained, atol=1e-10)
    assert posterior.scale == pytest.approx((values @ inverse @ values + 1) / (n + 1))


def test_the_likelihood_is_that_of_a_normal_at_its_best_factor() -> None:
    """Differences between covariances: the constant is the same for all."""

    def density(whole: np.ndarray, values: np.ndarray, factor: float) -> float:
        """Of the values and one more, of variance `factor` and found to be 1."""
        _, determinant = np.linalg.slogdet(factor * whole)
        squares = values @ np.linalg.solve(factor * whole, values) + 1 / factor
        return -0.5 * float(determinant + np.log(factor) + squares)

    x, whole, values = _known(12)
    differences = []
    for covariance in (whole, whole + np.eye(12), 1.0 + np.outer(x, x) + 0.2 * np.eye(12)):
        best = max(density(covariance, values, f) for f in np.exp(np.linspace(-6, 6, 20_001)))
        differences.append(best - log_likelihood(covariance, values))
    assert differences == pytest.approx([differences[0]] * 3, abs=1e-5)


@given(st.floats(0.01, 100))
def test_the_factor_of_the_covariance_does_not_matter_for_means(factor: float) -> None:
    x, whole, values = _known(20)
    cross = _covariance(x, np.linspace(-4, 4, 9))
    means, _ = GaussianPosterior(whole, values).at(cross)
    again, _ = GaussianPosterior(factor * whole, values).at(factor * cross)
    np.testing.assert_allclose(again, means, atol=1e-9)


def test_a_covariance_that_is_none_has_no_likelihood() -> None:
    whole = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert log_likelihood(whole, np.zeros(2)) == -np.inf
    with pytest.raises(np.linalg.LinAlgError):
        GaussianPosterior(whole, np.zeros(2))
