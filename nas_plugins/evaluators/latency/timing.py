"""Timing of a call: warm-up, then the median and the spread of many runs.

The protocol is that of ``torch.utils.benchmark``: a fixed number of threads, a timer that waits
for an accelerator, and the interquartile range as the spread, which a few slow runs do not move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nas_plugins._checks import at_least, positive

from nas_plugins._torch import torch  # isort: skip - says what to install
from torch.utils import benchmark


@dataclass(frozen=True)
class Timing:
    """How long one call takes.

    Attributes:
        median_ms: Median over the runs, in ms.
        iqr_ms: Distance between the first and the third quartile of the runs, in ms.
        runs: Number of timed runs (blocks of runs for ``repeats=None``).
        source: Device, library, threads and input, in words.
    """

    median_ms: float
    iqr_ms: float
    runs: int
    source: str = ""


@dataclass(frozen=True)
class Protocol:
    """How a call is timed.

    Attributes:
        threads: Threads within an operation.
        warmup: Runs before the clock starts.
        repeats: Timed runs, one by one; ``None`` for blocks of runs that
            ``torch.utils.benchmark.Timer.blocked_autorange`` chooses, at least `seconds` long.
        seconds: Least total time of the runs for ``repeats=None``.
    """

    threads: int = 1
    warmup: int = 5
    repeats: int | None = 30
    seconds: float = 0.2

    def __post_init__(self) -> None:
        at_least(1, threads=self.threads)
        at_least(0, warmup=self.warmup)
        if self.repeats is not None and self.repeats < 2:
            raise ValueError(f"`repeats` must be >= 2 or None, got {self.repeats}")
        positive(seconds=self.seconds)

    def time(self, call: Callable[[], object]) -> Timing:
        """Runs `call` and returns what one run takes; `pinned` must hold the threads."""
        for _ in range(self.warmup):
            call()
        times = self._blocks(call) if self.repeats is None else self._singles(call, self.repeats)
        first, median, third = np.percentile(1e3 * np.array(times), [25, 50, 75]).tolist()
        return Timing(median, third - first, len(times))

    def _singles(self, call: Callable[[], object], repeats: int) -> list[float]:
        # This timer waits for an accelerator's queue, if there is an accelerator.
        clock = benchmark.timer
        marks = [clock()]
        for _ in range(repeats):
            call()
            marks.append(clock())
        return [end - start for start, end in pairwise(marks)]

    def _blocks(self, call: Callable[[], object]) -> list[float]:
        timer = benchmark.Timer("call()", globals={"call": call}, num_threads=self.threads)
        measured = timer.blocked_autorange(min_run_time=self.seconds)
        return [float(seconds) for seconds in measured.times]


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Holds PyTorch to `threads` threads within an operation, and restores the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
