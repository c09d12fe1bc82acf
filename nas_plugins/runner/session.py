"""Running the trials of a search in this process; workers run the same loop.

A trial is created with a mark of its process (`Owner`) in one write, so that a process killed
at any moment leaves no running trial that cannot be told from a live worker's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from nas_plugins._plugin_code import named_reason, writable
from nas_plugins._secrets import without_passwords
from nas_plugins.errors import PluginError, UsageError, unknown_name
from nas_plugins.optuna import create_study, objective
from nas_plugins.optuna.compat import call_back, new_trial
from nas_plugins.optuna.trial_log import REASON, convert
from nas_plugins.runner.problem import Problem
from nas_plugins.runner.processes import Life, Owner
from nas_plugins.runner.rescue import LastSeen
from nas_plugins.runner.search_display import Finished
from nas_plugins.runner.signals import Interruptible, Stop
from nas_plugins.runner.storage import is_storage_error

OWNER = "nas_plugins:owner"
"""User attribute of a trial: the process that works on it."""

Function = Callable[[optuna.Trial], float | tuple[float, ...]]
Callbacks = Sequence[Callable[[optuna.Study, FrozenTrial], object]]

_PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "hyperband": HyperbandPruner,
}


@dataclass(frozen=True)
class Session:
    """A study that is open for work in this process.

    Attributes:
        study: The study, with the strategy as its sampler.
        storage: The study's storage.
        problem: What is searched.
        owner: Mark of this process.
        seen: What it held when it was last read.
    """

    study: optuna.Study
    storage: BaseStorage
    problem: Problem
    owner: str
    seen: LastSeen

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
        pruner: str = "none",
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
            pruner=_PRUNERS[pruner](),
        )
        return cls(study, storage, problem, str(Owner.current()), LastSeen(study))

    def trials(self) -> list[FrozenTrial]:
        """All trials but those that only wait in the queue; not copies.

        Raises:
            EngineError: They are fewer than they were.
        """
        trials = self.storage.get_all_trials(self._study_id, deepcopy=False)
        self.seen.read(trials)
        return [trial for trial in trials if trial.state != TrialState.WAITING]

    @property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.study.study_name)

    def call_back(self, callbacks: Callbacks, number: int) -> bool:
        """Calls Optuna callbacks after a trial; returns whether one has stopped the study."""
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        trial = copy.deepcopy(self.storage.get_trial(trial_id))
        return call_back(self.study, callbacks, trial)

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
            PluginError: The evaluator or the strategy does not keep to its role, whatever the
                architecture; its trial has failed.
            Exception: What the storage raises. What else evaluators raise fails their trial.
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
            except PluginError as error:
                # No other architecture would fare better.
                self._ended(trial, TrialState.FAIL, str(error))
                raise
            except Exception as error:
                if is_storage_error(error):
                    raise
                return self._ended(trial, TrialState.FAIL, named_reason(error))
            return self._told(self.study.tell(trial, values, skip_if_finished=True))
        except optuna.exceptions.UpdateFinishedTrialError:
            # Another run has taken the trial over; what it wrote stands.
            return self.describe(self.study.trials[trial.number])

    def _ended(self, trial: optuna.Trial, state: TrialState, reason: str) -> Finished:
        if REASON not in trial.user_attrs:
            trial.set_user_attr(REASON, writable(without_passwords(reason)))
        return self._told(self.study.tell(trial, state=state, skip_if_finished=True))

    def _told(self, trial: FrozenTrial) -> Finished:
        self.seen.ended(trial)
        return self.describe(trial)

    def describe(self, trial: FrozenTrial) -> Finished:
        """What the display shows of a trial."""
        if trial.state != TrialState.COMPLETE:
            pruned = trial.state == TrialState.PRUNED
            return Finished(trial.number, reason=reason_of(trial), pruned=pruned)
        try:
            known = convert(trial, self.problem.space)
        except ValueError:  # whoever reads the history is told
            known = None
        violation = known.violation if known is not None else math.inf
        return Finished(trial.number, tuple(trial.values or ()), violation)

    def fail(self, trial: FrozenTrial, reason: str) -> None:
        """Ends a running trial that nobody works on."""
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(
            self._study_id, trial.number
        )
        try:
            self.storage.set_trial_user_attr(trial_id, REASON, reason)
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # whoever worked on it has just finished, or another run was faster


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial failed or was pruned."""
    reason = trial.user_attrs.get(REASON)
    if isinstance(reason, str) and reason:
        return reason
    if trial.state == TrialState.PRUNED:
        return "pruned while it was evaluated"  # by a function of the user's own, for one
    return "no reason was recorded"


def check_pruner(name: str, problem: Problem) -> list[str]:
    """Refuses what Optuna does not prune.

    Returns:
        What a user may not have meant.

    Raises:
        UnknownNameError: There is no pruner of this name.
        UsageError: The search has several objectives.
    """
    if name not in _PRUNERS:
        raise unknown_name("pruner", name, _PRUNERS)
    if name == "none":
        return []
    if len(problem.objectives) > 1:
        raise UsageError(f"`pruner={name}` goes with one objective: Optuna prunes no others")
    if not problem.evaluator.reports:
        return [
            f"note: the evaluator reports nothing on the way, so `pruner={name}` ends no trial"
        ]
    return []


def settle(session: Session, *, take_over: bool) -> list[str]:
    """Marks the running trials of dead processes as failed, so that counts add up.

    Args:
        session: The resumed study.
        take_over: Whether to fail the trials too of which nothing is known.

    Returns:
        What to tell of the trials that earlier runs left running.
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
    return [
        f"trial {number}: {text}"
        for life, text in (
            (Life.DEAD, "marked failed, as its process is gone"),
            (Life.LIVE, "left to the live process that works on it"),
            (Life.UNKNOWN, "left running elsewhere; `take_over=True` marks it failed"),
        )
        for number in numbers[life]
    ]
