"""How far many equal pieces of work are, on the standard error stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nas_plugins.cli._console import clock_time, remark

if TYPE_CHECKING:
    from rich.progress import Progress

_FIRST_LINE_SECONDS = 2.0
_LINE_SECONDS = 5.0


class Counter:
    """A line every few seconds, for files and pipes; use as a context manager.

    Args:
        verb: What happens to a piece, e.g. ``"scored"``.
        total: How many pieces.
        clock: Seconds since any moment.
    """

    def __init__(
        self, verb: str, total: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._verb, self._total, self._clock = verb, total, clock
        self._done = self._failed = 0
        self._written = -1
        self._begun = clock()
        self._due = self._begun + _FIRST_LINE_SECONDS

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *details: object) -> None:
        if 0 <= self._written < self._done:
            self._write()

    def add(self, *, failed: bool = False) -> None:
        """A piece is done."""
        self._done += 1
        self._failed += failed
        if self._clock() >= self._due:
            self._write()

    def _write(self) -> None:
        self._due = self._clock() + _LINE_SECONDS
        self._written = self._done
        remark(f"{self._done}/{self._total} {self._verb} · {self._rest()}")

    def _rest(self) -> str:
        rate = self._done / max(self._clock() - self._begun, 1e-9)
        parts = [f"{self._failed} failed"] if self._failed else []
        parts.append(f"{rate:.2g}/s")
        if rate and self._done < self._total:
            parts.append(f"{clock_time((self._total - self._done) / rate)} left")
        return " · ".join(parts)


class LiveCounter(Counter):
    """A bar on a terminal."""

    _bar: Progress | None = None
    _task: Any = None

    def __enter__(self) -> Counter:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn(self._verb),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rest]}"),
            console=Console(stderr=True, highlight=False),
        )
        self._task = self._bar.add_task("", total=self._total, rest="")
        self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def add(self, *, failed: bool = False) -> None:
        """A piece is done."""
        self._done += 1
        self._failed += failed
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rest=self._rest())


class SilentCounter(Counter):
    """``--quiet``."""

    def add(self, *, failed: bool = False) -> None:
        """Does nothing."""


def counter(verb: str, total: int, *, quiet: bool) -> Counter:
    """Chooses the counter that fits the standard error stream."""
    if quiet:
        return SilentCounter(verb, total)
    return (LiveCounter if sys.stderr.isatty() else Counter)(verb, total)


__all__ = ["Counter", "LiveCounter", "SilentCounter", "counter"]
