"""What a person sees on the standard error stream while a search runs."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_plugins import pareto
from nas_plugins._doing import what
from nas_plugins.history import Objective
from nas_plugins.runner.progress import clock_time, in_notebook, takes_bars

if TYPE_CHECKING:
    from rich.progress import Progress

_logger = logging.getLogger(__name__)

_FIRST_LINE_SECONDS = 1.0
_LINE_SECONDS = 5.0
_SILENCE_SECONDS = 2.0
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


class Display:
    """Shows nothing but to those who read logs; all calls come from one thread.

    Args:
        score: Of the search.
        words: Puts what is said into the words of whoever asked for the search.
        clock: Seconds since any moment.
    """

    def __init__(
        self,
        score: Score,
        *,
        words: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._score = score
        self._words = words
        self._clock = clock
        self._ends: Counter[str] = Counter()
        self._begun = 0.0

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Begins, with the `earlier` of `total` trials done by another run."""
        self._score.add(*earlier)
        self._begun = self._clock()

    def add(self, finished: Finished) -> None:
        """Takes a trial of this run in."""
        self._score.add(finished)
        if finished.reason:
            self._ends["pruned" if finished.pruned else "failed"] += 1

    def say(self, text: str) -> None:
        """Shows a remark."""
        self._say(self._words(text))

    def _say(self, text: str) -> None:
        _logger.info(text)

    def close(self) -> None:
        """Ends; may be called twice."""


class Lines(Display):
    """A line every few seconds, for files and pipes; also while no trial ends."""

    _done = _before = _total = 0
    _written = -1
    _due = 0.0
    _open = False
    _spoken = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.RLock()  # a thread tells of long silences
        self._closed = threading.Event()

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Begins."""
        super().start(earlier, total)
        self._done = self._before = len(earlier)
        self._total = total
        self._due = self._begun + _FIRST_LINE_SECONDS
        self._spoken = self._begun
        self._open = True
        threading.Thread(target=self._watch, daemon=True).start()

    def add(self, finished: Finished) -> None:
        """Takes a trial in; writes a line when it is time."""
        with self._lock:
            super().add(finished)
            self._done += 1
            if self._clock() >= self._due:
                self._write()

    def silence(self) -> None:
        """Writes a line if none has been written for long: what is done meanwhile."""
        with self._lock:
            first = self._spoken == self._begun
            if self._open and self._clock() - self._spoken >= (
                _SILENCE_SECONDS if first else _LINE_SECONDS
            ):
                self._write(what())

    def _watch(self) -> None:
        while not self._closed.wait(_SILENCE_SECONDS / 4):
            self.silence()

    def _say(self, text: str) -> None:
        _stderr(text)

    def close(self) -> None:
        """Writes the last line."""
        self._closed.set()
        with self._lock:
            if self._open:
                self._open = False
                if self._done > self._written:
                    self._write()

    def _write(self, meanwhile: str = "") -> None:
        now = self._clock()
        self._due = now + _LINE_SECONDS
        self._written, self._spoken = self._done, now
        rate = (self._done - self._before) / max(now - self._begun, 1e-9)
        parts = [f"{self._done}/{self._total} trials", f"{rate:.1f} trials/s"]
        parts[1:1] = [f"{number} {end}" for end, number in sorted(self._ends.items())]
        if rate and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        _stderr(" · ".join([*parts, meanwhile or str(self._score)]))


class Bar(Display):
    """A live bar, for a terminal or a notebook."""

    _progress: Progress | None = None
    _task: Any = None
    _count = 0
    _last = 0.0

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Draws the bar."""
        super().start(earlier, total)
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
        self._progress.start()

    def add(self, finished: Finished) -> None:
        """Takes a trial in."""
        super().add(finished)
        self._count += 1
        if self._progress is not None:
            self._progress.advance(self._task)
            if self._clock() - self._last >= _SCORE_SECONDS:
                self._refresh(self._progress)

    def _say(self, text: str) -> None:
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


def display(score: Score, *, progress: bool | None, words: Callable[[str], str] = str) -> Display:
    """Chooses what fits the standard error stream.

    Args:
        score: Of the search.
        progress: Whether to show anything; ``None`` does where somebody looks on.
        words: As of `Display`.
    """
    if progress is False:
        return Display(score, words=words)
    if takes_bars():
        return Bar(score, words=words)
    return (Lines if progress or in_notebook() else Display)(score, words=words)


class _DisplayHandler(logging.Handler):
    """Shows what is logged between the lines of the display, each text once."""

    def __init__(self, shown: Display) -> None:
        super().__init__(logging.WARNING)
        self._shown = shown
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in self._said:
            self._said.add(record.msg)
            self._shown.say(record.getMessage())


@contextlib.contextmanager
def logging_to(shown: Display) -> Iterator[None]:
    """Sends the package's warnings to a display that shows, and keeps Optuna's chatter away."""
    import optuna

    logger, handler = logging.getLogger("nas_plugins"), _DisplayHandler(shown)
    propagate, verbosity = logger.propagate, optuna.logging.get_verbosity()
    if isinstance(shown, Lines | Bar):
        logger.addHandler(handler)
        logger.propagate = False
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        optuna.logging.set_verbosity(verbosity)


def _stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


__all__ = ["Bar", "Display", "Finished", "Lines", "Score", "display", "logging_to"]
