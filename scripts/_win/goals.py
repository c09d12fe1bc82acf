"""The figures that the search is to reach, and whether it does: measured, said plainly."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas_plugins.reproduction.documents import DASH, Cell, ResultTable

from .base import Outcome
from .rows import ARCHIVE, KNOWN, LOCAL, NSGA2, PLAIN, PROXIES, RANDOM, REGULARISED, TPE
from .scores import SOON

Outcomes = Mapping[str, Outcome]
"""By name of the case."""

_HAIR = 1e-9
"""What the order of a sum may cost, and no more."""

MET, MISSED, UNKNOWN = "met", "not met", "not measured"


@dataclass(frozen=True)
class Verdict:
    """What a goal came to.

    Attributes:
        measured: In words; never rounded to the side of the goal.
        met: Whether it is reached; ``None`` where it was not measured.
        seeds: Of the row, the fewest over the cases.
    """

    measured: str = DASH
    met: bool | None = None
    seeds: int | None = None

    def text(self, needed: int, cases: int, of: int) -> str:
        """In words, with what is missing before it may be said without them.

        Args:
            needed: Seeds that the figures need.
            cases: How many were run.
            of: How many there are.
        """
        if self.met is None or self.seeds is None:
            return UNKNOWN
        words = [MET if self.met else MISSED]
        if self.seeds < needed:
            words.append(f"{self.seeds} of {needed} seeds")
        if cases < of:
            words.append(f"{cases} of {of} cases")
        return ", ".join(words)


@dataclass(frozen=True)
class Reach:
    """A statistic of a row that is to be at least, or at most, so much.

    Attributes:
        cases: What the names of the cases match; with several the mean over them counts.
        row: Of the table.
        score: E.g. ``"best@25"``.
        limit: What is to be reached.
        statistic: As `Sample.statistic` knows it.
        at_most: Whether less is better.
        digits: Decimals that are shown.
    """

    cases: str
    row: str
    score: str
    limit: float
    statistic: str = "mean"
    at_most: bool = False
    digits: int = 2

    @property
    def text(self) -> str:
        """The goal in words."""
        if self.statistic == "soon":
            return f"share of runs near the best within {SOON} >= {self.limit:g}"
        sign = "<=" if self.at_most else ">="
        return f"{self.statistic} {self.score} {sign} {self.limit:g}"

    def verdict(self, outcomes: Sequence[Outcome]) -> Verdict:
        """Of the cases that match."""
        found = [o.samples.get(self.row, {}).get(self.score) for o in outcomes]
        there = [sample for sample in found if sample is not None]
        if not there or len(there) < len(found):
            return Verdict()
        value = sum(sample.statistic(self.statistic) for sample in there) / len(there)
        over = self.limit - value if self.at_most else value - self.limit
        seeds = min(len(sample.values) for sample in there)
        return Verdict(_shown(value, self.digits, up=self.at_most), over >= -_HAIR, seeds)


@dataclass(frozen=True)
class Ahead:
    """A row that is to be ahead of others, or not behind them, in every case.

    Attributes:
        cases: What the names of the cases match.
        row: Of the table; empty for the one that is measured against the others.
        others: Rows that it is compared with; none for all others of the case.
        score: A regular expression; the last one that matches counts, which is that after the
            most trials.
        errors: By how many standard errors it is to be ahead; negative: by how many it may be
            behind.
        level: With no standard errors, whether being level will do.
    """

    cases: str
    row: str
    others: tuple[str, ...]
    score: str
    errors: float = 0.0
    level: bool = False

    @property
    def text(self) -> str:
        """The goal in words."""
        whom = ", ".join(self.others) or "all others"
        if self.errors < 0:
            return f"{self.score} not behind {whom} by {-self.errors:g} SE"
        if self.level:
            return f"{self.score} not below that of {whom}"
        return f"{self.score} ahead of {whom}" + (f" by {self.errors:g} SE" if self.errors else "")

    def verdict(self, outcomes: Sequence[Outcome]) -> Verdict:
        """Of the cases that match."""
        kept, lost, seeds = 0, list[str](), list[int]()
        for outcome in outcomes:
            row = self.row or outcome.main
            own = outcome.samples.get(row, {})
            matching = [score for score in own if re.fullmatch(self.score, score)]
            score = matching[-1] if matching else ""
            others = [
                outcome.samples[name][score]
                for name in self.others or outcome.rivals
                if score in outcome.samples.get(name, {})
            ]
            if not score or not others:
                return Verdict()
            seeds.append(len(own[score].values))  # few of a slow rival are in the standard error
            leads = [own[score].lead(other) for other in others]
            if self.errors and any(math.isinf(error) for _, error in leads):
                return Verdict()  # one run has no standard error
            if all(self._enough(lead, error) for lead, error in leads):
                kept += 1
            else:
                lost.append(outcome.case)
        if not outcomes:
            return Verdict()
        behind = f", not in {', '.join(lost)}" if lost else ""
        return Verdict(f"{kept} of {len(outcomes)}{behind}", not lost, min(seeds))

    def _enough(self, lead: float, error: float) -> bool:
        if self.errors:
            return lead >= self.errors * error
        return lead >= 0 if self.level else lead > 0


Aim = Reach | Ahead


def _shown(value: float, digits: int, *, up: bool) -> str:
    """Rounded away from the goal, so that what is shown never looks better than it is."""
    if not math.isfinite(value):
        return "never" if value > 0 else DASH
    scale = 10**digits
    hair = _HAIR * scale
    scaled = math.ceil(value * scale - hair) if up else math.floor(value * scale + hair)
    return f"{scaled / scale:.{digits}f}"


def _arrives(case: str, row: str, limit: float) -> tuple[Aim, Aim]:
    """Median evaluations, and every run soon enough."""
    return (
        Reach(case, row, "evaluations", limit, "median", at_most=True, digits=1),
        Reach(case, row, "evaluations", 1.0, "soon"),
    )


_C10, _C100, _IN16 = (f"one/nasbench201/{d}" for d in ("cifar10", "cifar100", "imagenet16"))
_HW = "two/hw/.*/"

GOALS: tuple[Aim, ...] = (
    *_arrives(_C10, PROXIES, 12),
    *_arrives(f"{_C10}/canonical", PROXIES, 10),
    *_arrives(_C100, PROXIES, 13),
    *_arrives(f"{_C100}/canonical", PROXIES, 13),
    *(Reach(_C10, PROXIES, f"best@{n}", x) for n, x in ((10, 94.15), (25, 94.35), (50, 94.37))),
    *(Reach(_C100, PROXIES, f"best@{n}", x) for n, x in ((25, 73.2), (50, 73.45))),
    *(Reach(_IN16, PROXIES, f"best@{n}", x) for n, x in ((25, 46.6), (100, 46.7))),
    Reach(_C10, PLAIN, "evaluations", 13, "median", at_most=True, digits=1),
    Reach(_C100, PLAIN, "evaluations", 18, "median", at_most=True, digits=1),
    *(
        Reach("one/nasbench101", PLAIN, f"best@{n}", x)
        for n, x in ((100, 94.13), (150, 94.19), (300, 94.21))
    ),
    Ahead("one/nasbench101", PLAIN, (LOCAL, REGULARISED), "best@150", 2),
    *(Reach("one/nasbench301", PLAIN, f"best@{n}", x) for n, x in ((100, 96.45), (300, 96.65))),
    Reach(f"{_HW}known", KNOWN, "hv@120", 0.990, digits=4),
    Reach(f"{_HW}measured", PLAIN, "hv@120", 0.985, digits=4),
    Ahead(f"{_HW}known", KNOWN, (ARCHIVE,), "hv@120"),
    Ahead(f"{_HW}measured", PLAIN, (ARCHIVE,), "hv@120"),
    Ahead(f"{_HW}known", KNOWN, (RANDOM,), "val_accuracy@120", level=True),
    Ahead(f"{_HW}measured", PLAIN, (RANDOM,), "val_accuracy@120", level=True),
    Ahead("three/.*", PLAIN, (NSGA2, TPE, ARCHIVE), "hv@150"),
    Ahead("(generic|mixed)/.*", "", (), "best@.*", -2),
    Ahead("(generic|mixed)/.*", "", (LOCAL, TPE), "best@.*", -2),
    Ahead("controls/features-shuffled", "", (LOCAL,), "best@.*", -2),
    Reach("cost/proposal", "graph-gp", "ms@1000", 60, at_most=True),
    Reach("cost/proposal", "graph-gp", "first@10000", 2, at_most=True),
)
"""In the order of the table."""


def goal_table(
    outcomes: Outcomes, names: Sequence[str], goals: Sequence[Aim] = GOALS
) -> ResultTable:
    """Every goal whose cases were run: what was measured, and whether that reaches it.

    Args:
        outcomes: What was run.
        names: Of all cases there are.
        goals: What to judge.
    """
    rows: list[tuple[Cell, ...]] = []
    for goal in goals:
        matching = [o for name, o in outcomes.items() if re.fullmatch(goal.cases, name)]
        if not matching:
            continue
        whole = all(outcome.whole for outcome in matching)
        verdict = goal.verdict(matching) if whole else Verdict()
        of = sum(re.fullmatch(goal.cases, name) is not None for name in names)
        text = verdict.text(max(o.seeds for o in matching), len(matching), of)
        whose = goal.row or "graph-gp"
        rows.append((goal.cases, whose, goal.text, verdict.measured, verdict.seeds, text))
    met = sum(row[-1] == MET for row in rows)
    return ResultTable(
        f"goals: {met} of {len(rows)} met; what is shown is never rounded towards the goal",
        ("cases", "row", "goal", "measured", "seeds", "verdict"),
        tuple(rows),
        numbers_from=3,
    )
