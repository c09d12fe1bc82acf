"""How good the runs of a comparison are, at any number of trials.

With one objective the incumbent counts: the trial that is best in what the search saw. With
several it is the found front, chosen by what the search saw, against the true front: the share
of its hypervolume, and the distances IGD and IGD+, on axes from the true front's ideal (0) to its
nadir (1), with the reference point at 1.1 or 1.0. Every score exists twice: on the reported
objectives, and on those of the search (``_searched``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas_plugins import pareto
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark
from nas_plugins.reproduction.seed_runs import Floats, SeedRun


@dataclass(frozen=True, eq=False)
class ScoreAxes:
    """Objectives, and what is best on them.

    Attributes:
        objectives: What the columns of values are.
        front: `(k, m)` losses of the true front, or of the best that is known; ``None`` where
            nothing is.
        known: Whether `front` is the true one.
    """

    objectives: tuple[Objective, ...]
    front: Floats | None
    known: bool = True

    @classmethod
    def of(cls, benchmark: Benchmark, objectives: tuple[Objective, ...]) -> ScoreAxes:
        """The benchmark's own true front."""
        front = benchmark.front(objectives)
        found = None if front is None else front * _signs(objectives)
        return cls(objectives, found, found is not None)

    def or_best_of(self, values: Sequence[Floats]) -> ScoreAxes:
        """The front of all these values, `(n, m)` each, in place of one that is not known.

        With one objective there is none then: how near a search came cannot be said.
        """
        if self.known or len(self.objectives) == 1:
            return self
        losses = np.concatenate([self.losses(some) for some in values])
        losses = losses[np.isfinite(losses).all(axis=1)]
        front = np.unique(losses[pareto.front_mask(losses)], axis=0) if len(losses) else None
        return ScoreAxes(self.objectives, front, known=False)

    def losses(self, values: Floats) -> Floats:
        """Values `(n, m)` turned so that less is better."""
        turned: Floats = values * _signs(self.objectives)
        return turned


def scores(
    run: SeedRun, budget: int, searched: ScoreAxes, reported: ScoreAxes, tolerance: float
) -> dict[str, float]:
    """Scores of the first `budget` trials of a run.

    Args:
        run: The run.
        budget: Trials that count.
        searched: What the search saw.
        reported: What it is scored on.
        tolerance: With one objective: how near to the optimum counts as a hit.

    Returns:
        With one objective ``best`` (reported value of the incumbent), ``hit`` and
        ``hit_searched`` (1 or 0) and ``evaluations`` and ``evaluations_searched`` until the first
        hit, infinite without one. With several ``hv11``, ``hv10``, ``igd`` and ``igd_plus`` of
        the found front, and the same with ``_searched``. What is not defined is left out.
    """
    both = (("", reported, run.reported), ("_searched", searched, run.searched))
    result: dict[str, float] = {}
    if len(searched.objectives) == 1:
        best = incumbents(run, searched)[:budget]
        if not best:
            return {}
        result["best"] = float(run.reported[best[-1], 0])
        for suffix, axes, values in both:
            if axes.front is not None:
                # A hair's breadth for tables that hold 32-bit floats.
                limit = axes.front.min() + tolerance + 1e-6
                hits = np.flatnonzero(axes.losses(values)[best, 0] <= limit)
                result[f"hit{suffix}"] = float(len(hits) > 0)
                result[f"evaluations{suffix}"] = float(hits[0] + 1) if len(hits) else math.inf
        return result
    found = found_front(run, budget, searched)
    for suffix, axes, values in both:
        losses = axes.losses(values[found])
        losses = losses[np.isfinite(losses).all(axis=1)]
        if axes.front is None or not len(losses):
            continue
        result[f"hv11{suffix}"] = pareto.hv_ratio(losses, axes.front, reference=1.1)
        if len(axes.front) > losses.shape[1]:  # the extremes alone have no volume within the box
            result[f"hv10{suffix}"] = pareto.hv_ratio(losses, axes.front, reference=1.0)
        result[f"igd{suffix}"] = pareto.igd(losses, axes.front)
        result[f"igd_plus{suffix}"] = pareto.igd_plus(losses, axes.front)
    return result


def curve(run: SeedRun, budgets: Sequence[int], searched: ScoreAxes) -> list[float]:
    """The main score after each budget: reported value of the incumbent, or hypervolume share."""
    if len(searched.objectives) == 1:
        best = incumbents(run, searched)
        return [float(run.reported[best[min(b, len(best)) - 1], 0]) for b in budgets]
    front, shares = searched.front, []
    for budget in budgets:
        losses = searched.losses(run.searched[found_front(run, budget, searched)])
        if front is None or not len(losses):
            shares.append(math.nan)
        else:
            shares.append(pareto.hv_ratio(losses, front))
    return shares


def incumbents(run: SeedRun, searched: ScoreAxes) -> list[int]:
    """Position of the best trial so far after each trial."""
    if not len(run):
        return []
    losses = np.nan_to_num(searched.losses(run.searched)[:, 0], nan=math.inf)
    lowest = np.minimum.accumulate(losses)
    improved = np.append(True, lowest[1:] < lowest[:-1])
    positions: list[int] = np.maximum.accumulate(
        np.where(improved, np.arange(len(losses)), 0)
    ).tolist()
    return positions


def found_front(run: SeedRun, budget: int, searched: ScoreAxes) -> list[int]:
    """Positions of the front of the first trials, by what the search saw."""
    losses = searched.losses(run.searched)[:budget]
    done = np.flatnonzero(np.isfinite(losses).all(axis=1))
    front: list[int] = done[pareto.front_mask(losses[done])].tolist() if len(done) else []
    return front


def _signs(objectives: Sequence[Objective]) -> Floats:
    return np.array([objective.sign for objective in objectives])
