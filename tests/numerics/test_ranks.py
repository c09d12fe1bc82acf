"""Ranks with ties and with infeasible values, their normal scores and their correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_plugins.numerics.ranks import mid_ranks, normal_quantiles, normal_scores, spearman


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert mid_ranks([3.0, 1.0, 3.0, -math.inf]).tolist() == [3.5, 2.0, 3.5, 1.0]


def test_the_infeasible_rank_behind_the_feasible_by_their_violation() -> None:
    assert mid_ranks([5.0, 1.0, 2.0], [0.0, 2.0, 1.0]).tolist() == [1.0, 3.0, 2.0]


def test_nothing_has_no_ranks() -> None:
    assert mid_ranks([]).shape == (0,)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_ranks_are_those_of_sorting(values: list[int]) -> None:
    ranks = mid_ranks(values)
    assert ranks.sum() == pytest.approx(len(values) * (len(values) + 1) / 2)
    below = np.array([[a < b for a in values] for b in values]).sum(axis=1)
    equal = np.array([[a == b for a in values] for b in values]).sum(axis=1)
    np.testing.assert_allclose(ranks, below + (equal + 1) / 2)
    assert (
        np.argsort(normal_scores(values), kind="stable") == np.argsort(values, kind="stable")
    ).all()


def test_normal_scores_rank_losses_then_violations() -> None:
    losses = [3.0, math.inf, -math.inf, 1.0, 1.0, 0.0]
    scores = normal_scores(losses, [0, 0, 0, 0, 0, 2.0])
    assert np.isfinite(scores).all()
    assert scores[2] < scores[3] == scores[4] < scores[0] < scores[1] < scores[5]
    assert abs(scores.mean()) < 1e-9


def test_without_ties_normal_scores_are_the_quantiles() -> None:
    assert normal_scores([4.0, 2.0, 8.0]).tolist() == normal_quantiles(3)[[1, 0, 2]].tolist()
    assert normal_quantiles(3)[2] == pytest.approx(0.967421566101701)  # of 5/6
    assert normal_quantiles(3)[1] == 0.0


def test_spearman_shares_the_ranks_of_equal_values() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 50).astype(float), rng.normal(size=50)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0])


def test_a_constant_correlates_with_nothing() -> None:
    assert spearman(np.ones(5), np.arange(5.0)) == 0.0


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30, unique=True))
def test_spearman_is_one_for_any_increasing_function(values: list[int]) -> None:
    assert spearman(values, np.exp(values)) == pytest.approx(1.0)
    assert spearman(values, -np.exp(values)) == pytest.approx(-1.0)
