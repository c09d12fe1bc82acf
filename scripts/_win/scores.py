"""What a case says of each row: samples over the seeds, and the tables that show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from nas_plugins.reproduction.comparison import Comparison
from nas_plugins.reproduction.documents import DASH, Cell, ResultTable, Spread

SOON = 60
"""Evaluations within which every run shall be near the optimum."""


@dataclass(frozen=True)
class Sample:
    """A score of a row, one value per seed.

    Attributes:
        values: In order of the seeds; infinite where a run never got there.
        more_is_better: Whether it is a quality, and not a cost.
    """

    values: tuple[float, ...]
    more_is_better: bool = True

    @property
    def mean(self) -> float:
        """Infinite where one value is."""
        return float(np.mean(self.values))

    @property
    def error(self) -> float:
        """Standard error of the mean; infinite for a single run, which says nothing of it."""
        n = len(self.values)
        return float(np.std(self.values, ddof=1)) / math.sqrt(n) if n > 1 else math.inf

    def statistic(self, name: str) -> float:
        """``"mean"``, ``"median"``, ``"max"`` or ``"soon"``, the share of at most `SOON`."""
        values = np.array(self.values)
        found = {
            "mean": np.mean(values),
            "median": np.median(values),
            "max": np.max(values),
            "soon": np.mean(values <= SOON),
        }
        return float(found[name])

    def lead(self, other: Sample) -> tuple[float, float]:
        """How far it is better than another, and the standard error of that difference."""
        sign = 1.0 if self.more_is_better else -1.0
        return sign * (self.mean - other.mean), math.hypot(self.error, other.error)


Samples = Mapping[str, Mapping[str, Sample]]
"""By row, by name of the score."""


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median, by order statistics: no distribution is assumed.

    With fewer than six values it is their range, which holds the median less often.
    """
    ordered = sorted(values)
    below = max(int(binom.ppf(0.025, len(ordered), 0.5)) - 1, 0)
    return ordered[below], ordered[len(ordered) - 1 - below]


def samples(found: Comparison, *, reported_hits: bool = False) -> dict[str, dict[str, Sample]]:
    """All scores of all rows.

    With one objective ``evaluations`` and ``best@N`` after each budget N; with several ``hv@N``,
    ``igd@N`` and ``METRIC@N``, the best of each objective. Always ``seconds`` of a whole run
    outside the evaluation.

    Args:
        found: What was run.
        reported_hits: Whether a run has got there by the reported metric, not the searched one.
    """
    several = len(found.searched.objectives) > 1
    hit = "evaluations" if reported_hits else "evaluations_searched"
    wanted = {"hv11": "hv", "igd": "igd"} if several else {"best": "best"}
    lists: dict[str, dict[str, list[float]]] = {name: {} for name in found.runs}
    for row in found.scores:
        by_score = lists[row["strategy"]]
        if row["score"] in wanted:
            by_score.setdefault(f"{wanted[row['score']]}@{row['trials']}", []).append(row["value"])
        elif row["score"] == hit and row["trials"] == found.budgets[-1]:
            by_score.setdefault("evaluations", []).append(row["value"])
    for name, runs in found.runs.items():
        lists[name]["seconds"] = [float(run.seconds[-1]) if len(run) else 0.0 for run in runs]
        if several:
            lists[name] |= _extremes(found, name)
    less = _less_is_better(found)
    return {
        row: {
            score: Sample(tuple(values), score.partition("@")[0] not in less)
            for score, values in by_score.items()
            if len(values) == len(found.runs[row])
        }
        for row, by_score in lists.items()
    }


def _less_is_better(found: Comparison) -> set[str]:
    objectives = found.searched.objectives
    names = {o.name for o in objectives if o.direction == "min"} if len(objectives) > 1 else set()
    costs = {"evaluations", "igd", "seconds", *names}
    reported = found.reported.objectives[0]
    return costs | {"best"} if reported.direction == "min" else costs


def _extremes(found: Comparison, row: str) -> dict[str, list[float]]:
    lists = {}
    for j, objective in enumerate(found.searched.objectives):
        best = np.nanmin if objective.direction == "min" else np.nanmax
        for budget in found.budgets:
            firsts = [run.searched[:budget, j] for run in found.runs[row]]
            lists[f"{objective.name}@{budget}"] = [
                float(best(values)) if np.isfinite(values).any() else math.nan for values in firsts
            ]
    return lists


