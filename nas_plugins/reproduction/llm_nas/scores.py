"""How good a search was: hypervolume, distances to the true front, latencies reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.reproduction.llm_nas.cases import AXES, TEST, VALIDATION, CaseTable, Floats
from nas_plugins.reproduction.llm_nas.runs import SearchRun

HV, HV_SPACE, IGD, IGD_PLUS, HIT = "hv FN 1.1", "hv SN 1.0", "IGD", "IGD+", "front found"
ACCURACY = "accuracy"
SCORES = (HV, HV_SPACE, IGD, IGD_PLUS, HIT)
PREDICTED = "predicted"

LEVELS: Mapping[str, tuple[float, ...]] = {
    "cifar10": (89.8, 92.0, 93.0, 94.0),
    "cifar100": (64.6, 67.9, 70.0, 72.0),
    "imagenet16": (38.0, 42.0, 44.0, 46.0),
}
"""Test accuracies in percent for Table 2; 89.8, 64.6 and 67.9 are just below those of the cells
on the true fronts that have the latencies the paper tells: FPGA 1.65 ms, Edge GPU 1.78 ms."""


def found_front(run: SearchRun) -> tuple[npt.NDArray[np.intp], Floats]:
    """The Pareto-optimal cells of a search, by the values that it saw.

    Returns:
        Distinct positions in the table, and what the search saw of their accuracy, `(k,)` each.
    """
    values = np.array(run.searched, dtype=np.float64).reshape(-1, 2)
    done = np.flatnonzero(np.isfinite(values).all(axis=1))
    # A sampler may evaluate a cell twice.
    cells, first = np.unique(np.array(run.cells)[done], return_index=True)
    seen = values[done][first]
    keep = pareto.front_mask(seen * (-1.0, 1.0)) if len(seen) else np.zeros(0, dtype=bool)
    return cells[keep], seen[keep, 0]


def scores(run: SearchRun, table: CaseTable) -> dict[tuple[str, str], float]:
    """All of `SCORES`, and the mean accuracy, of the found front, by score and axis.

    The front is chosen by what the search saw. Units are those of the axis's true front, its
    ideal and nadir, but for "hv SN 1.0", where they are the extremes of the whole space. On the
    axis ``predicted``, which is there when values were predicted, it is those values that count,
    against the true front on validation accuracy.
    """
    cells, accuracy = found_front(run)
    points = {axis: table.losses[axis][cells] for axis in AXES}
    if not math.isnan(run.spearman):
        points[PREDICTED] = np.stack([-accuracy, table.latency[cells]], axis=1)
    result = {}
    for axis, losses in points.items():
        known = VALIDATION if axis == PREDICTED else axis
        for name, value in _scores(losses, table, known).items():
            result[name, axis] = value
        result[ACCURACY, axis] = -float(losses[:, 0].mean()) if len(losses) else math.nan
    return result


def lowest_latency(run: SearchRun, table: CaseTable, level: float) -> float:
    """Lowest latency on the found front at a true test accuracy of `level` or more.

    NaN where the front has no such cell.
    """
    cells, _ = found_front(run)
    good = cells[table.accuracy[TEST][cells] >= level]
    return float(table.latency[good].min()) if len(good) else math.nan


def least_latency(table: CaseTable, level: float) -> float:
    """Lowest latency of all cells with a test accuracy of `level` or more."""
    good = table.measured & (table.accuracy[TEST] >= level)
    return float(table.latency[good].min()) if good.any() else math.nan


def sign_test(won: int, lost: int) -> float:
    """Two-sided probability of a split at least so uneven between equals; ties left out."""
    n = won + lost
    tail = sum(math.comb(n, k) for k in range(min(won, lost) + 1)) / 2**n
    return float(min(1.0, 2 * tail))


@dataclass(frozen=True)
class PairedComparison:
    """An arm against another.

    Attributes:
        cases: Cases in which its mean is better.
        of: Cases.
        won: Pairs of runs with the same case and seed in which it is better.
        lost: Those in which it is worse.
    """

    cases: int
    of: int
    won: int
    lost: int

    @classmethod
    def between(
        cls, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]
    ) -> PairedComparison:
        """Of scores by case and seed, more being better; common seeds count."""
        cases = won = lost = 0
        for mine, other in zip(ours, theirs, strict=True):
            pairs = list(zip(mine, other, strict=False))  # as many seeds as both have
            cases += sum(m for m, _ in pairs) > sum(o for _, o in pairs)
            won += sum(m > o for m, o in pairs)
            lost += sum(m < o for m, o in pairs)
        return cls(cases, len(ours), won, lost)

    @property
    def p(self) -> float:
        """Of the sign test over the pairs."""
        return sign_test(self.won, self.lost)


def _scores(losses: Floats, table: CaseTable, axis: str) -> dict[str, float]:
    if not len(losses):
        return {HV: 0.0, HV_SPACE: 0.0, IGD: math.nan, IGD_PLUS: math.nan, HIT: 0.0}
    front = table.fronts[axis]
    points = {tuple(point) for point in losses.tolist()}
    return {
        HV: pareto.hv_ratio(losses, front, reference=1.1),
        HV_SPACE: pareto.hv_ratio(
            losses, front, normalisation=table.whole_space[axis], reference=1.0
        ),
        IGD: pareto.igd(losses, front),
        IGD_PLUS: pareto.igd_plus(losses, front),
        HIT: sum(tuple(point) in points for point in front.tolist()) / len(front),
    }
