"""Displays of work that is counted, or that is not: pieces, epochs, bytes, and mere waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nas_plugins.runner.display import BarState, ProgressDisplay, WatchingDisplay, clock_time

if TYPE_CHECKING:
    import rich.progress
    from typing_extensions import Self

    from nas_plugins.strategies.arch_vq.fit import Progress

_EPOCH_METRICS = {
    "loss": "loss {:.4f}",
    "exact": "exact {:.4%}",
    "codes_used": "{:.0f} codes in use",
    "held_out_nll": "held-out nll {:.4f}",
}


class WaitingDisplay(WatchingDisplay):
    """Says what is done and for how long, where nothing is counted. What is short leaves no line.

    Args:
        text: What is done while nobody says it more exactly.
        shown: As of `ProgressDisplay`.
        words: Puts what is said into the words of whoever asked for the work.
        clock: As of `ProgressDisplay`.
    """

    def __init__(
        self,
        text: str,
        *,
        shown: bool | None = True,
        words: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(shown=shown, clock=clock)
        self._text, self._words = text, words

    def __enter__(self) -> Self:
        self.watch()
        return super().__enter__()

    def close(self) -> None:
        """As of every display; the bar goes."""
        with self._lock:
            self._hide("")
            super().close()

    def _said(self) -> str:
        return self._words(self._meanwhile or self._text)

    def _line(self) -> str:
        return f"{self._said()} · {clock_time(self._clock() - self._begun)}"

    def _bar(self) -> BarState:
        return BarState("", self._said(), 0, None, "")

    def _columns(self) -> Sequence[rich.progress.ProgressColumn]:
        from rich import progress

        return (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
        )


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


def metrics_text(metrics: Mapping[str, float]) -> str:
    """The metrics of an epoch that matter, in a few words."""
    shown = _EPOCH_METRICS.items()
    return " · ".join(text.format(metrics[key]) for key, text in shown if key in metrics)
