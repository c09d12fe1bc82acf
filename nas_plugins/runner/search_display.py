"""How far a search is: its trials, its score, and what is done while no trial ends."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas_plugins import pareto
from nas_plugins.history import Objective
from nas_plugins.runner.display import BarState, WatchingDisplay, clock_time

if TYPE_CHECKING:
    import rich.progress

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A trial that has ended, as a worker reports it.

    Attributes:
        number: Of the trial.
        values: Per objective; empty when it failed.
        violation: Sum of the positive constraint values.
        reason: Why it failed or was pruned; empty when it did not.
        pruned: Whether it was pruned.
    """

    number: int
    values: tuple[float, ...] = ()
    violation: float = 0.0
    reason: str = ""
    pruned: bool = False


class Score:
    """The front found so far, in a few words.

    Args:
        objectives: What is searched for.
        true_front: Values of the known front, `(k, m)`, or ``None``.
    """

    def __init__(self, objectives: Sequence[Objective], true_front: pareto.Floats | None) -> None:
        self._objectives = tuple(objectives)
        self._signs = np.array([objective.sign for objective in objectives])
        self._true = None if true_front is None else true_front * self._signs
        self._front = np.zeros((0, len(self._signs)))
        self._pending: list[tuple[float, ...]] = []

    def add(self, *finished: Finished) -> None:
        """Takes trials in; failed and infeasible ones do not count."""
        self._pending += [f.values for f in finished if f.values and f.violation <= 0]

    def __str__(self) -> str:
        if self._pending:
            losses = np.array(self._pending, dtype=np.float64) * self._signs
            losses = np.unique(np.concatenate([self._front, losses]), axis=0)
            self._front, self._pending = losses[pareto.front_mask(losses)], []
        if not len(self._front):
            return "nothing feasible yet"
        if len(self._signs) == 1:
            best = float(self._front[0, 0] * self._signs[0])
            return f"best {self._objectives[0].name} {best:.6g}"
        text = f"front {len(self._front)}"
        if self._true is not None and len(self._true) > 1:
            text += f" · hv_ratio {pareto.hv_ratio(self._front, self._true):.4f}"
        return text


class SearchDisplay(WatchingDisplay):
    """Counts the trials of a search and tells its score; what it says goes to logs if not shown.

    Args:
        score: Of the search.
        shown: As of `ProgressDisplay`.
        words: Puts what is said into the words of whoever asked for the search.
        clock: As of `ProgressDisplay`.
    """

    first_line = 1.0
    bar_every = 0.25
    bar_width = 8  # so that all of it fits into 80 columns

    def __init__(
        self,
        score: Score,
        *,
        shown: bool | None = True,
        words: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(shown=shown, clock=clock)
        self._score, self._words = score, words
        self._ends: Counter[str] = Counter()
        self._done = self._before = self._total = 0
        self._once_before = 0.0

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Begins, with the `earlier` of `total` trials done by another run."""
        self._score.add(*earlier)
        self._done = self._before = len(earlier)
        self._total = total
        self._begin()
        self._once_before = self.activity.once_seconds
        self._moved()
        self.watch()

    def add(self, finished: Finished) -> None:
        """Takes a trial of this run in."""
        with self._lock:
            self._score.add(finished)
            self._done += 1
            if finished.reason:
                self._ends["pruned" if finished.pruned else "failed"] += 1
            self._moved()

    def say(self, text: str) -> None:
        """Shows a remark."""
        if self.shows:
            super().say(self._words(text))
        else:
            _logger.info(self._words(text))

    def _line(self) -> str:
        rate = self._rate()
        parts = [f"{self._done}/{self._total} trials", *self._ended(), f"{rate:.1f} trials/s"]
        if rate and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        return " · ".join([*parts, self._meanwhile or str(self._score)])

    def _bar(self) -> BarState:
        rate = [] if self._meanwhile else [f"{self._rate():.1f} trials/s"]
        label = " · ".join([*rate, *self._ended()])
        return BarState("", label, self._done, self._total, self._meanwhile or str(self._score))

    def _columns(self) -> Sequence[rich.progress.ProgressColumn]:
        from rich import progress

        return (
            progress.BarColumn(bar_width=self.bar_width),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[text]}", markup=False),
        )

    def _rate(self) -> float:
        """Trials per second, without the time for what comes once."""
        once = self.activity.once_seconds - self._once_before
        return (self._done - self._before) / max(self._clock() - self._begun - once, 1e-9)

    def _ended(self) -> list[str]:
        return [f"{number} {end}" for end, number in sorted(self._ends.items())]


class _DisplayHandler(logging.Handler):
    """Shows what is logged between the lines of the display, each text once."""

    def __init__(self, shown: SearchDisplay) -> None:
        super().__init__(logging.WARNING)
        self._shown = shown
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in self._said:
            self._said.add(record.msg)
            self._shown.say(record.getMessage())


@contextlib.contextmanager
def logging_to(shown: SearchDisplay) -> Iterator[None]:
    """Sends the package's warnings to a display that shows, and keeps Optuna's chatter away."""
    import optuna

    from nas_plugins.optuna.compat import quiet_optuna

    logger, handler = logging.getLogger("nas_plugins"), _DisplayHandler(shown)
    propagate = logger.propagate
    if shown.shows:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        with warnings.catch_warnings(), quiet_optuna():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
