"""Studies that know what they search, and the history of any study."""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage

from nas_plugins._secrets import without_secrets
from nas_plugins.errors import EngineError, NasPluginsError
from nas_plugins.history import History, Objective, objectives_of
from nas_plugins.optuna import _attributes, compat, dimensions
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.optuna.trial_log import TrialLog, objectives_in
from nas_plugins.protocols import Strategy
from nas_plugins.results import package_versions
from nas_plugins.spaces.base import Choice, SearchSpace, space_from_json

_SPACE, _OBJECTIVES, _STRATEGY = "space", "objectives", "strategy"
_SEED, _SETTINGS, _VERSIONS = "seed", "settings", "versions"


def create_study(
    space: SearchSpace | str | Mapping[str, Sequence[Choice]],
    objectives: Sequence[Objective | str],
    *,
    strategy: Strategy | str | BaseSampler,
    seed: int | None = None,
    storage: str | BaseStorage | None = None,
    name: str | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    pruner: BasePruner | None = None,
) -> optuna.Study:
    """Creates or resumes a study whose sampler is a strategy.

    Directions and metric names follow from the objectives. What a report needs is kept in user
    attributes ``nas_plugins:...`` of the study, written once: `settings` of the study tells it.

    Args:
        space: The space to search, its registered name or a dictionary of choices.
        objectives: As `Objective` or text such as ``"val_accuracy:max"``.
        strategy: A strategy, the name of one, or any Optuna sampler, which is used as it is.
        seed: Seed of the strategy. If ``None``, a resumed study keeps its seed and a new one
            draws it.
        storage: Optuna's storage or its URL; in memory if ``None``.
        name: Name of the study.
        resume: Whether to go on with a study of this name if there is one.
        settings: Further values to keep, e.g. the benchmark's name; plain JSON.
        pruner: Ends trials whose evaluator reports; Optuna's default, the median of earlier
            trials, if ``None``.

    Raises:
        EngineError: The study exists and `resume` is false, or it searches something else.
    """
    wanted = objectives_of(objectives)
    space = dimensions.as_space(space)
    study = _opened(storage, name, wanted, resume=resume, pruner=pruner)
    recorded: dict[str, Any] = {
        _SPACE: space.to_json(),
        _OBJECTIVES: [str(objective) for objective in wanted],
    }
    _check(study, wanted, recorded)
    if seed is None:
        seed = study_settings(study).get(_SEED)
    if seed is None:
        seed = secrets.randbits(32)
    _name_metrics(study, wanted)
    recorded |= {
        _STRATEGY: _described(strategy),
        _SEED: seed,
        _SETTINGS: dict(settings or {}),
        _VERSIONS: dict(package_versions()),
    }
    _record(study, recorded)
    if isinstance(strategy, BaseSampler):
        study.sampler = strategy
    else:
        study.sampler = StrategySampler(strategy, space=space, seed=seed)
    return study


def _opened(
    storage: str | BaseStorage | None,
    name: str | None,
    objectives: Sequence[Objective],
    *,
    resume: bool,
    pruner: BasePruner | None,
) -> optuna.Study:
    try:
        return optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=resume,
            directions=["minimize" if o.direction == "min" else "maximize" for o in objectives],
            pruner=pruner,
        )
    except optuna.exceptions.DuplicatedStudyError as error:
        raise EngineError(
            f"study {name!r} exists already; resume it or choose another `name`"
        ) from error


def _name_metrics(study: optuna.Study, objectives: Sequence[Objective]) -> None:
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([objective.name for objective in objectives])


