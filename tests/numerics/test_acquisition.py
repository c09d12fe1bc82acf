"""Log expected improvement against 20 digits, gain of hypervolume against the hypervolume."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_plugins import pareto
from nas_plugins.numerics.acquisition import hypervolume_gain, log_expected_improvement

# log(phi(z) + z Phi(z)), computed with 400 digits.
KNOWN = (
    (-200.0, -20011.515648259739324),
    (-120.5, -7270.6274445973002144),
    (-64.0, -2057.2374364969520885),
    (-38.5, -749.3472742078229216),
    (-36.0, -656.08828500497882003),
    (-24.0, -295.28022323480488484),
    (-16.0, -134.47567848217480635),
    (-10.0, -55.553122036122355927),
    (-8.0, -37.122364261692633),
    (-6.0, -22.578879392169797367),
    (-5.0, -16.744301162660990143),
    (-4.0, -11.849061577550663111),
    (-3.125, -8.3181211461309058965),
    (-3.0, -7.8696860596030285171),
    (-2.875, -7.435006691866507524),
    (-2.0, -4.7687835239171141569),
    (-1.0, -2.4851210257126413368),
    (-0.5, -1.6205162643873199193),
    (0.0, -0.91893853320467274178),
    (0.5, -0.35982768374506381859),
    (1.0, 0.080026218849306940029),
    (2.0, 0.69738354578822831219),
    (4.0, 1.3862961474329032622),
    (6.0, 1.7917594692541144974),
    (10.0, 2.302585092994045684),
)


def _log_h(z: list[float]) -> np.ndarray:
    return log_expected_improvement(-np.array(z), np.ones(len(z)), 0.0)


@pytest.mark.parametrize(("z", "expected"), KNOWN)
def test_log_expected_improvement_is_right_to_a_dozen_digits(z: float, expected: float) -> None:
    assert _log_h([z])[0] == pytest.approx(expected, rel=1e-13, abs=1e-14)


@given(st.floats(-1e6, 1e6), st.floats(-5, 5), st.floats(1e-3, 1e3))
def test_an_improvement_scales_with_its_unit(z: float, best: float, unit: float) -> None:
    found = log_expected_improvement(np.array([best - unit * z]), np.array([unit]), best)
    again = (best - (best - unit * z)) / unit  # what rounding leaves of z
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(np.log(unit) + _log_h([again])[0], rel=1e-12, abs=1e-12)


def test_log_expected_improvement_grows_without_a_step() -> None:
    """Also where one formula gives way to the other: its slope is Phi / h, in (0, |z| + 1)."""
    z = np.linspace(-12.0, 4.0, 160_001)
    slopes = np.diff(_log_h(z.tolist())) / 1e-4
    assert (slopes > 0).all()
    assert (np.abs(np.diff(slopes)) < 1e-3).all()


def test_the_mean_is_what_counts_where_all_is_certain() -> None:
    gain = log_expected_improvement(np.array([1.0, 3.0]), np.array([1e-9, 1e-9]), 4.0)
    assert np.exp(gain) == pytest.approx([3.0, 1.0])


# Sixteenths: the gain is then exact.
POINTS = st.lists(
    st.tuples(st.integers(0, 16), st.integers(0, 16)).map(lambda p: (p[0] / 16, p[1] / 16)),
    min_size=1,
    max_size=8,
)


@given(POINTS, POINTS)
def test_a_gain_of_hypervolume_is_the_mean_of_the_differences(found, drawn) -> None:
    losses = np.array(found)
    front = losses[pareto.front_mask(losses)]
    first, second = np.array(drawn).T
    gain = hypervolume_gain(first[None], second[None], front, 1.25)
    base = pareto.hypervolume(front, [1.25, 1.25])
    gains = [
        pareto.hypervolume([*front.tolist(), [a, b]], [1.25, 1.25]) - base
        for a, b in itertools.product(first, second)
    ]
    assert gain == pytest.approx([np.mean(gains)], abs=1e-12)


def test_what_is_dominated_or_beyond_the_reference_gains_nothing() -> None:
    front = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]])
    first, second = (
        np.array([[0.5], [0.6], [2.0], [-1.0]]),
        np.array([[0.5], [0.7], [-1.0], [2.0]]),
    )
    assert hypervolume_gain(first, second, front, 1.5).tolist() == [0.0] * 4
