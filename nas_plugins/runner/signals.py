"""Ctrl-C and SIGTERM: the first lets the running trial finish, the second ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from nas_plugins.protocols import Evaluator, Metric, Report, measured, measured_reporting
from nas_plugins.spaces.base import Architecture

_STOPPING = b"\nstopping after the running trial; Ctrl-C again stops at once\n"


class Stop:
    """Remembers that SIGINT or SIGTERM came.

    The first signal lets the running trial finish. A second SIGINT raises `KeyboardInterrupt`,
    but only in an evaluation or while waiting for workers: raised in the middle of a write it
    could leave a storage locked. A third one is raised anywhere.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._presses = 0
        self._interruptible = False

    def __bool__(self) -> bool:
        return self.signal is not None

    @contextmanager
    def listening(self, *numbers: int) -> Iterator[None]:
        """Handles the signals `numbers` in this block; a thread cannot, and leaves them alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that may end at any point."""
        self._interruptible = True
        try:
            if self._presses > 1:
                raise KeyboardInterrupt
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block within `interruptible` that must not end half-way."""
        self._interruptible = False
        yield
        self._interruptible = True
        if self._presses > 1:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number
        if number != signal.SIGINT:
            return
        self._presses += 1
        if self._presses == 1:
            # This may come in the middle of a `print`, which must not be entered twice.
            with suppress(OSError):  # the stream may be full or closed
                os.write(2, _STOPPING)
        elif self._interruptible or self._presses > 2:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Interruptible(Evaluator):
    """An evaluator that a second Ctrl-C ends.

    Attributes:
        evaluator: The evaluator.
        stop: What listens.
    """

    evaluator: Evaluator
    stop: Stop

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The evaluator's."""
        return self.evaluator.metrics

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Evaluates until interrupted."""
        with self.stop.interruptible():
            return measured(self.evaluator, architectures)

    @property
    def reports(self) -> bool:
        """The evaluator's."""
        return self.evaluator.reports

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        """Evaluates until interrupted, but for the reports, which are written into a storage."""

        def safe(step: int, metrics: Mapping[str, float]) -> None:
            with self.stop.writing():
                report(step, metrics)

        with self.stop.interruptible():
            return measured_reporting(self.evaluator, architecture, safe)
