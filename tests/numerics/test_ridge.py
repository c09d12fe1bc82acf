"""Ridge regression against the normal equations, and leaving one out against doing so."""

from __future__ import annotations

import numpy as np
import pytest

from nas_plugins.numerics import ridge


@pytest.mark.parametrize(("n", "p"), [(30, 6), (6, 30), (12, 12)])
def test_weights_minimise_the_penalised_squares(n: int, p: int) -> None:
    rng = np.random.default_rng(n)
    columns, values = rng.normal(size=(n, p)), rng.normal(size=(n, 2))
    weights = ridge.solve(columns.T @ columns, columns.T @ values, 0.7)
    gradient = columns.T @ (columns @ weights - values) + 0.7 * weights
    np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


def test_columns_that_depend_on_each_other_share_the_weight() -> None:
    column = np.array([[1.0], [-1.0], [2.0]])
    columns = np.repeat(column, 3, axis=1)
    weights = ridge.solve(columns.T @ columns, columns.T @ column, 1e-6)
    np.testing.assert_allclose(weights, np.full((3, 1), 1 / 3), atol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(25, 5), (8, 20)])
def test_the_error_of_leaving_one_out_is_that_of_doing_so(n: int, p: int) -> None:
    """With the strength that was chosen, which the fits without a row are given."""
    rng = np.random.default_rng(p)
    columns, penalties = rng.normal(size=(n, p)), rng.uniform(0.1, 1.0, p)
    values = columns @ rng.normal(size=p) + 5.0 + rng.normal(size=n)
    found = ridge.fit(columns, values, penalties)

    def errors(strength: float) -> list[float]:
        missed = []
        for i in range(n):
            rest = np.arange(n) != i
            centre, mean = columns[rest].mean(axis=0), values[rest].mean()
            left = columns[rest] - centre
            square = left.T @ left + strength * np.diag(penalties)
            weights = np.linalg.solve(square, left.T @ (values[rest] - mean))
            missed.append(values[i] - mean - (columns[i] - centre) @ weights)
        return missed

    each = [float(np.mean(np.square(errors(10.0**power)))) for power in range(-8, 4)]
    assert found.loo == pytest.approx(min(each), rel=1e-6)


def test_a_constant_is_not_penalised_and_a_penalty_is_the_weights() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(200, 2))
    values = 100.0 + columns @ np.array([2.0, 2.0]) + 0.01 * rng.normal(size=200)
    found = ridge.fit(columns, values, np.array([1.0, 1e6]))
    assert found.constant == pytest.approx(100.0, abs=0.01)
    np.testing.assert_allclose(found.weights, [2.0, 2.0], atol=0.01)
    np.testing.assert_allclose(found(columns), values, atol=0.1)


def test_predictions_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(2)
    columns = rng.normal(size=(40, 7))
    found = ridge.fit(columns, rng.normal(size=40), np.ones(7))
    one_by_one = np.concatenate([found(row[None]) for row in columns])
    assert np.array_equal(found(columns), one_by_one)
