"""Ranks with ties and with infeasible values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_plugins.ranking import mid_ranks, normal_scores


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
