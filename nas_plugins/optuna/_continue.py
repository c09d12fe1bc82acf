"""A study with another space, which keeps the trials of an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, create_trial

from nas_plugins._wording import count
from nas_plugins.errors import EngineError, InvalidArchitectureError, UsageError, unknown_name
from nas_plugins.optuna import _attributes, _study, compat, dimensions
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.spaces.base import Architecture, Choice, SearchSpace

_logger = compat.follow_optuna(logging.getLogger(__name__))


def continue_study(
    old: optuna.Study,
    *,
    space: SearchSpace | str | Mapping[str, Sequence[Choice] | BaseDistribution],
    defaults: Mapping[str, Choice] | None = None,
    sampler: BaseSampler | None = None,
    storage: str | BaseStorage | None = None,
    name: str | None = None,
) -> optuna.Study:
    """Goes on with a study in a space that has more choices, or more decisions.

    Optuna does not let the choices of a parameter change within a study. So the trials that have
    ended go into a new study with the same directions, and the old one stays as it is.

    >>> new = continue_study(
    ...     old, space={"width": [8, 16, 32, 64], "kernel": [3, 5]}, defaults={"kernel": 3}
    ... )  # doctest: +SKIP

    Args:
        old: The earlier study. Trials of it that wait or run are left out, and, with a warning,
            those that are no architecture of the new space.
        space: The space from now on, its registered name or a dictionary of choices.
        defaults: What earlier trials had of the decisions that are new, by their names.
        sampler: Of the new study. If ``None``, that of the old one, over the new space.
        storage: Optuna's storage or its URL. If ``None``, that of the old study.
        name: Name of the new study. If ``None``, that of the old one and ``-continued``.

    Raises:
        EngineError: There is a study of the new name.
        UsageError: A default is not one of its decision's choices.
        UnknownNameError: A default is for a decision that the space does not have.
        TypeError: ``old`` is no study, or ``defaults`` no dictionary.
    """
    if not isinstance(old, optuna.Study):
        raise TypeError(f"`old` must be a study, as `optuna.load_study` gives it, got {old!r}")
    space = dimensions.check(dimensions.as_space(space))
    given = _checked(space, {} if defaults is None else defaults)
    found = [_moved(trial, space, given) for trial in old.get_trials(deepcopy=False)]
    if sampler is None:
        sampler = old.sampler
        if isinstance(sampler, StrategySampler):
            sampler = sampler.over(space)
    new = _begun(old, storage, name or f"{old.study_name}-continued", sampler)
    _study.copy_record(old, new, space)
    lost = 0
    for trial, before in zip(found, old.get_trials(deepcopy=False), strict=True):
        if trial is not None:
            new.add_trial(trial)
        lost += trial is None and before.state.is_finished()
    if lost:
        _logger.warning(
            "%s of study %r left out: no architecture of %r, even with `defaults`.",
            count(lost, "trial"),
            old.study_name,
            space,
        )
    return new


def _checked(space: SearchSpace, defaults: Mapping[str, Choice]) -> dict[str, Choice]:
    if not isinstance(defaults, Mapping):
        raise TypeError(
            f'`defaults` must be a dictionary such as {{"kernel": 3}}, got {defaults!r}'
        )
    decisions = {decision.name: decision for decision in space.decisions}
    for name, choice in defaults.items():
        if name not in decisions:
            raise unknown_name("decision", name, decisions)
        try:
            decisions[name].index(choice)
        except InvalidArchitectureError as error:
            raise UsageError(f"`defaults` must name choices of the space: {error}") from error
    return dict(defaults)


def _begun(
    old: optuna.Study, storage: str | BaseStorage | None, name: str, sampler: BaseSampler
) -> optuna.Study:
    try:
        new = optuna.create_study(
            storage=compat.study_key(old)[0] if storage is None else storage,
            study_name=name,
            directions=old.directions,
            sampler=sampler,
            pruner=old.pruner,
        )
    except optuna.exceptions.DuplicatedStudyError as error:
        raise EngineError(
            f"study {name!r} exists already; load it to go on with it, or choose another `name`"
        ) from error
    return new


def _moved(
    trial: FrozenTrial, space: SearchSpace, defaults: Mapping[str, Choice]
) -> FrozenTrial | None:
    """A trial as one of the new space; ``None`` where it is none, or has not ended."""
    if not trial.state.is_finished():
        return None
    published = _attributes.read_choices(trial.system_attrs)
    single = {d.name: d.choices[0] for d in space.decisions if len(d.choices) == 1}
    chosen = {**single, **defaults, **published, **trial.params}
    try:
        architecture = space.architecture({d.name: chosen[d.name] for d in space.decisions})
    except (KeyError, InvalidArchitectureError):
        return None
    params, distributions = dict(trial.params), dict(trial.distributions)
    for name in defaults.keys() | trial.params.keys():
        if name in architecture.choices and not (name in published and name not in params):
            params[name], distributions[name] = _parameter(trial, architecture, name)
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=params,
        distributions=distributions,
        user_attrs=trial.user_attrs,
        system_attrs=_attributes.with_choices(trial.system_attrs, architecture.labels),
        intermediate_values=trial.intermediate_values,
    )


def _parameter(
    trial: FrozenTrial, architecture: Architecture, name: str
) -> tuple[Any, BaseDistribution]:
    """What a decision is as a parameter: of the kind that it was before, with all choices."""
    at = [decision.name for decision in architecture.space.decisions].index(name)
    decision, index = architecture.space.decisions[at], architecture.indices[at]
    before = trial.distributions.get(name)
    if isinstance(before, CategoricalDistribution):
        written = all(dimensions.is_its_label(choice) for choice in before.choices)
        offered = decision.labels if written else decision.choices
        return offered[index], CategoricalDistribution(offered)
    if before is not None:
        return trial.params[name], before  # Optuna lets the bounds of a range change
    distribution = dimensions.asked_as(decision)
    return dimensions.value(distribution, decision, index), distribution