def table(found: Comparison, scored: Samples) -> ResultTable:
    """A row per strategy: what was reached, when, and in how many seconds."""
    several = len(found.searched.objectives) > 1
    if several:
        heads = [f"hv@{b}" for b in found.budgets]
        heads += [f"igd@{found.budgets[-1]}"]
        heads += [f"{o.name}@{found.budgets[-1]}" for o in found.searched.objectives]
        front = ["row", "seeds", "worst hv"]
    else:
        heads = [f"best@{b}" for b in found.budgets]
        front = ["row", "seeds", "evals to near", "95 %", "max", f"within {SOON}"]
    rows: list[tuple[Cell, ...]] = []
    for name, by_score in scored.items():
        if several:
            worst = min(by_score[heads[len(found.budgets) - 1]].values)
            cells: list[Cell] = [f"{worst:.3f}"]
        else:
            cells = list(_arrival(by_score.get("evaluations")))
        spreads = [
            Spread.of(by_score[head].values) if head in by_score else None for head in heads
        ]
        seconds = f"{by_score['seconds'].mean:.2f}"
        rows.append((name, len(found.runs[name]), *cells, *spreads, seconds))
    return ResultTable(
        f"{found.benchmark}: {_goals(found)}",
        (*front, *heads, "s/run"),
        tuple(rows),
        digits=4 if several else 2,
        numbers_from=1,
    )


def _goals(found: Comparison) -> str:
    searched = ", ".join(map(str, found.searched.objectives))
    reported = found.reported.objectives[0].name
    near = f"near is within {found.tolerance:g} of the best"
    if len(found.searched.objectives) > 1:
        return f"{searched}; share of the hypervolume, reference 1.1, mean ± sd"
    return f"{searched}; best is {reported} of the best trial so far, mean ± sd; {near}"


def _arrival(evaluations: Sample | None) -> tuple[str, str, str, str]:
    """Median, its interval, maximum, and share of soon ones."""
    if evaluations is None:
        return DASH, DASH, DASH, DASH
    low, high = median_interval(evaluations.values)
    return (
        _count(evaluations.statistic("median")),
        f"{_count(low)}{DASH}{_count(high)}",
        _count(evaluations.statistic("max")),
        f"{evaluations.statistic('soon'):.2f}",
    )


def _count(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:g}"


@dataclass(frozen=True)
class Duel:
    """The row that matters against the best of the others, on one score.

    Attributes:
        score: Which.
        rival: The best of the others by its mean.
        lead: How far the row is ahead; negative where it is behind.
        error: Standard error of `lead`.
    """

    score: str
    rival: str
    lead: float
    error: float

    def winner(self, main: str) -> str:
        """Who is ahead by more than two standard errors, or ``"level"``."""
        if not abs(self.lead) > 2 * self.error:
            return "level"
        return main if self.lead > 0 else self.rival


def duels(scored: Samples, main: str, rivals: Sequence[str]) -> list[Duel]:
    """One per score that the row has in common with a rival, in the row's order."""
    found = []
    for score, own in scored[main].items():
        there = {r: scored[r][score] for r in rivals if score in scored[r]}
        if score in ("seconds", "evaluations") or not there:
            continue
        leads = {rival: own.lead(sample) for rival, sample in there.items()}
        rival = min(leads, key=lambda name: leads[name][0])
        found.append(Duel(score, rival, *leads[rival]))
    return found


def duel_table(scored: Samples, main: str, rivals: Sequence[str]) -> ResultTable:
    """Who is best, and by how much, on every score."""
    rows: list[tuple[Cell, ...]] = []
    for duel in duels(scored, main, rivals):
        error = DASH if math.isinf(duel.error) else f"{duel.error:.4f}"
        own, other = scored[main][duel.score].mean, scored[duel.rival][duel.score].mean
        cells = (f"{own:.4f}", duel.rival, f"{other:.4f}", f"{duel.lead:+.4f}", error)
        rows.append((duel.score, *cells, duel.winner(main)))
    return ResultTable(
        f"{main} against the best of the others; level is within two standard errors",
        ("score", main, "best other", "has", "ahead by", "SE", "best"),
        tuple(rows),
        numbers_from=1,
    )
