"""Decisions that are drawn one by one, as no trial has told the space yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.optuna import _attributes, compat, dimensions
from nas_plugins.optuna._configuration import MAX_CLAIMS
from nas_plugins.spaces.base import Decision, SearchSpace

_MAX_COMPANIONS = 256


def handed_out(
    study: Study,
    trial: FrozenTrial,
    space: Callable[[], SearchSpace | None],
    name: str,
    distribution: BaseDistribution,
) -> list[Any]:
    """The choice that was made jointly for a decision which Optuna was not told of, if any.

    Args:
        study: The study.
        trial: The trial that is sampled.
        space: Tells the space of its architecture, as far as that is known.
        name: Of the parameter.
        distribution: Of the parameter.
    """
    published = _attributes.read_choices(compat.attributes(study, trial))
    if name not in published:
        return []
    known = space()
    decision = next((d for d in known.decisions if d.name == name), None) if known else None
    if decision is None:
        return []
    try:
        return [dimensions.value(distribution, decision, decision.index(published[name]))]
    except InvalidArchitectureError:
        return []


def draw_apart(
    study: Study,
    trial: FrozenTrial,
    name: str,
    distribution: BaseDistribution,
    rng: np.random.Generator,
) -> Any:
    """Draws a decision that is not in the space yet, away from what other trials have.

    Trials that begin before any other has told its parameters draw them one by one. Of the
    choices those are taken that the fewest trials have together with what is set already;
    each draw is published, and drawn again if another worker has come to the same.
    """
    decision = dimensions.decision_of(name, distribution)
    assert decision is not None
    n = len(decision.choices)
    drawn = _attributes.read_drawn(compat.attributes(study, trial))
    for _ in range(MAX_CLAIMS):
        counts = _companions(study, trial, decision)
        fewest = [i for i, count in enumerate(counts) if count == min(counts)]
        if len(fewest) == n:
            index = decision.index(dimensions.draw(distribution, rng))
        else:
            index = fewest[rng.integers(len(fewest))]
        compat.write_attributes(study, trial, _attributes.drawn_entries({**drawn, name: index}))
        if _companions(study, trial, decision)[index] <= counts[index]:
            break
    return dimensions.value(distribution, decision, index)


def _companions(study: Study, trial: FrozenTrial, decision: Decision) -> list[int]:
    """How many other trials have each choice together with all that this one has set."""
    own = {
        key: known
        for key, dist in trial.distributions.items()
        if (known := dimensions.decision_of(key, dist)) is not None
    }
    wanted = {key: known.index(trial.params[key]) for key, known in own.items()}
    counts = [0] * len(decision.choices)
    for other in compat.all_trials(study, fresh=True)[-_MAX_COMPANIONS:]:
        if other.number == trial.number:
            continue
        drawn = _attributes.read_drawn(other.system_attrs)
        told = {**_attributes.read_choices(other.system_attrs), **other.params}
        index = _held(decision, told, drawn)
        if index is not None:
            counts[index] += all(
                _held(known, told, drawn) == wanted[key] for key, known in own.items()
            )
    return counts


def _held(decision: Decision, told: Mapping[str, Any], drawn: Mapping[str, int]) -> int | None:
    """The position of the choice that a trial has of a decision, as far as it is known."""
    if decision.name not in told:
        index = drawn.get(decision.name, -1)
        return index if 0 <= index < len(decision.choices) else None
    try:
        return decision.index(told[decision.name])
    except InvalidArchitectureError:
        return None
