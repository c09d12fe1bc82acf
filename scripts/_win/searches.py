"""Cases that search a table: `nap.compare` with the rows that can take part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import nas_plugins as nap
from nas_plugins.errors import DataError, MissingDependencyError
from nas_plugins.reproduction.comparison import Comparison, StrategySpec

from .base import Case, Outcome, Settings
from .rows import ONE, Row, of_peers
from .scores import duel_table, samples, table

ABSENT = (DataError, MissingDependencyError)
"""What says that a file or package is not there."""


@dataclass(frozen=True)
class SearchCase(Case):
    """A table that is searched.

    Attributes:
        benchmark: Its name, or what opens it.
        rows: Who takes part; the first of ours is measured against those that are not.
        objectives: What the search sees.
        report: What the first objective is scored by, where the table has it.
        reported_hits: Whether a run is near the best by what is reported.
    """

    benchmark: str | Callable[[], nap.Benchmark] = ""
    rows: tuple[Row, ...] = ONE
    objectives: tuple[str, ...] = ("val_accuracy:max",)
    report: str | None = None
    reported_hits: bool = False

    def run(self, settings: Settings) -> Outcome:
        """Searches."""
        given = self.benchmark if isinstance(self.benchmark, str) else self.benchmark()
        opened = nap.benchmark(given) if isinstance(given, str) else given
        remarks: list[str] = []
        report = self.report
        if report is not None and report not in {metric.name for metric in opened.metrics}:
            remarks.append(f"{report} is not in the table: what was searched is scored")
            report = None
        rows, specs = self._built(settings, opened, remarks)
        found = nap.compare(
            specs,
            given,  # a name goes to other processes faster than a table
            self.objectives,
            settings.trials_of(self),
            {row.name: settings.seeds_of(self, row.most) for row in rows},
            budgets=settings.budgets_of(self),
            report=report,
            tolerance=self.tolerance,
            workers=settings.workers,
            out=settings.folder,
        )
        hits = self.reported_hits
        return outcome(self, settings, found, rows, remarks, reported_hits=hits)

    def _built(
        self, settings: Settings, opened: nap.Benchmark, remarks: list[str]
    ) -> tuple[list[Row], dict[str, StrategySpec]]:
        """The rows that can take part, and their strategies."""
        rows = [row for row in self.rows if row.quick or not settings.quick]
        if settings.peers and len(self.objectives) == 1 and opened.space.all_valid:
            rows += of_peers(settings.trials_of(self))
        specs = {}
        for row in rows:
            try:
                specs[row.name] = row.make()
            except ABSENT as error:
                remarks.append(f"left out: {row.name} ({error})")
        return [row for row in rows if row.name in specs], specs


def outcome(
    case: Case,
    settings: Settings,
    found: Comparison,
    rows: Sequence[Row],
    remarks: Sequence[str] = (),
    *,
    reported_hits: bool = False,
) -> Outcome:
    """What a comparison says of a case.

    Args:
        case: The case.
        settings: How it was run.
        found: What came out.
        rows: Who took part.
        remarks: What was left out.
        reported_hits: As `SearchCase` has it.
    """
    named = replace(found, benchmark=case.name)
    scored = samples(named, reported_hits=reported_hits)
    main = next((row.name for row in rows if row.ours), "")
    rivals = tuple(row.name for row in rows if not row.ours)
    shown = [table(named, scored)]
    if main and rivals:
        shown.append(duel_table(scored, main, rivals))
    return Outcome(
        case.name,
        scored,
        main,
        rivals,
        tuple(shown),
        case.seeds,
        settings.trials_of(case) == case.trials,
        named,
        tuple(remarks),
    )
