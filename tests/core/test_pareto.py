"""Fronts and indicators against brute force and hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas_plugins import pareto

points = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.sampled_from([-math.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 3.0, math.inf]),
)


def _dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(points)
def test_front_equals_brute_force(losses: np.ndarray) -> None:
    expected = [not any(_dominates(other, row) for other in losses) for row in losses]
    assert pareto.front_mask(losses).tolist() == expected


@given(points, st.data())
def test_ranks_put_the_front_first_and_feasible_before_infeasible(
    losses: np.ndarray, data: st.DataObject
) -> None:
    violation = np.array(
        data.draw(
            st.lists(
                st.sampled_from([0.0, 0.0, 0.5, 2.0]), min_size=len(losses), max_size=len(losses)
            )
        )
    )
    ranks = pareto.constrained_ranks(losses, violation)
    assert set(np.flatnonzero(pareto.constrained_front(losses, violation))) == set(
        np.flatnonzero(ranks == ranks.min())
    )
    for i, j in np.ndindex(len(losses), len(losses)):
        if violation[i] < violation[j]:
            assert ranks[i] < ranks[j] or (violation[i] <= 0 and violation[j] <= 0)
        elif violation[i] == violation[j] == 0 and _dominates(losses[i], losses[j]):
            assert ranks[i] < ranks[j]


def test_hypervolume_of_known_boxes() -> None:
    assert pareto.hypervolume([[0.0, 0.5], [0.5, 0.0]], [1.0, 1.0]) == pytest.approx(0.75)
    assert pareto.hypervolume([[0.25]], [1.0]) == pytest.approx(0.75)
    assert pareto.hypervolume([[2.0, 2.0]], [1.0, 1.0]) == 0.0
    assert pareto.hypervolume(np.empty((0, 3)), [1.0] * 3) == 0.0
    cube = [[0.0, 0.0, 0.5], [0.5, 0.5, 0.0]]
    assert pareto.hypervolume(cube, [1.0] * 3) == pytest.approx(0.5 + 0.25 * 0.5)


def test_ratio_and_distances_to_a_known_front() -> None:
    front = np.array([[0.0, 10.0], [1.0, 4.0], [4.0, 0.0]])
    assert pareto.hv_ratio(front, front) == pytest.approx(1.0)
    assert pareto.igd(front, front) == 0.0
    assert pareto.igd_plus(front, front) == 0.0
    part = front[:2]
    assert 0 < pareto.hv_ratio(part, front) < 1
    # The lost point (1, 0) on FN axes lies sqrt(.75^2 + .4^2) from (.25, .4).
    assert pareto.igd(part, front) == pytest.approx(math.hypot(0.75, 0.4) / 3)
    assert pareto.igd_plus(part, front) == pytest.approx(0.4 / 3)


def test_the_normalisation_maps_the_front_to_the_unit_box() -> None:
    front = np.array([[2.0, 30.0], [4.0, 10.0]])
    scale = pareto.Normalisation.front(front)
    assert scale(front).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert pareto.Normalisation((1.0,), (1.0,))([[3.0]]).tolist() == [[2.0]]


def test_a_reference_without_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the true front no hypervolume"):
        pareto.hv_ratio([[0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], reference=1.0)


@pytest.mark.parametrize("function", [pareto.front_mask, pareto.crowding_distance])
def test_malformed_losses_are_refused(function: object) -> None:
    with pytest.raises(ValueError, match=r"`losses` must have shape \(n, m\)"):
        function([1.0, 2.0])  # type: ignore[operator]
    with pytest.raises(ValueError, match="must not hold NaN"):
        function([[math.nan]])  # type: ignore[operator]


def test_crowding_prefers_the_extremes_and_the_lonely() -> None:
    losses = [[0.0, 1.0], [0.1, 0.9], [0.2, 0.8], [1.0, 0.0]]
    distance = pareto.crowding_distance(losses)
    assert np.isinf(distance[[0, 3]]).all()
    assert distance[2] > distance[1]
