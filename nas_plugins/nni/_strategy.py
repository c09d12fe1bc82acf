"""Any strategy as a strategy of NNI's neural architecture search."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nni.mutable import SampleValidationError
from nni.nas.execution import ExecutionEngine
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy as NNIBase
from nni.nas.strategy.base import StrategyStatus

from nas_plugins import _public
from nas_plugins._checks import at_least
from nas_plugins._frozen import FrozenDict
from nas_plugins.constraints import Constraint, constraints_of
from nas_plugins.errors import EngineError
from nas_plugins.history import History, Objective, Trial, TrialState, objectives_of
from nas_plugins.nni import _compat, _service, _shims
from nas_plugins.nni._resume import held_models, take_over
from nas_plugins.nni._running import Evaluation, Running
from nas_plugins.nni._state import DEFAULT, ExperimentLog, FrontEntry
from nas_plugins.protocols import Strategy, as_strategy

if TYPE_CHECKING:
    from nas_plugins.nni._translate import Translator

_logger = logging.getLogger(__name__)

_MAX_INVALID = 500
_MIN_PAUSE_S = 5.0
_CHECKPOINT_SHARE = 0.02
_STATUS = {
    TrialState.COMPLETE: ModelStatus.Trained,
    TrialState.FAILED: ModelStatus.Failed,
    TrialState.RUNNING: ModelStatus.Interrupted,
}
_STATE_KEYS = ("strategy", "entropy", "objectives", "constraints")


class NNIStrategy(NNIBase):  # type: ignore[misc]
    """Strategy of NNI that lets one of ours propose whole architectures.

    The strategy sees every trial of the experiment with all its objectives, and each proposal
    follows from the seed, the trials before it and its number: with the same seed and the same
    results it is what the Optuna sampler of the strategy proposes. No architecture is evaluated
    twice, unless the strategy's option ``avoid_duplicates`` is false; the search ends when the
    budget is spent or nothing new is left.

    An evaluation that fails becomes a failed trial with a note ``reason``, and the search goes
    on. Checkpoints hold plain data only, are written during the search too, and restore every
    trial: a resumed experiment knows all models and the whole Pareto front. Trials that were
    interrupted are evaluated again.

    Args:
        strategy: The strategy, or the name it is registered under, e.g.
            ``"archive-evolution"``.
        seed: Seed, a non-negative integer. If ``None``, entropy of the system is used, and a
            resumed experiment keeps what was drawn.
        objectives: Metrics as `Objective` or text such as ``"val_accuracy:max"``. If ``None``,
            the attribute ``objectives`` of the evaluator, and where it has none
            ``"default:max"``, which is what NNI's own strategies look at.
        constraints: Limits on metrics as `Constraint` or text such as ``"latency_ms<=5"``.

    Raises:
        TypeError: `strategy` has no method ``propose``.
        ValueError: `seed` is negative, or an objective or constraint is malformed.
        UnknownNameError: The name is not registered; the message suggests the nearest.
    """

    def __init__(
        self,
        strategy: Strategy | str,
        *,
        seed: int | None = None,
        objectives: Sequence[Objective | str] | None = None,
        constraints: Sequence[Constraint | str] = (),
    ) -> None:
        super().__init__()
        _shims.apply_shims()
        at_least(0, seed=seed)
        if isinstance(strategy, str):
            strategy = _public.strategy(strategy)
        self._strategy = as_strategy(strategy)
        self._entropy = None if seed is None else int(seed)
        self._objectives = None if objectives is None else objectives_of(objectives)
        self._constraints = constraints_of(constraints)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._log: ExperimentLog | None = None
        self._translator: Translator | None = None
        self._pending_state: Mapping[str, Any] | None = None
        self._running = Running(self._end)
        self._models: dict[int, ExecutableModelSpace] = {}
        self._adopted: frozenset[int] = frozenset()
        self._checkpoint: Callable[[], None] | None = None
        self._next_checkpoint = 0.0

    # -- what a user asks ------------------------------------------------------------------

    @property
    def strategy(self) -> Strategy:
        """The strategy that proposes."""
        return self._strategy

    @property
    def history(self) -> History:
        """All trials so far.

        Raises:
            EngineError: The experiment has not been started.
        """
        return self._started.history

    def pareto_front(self) -> list[FrontEntry]:
        """The best architectures, in order of their trials, those before a resume included.

        The Pareto-optimal ones among the feasible, of one objective the best; while nothing is
        feasible those of least violation.
        """
        return self._started.front(self._translate.sample)

    def metrics(self, number: int) -> FrozenDict[float]:
        """Everything that a trial reported, by name; empty while it runs."""
        return self._started.report(number).metrics

    def list_models(
        self, sort: bool = True, limit: int | None = None
    ) -> Iterator[ExecutableModelSpace]:
        """Lists the models of all trials, those before a resume included.

        Args:
            sort: Whether only complete trials are listed, by ``default``, best first.
            limit: How many at most.
        """
        if self._status in (StrategyStatus.EMPTY, StrategyStatus.INITIALIZED):
            raise RuntimeError("Strategy has not been run.")
        log = self._started
        trials = log.history.complete if sort else log.history.trials
        if sort:
            defaults = {t.number: log.report(t.number).default for t in trials}
            trials = tuple(t for t in trials if defaults[t.number] is not None)
            trials = tuple(sorted(trials, key=lambda t: -(defaults[t.number] or 0.0)))
        for trial in trials[:limit]:
            yield self._model(trial)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{self._strategy!r}, seed={self._entropy}"

    # -- what NNI calls --------------------------------------------------------------------

    def _initialize(
        self, model_space: ExecutableModelSpace, engine: ExecutionEngine
    ) -> ExecutableModelSpace:
        from nas_plugins.nni._translate import translator

        self._translator = translator(model_space)
        space = self._translator.space
        self._strategy.prepare(space)
        self._log = ExperimentLog(
            self._strategy,
            space,
            self._objectives_for(model_space),
            self._constraints,
            entropy=self._entropy,
        )
        self._running.listen(engine)
        if self._pending_state is not None:
            self.load_state_dict(self._pending_state)
        return model_space

    def _objectives_for(self, model_space: ExecutableModelSpace) -> tuple[Objective, ...]:
        if self._objectives is not None:
            return self._objectives
        known = getattr(model_space.evaluator, "objectives", None)
        return objectives_of(known) if known else (Objective(DEFAULT, "max"),)

    def wait_for_resource(self) -> bool:
        """Waits for a free worker; returns whether one more model may be submitted."""
        return bool(super().wait_for_resource()) and _service.has_room(self.engine)

    def _run(self) -> None:
        log = self._started
        for trial in log.unfinished():
            if trial.number in self._adopted:
                continue
            if not self.wait_for_resource():
                break
            self._evaluate(trial)
        invalid = 0
        while invalid < _MAX_INVALID and self.wait_for_resource():
            self._save()
            asked = log.ask()
            if asked is None:
                _logger.warning("the search ends: nothing new is left in %r", log.space)
                break
            invalid = 0 if self._evaluate(asked) else invalid + 1
        if invalid == _MAX_INVALID:
            _logger.warning("the search ends: %d proposals in a row were no models", invalid)
        while self._running.wait(self.engine):
            self._save()

    def _cleanup(self) -> None:
        self._running.stop_listening(self.engine)

    def state_dict(self) -> dict[str, Any]:
        """The trials as plain data, which ``torch.load`` reads with ``weights_only=True``."""
        return {} if self._log is None else self._log.to_json()

    def load_state_dict(self, state_dict: Any) -> None:
        """Takes over the trials of `state_dict`, and those the training service has since seen.

        Raises:
            EngineError: The trials are of another space or have other objectives.
        """
        if not isinstance(state_dict, Mapping):
            kind = type(state_dict).__name__
            raise EngineError(f"`state_dict` of a strategy must be a dictionary, got {kind}")
        if self._log is None:
            self._pending_state = dict(state_dict)
            return
        if state_dict:
            self._log.restore(state_dict)
        if self._engine is not None:
            self._take_over_jobs()
            self._give_back_models()

    # -- one trial -------------------------------------------------------------------------

    def _evaluate(self, trial: Trial) -> bool:
        """Submits the model of a running trial; returns whether there is one."""
        try:
            model = self.model_space.freeze(self._sample(trial))
        except SampleValidationError as error:
            self._started.tell(trial.number, None, failure=f"no model of the space: {error}")
            return False
        with self._lock:
            self._models[trial.number] = model
        refusal = self._running.submit(self.engine, trial.number, model)
        if refusal is not None:
            reason = f"not submitted: {type(refusal).__name__}: {refusal}"
            self._started.tell(trial.number, None, failure=reason)
            raise refusal
        return True

    def _end(self, evaluation: Evaluation, status: ModelStatus) -> None:
        if status is ModelStatus.Interrupted:
            return  # it stays running in the checkpoint, and is evaluated again
        self._started.tell(
            evaluation.number,
            evaluation.final,
            intermediates=evaluation.intermediates,
            failure=evaluation.failure(status),
        )

    # -- resuming --------------------------------------------------------------------------

    def _take_over_jobs(self) -> None:
        """Takes over what a training service has in its database, and what it goes on with."""
        engine, log = self.engine, self._started
        architecture_of = self._translate.architecture
        live, n_superseded = take_over(log, _service.jobs(engine), architecture_of)
        numbers = {job.parameter: number for number, job in live.items()}
        for parameter, number in numbers.items():
            model = self._model(log.history.trials[number])
            self._running.adopt(engine, number, parameter, model)
        abandoned = {numbers[job] for job in _service.never_begun(engine, set(numbers))}
        # Some may have ended before they were adopted, so that nobody has told.
        if numbers:
            live, n_superseded = take_over(log, _service.jobs(engine), architecture_of)
        self._adopted = frozenset(set(numbers.values()) & set(live) - abandoned)
        for parameter, number in numbers.items():
            if number not in self._adopted and self._running.drop(number) and number in abandoned:
                _service.disown(engine, parameter)
        _service.make_room(engine, n_superseded + len(abandoned))

    def _give_back_models(self) -> None:
        if not _compat.runs_here(self.engine):
            return
        trials = self._started.history.trials
        held = held_models(trials, _compat.models_here(self.engine), self._translate.architecture)
        begun_anew = [held[t.number] for t in self._started.unfinished() if t.number in held]
        ended = [trial for trial in trials if trial.state is not TrialState.RUNNING]
        with self._lock:
            for trial in ended:
                if trial.number in held:
                    self._models[trial.number] = held[trial.number]
        models = [self._model(trial) for trial in ended]
        _compat.give_back_models(self.engine, models, begun_anew)

    def _model(self, trial: Trial) -> ExecutableModelSpace:
        with self._lock:
            if trial.number in self._models:
                return self._models[trial.number]
        report = self._started.report(trial.number)
        model = _compat.finished_model(
            self.model_space,
            self._sample(trial),
            default=report.default,
            intermediates=report.intermediates,
            status=_STATUS[trial.state],
        )
        with self._lock:
            return self._models.setdefault(trial.number, model)

    def keep_checkpoints(self, save: Callable[[], None]) -> None:
        """Lets the strategy save the experiment now and then during the search.

        NNI saves at the start and at the end only.

        Args:
            save: Writes a checkpoint; may take some time.
        """
        self._checkpoint = save
        self._next_checkpoint = time.monotonic() + _MIN_PAUSE_S

    def _save(self) -> None:
        """Saves unless that was done lately, so that it takes a small share of the time."""
        if self._checkpoint is None or time.monotonic() < self._next_checkpoint:
            return
        start = time.monotonic()
        self._checkpoint()
        end = time.monotonic()
        self._next_checkpoint = end + max(_MIN_PAUSE_S, (end - start) / _CHECKPOINT_SHARE)

    # -- parts -----------------------------------------------------------------------------

    @property
    def _started(self) -> ExperimentLog:
        if self._log is None:
            raise EngineError("the strategy has no trials before its experiment is started")
        return self._log

    @property
    def _translate(self) -> Translator:
        if self._translator is None:
            raise EngineError("the strategy has no space before its experiment is started")
        return self._translator

    def _sample(self, trial: Trial) -> dict[str, Any]:
        return self._translate.sample(trial.architecture)

    # -- copies ----------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Settings and trials; a copy is not attached to an experiment."""
        return {
            "settings": {key: getattr(self, f"_{key}") for key in _STATE_KEYS},
            "trials": self.state_dict() or self._pending_state,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        NNIBase.__init__(self)
        for key, value in state["settings"].items():
            setattr(self, f"_{key}", value)
        self._forget()
        self._pending_state = state["trials"]
