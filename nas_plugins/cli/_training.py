"""What a person sees on the standard error stream while a model is trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nas_plugins.cli._console import clock_time, remark

if TYPE_CHECKING:
    import rich.progress

    from nas_plugins.strategies.arch_vq.fit import Progress

_LINE_SECONDS = 2.0
_SHOWN = {
    "loss": "loss {:.4f}",
    "exact": "exact {:.4%}",
    "codes_used": "{:.0f} codes in use",
    "held_out_nll": "held-out nll {:.4f}",
}


class Watch:
    """Takes the epochs of a training run and shows them; remembers the last one.

    Args:
        quiet: Show nothing.
        clock: Seconds since any moment.
    """

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.last: Progress | None = None
        self._bar = None if quiet or not sys.stderr.isatty() else _Bar()
        self._quiet, self._clock = quiet, clock
        self._written, self._due = True, 0.0

    def begin(self, text: str) -> None:
        """Says what is going to happen."""
        if not self._quiet:
            remark(text)
        if self._bar is not None:
            self._bar.begin()

    def __call__(self, progress: Progress) -> None:
        """An epoch is done."""
        if self.last is not None and self.last.stage != progress.stage:
            self._write()
        self.last, self._written = progress, False
        if self._bar is not None:
            self._bar.show(progress)
        elif self._clock() >= self._due:
            self._write()

    def close(self) -> None:
        """Writes what has not been shown and leaves the bar as it is; may be called twice."""
        self._write()
        if self._bar is not None:
            self._bar.close()

    def where(self) -> str:
        """The last epoch in words; empty before the first."""
        if self.last is None:
            return ""
        return f"epoch {self.last.epoch} of {self.last.epochs} of stage {self.last.stage!r}"

    def _write(self) -> None:
        """A line for the last epoch, where there is no bar."""
        progress = self.last
        if self._written or progress is None or self._quiet or self._bar is not None:
            return
        self._written, self._due = True, self._clock() + _LINE_SECONDS
        left = f" · {clock_time(progress.remaining)} left" if progress.remaining else ""
        remark(
            f"{progress.stage} · epoch {progress.epoch}/{progress.epochs}{left} · "
            f"{metrics_text(progress.metrics)}"
        )


class _Bar:
    """One live bar per stage."""

    def __init__(self) -> None:
        self._progress: rich.progress.Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._waiting: Any = None

    def begin(self) -> None:
        self._waiting = self._started().add_task("vqvae", total=None, metrics="first epoch")

    def show(self, progress: Progress) -> None:
        bars = self._progress or self._started()
        if self._waiting is not None:
            bars.remove_task(self._waiting)
            self._waiting = None
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = bars.add_task("", total=progress.epochs, metrics="")
        left = f"{clock_time(progress.remaining)} left"
        when = left if progress.remaining else f"in {clock_time(progress.seconds)}"
        bars.update(
            self._tasks[progress.stage],
            description=f"{progress.stage} {progress.epoch}/{progress.epochs}",
            completed=progress.epoch,
            metrics=f"{when} · {metrics_text(progress.metrics)}",
        )

    def close(self) -> None:
        bars, self._progress = self._progress, None
        if bars is not None:
            bars.stop()

    def _started(self) -> rich.progress.Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # Narrow enough for 80 columns.
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[metrics]}"),
            console=Console(stderr=True, highlight=False),
        )
        self._progress.start()
        return self._progress


def metrics_text(metrics: Mapping[str, float]) -> str:
    """The metrics that matter, in a few words."""
    return " · ".join(text.format(metrics[k]) for k, text in _SHOWN.items() if k in metrics)


__all__ = ["Watch", "metrics_text"]
