"""The one module that uses private names of Optuna, the same for Optuna 4.8 to 5.0.

Only what a study seen through ``HyperbandPruner`` (``_BracketStudy``) allows is used here:
``_get_trials``, ``_storage``, ``_study_id``, ``directions`` and ``sampler``.
"""

from __future__ import annotations

import copy
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from operator import attrgetter, is_, not_
from types import FrameType
from typing import Any

import optuna
from optuna.samplers import PartialFixedSampler, RandomSampler, TPESampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection, _optimize
from optuna.trial import FrozenTrial, TrialState

from nas_plugins._checks import numbers
from nas_plugins._secrets import without_secrets
from nas_plugins.optuna import _attributes

_CONSTRAINTS = "constraints"
_CONSTRAINT_NAMES = "nas_plugins:constraint-names"
_METRIC_NAMES = "study:metric_names"
_FIXED = "fixed_params"


def all_trials(study: Study, *, fresh: bool = False) -> list[FrozenTrial]:
    """The study's trials in order of number; not copies, so they must not be changed.

    Args:
        study: The study.
        fresh: Ask the storage again, even if the trial being sampled has done so already.
    """
    return study._get_trials(deepcopy=False, use_cache=not fresh)


def apart(trials: Iterable[FrozenTrial]) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The trials that have begun, and those that wait in the queue.

    It is asked several times per trial, and a queue may be long: no loop of the interpreter.
    """
    trials = list(trials)
    waits = list(map(partial(is_, TrialState.WAITING), map(attrgetter("state"), trials)))
    return list(compress(trials, map(not_, waits))), list(compress(trials, waits))


def study_key(study: Study) -> tuple[BaseStorage, int]:
    """What identifies a study in this process. Study ids alone repeat between storages."""
    return study._storage, study._study_id


def trial_identity(trial: FrozenTrial) -> tuple[Any, ...]:
    """What tells a trial from one of the same number in a study made anew under the same id."""
    return trial._trial_id, trial.datetime_start


def new_trial(study: Study, user_attrs: Mapping[str, Any]) -> optuna.Trial:
    """Asks for a new trial that has `user_attrs` from the moment it exists.

    ``Study.ask`` followed by ``set_user_attr`` leaves a moment in which the process may be
    killed; a trial from the queue (``enqueue_trial``) may go to two processes on SQLite.
    """
    study._thread_local.cached_all_trials = None  # as `Study.ask` does
    running = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=dict(user_attrs))
    trial_id = study._storage.create_new_trial(study._study_id, template_trial=running)
    return optuna.Trial(study, trial_id)


def call_back(
    study: Study, callbacks: Sequence[Callable[[Study, FrozenTrial], object]], trial: FrozenTrial
) -> bool:
    """Calls callbacks as ``Study.optimize`` does after a trial.

    Returns:
        Whether one of them has called ``Study.stop``.
    """
    study._stop_flag = False
    study._thread_local.in_optimize_loop = True
    try:
        for callback in callbacks:
            callback(study, trial)
    finally:
        study._thread_local.in_optimize_loop = False
    return study._stop_flag


def write_attributes(study: Study, trial: FrozenTrial, entries: Iterable[tuple[str, Any]]) -> None:
    """Writes system attributes of a trial into the storage, in order, without known secrets."""
    for key, value in entries:
        clean = without_secrets(value) if isinstance(value, str) else value
        study._storage.set_trial_system_attr(trial._trial_id, key, clean)


def default_sampler() -> TPESampler:
    """Optuna's TPE, jointly over what it is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # before Optuna 5 both options are experimental
        return TPESampler(multivariate=True, constant_liar=True, seed=0)


def seeded(sampler: TPESampler, seed: int, *, constrained: bool) -> TPESampler:
    """A sampler that shares the caches of another and draws random numbers of its own.

    Args:
        sampler: The other.
        seed: Of the random numbers, in 0..2**32-1.
        constrained: Whether trials have constraints, which Optuna before 5 must be told.
    """
    own = copy.copy(sampler)
    own._rng = LazyRandomState(seed)
    own._random_sampler = RandomSampler(seed=seed)
    if constrained and not hasattr(optuna.Trial, "set_constraint"):
        own._constraints_func = _constraint_values
    return own


def _constraint_values(trial: FrozenTrial) -> tuple[float, ...]:
    try:
        return tuple(constraints(trial).values())
    except ValueError:
        return ()  # as a trial that has none; whoever reads the history is told


def attributes(study: Study, trial: FrozenTrial) -> Mapping[str, Any]:
    """The system attributes of a trial as the storage has them now."""
    found: Mapping[str, Any] = study._storage.get_trial(trial._trial_id).system_attrs
    return found


def is_interrupted() -> bool:
    """Whether the trial that is being ended was interrupted from the keyboard.

    ``Study.optimize`` keeps what the objective raised in a local variable only.
    """
    if isinstance(sys.exc_info()[1], KeyboardInterrupt):
        return True
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is _optimize._run_trial.__code__:
            return isinstance(frame.f_locals.get("func_err"), KeyboardInterrupt)
        frame = frame.f_back
    return False


def stop(study: Study) -> None:
    """Ends ``Study.optimize``; nothing where trials are asked for by hand."""
    if getattr(study._thread_local, "in_optimize_loop", False):
        study.stop()


def follow_optuna(logger: logging.Logger) -> logging.Logger:
    """Keeps quiet what ``optuna.logging.set_verbosity`` keeps quiet of Optuna's own."""
    logger.addFilter(_is_loud)
    return logger


def follow_optuna_within(package: str) -> None:
    """As `follow_optuna`, for all loggers of a package that there are."""
    for name in list(logging.root.manager.loggerDict):
        if f"{name}.".startswith(f"{package}."):
            follow_optuna(logging.getLogger(name))


def _is_loud(record: logging.LogRecord) -> bool:
    return record.levelno >= optuna.logging.get_verbosity()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keeps Optuna's own words away, errors excepted, but not ours, which its verbosity would."""
    optuna.logging.get_verbosity()  # makes its handler, if there is none yet
    logger = logging.getLogger(optuna.__name__)
    handlers, propagate = list(logger.handlers), logger.propagate
    for handler in handlers:  # which may be those of other loggers too
        handler.addFilter(_is_no_chatter)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagate
        for handler in handlers:
            handler.removeFilter(_is_no_chatter)


def _is_no_chatter(record: logging.LogRecord) -> bool:
    of_optuna = record.name.partition(".")[0] == optuna.__name__
    return record.levelno >= logging.ERROR or not of_optuna


def directions(study: Study) -> list[str]:
    """``"min"`` or ``"max"`` per objective."""
    return ["max" if d == StudyDirection.MAXIMIZE else "min" for d in study.directions]


def metric_names(study: Study) -> list[str] | None:
    """The names given by ``Study.set_metric_names``, if any."""
    names = study._storage.get_study_system_attrs(study._study_id).get(_METRIC_NAMES)
    return [str(name) for name in names] if isinstance(names, list | tuple) else None


