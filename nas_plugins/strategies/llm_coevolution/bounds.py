"""Where niches begin on an axis, when nobody says so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nas_plugins.strategies.llm_coevolution.axes import Axis, Floats

_LEAST_SHARE = 0.2


def checked_bounds(bounds: Sequence[float] | None) -> list[float] | None:
    """The bounds as given.

    Raises:
        ValueError: They are not ascending finite numbers.
    """
    if bounds is None:
        return None
    cuts = [float(bound) for bound in bounds]
    if not cuts or not all(map(math.isfinite, cuts)) or sorted(set(cuts)) != cuts:
        raise ValueError(f"`bounds` must be finite, ascending and different, got {list(bounds)}")
    return cuts


def chosen_bounds(axis: Axis, values: Floats, n: int) -> list[float]:
    """Bounds that are not given: one niche per value where they are few, the top ones merged."""
    whole = axis.whole
    if whole is not None and len(whole) <= 2 * n:
        return [float(v) for v in sorted(set(values.tolist()) & set(map(float, whole)))][1:n]
    cuts = automatic_bounds(values, n)
    return cuts if whole is None else [float(math.ceil(cut)) for cut in cuts]


def automatic_bounds(values: Floats, n: int) -> list[float]:
    """Where the second, third, ... of `n` niches begins, for a sample of values.

    Each bound is the mean of the one that gives niches of equal mass in the sample and the one
    that gives niches of equal ratio between their ends (equal width, where a value is not
    positive). It is moved into the nearest gap between two different values that leaves every
    niche a fifth of an equal share of the sample, if one is left, and there to a short number.
    Fewer bounds where there are fewer different values.

    Which architectures are on a front is not known beforehand; it reaches over orders of
    magnitude of size and latency, but most architectures crowd within one. On HW-NAS-Bench
    (CIFAR-10, six devices, accuracy against latency) the entropy of the true front's points over
    six niches of FLOPs, as a share of the greatest, is on average 0.91 with this rule, 0.90 with
    equal mass, 0.90 with equal ratio and 0.63 with equal width; over niches of the latency
    itself 0.79, 0.64, 0.74 and 0.57.

    Args:
        values: `(S,)`, finite.
        n: Number of niches.
    """
    steps = np.arange(1, n) / n
    low, high = float(values.min()), float(values.max())
    even = low * (high / low) ** steps if low > 0 else low + (high - low) * steps
    return _between(values, (np.quantile(values, steps) + even) / 2)


def _between(values: Floats, wanted: Floats) -> list[float]:
    """For each wanted bound, a short number in the nearest gap between values that is free."""
    distinct, counts = np.unique(values, return_counts=True)
    middles = (distinct[:-1] + distinct[1:]) / 2
    below = np.cumsum(counts)[:-1] / len(values)
    least = _LEAST_SHARE / (len(wanted) + 1)
    chosen: list[int] = []
    free = np.ones(len(middles), dtype=bool)
    fair = (below >= least) & (below <= 1 - least)
    for bound in wanted[: len(middles)].tolist():
        near = np.where(fair if fair.any() else free, np.abs(middles - bound), np.inf)
        chosen.append(int(near.argmin()))
        free[chosen[-1]] = False
        fair &= free & (np.abs(below - below[chosen[-1]]) >= least)
    return [_short(float(distinct[i]), float(distinct[i + 1])) for i in sorted(chosen)]


def _short(low: float, high: float) -> float:
    """The number of fewest digits near the middle of ``low < number <= high``."""
    middle = (low + high) / 2
    for digits in range(3, 17):
        number = float(f"{middle:.{digits}g}")
        if low < number <= high:
            return number
    return high
