"""Optuna's own samplers on a space, for comparisons: one categorical parameter per decision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.reproduction.harness import Measure, Step
from nas_plugins.results import package_versions
from nas_plugins.spaces.base import Architecture, SearchSpace

_CLASSES: Mapping[str, Callable[..., BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
}
_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"nsga2": {"population_size": 20}}

STOCK = tuple(_CLASSES)
"""Names of the samplers."""


def stock_sampler(name: str, *, seed: int, **options: Any) -> BaseSampler:
    """Builds one of Optuna's samplers; NSGA-II has a population of 20 unless told otherwise.

    Raises:
        UnknownNameError: There is no such sampler; suggests the nearest.
    """
    if name not in _CLASSES:
        raise unknown_name("sampler", name, STOCK)
    return _CLASSES[name](**{**_DEFAULTS.get(name, {}), **options, "seed": seed})


def stock_versions() -> str:
    """What the outcome of a stock sampler depends on."""
    versions = package_versions()
    return " ".join(f"{name} {versions.get(name)}" for name in ("optuna", "numpy"))


def suggest_choices(trial: Trial, space: SearchSpace) -> Architecture | None:
    """One categorical parameter per decision; ``None`` where they are no architecture together."""
    choices = {d.name: trial.suggest_categorical(d.name, d.labels) for d in space.decisions}
    try:
        return space.architecture(choices)
    except InvalidArchitectureError:
        return None


def in_study(
    sampler: BaseSampler,
    suggest: Callable[[Trial], Architecture | None],
    objectives: Sequence[Objective],
    *,
    n_trials: int,
    measure: Measure,
) -> Iterator[Step]:
    """Runs a sampler in a study in memory.

    Args:
        sampler: The sampler.
        suggest: Reads an architecture from a trial.
        objectives: What it searches on.
        n_trials: Evaluations, failed ones and repetitions included.
        measure: Evaluates an architecture.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        directions = [_DIRECTIONS[objective.direction] for objective in objectives]
        study = optuna.create_study(sampler=sampler, directions=directions)
        for _ in range(n_trials):
            start = time.perf_counter()
            trial = study.ask()
            architecture = suggest(trial)
            seconds = time.perf_counter() - start
            values = tuple(measure(architecture) or ())
            start = time.perf_counter()
            if values:
                study.tell(trial, values)
            else:
                study.tell(trial, state=TrialState.FAIL)
            yield Step(architecture, values, seconds=seconds + time.perf_counter() - start)
    finally:
        optuna.logging.set_verbosity(verbosity)


def stock_search(
    name: str,
    options: Mapping[str, Any],
    space: SearchSpace,
    objectives: Sequence[Objective],
    *,
    n_trials: int,
    measure: Measure,
    seed: int,
) -> Iterator[Step]:
    """Runs one of Optuna's own samplers, by name."""
    sampler = stock_sampler(name, seed=seed, **options)
    return in_study(
        sampler,
        lambda trial: suggest_choices(trial, space),
        objectives,
        n_trials=n_trials,
        measure=measure,
    )
