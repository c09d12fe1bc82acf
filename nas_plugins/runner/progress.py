"""How far work is, on the standard error stream: a bar, lines, or nothing.

A bar is shown on a terminal and in Jupyter, a line every few seconds in files and pipes.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from nas_plugins import pareto
from nas_plugins._doing import what
from nas_plugins.history import Objective

if TYPE_CHECKING:
    import rich.progress
    from typing_extensions import Self

    from nas_plugins.strategies.arch_vq.fit import Progress

_logger = logging.getLogger(__name__)

_EPOCH_METRICS = {
    "loss": "loss {:.4f}",
    "exact": "exact {:.4%}",
    "codes_used": "{:.0f} codes in use",
    "held_out_nll": "held-out nll {:.4f}",
}


class BarState(NamedTuple):
    """What a bar shows.

    Attributes:
        name: Which bar; a new name begins a new one below.
        label: Text before it.
        done: How much is done.
        total: Of how much; ``None`` while that is not known.
        text: Text behind it.
    """

    name: str
    label: str
    done: float
    total: float | None
    text: str


class ProgressDisplay(ABC):
    """Shows how far work is; use as a context manager, or `close` it.

    A subclass counts, calls `_moved` whenever it has, and says in `_line` and `_bar` what there
    is to show. All calls come from one thread.

    Args:
        shown: ``True`` shows bars or lines, ``False`` nothing, ``None`` bars
            where they can be drawn, lines in a notebook that has none, and nothing elsewhere.
        clock: Seconds since any moment.
    """

    first_line: ClassVar[float] = 2.0
    """Seconds until the first line."""
    line_every: ClassVar[float] = 5.0
    """Seconds between lines."""
    bar_every: ClassVar[float] = 0.0
    """Seconds between states of a bar."""
    bar_width: ClassVar[int] = 24

    def __init__(
        self, *, shown: bool | None = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._live = shown is not False and takes_bars()
        wanted = shown or (shown is None and in_notebook())
        self._lines = not self._live and bool(wanted) and sys.stderr is not None
        self._bars: rich.progress.Progress | None = None
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._unwritten = False
        self._begin()

    @property
    def shows(self) -> bool:
        """Whether there is anything to be seen."""
        return self._live or self._lines

    def _begin(self) -> None:
        """Counts the time from now on."""
        self._begun = self._clock()
        self._due = self._begun + (0.0 if self._live else self.first_line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def say(self, text: str) -> None:
        """Writes a remark, above the bars where there are any."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False)
        elif self.shows:
            with contextlib.suppress(OSError):  # full or closed: the work goes on
                print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Writes what has not been written and leaves the bars as they are; may be repeated."""
        self._write_pending()
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.stop()

    @abstractmethod
    def _line(self) -> str:
        """The state as a line."""

    @abstractmethod
    def _bar(self) -> BarState:
        """The state as a bar."""

    def _moved(self) -> None:
        """Shows the state, if it is time."""
        if self.shows:
            self._unwritten = True
            if self._clock() >= self._due:
                self._write_pending()

    def _write_pending(self) -> None:
        if not self._unwritten:
            return
        self._unwritten = False
        self._due = self._clock() + (self.bar_every if self._live else self.line_every)
        if self._live:
            self._show(self._bar())
        else:
            self.say(self._line())

    def _show(self, state: BarState) -> None:
        bars = self._bars or self._started()
        if state.name not in self._tasks:
            self._tasks[state.name] = bars.add_task("", total=None, text="")
        bars.update(
            self._tasks[state.name],
            description=state.label,
            completed=state.done,
            total=state.total,
            text=state.text,
        )

    def _hide(self, name: str) -> None:
        """Takes a bar away."""
        if self._bars is not None and name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))

    def _started(self) -> rich.progress.Progress:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True, highlight=False)
        self._bars = Progress(*self._columns(), console=console)
        self._bars.start()
        return self._bars

    def _columns(self) -> Sequence[rich.progress.ProgressColumn]:
        """What stands beside one another: label, bar and text."""
        from rich.progress import BarColumn, TextColumn

        bar = BarColumn(bar_width=self.bar_width)
        return TextColumn("{task.description}"), bar, TextColumn("{task.fields[text]}")


class CountingDisplay(ProgressDisplay):
    """Counts equal pieces of work. Work that is short leaves no line.

    Args:
        verb: What happens to a piece, e.g. ``"scored"``.
        total: How many pieces.
        shown: As of `ProgressDisplay`.
        clock: As of `ProgressDisplay`.
    """

    def __init__(
        self,
        verb: str,
        total: int,
        *,
        shown: bool | None = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(shown=shown, clock=clock)
        self._verb, self._total = verb, total
        self._done = self._failed = 0
        self._written = False

    def add(self, *, failed: bool = False) -> None:
        """A piece is done."""
        self._done += 1
        self._failed += failed
        self._moved()

    def close(self) -> None:
        """As of every display; the last line is left out where none stands before it."""
        self._unwritten &= self._written
        super().close()

    def _line(self) -> str:
        self._written = True
        return f"{self._done}/{self._total} {self._verb} · {self._rest()}"

    def _bar(self) -> BarState:
        text = f"{self._done}/{self._total} {self._rest()}"
        return BarState(self._verb, self._verb, self._done, self._total, text)

    def _rest(self) -> str:
        rate = self._done / max(self._clock() - self._begun, 1e-9)
        parts = [f"{self._failed} failed"] if self._failed else []
        parts.append(f"{rate:.2g}/s")
        if rate and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        return " · ".join(parts)


class TrainingDisplay(ProgressDisplay):
    """Takes the epochs of a training run; a bar per stage.

    Args:
        shown: As of `ProgressDisplay`.
        clock: As of `ProgressDisplay`.
    """

    first_line = 0.0
    line_every = 2.0
    bar_width = 8  # so that all of it fits into 80 columns

    def __init__(
        self, *, shown: bool | None = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(shown=shown, clock=clock)
        self._last: Progress | None = None

    def begin(self, text: str, stage: str) -> None:
        """Says what is going to happen, and waits for the first epoch of a stage."""
        self.say(text)
        if self._live:
            self._show(BarState("", stage, 0, None, "first epoch"))

    def __call__(self, progress: Progress) -> None:
        """An epoch is done."""
        if self._last is not None and self._last.stage != progress.stage:
            self._write_pending()
        self._hide("")
        self._last = progress
        self._moved()

    def _line(self) -> str:
        now = self._epoch()
        left = f" · {clock_time(now.remaining)} left" if now.remaining else ""
        metrics = metrics_text(now.metrics)
        return f"{now.stage} · epoch {now.epoch}/{now.epochs}{left} · {metrics}"

    def _bar(self) -> BarState:
        now = self._epoch()
        left, took = f"{clock_time(now.remaining)} left", f"in {clock_time(now.seconds)}"
        text = f"{left if now.remaining else took} · {metrics_text(now.metrics)}"
        label = f"{now.stage} {now.epoch}/{now.epochs}"
        return BarState(now.stage, label, now.epoch, now.epochs, text)

    def _epoch(self) -> Progress:
        assert self._last is not None, "shown before the first epoch"
        return self._last


class DownloadDisplay(ProgressDisplay):
    """Takes the bytes of a download, as `nas_plugins.benchmarks.files.fetch` reports them.

    Files and pipes get no lines.

    Args:
        name: Of the file.
        shown: As of `ProgressDisplay`.
    """

    first_line = math.inf

    def __init__(self, name: str, *, shown: bool | None = True) -> None:
        super().__init__(shown=shown)
        self._name = name
        self._first: int | None = None
        self._done, self._total = 0, None  # type: int, int | None

    def __call__(self, done: int, total: int | None) -> None:
        """So many bytes are there, of so many where that is known."""
        self._first = done if self._first is None else self._first
        self._done, self._total = done, total
        self._moved()

    def close(self) -> None:
        """As of every display, without a last line."""
        self._unwritten = False
        super().close()

    def _line(self) -> str:
        of = "" if self._total is None else f"/{self._total / 1e6:,.1f}"
        rate = (self._done - (self._first or 0)) / max(self._clock() - self._begun, 1e-9)
        parts = [f"{self._done / 1e6:,.1f}{of} MB", f"{rate / 1e6:.1f} MB/s"]
        if rate and self._total is not None and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        return " · ".join(parts)

    def _bar(self) -> BarState:
        return BarState(self._name, "", self._done, self._total, self._line())


# -- a search ------------------------------------------------------------------------------


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


class SearchDisplay(ProgressDisplay):
    """Counts the trials of a search and tells its score; what it says goes to logs if not shown.

    While no trial ends, a thread says what is done meanwhile.

    Args:
        score: Of the search.
        shown: As of `ProgressDisplay`.
        words: Puts what is said into the words of whoever asked for the search.
        clock: As of `ProgressDisplay`.
    """

    first_line = 1.0
    bar_every = 0.25
    first_silence: ClassVar[float] = 2.0
    """Seconds without a trial that ends until the first line."""

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
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._meanwhile, self._spoken = "", 0.0
        self._ends: Counter[str] = Counter()
        self._done = self._before = self._total = 0

    def start(self, earlier: Sequence[Finished], total: int) -> None:
        """Begins, with the `earlier` of `total` trials done by another run."""
        self._score.add(*earlier)
        self._done = self._before = len(earlier)
        self._total = total
        self._begin()
        self._spoken = self._begun
        self._moved()
        if self.shows:
            threading.Thread(target=self._watch, daemon=True).start()

    def add(self, finished: Finished) -> None:
        """Takes a trial of this run in."""
        with self._lock:
            self._score.add(finished)
            self._done += 1
            if finished.reason:
                self._ends["pruned" if finished.pruned else "failed"] += 1
            self._moved()

    def silence(self) -> None:
        """Shows what is done meanwhile, if nothing has been shown for long."""
        with self._lock:
            longest = self.first_silence if self._spoken == self._begun else self.line_every
            if self._closed.is_set() or self._clock() - self._spoken < longest:
                return
            self._meanwhile, self._unwritten = what(), True
            self._write_pending()
            self._meanwhile = ""

    def _watch(self) -> None:
        while not self._closed.wait(self.first_silence / 4):
            self.silence()

    def close(self) -> None:
        """As of every display."""
        self._closed.set()
        with self._lock:
            super().close()

    def say(self, text: str) -> None:
        """Shows a remark."""
        if self.shows:
            super().say(self._words(text))
        else:
            _logger.info(self._words(text))

    def _line(self) -> str:
        self._spoken = self._clock()
        rate = self._rate()
        parts = [f"{self._done}/{self._total} trials", *self._ended(), f"{rate:.1f} trials/s"]
        if rate and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        return " · ".join([*parts, self._meanwhile or str(self._score)])

    def _bar(self) -> BarState:
        self._spoken = self._clock()
        label = " · ".join([f"{self._rate():.1f} trials/s", *self._ended()])
        return BarState("", label, self._done, self._total, self._meanwhile or str(self._score))

    def _columns(self) -> Sequence[rich.progress.ProgressColumn]:
        from rich import progress

        return (
            progress.BarColumn(bar_width=self.bar_width),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.description}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[text]}"),
        )

    def _rate(self) -> float:
        return (self._done - self._before) / max(self._clock() - self._begun, 1e-9)

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

    logger, handler = logging.getLogger("nas_plugins"), _DisplayHandler(shown)
    propagate, verbosity = logger.propagate, optuna.logging.get_verbosity()
    if shown.shows:
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


# -- words ----------------------------------------------------------------------------------


def metrics_text(metrics: Mapping[str, float]) -> str:
    """The metrics of an epoch that matter, in a few words."""
    shown = _EPOCH_METRICS.items()
    return " · ".join(text.format(metrics[key]) for key, text in shown if key in metrics)


def clock_time(seconds: float) -> str:
    """Seconds as ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def takes_bars() -> bool:
    """Whether bars can be drawn anew: on a terminal, and in a notebook that has widgets."""
    if sys.stderr is None:  # closed when Python began
        return False
    return sys.stderr.isatty() or (in_notebook() and find_spec("ipywidgets") is not None)


def in_notebook() -> bool:
    """Whether this runs in Jupyter."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter
