"""A strategy that calls back at each step of a search, and asks whether to go on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from nni.nas.space import ModelStatus

from nas_plugins.history import Trial, TrialState
from nas_plugins.nni._running import Evaluation, Running
from nas_plugins.nni._strategy import NNIStrategy
from nas_plugins.protocols import Strategy

_PAUSE_S = 0.25


class SearchCallbacks(Protocol):
    """What is called, always on the thread of the search."""

    def start(self, trials: Sequence[Trial]) -> None:
        """The search begins, after the `trials` of earlier runs."""
        ...

    def may_begin(self) -> bool:
        """Whether one more trial may begin; may be asked again and again for the same one."""
        ...

    def begins(self) -> None:
        """A trial begins; one that an earlier run left running begins once more."""
        ...

    def ended(self, trial: Trial) -> None:
        """A trial has ended."""
        ...

    def searching(self) -> AbstractContextManager[None]:
        """Entered while trials run in other processes, left when all have ended."""
        ...


class StrategyWithCallbacks(NNIStrategy):
    """`NNIStrategy` with callbacks, which also keep its budget.

    Args:
        strategy: Proposes.
        callbacks: Are told and asked.
        **options: Those of `NNIStrategy`.
    """

    def __init__(self, strategy: Strategy, callbacks: SearchCallbacks, **options: Any) -> None:
        super().__init__(strategy, **options)
        self._callbacks = callbacks

    def _forget(self) -> None:
        super()._forget()
        self._news: deque[int] = deque()
        self._known: set[int] = set()
        self._running = Running(self._end, self._tell, pause_s=_PAUSE_S)

    @property
    def seed(self) -> int:
        """The seed: given, restored or drawn.

        Raises:
            EngineError: The experiment has not been started.
        """
        return self._started.entropy

    def wait_for_resource(self) -> bool:
        """Waits for a free worker while the callbacks and the engine let a trial begin."""
        self._tell()
        while self._callbacks.may_begin() and self.engine.budget_available():
            if self.engine.idle_worker_available():
                self._callbacks.begins()
                return True
            time.sleep(_PAUSE_S)
            self._tell()
        return False

    def _run(self) -> None:
        trials = self.history.trials
        self._known = {trial.number for trial in trials if trial.state is not TrialState.RUNNING}
        self._callbacks.start(trials)
        for _ in self._adopted - self._known:
            self._callbacks.begins()
        try:
            with self._callbacks.searching():
                super()._run()
        finally:
            self._tell()

    def _end(self, evaluation: Evaluation, status: ModelStatus) -> None:
        super()._end(evaluation, status)
        self._news.append(evaluation.number)  # perhaps on a thread of the engine's

    def _tell(self) -> None:
        while self._news:
            trial = self.history.trials[self._news.popleft()]
            if trial.state is not TrialState.RUNNING and trial.number not in self._known:
                self._known.add(trial.number)
                self._callbacks.ended(trial)
