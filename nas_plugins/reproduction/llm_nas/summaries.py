"""Scores of all runs, and the parts of tables that several tables share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nas_plugins.reproduction.documents import Cell, ResultTable, Spread
from nas_plugins.reproduction.llm_nas.arms import ARCHIVE, NULL, RANDOM, Arm, spoken
from nas_plugins.reproduction.llm_nas.cases import AXES, TEST, VALIDATION, Case, case_table
from nas_plugins.reproduction.llm_nas.request import LLMNASRequest
from nas_plugins.reproduction.llm_nas.runs import Results
from nas_plugins.reproduction.llm_nas.scores import HV, IGD, SCORES, PairedComparison, scores

Score = tuple[str, str]
"""A score and its axis."""

LESS_IS_BETTER = ("IGD", "IGD+")

NOTES = (
    "*val* scores the found front on the axes of the search, where 1 can be reached; *test* puts "
    "test accuracy in the place of validation accuracy, for the front that was chosen on "
    "validation accuracy.",
    "*FN 1.1*: share of the true front's hypervolume, both axes from the ideal to the nadir of "
    "the true front, reference 1.1. *SN 1.0*: the same with both axes from the least to the "
    "largest value of the whole space and reference 1.0. IGD and IGD+ in units of FN.",
)


@dataclass(frozen=True, eq=False)
class RunScores:
    """Scores of runs.

    Attributes:
        values: By arm, case and seed.
    """

    values: Mapping[Arm, Mapping[Case, Sequence[Mapping[Score, float]]]]

    @classmethod
    def of(cls, results: Results) -> RunScores:
        """Scores all runs."""
        values: dict[Arm, dict[Case, list[Mapping[Score, float]]]] = {}
        for (arm, case), runs in results.items():
            values.setdefault(arm, {})[case] = [scores(run, case_table(case)) for run in runs]
        return cls(values)

    def by_seed(self, arm: Arm, case: Case, score: Score) -> list[float]:
        """One score of all runs of an arm in a case."""
        return [run.get(score, math.nan) for run in self.values[arm][case]]

    def seeds(self, arm: Arm) -> int:
        """Seeds with which an arm was run in every case."""
        return min(len(runs) for runs in self.values[arm].values())

    def spread(self, arm: Arm, case: Case, score: Score) -> Spread:
        """Mean and standard deviation over the seeds."""
        return Spread.of(self.by_seed(arm, case, score))

    def over_cases(self, arm: Arm, score: Score) -> Spread:
        """Mean over the cases; the deviation is that of this mean over the seeds."""
        columns = [self.by_seed(arm, case, score) for case in self.values[arm]]
        return Spread.of(mean(row) for row in zip(*columns, strict=True))

    def compared(self, arm: Arm, other: Arm, score: Score) -> PairedComparison:
        """An arm against another, by one score."""
        sign = -1.0 if score[0] in LESS_IS_BETTER else 1.0
        both = [
            [
                [sign * value for value in self.by_seed(one, case, score)]
                for case in self.values[arm]
            ]
            for one in (arm, other)
        ]
        return PairedComparison.between(*both)


def control(scored: RunScores, full: Arm) -> Arm:
    """The arm that is as `full` but for the null LLM in the model's place, or `full` itself."""
    same = replace(full, llm=NULL, name="")
    return next((arm for arm in scored.values if replace(arm, name="") == same), full)


