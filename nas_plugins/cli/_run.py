"""Running the trials of a search in this process; workers run the same loop.

A trial is created with a mark of its process (`Owner`) in one write, so that a process killed
at any moment leaves no running trial that cannot be told from a live worker's.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from nas_plugins.cli._owner import Life, Owner
from nas_plugins.cli._plan import Problem
from nas_plugins.cli._progress import Finished
from nas_plugins.cli._storage import is_storage_error
from nas_plugins.optuna import create_study, objective
from nas_plugins.optuna._compat import new_trial
from nas_plugins.optuna._history import convert
from nas_plugins.optuna._objective import REASON
from nas_plugins.protocols import Evaluator, Metric, Report
from nas_plugins.spaces.base import Architecture

OWNER = "nas_plugins:owner"
"""User attribute of a trial: the process that works on it."""

_STOPPING = b"\nstopping after the running trial; Ctrl-C again stops at once\n"

Function = Callable[[optuna.Trial], float | tuple[float, ...]]


@dataclass(frozen=True)
class Session:
    """A study that is open for work in this process.

    Attributes:
        study: The study, with the strategy as its sampler.
        storage: The study's storage.
        problem: What is searched.
        owner: Mark of this process.
    """

    study: optuna.Study
    storage: BaseStorage
    problem: Problem
    owner: str

    @classmethod
    def open(
        cls,
        problem: Problem,
        storage: BaseStorage,
        *,
        name: str | None,
        seed: int | None,
        resume: bool,
        settings: Mapping[str, Any],
        pruner: BasePruner | None = None,
    ) -> Session:
        """Creates or resumes the study; see `nas_plugins.optuna.create_study`."""
        study = create_study(
            problem.space,
            problem.objectives,
            strategy=problem.strategy,
            seed=seed,
            storage=storage,
            name=name,
            resume=resume,
            settings=settings,
            pruner=pruner or NopPruner(),
        )
        return cls(study, storage, problem, str(Owner.current()))

    def trials(self) -> list[FrozenTrial]:
        """All trials but those that only wait in the queue; not copies."""
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trials = self.storage.get_all_trials(study_id, deepcopy=False)
        return [trial for trial in trials if trial.state != TrialState.WAITING]

    def work(
        self, take: Callable[[], bool], report: Callable[[Finished], None], stop: Stop
    ) -> None:
        """Runs trials one after the other.

        Args:
            take: Asked before each trial; no further trial begins once it returns False.
            report: Told of each trial that has ended.
            stop: May interrupt an evaluation.

        Raises:
            KeyboardInterrupt: The evaluation was interrupted; its trial has failed.
            Exception: What the storage raises. What evaluators raise fails their trial.
        """
        problem = self.problem
        function = objective(
            Interruptible(problem.evaluator, stop),
            problem.space,
            problem.objectives,
            constraints=problem.constraints,
        )
        while take():
            trial = self._ask()
            report(self._finish(trial, function))

    def _ask(self) -> optuna.Trial:
        if not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return new_trial(self.study, {OWNER: self.owner})
        trial = self.study.ask()  # one that was queued by hand
        trial.set_user_attr(OWNER, self.owner)
        return trial

    def _finish(self, trial: optuna.Trial, function: Function) -> Finished:
        try:
            try:
                values = function(trial)
            except optuna.TrialPruned as error:
                return self._ended(trial, TrialState.PRUNED, str(error))
            except KeyboardInterrupt:
                self._ended(trial, TrialState.FAIL, "interrupted by the user")
                raise
            except optuna.exceptions.UpdateFinishedTrialError:
                raise
            except Exception as error:
                if is_storage_error(error):
                    raise
                reason = f"{type(error).__name__}: {error}".removesuffix(": ")
                return self._ended(trial, TrialState.FAIL, reason)
            return self.describe(self.study.tell(trial, values, skip_if_finished=True))
        except optuna.exceptions.UpdateFinishedTrialError:
            # Another run has taken the trial over; what it wrote stands.
            return self.describe(self.study.trials[trial.number])

    def _ended(self, trial: optuna.Trial, state: TrialState, reason: str) -> Finished:
        if REASON not in trial.user_attrs:
            trial.set_user_attr(REASON, reason)
        return self.describe(self.study.tell(trial, state=state, skip_if_finished=True))

    def describe(self, trial: FrozenTrial) -> Finished:
        """What the display shows of a trial."""
        if trial.state != TrialState.COMPLETE:
            pruned = trial.state == TrialState.PRUNED
            return Finished(trial.number, reason=reason_of(trial), pruned=pruned)
        known = convert(trial, self.problem.space)
        violation = known.violation if known is not None else math.inf
        return Finished(trial.number, tuple(trial.values or ()), violation)

    def fail(self, trial: FrozenTrial, reason: str) -> None:
        """Ends a running trial that nobody works on."""
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        try:
            self.storage.set_trial_user_attr(trial_id, REASON, reason)
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # whoever worked on it has just finished, or another run was faster


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial failed or was pruned."""
    return str(trial.user_attrs.get(REASON) or "no reason was recorded")


@dataclass(frozen=True)
class Leftovers:
    """What earlier runs left in state RUNNING.

    Attributes:
        failed: Numbers of the trials whose process is gone; they are marked failed.
        live: Numbers of the trials that a process of this machine works on.
        unknown: Numbers of the trials of other machines and programs; left alone.
    """

    failed: tuple[int, ...] = ()
    live: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()


def settle(session: Session, *, take_over: bool) -> Leftovers:
    """Marks the running trials of dead processes as failed, so that counts add up.

    Args:
        session: The resumed study.
        take_over: Whether to fail the trials too of which nothing is known.
    """
    numbers: dict[Life, list[int]] = {life: [] for life in Life}
    for trial in session.trials():
        if trial.state != TrialState.RUNNING:
            continue
        owner = Owner.parse(trial.user_attrs.get(OWNER, ""))
        life = Life.UNKNOWN if owner is None else owner.life
        if life is Life.UNKNOWN and take_over:
            life = Life.DEAD
        numbers[life].append(trial.number)
        if life is Life.DEAD:
            session.fail(trial, "its process ended before the trial did")
    return Leftovers(
        tuple(numbers[Life.DEAD]), tuple(numbers[Life.LIVE]), tuple(numbers[Life.UNKNOWN])
    )


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
        """Handles the signals `numbers` in this block."""
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
            return self.evaluator.evaluate(architectures)

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
            return self.evaluator.evaluate_reporting(architecture, safe)


__all__ = ["OWNER", "Interruptible", "Leftovers", "Session", "Stop", "reason_of", "settle"]