def history(
    study: optuna.Study,
    *,
    space: SearchSpace | str | Mapping[str, Sequence[Choice]] | None = None,
    objectives: Sequence[Objective | str] | None = None,
) -> History:
    """Returns the history of any study.

    Trials that are no architecture of the space, as far as they have run, are left out.

    Args:
        study: The study.
        space: What its parameters are read as. If ``None``, what `create_study` has recorded,
            otherwise the space of the categorical parameters of its trials.
        objectives: Names and directions. If ``None``, what `create_study` has recorded,
            otherwise the study's metric names and directions.

    Raises:
        EngineError: No space is given or recorded and no parameter is categorical, or the
            objectives contradict the directions of the study.
    """
    trials = compat.all_trials(study, fresh=True)
    found_space = _recorded_space(study) if space is None else dimensions.as_space(space)
    inactive = found_space is None
    if found_space is None:
        found_space = dimensions.space_of(dimensions.Parameters().of(trials))
    if found_space is None:
        raise EngineError(
            f"the trials of study {study.study_name!r} have no categorical parameter; pass `space`"
        )
    known = objectives if objectives is not None else _recorded(study, _OBJECTIVES)
    if objectives is None and not (isinstance(known, list) and _are_texts(known)):
        known = None
    directions = compat.directions(study)
    if known is None:
        found = objectives_in(directions, compat.metric_names(study))
    else:
        found = objectives_of(known)
        _check_directions(study, found)
    return TrialLog(found_space, found, inactive=inactive).history(trials)


def study_settings(study: optuna.Study) -> dict[str, Any]:
    """What `create_study` has recorded besides space and objectives, as JSON values.

    Keys: ``strategy``, ``seed``, ``settings``, ``versions``; absent where not recorded.
    """
    kinds = {_STRATEGY: str, _SEED: int, _SETTINGS: dict, _VERSIONS: dict}
    found = {key: _recorded(study, key) for key in kinds}
    return {key: value for key, value in found.items() if isinstance(value, kinds[key])}


def _described(strategy: Strategy | str | BaseSampler) -> str:
    if isinstance(strategy, BaseSampler):
        return type(strategy).__name__  # its representation would tell an address only
    return strategy if isinstance(strategy, str) else repr(strategy)


def _check(
    study: optuna.Study, objectives: Sequence[Objective], expected: Mapping[str, Any]
) -> None:
    """Raises where a resumed study searches something else."""
    _check_directions(study, objectives)
    for key, value in expected.items():
        found, wanted = _recorded(study, key), json.loads(json.dumps(value))
        if found is not None and found != wanted:
            other = "" if key != _SPACE else ", go on in another space with `continue_study`,"
            raise EngineError(
                f"study {study.study_name!r} {_difference(f'`{key}`', found, wanted)}; resume it "
                f"with the same{other} or choose another name"
            )


def _check_directions(study: optuna.Study, objectives: Sequence[Objective]) -> None:
    directions = compat.directions(study)
    if [objective.direction for objective in objectives] != directions:
        raise EngineError(
            f"study {study.study_name!r} has the directions {directions}, "
            f"not those of `objectives` {[str(objective) for objective in objectives]}"
        )


def _record(study: optuna.Study, values: Mapping[str, Any]) -> None:
    """Writes what is not there yet."""
    present = study.user_attrs
    for key, value in values.items():
        if _attributes.read(present, key) is None:
            text = without_secrets(json.dumps(value))
            for entry, content in _attributes.entries(key, text):
                study.set_user_attr(entry, content)


def _recorded(study: optuna.Study, key: str) -> Any:
    return _attributes.read_json(study.user_attrs, key)


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _recorded_space(study: optuna.Study) -> SearchSpace | None:
    data = _recorded(study, _SPACE)
    try:
        return None if data is None else space_from_json(data)
    except (NasPluginsError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise EngineError(
            f"study {study.study_name!r} searches a space that cannot be built here: {error}; "
            "pass `space`"
        ) from error


def copy_record(old: optuna.Study, new: optuna.Study, space: SearchSpace) -> None:
    """Tells a study what is known of the one that it continues, but for the space."""
    for key, value in old.user_attrs.items():
        if not _attributes.belongs_to(key, _SPACE):
            new.set_user_attr(key, value)
    if old.metric_names is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            new.set_metric_names(old.metric_names)
    if _recorded(old, _SPACE) is not None:
        _record(new, {_SPACE: space.to_json()})


def _difference(where: str, found: Any, value: Any) -> str:
    """What differs between JSON values, told of the first part of them that does."""
    if isinstance(found, dict) and isinstance(value, dict):
        for key in {**found, **value}:
            if key not in value:
                return f"has {key!r} in {where}, which is missing now"
            if key not in found:
                return f"has no {key!r} in {where}"
            if found[key] != value[key]:
                return _difference(f"{where} {key!r}", found[key], value[key])
    return f"has {where} {_short(found)}, not {_short(value)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
