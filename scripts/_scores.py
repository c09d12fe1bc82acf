"""Scores of search runs for `search.py`: best values, hit rates, hypervolume, IGD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from _runs import Case, Floats, Run

import nas_plugins as nap
from nas_plugins import pareto


@dataclass(frozen=True)
class Target:
    """What is best in a benchmark, as losses, on the searched and on the reported axes.

    Attributes:
        searched: `(k, m)` true front of what the search sees; ``None`` where not known.
        reported: `(l, m)` true front of what is reported; ``None`` where not known.
    """

    searched: Floats | None
    reported: Floats | None

    @classmethod
    def of(cls, case: Case) -> Target:
        """Reads the true fronts from the benchmark."""
        bench = nap.benchmark(case.benchmark)
        fronts = []
        for objectives in (case.searched, case.reported):
            front = bench.front(objectives)
            fronts.append(None if front is None else front * _signs(objectives))
        return cls(*fronts)


def scores(run: Run, budget: int, target: Target, tolerance: float) -> dict[str, float]:
    """Scores of the first `budget` trials of a run.

    Args:
        run: A run with at least one finished trial among them.
        budget: Trials that count.
        target: The true fronts.
        tolerance: With one objective: how near to the optimum counts as a hit.

    Returns:
        With one objective ``best`` (reported value of the trial that is best in the search),
        ``hit`` and ``hit_searched`` (1 or 0) and ``evaluations`` and ``evaluations_searched``
        until the first hit, infinite without one. With several ``hv11``, ``hv10``, ``igd`` of
        the found front, and the same with ``_searched`` on the axes of the search.
    """
    if run.searched.shape[1] == 1:
        return _single(run, budget, target, tolerance)
    return _several(run, budget, target)


def curve(run: Run, budgets: Sequence[int], target: Target) -> list[float]:
    """The main score after each budget: reported best value, or hv_ratio as searched."""
    if run.searched.shape[1] == 1:
        best = _incumbents(run)
        return [float(run.reported[best[min(b, len(best)) - 1], 0]) for b in budgets]
    return [_quality(run, b, target)[0].get("hv11_searched", math.nan) for b in budgets]


def _single(run: Run, budget: int, target: Target, tolerance: float) -> dict[str, float]:
    best = _incumbents(run)[:budget]
    result = {"best": float(run.reported[best[-1], 0])}
    axes = (
        ("", target.reported, run.reported, run.job.case.reported),
        ("_searched", target.searched, run.searched, run.job.case.searched),
    )
    for suffix, front, values, objectives in axes:
        if front is None:
            continue
        losses = (values * _signs(objectives))[best, 0]
        # A hair's breadth for tables that hold 32-bit floats.
        hits = np.flatnonzero(losses <= front.min() + tolerance + 1e-6)
        result[f"hit{suffix}"] = float(len(hits) > 0)
        result[f"evaluations{suffix}"] = float(hits[0] + 1) if len(hits) else math.inf
    return result


def _incumbents(run: Run) -> list[int]:
    """Position of the best trial so far after each trial."""
    losses = np.nan_to_num((run.searched * _signs(run.job.case.searched))[:, 0], nan=math.inf)
    lowest = np.minimum.accumulate(losses)
    improved = np.append(True, lowest[1:] < lowest[:-1])
    positions: list[int] = np.maximum.accumulate(
        np.where(improved, np.arange(len(losses)), 0)
    ).tolist()
    return positions


def _several(run: Run, budget: int, target: Target) -> dict[str, float]:
    result, fronts = _quality(run, budget, target)
    if fronts is None:
        return result
    searched, reported = fronts
    if target.searched is not None:
        result["igd_searched"] = pareto.igd(searched, target.searched)
    if target.reported is not None:
        result["hv11"] = pareto.hv_ratio(reported, target.reported, reference=1.1)
        result["hv10"] = pareto.hv_ratio(reported, target.reported, reference=1.0)
        result["igd"] = pareto.igd(reported, target.reported)
    return result


def _quality(
    run: Run, budget: int, target: Target
) -> tuple[dict[str, float], tuple[Floats, Floats] | None]:
    """hv_ratio on the axes of the search, and the found front as losses on both axes.

    The front is chosen by what the search sees; ``None`` before the first finished trial.
    """
    losses = (run.searched * _signs(run.job.case.searched))[:budget]
    done = np.flatnonzero(np.isfinite(losses).all(axis=1))
    if len(done) == 0:
        return {}, None
    front = done[pareto.front_mask(losses[done])]
    reported = (run.reported * _signs(run.job.case.reported))[front]
    result = {}
    if target.searched is not None:
        for name, reference in (("hv11_searched", 1.1), ("hv10_searched", 1.0)):
            result[name] = pareto.hv_ratio(losses[front], target.searched, reference=reference)
    return result, (losses[front], reported)


def _signs(objectives: Sequence[nap.Objective]) -> Floats:
    return np.array([objective.sign for objective in objectives])