def fixed_params(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    """Parameters of a trial that are decided before it is sampled.

    These are the parameters that are set already (a retried trial), those of
    ``Study.enqueue_trial``, and those of ``PartialFixedSampler``, in order of precedence.
    """
    return {**fixed_params_of(study), **enqueued_params(trial), **trial.params}


def fixed_params_of(study: Study) -> dict[str, Any]:
    """Parameters that ``PartialFixedSampler`` decides for every trial."""
    fixed: dict[str, Any] = {}
    sampler = study.sampler
    while isinstance(sampler, PartialFixedSampler):
        fixed = {**sampler._fixed_params, **fixed}
        sampler = sampler._base_sampler
    return fixed


def enqueued_params(trial: FrozenTrial) -> Mapping[str, Any]:
    """Parameters given with ``Study.enqueue_trial``."""
    params = trial.system_attrs.get(_FIXED)
    return params if isinstance(params, Mapping) else {}


def constraints(trial: FrozenTrial) -> dict[str, float]:
    """Constraint values by name, feasible where <= 0; without a name, by position.

    Raises:
        ValueError: What the storage holds of them are no numbers, or names that are no texts.
    """
    attributes = trial.system_attrs
    values = attributes.get(_CONSTRAINTS) or ()
    names = attributes.get(_CONSTRAINT_NAMES) or ()
    for key, value in ((_CONSTRAINTS, values), (_CONSTRAINT_NAMES, names)):
        if not isinstance(value, list | tuple):
            raise ValueError(f"`{key}` must be a list, got {value!r:.60}")
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"`{_CONSTRAINT_NAMES}` must be texts, got {names!r:.60}")
    found = getattr(trial, "constraints", None)  # since Optuna 5
    if found is None:
        found = _constraints_before_5(attributes)
    for key, value in found.items():
        if not _attributes.is_number(value):
            raise ValueError(f"constraint {key!r:.60} must be a number, got {value!r:.60}")
    called = {str(i): name for i, name in enumerate(names)}
    return {called.get(key, key): float(value) for key, value in found.items()}


def _constraints_before_5(attributes: Mapping[str, Any]) -> dict[str, float]:
    found = {str(i): value for i, value in enumerate(attributes.get(_CONSTRAINTS) or ())}
    prefix = f"{_CONSTRAINTS}:"  # a study that Optuna 5 has worked on
    named = {k[len(prefix) :]: v for k, v in attributes.items() if k.startswith(prefix)}
    return {**found, **named}


def set_constraints(trial: optuna.Trial, values: Mapping[str, float]) -> None:
    """Sets the constraint values of a running trial, feasible where <= 0.

    Optuna 5 keeps them by name. Before, Optuna knew a bare list of them, which its own
    samplers and ``Study.best_trials`` respect, and which alone optuna-dashboard reads to this
    day; the list is always written, the names beside it. A constraint that
    the trial has already keeps its value.

    Args:
        trial: The running trial.
        values: By how much it breaks each constraint, by name. Any number will do, also one of
            NumPy or a tensor's; ``True`` is broken, ``False`` is kept.

    Raises:
        TypeError: ``trial`` is no trial, or ``values`` no dictionary of numbers.
        ValueError: A value is NaN.
    """
    as_trial(trial)
    found = _as_numbers(values)
    if not found:
        return
    if hasattr(trial, "set_constraint"):
        for name, value in found.items():
            trial.set_constraint(name, value)
    attributes = trial.storage.get_trial(trial._trial_id).system_attrs
    names, before = (attributes.get(key) or () for key in (_CONSTRAINT_NAMES, _CONSTRAINTS))
    kept = dict(zip(names, before, strict=False))  # Optuna 5 lets none change
    found = {**kept, **{n: v for n, v in found.items() if n not in kept}}
    write = trial.storage.set_trial_system_attr
    write(trial._trial_id, _CONSTRAINT_NAMES, list(found))
    write(trial._trial_id, _CONSTRAINTS, list(found.values()))


def as_trial(trial: optuna.Trial) -> optuna.Trial:
    """Refuses what is no trial that runs, such as a study.

    Raises:
        TypeError: It cannot be asked for a parameter.
    """
    if not callable(getattr(trial, "suggest_categorical", None)):
        raise TypeError(f"`trial` must be a trial that runs, got {trial!r:.60}")
    return trial


def _as_numbers(values: Mapping[str, float]) -> dict[str, float]:
    """Constraint values as Python's floats: storages keep no others."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f'`values` must be a dictionary such as {{"size": size - 100}}, got {values!r:.60}'
        )
    try:
        found = {name: float(value.__float__()) for name, value in values.items()}
    except AttributeError:  # a text, for one
        numbers(**{f"values[{name!r}]": value for name, value in values.items()})
        raise
    if unknown := [name for name, value in found.items() if math.isnan(value)]:
        raise ValueError(f"`values[{unknown[0]!r}]` must be a number, got nan")
    return found