def mean(values: Iterable[float]) -> float:
    """The mean; NaN of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else math.nan


def by_case(scored: RunScores, score: Score, title: str, notes: Sequence[str] = ()) -> ResultTable:
    """A row per case, a column per arm, and how many cases each wins."""
    arms = list(scored.values)
    cases = list(scored.values[arms[0]])
    rows: list[tuple[Cell, ...]] = [
        (str(case), *(scored.spread(arm, case, score) for arm in arms)) for case in cases
    ]
    rows.append(("mean over the cases", *(scored.over_cases(arm, score) for arm in arms)))
    for other in (ARCHIVE, RANDOM):
        rows.append((f"cases better than {other.name}", *_won(scored, other, score)))
    rows.append(("seeds", *(scored.seeds(arm) for arm in arms)))
    return ResultTable(title, ("case", *(arm.name for arm in arms)), tuple(rows), tuple(notes), 3)


def summary(scored: RunScores, title: str) -> ResultTable:
    """A row per arm, with all scores, means over the cases."""
    columns = [(score, axis) for axis in AXES for score in SCORES]
    rows: list[tuple[Cell, ...]] = [
        (arm.name, scored.seeds(arm), *(scored.over_cases(arm, column) for column in columns))
        for arm in scored.values
    ]
    heads = ("arm", "seeds", *(f"{score} {axis}" for score, axis in columns))
    notes = (
        *NOTES,
        "Means over the cases; the deviation is that of this mean over the seeds.",
        "*Front found*: share of the true front's points that were found.",
    )
    return ResultTable(title, heads, tuple(rows), notes, digits=3)


def paired_comparisons(scored: RunScores, others: Sequence[Arm]) -> ResultTable:
    """Every arm against some others: cases, pairs of seeds, sign test."""
    rows: list[tuple[Cell, ...]] = []
    for other in others:
        for arm in scored.values:
            if arm == other:
                continue
            cells: list[Cell] = []
            for score in ((HV, VALIDATION), (HV, TEST), (IGD, VALIDATION)):
                paired = scored.compared(arm, other, score)
                cells += [
                    f"{paired.cases} of {paired.of}",
                    f"{paired.won} : {paired.lost}",
                    probability(paired.p),
                ]
            rows.append((arm.name, other.name, *cells))
    names = ("hv FN 1.1 val", "hv FN 1.1 test", "IGD val")
    heads = [f"{name}: {what}" for name in names for what in ("cases", "pairs", "p")]
    notes = (
        "*Cases* in which the mean over the seeds is better than the other arm's, *pairs* of runs "
        "with the same case and seed that are better and worse, *p* of a two-sided sign test over "
        "these pairs, not corrected for the number of rows. Where the arms have different numbers "
        "of seeds, the first ones count that both have.",
    )
    return ResultTable("Arm against arm", ("arm", "against", *heads), tuple(rows), notes)


def added(scored: RunScores, full: Arm, null: Arm) -> str:
    """What the language model adds, in a sentence."""
    score = (HV, VALIDATION)
    if full.llm == NULL:
        return (
            "No language model was asked. The null LLM answers every question with legal "
            "architectures drawn uniformly in the niche, and with rules that mean nothing, so "
            "that arm is a random search that serves all niches alike. It is the control that a "
            "language model has to beat; *operators alone* is the other one."
        )
    paired = scored.compared(full, null, score)
    pairs = [
        list(zip(*(scored.by_seed(arm, case, score) for arm in (full, null)), strict=False))
        for case in scored.values[full]
    ]
    means = [mean(mean(pair[i] for pair in of_case) for of_case in pairs) for i in range(2)]
    return (
        f"What {spoken(full.llm)} adds to uniform answers on the same path: mean {HV} on the axes "
        f"of the search {means[0]:.3f} against {means[1]:.3f} with the null LLM, better in "
        f"{paired.cases} of {paired.of} cases and {paired.won} : {paired.lost} pairs of runs "
        f"(sign test: p {probability(paired.p)})."
    )


def probability(p: float) -> str:
    """As text, since a table has one number of decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def source(request: LLMNASRequest) -> str:
    """Where the numbers come from, for a note."""
    case = request.cases[0]
    return f"Numbers of {case}, and likewise the others: {case_table(case).benchmark.source}."


def _won(scored: RunScores, other: Arm, score: Score) -> list[Cell]:
    if other not in scored.values:
        return [None] * len(scored.values)
    found: list[Cell] = []
    for arm in scored.values:
        paired = scored.compared(arm, other, score)
        found.append(None if arm == other else f"{paired.cases} of {paired.of}")
    return found
