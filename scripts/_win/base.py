"""What every case is asked, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas_plugins.reproduction.comparison import Comparison
from nas_plugins.reproduction.documents import ResultTable

from .scores import Samples

QUICK_TRIALS, QUICK_SEEDS = 12, 2


@dataclass(frozen=True)
class Settings:
    """How the cases are run.

    Attributes:
        folder: Where finished runs are kept.
        seeds: Of each row; ``None`` for as many as the case has.
        first_seed: They count up from here.
        workers: Processes.
        quick: Whether few rows, seeds and trials will do.
        peers: Whether other people's optimisers take part.
    """

    folder: Path
    seeds: int | None = None
    first_seed: int = 0
    workers: int = 1
    quick: bool = False
    peers: bool = False

    def trials_of(self, case: Case) -> int:
        """Trials of a search."""
        return min(case.trials, QUICK_TRIALS) if self.quick else case.trials

    def budgets_of(self, case: Case) -> tuple[int, ...]:
        """Numbers of trials at which runs are scored."""
        trials = self.trials_of(case)
        return tuple(sorted({b for b in case.budgets if b < trials} | {trials}))

    def seeds_of(self, case: Case, most: int | None) -> range:
        """Seeds of a row that can afford `most`."""
        n = self.seeds or (QUICK_SEEDS if self.quick else case.seeds)
        return range(self.first_seed, self.first_seed + min(n, most or n))


@dataclass(frozen=True)
class Outcome:
    """What a case gave.

    Attributes:
        case: Its name.
        samples: All scores.
        main: The row that is measured against the others; empty where no row is.
        rivals: The others.
        tables: To print.
        seeds: How many the figures need.
        whole: Whether the searches had all their trials.
        comparison: To plot; ``None`` where nothing was searched.
        remarks: What was left out, and why.
    """

    case: str
    samples: Samples
    main: str
    rivals: tuple[str, ...]
    tables: tuple[ResultTable, ...]
    seeds: int
    whole: bool = True
    comparison: Comparison | None = None
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Case(ABC):
    """Something that is measured.

    Attributes:
        name: E.g. ``"one/nasbench201/cifar10"``.
        trials: Evaluations of a search.
        budgets: Fewer trials at which runs are scored too.
        seeds: How many the figures need.
        tolerance: How near to the best counts.
        quick: Whether it takes part in the short form.
    """

    name: str
    trials: int = 100
    budgets: tuple[int, ...] = (10, 25, 50)
    seeds: int = 20
    tolerance: float = 0.1
    quick: bool = False

    @abstractmethod
    def run(self, settings: Settings) -> Outcome:
        """Measures what is not kept from an earlier call.

        Raises:
            DataError: A table is absent; says what to download and where.
            MissingDependencyError: A package is absent.
        """
