"""What a study has tried: which configurations are known, and what an architecture is worth.

A configuration is an architecture and the *rest*: parameters such as a learning rate that are no
decisions of the space. The rest is written as a set of names with values in Optuna's internal
representation, numbers that hash and compare whatever the choices are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas_plugins import pareto
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.optuna import _attributes
from nas_plugins.sampling import Known
from nas_plugins.spaces.base import Key, SearchSpace

Rest: TypeAlias = frozenset[tuple[str, float]]

_REST = "rest"


@dataclass(frozen=True)
class Record:
    """A trial, and what beside its architecture tells whether a configuration is known.

    Attributes:
        trial: The trial as the history has it.
        rest: The parameters it has recorded that are no decisions.
        asked: Positions of the decisions that it has recorded, where it was sampled with more
            and ended: the others have no effect. ``None`` where all count.
    """

    trial: Trial
    rest: Rest = frozenset()
    asked: tuple[int, ...] | None = None

    @property
    def plain(self) -> bool:
        """Whether its architecture alone tells what is known."""
        return not self.rest and self.asked is None


def rest_of(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Rest:
    """The rest that parameters make; those that are unknown or cannot vary are left out."""
    return frozenset(
        (name, distributions[name].to_internal_repr(value))
        for name, value in params.items()
        if name in distributions and not distributions[name].single()
    )


def recorded_rest(trial: FrozenTrial, decisions: Set[str]) -> Rest:
    """The rest of a trial; of one that runs also what is still to be set, if it is published."""
    params = {name: value for name, value in trial.params.items() if name not in decisions}
    found = rest_of(params, trial.distributions)
    if trial.state.is_finished():
        return found
    text = _attributes.read(trial.system_attrs, _REST)
    published = json.loads(text) if text else {}
    return found | {(n, v) for n, v in published.items() if n not in trial.params}


def rest_entries(rest: Rest) -> Any:
    """The attributes that publish the rest of a running trial."""
    return _attributes.entries(_REST, json.dumps(dict(sorted(rest))))


def asked(trial: FrozenTrial, space: SearchSpace) -> tuple[int, ...] | None:
    """Positions of the decisions that a finished trial of ours has recorded, if not all."""
    if not trial.state.is_finished():
        return None
    attributes = trial.system_attrs
    if not (_attributes.read_choices(attributes) or _attributes.read_drawn(attributes)):
        return None
    found = tuple(i for i, d in enumerate(space.decisions) if d.name in trial.params)
    every = sum(len(d.choices) > 1 for d in space.decisions)
    return found if found and len(found) < every else None


def seen(records: Sequence[Record], rest: Rest, space: SearchSpace) -> Set[Key]:
    """Keys of the architectures that are known together with this rest.

    They are known if all that a trial has recorded is part of the configuration.
    """
    tried = [record for record in records if record.rest <= rest]
    keys = frozenset(record.trial.architecture.key for record in tried)
    partial: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    if type(space).keys is SearchSpace.keys:  # else the space itself tells what is the same
        for record in tried:
            if record.asked is not None:
                indices = record.trial.architecture.indices
                chosen = tuple(indices[position] for position in record.asked)
                partial.setdefault(record.asked, set()).add(chosen)
    return Known(keys, space, partial) if partial else keys


def best_values(history: History) -> History:
    """The history in which each architecture stands with the best values it had.

    Complete trials of an architecture that another of its trials is better than are left out;
    with several objectives those stay that no other dominates.
    """
    groups: dict[Key, list[int]] = {}
    for i, trial in enumerate(history.complete):
        groups.setdefault(trial.architecture.key, []).append(i)
    kept: set[int] = set()
    for group in groups.values():
        rows = np.array(group)
        if len(group) > 1:
            mask = pareto.constrained_front(history.losses[rows], history.violations[rows])
            rows = rows[mask]
        kept.update(rows[:1].tolist() if len(history.objectives) == 1 else rows.tolist())
    if len(kept) == len(history.complete):
        return history
    numbers = {history.complete[i].number for i in kept}
    return History(
        history.space,
        history.objectives,
        tuple(
            t for t in history.trials if t.state is not TrialState.COMPLETE or t.number in numbers
        ),
        history.fixed,
    )


__all__ = [
    "Record",
    "Rest",
    "asked",
    "best_values",
    "recorded_rest",
    "rest_entries",
    "rest_of",
    "seen",
]
