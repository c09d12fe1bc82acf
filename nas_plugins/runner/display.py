"""What a person sees on the standard error stream while a search runs."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nas_plugins import pareto
from nas_plugins.history import Objective

if TYPE_CHECKING:
    from rich.progress import Progress

_FIRST_LINE_SECONDS = 1.0
_LINE_SECONDS = 5.0
_SCORE_SECONDS = 0.25


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


class Display(Protocol):
    """Shows the state of a search; all calls come from one thread."""

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Begins, with the `earlier` of `total` trials done by another run."""
        ...

    def add(self, finished: Finished) -> None:
        """Takes a trial of this run in."""
        ...

    def say(self, text: str) -> None:
        """Shows a remark."""
        ...

    def close(self) -> None:
        """Ends; may be called twice."""
        ...


class Silent:
    """``--quiet``: nothing but errors."""

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Does nothing."""

    def add(self, finished: Finished) -> None:
        """Does nothing."""

    def say(self, text: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class Lines:
    """A line every few seconds, for files and pipes.

    Args:
        score: Of the search.
        clock: Seconds since any moment.
    """

    def __init__(self, score: Score, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._score = score
        self._clock = clock
        self._done = self._before = self._total = 0
        self._ends: Counter[str] = Counter()
        self._written = -1
        self._begun = self._due = 0.0
        self._open = False

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Begins."""
        self._score.add(*earlier)
        self._done = self._before = len(earlier)
        self._total = total
        self._begun = self._clock()
        self._due = self._begun + _FIRST_LINE_SECONDS
        self._open = True

    def add(self, finished: Finished) -> None:
        """Takes a trial in; writes a line when it is time."""
        self._score.add(finished)
        self._done += 1
        _count_end(self._ends, finished)
        if self._clock() >= self._due:
            self._write()

    def say(self, text: str) -> None:
        """Writes a remark."""
        _stderr(text)

    def close(self) -> None:
        """Writes the last line."""
        if self._open:
            self._open = False
            if self._done > self._written:
                self._write()

    def _write(self) -> None:
        now = self._clock()
        self._due = now + _LINE_SECONDS
        self._written = self._done
        rate = (self._done - self._before) / max(now - self._begun, 1e-9)
        parts = [f"{self._done}/{self._total} trials", f"{rate:.1f} trials/s"]
        parts[1:1] = [f"{number} {end}" for end, number in sorted(self._ends.items())]
        if rate and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        _stderr(" · ".join([*parts, str(self._score)]))


class Bar:
    """A live bar, for a terminal.

    Args:
        score: Of the search.
        clock: Seconds since any moment.
    """

    def __init__(self, score: Score, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._score = score
        self._clock = clock
        self._progress: Progress | None = None
        self._task: Any = None
        self._count = 0
        self._ends: Counter[str] = Counter()
        self._begun = self._last = 0.0

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Draws the bar."""
        self._score.add(*earlier)
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}"),
            console=Console(stderr=True, highlight=False),
        )
        self._task = self._progress.add_task(
            "", total=total, completed=len(earlier), rate="", score=""
        )
        self._begun = self._clock()
        self._progress.start()

    def add(self, finished: Finished) -> None:
        """Takes a trial in."""
        self._score.add(finished)
        self._count += 1
        _count_end(self._ends, finished)
        if self._progress is not None:
            self._progress.advance(self._task)
            if self._clock() - self._last >= _SCORE_SECONDS:
                self._refresh(self._progress)

    def say(self, text: str) -> None:
        """Writes a remark above the bar."""
        if self._progress is None:
            _stderr(text)
        else:
            self._progress.console.print(text, markup=False)

    def close(self) -> None:
        """Leaves the bar as it is."""
        progress, self._progress = self._progress, None
        if progress is not None:
            self._refresh(progress)
            progress.stop()

    def _refresh(self, progress: Progress) -> None:
        self._last = self._clock()
        rate = f"{self._count / max(self._last - self._begun, 1e-9):.1f} trials/s"
        rate += "".join(f" · {number} {end}" for end, number in sorted(self._ends.items()))
        progress.update(self._task, rate=rate, score=str(self._score))


def display(score: Score, *, quiet: bool) -> Display:
    """Chooses the display that fits the standard error stream."""
    if quiet:
        return Silent()
    return Bar(score) if sys.stderr.isatty() else Lines(score)


def clock_time(seconds: float) -> str:
    """Seconds as ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _count_end(ends: Counter[str], finished: Finished) -> None:
    if finished.reason:
        ends["pruned" if finished.pruned else "failed"] += 1


def _stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


__all__ = ["Bar", "Display", "Finished", "Lines", "Score", "Silent", "display"]
