"""What a study has tried: which configurations are known, and what an architecture is worth.

A configuration is an architecture and the *rest*: parameters such as a learning rate that are no
decisions of the space. The rest is written as a set of names with values in Optuna's internal
representation, numbers that hash and compare whatever the choices are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas_plugins.history import History, Proposal, Trial, TrialState
from nas_plugins.optuna import _attributes
from nas_plugins.sampling import Known
from nas_plugins.spaces.base import Key, SearchSpace

Rest: TypeAlias = frozenset[tuple[str, float]]

STATES = ("complete", "pruned", "failed", "interrupted", "running")
"""States of a trial: as in `TrialState`, and failed by itself or interrupted."""

MAX_ATTEMPTS = 3
"""So many trials of an architecture may fail or be interrupted before it is given up."""

_REST = "rest"


@dataclass(frozen=True)
class Record:
    """A trial, and what beside its architecture tells whether a configuration is known.

    Attributes:
        trial: The trial as the history has it.
        rest: The parameters it has recorded that are no decisions.
        asked: Positions of the decisions that it has recorded, where it was sampled with more
            and ended: the others have no effect. ``None`` where all count.
        interrupted: Whether it has failed without a failure of its own.
    """

    trial: Trial
    rest: Rest = frozenset()
    asked: tuple[int, ...] | None = None
    interrupted: bool = False

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return "interrupted" if self.interrupted else self.trial.state.value

    @property
    def kind(self) -> Kind:
        """What it tells apart from its architecture."""
        return Kind(self.state, bool(self.rest), self.asked is not None)


class Kind(NamedTuple):
    """What records may have in common.

    Attributes:
        state: One of `STATES`.
        has_rest: Whether they have other parameters than decisions.
        is_partial: Whether they have recorded a part of the decisions.
    """

    state: str
    has_rest: bool
    is_partial: bool


class Records(list[Record]):
    """The records of a study's trials, and the kinds there are among them.

    Args:
        records: In order of the trials.
        kinds: Of the records; kept by who knows, as a long study is not read for every trial.
    """

    def __init__(self, records: Iterable[Record], kinds: Set[Kind]) -> None:
        super().__init__(records)
        self.kinds = kinds

    @property
    def has_rest(self) -> bool:
        """Whether any trial has other parameters than decisions."""
        return any(kind.has_rest for kind in self.kinds)

    def has(self, state: str) -> bool:
        """Whether any trial is in a state."""
        return any(kind.state == state for kind in self.kinds)

    def plain(self, states: Set[str]) -> bool:
        """Whether each trial's architecture is known, and it alone.

        Args:
            states: Those that count as seen.
        """
        return not self.has_rest and all(
            kind.state in states and not kind.is_partial for kind in self.kinds
        )


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


def seen(records: Records, rest: Rest, space: SearchSpace, states: Set[str]) -> Set[Key]:
    """Keys of the architectures that are known together with this rest.

    They are known if all that a trial in one of the states has recorded is part of the
    configuration, or if they have been interrupted again and again.
    """
    given_up = {key for key, number in _endings(records, {"interrupted"}).items() if number <= 0}
    tried = [
        record
        for record in records
        if record.rest <= rest
        and (record.state in states or record.trial.architecture.key in given_up)
    ]
    keys = frozenset(record.trial.architecture.key for record in tried)
    partial: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    if type(space).keys is SearchSpace.keys:  # else the space itself tells what is the same
        for record in tried:
            if record.asked is not None:
                indices = record.trial.architecture.indices
                chosen = tuple(indices[position] for position in record.asked)
                partial.setdefault(record.asked, set()).add(chosen)
    return Known(keys, space, partial) if partial else keys


def _endings(records: Records, states: Set[str]) -> dict[Key, int]:
    """Attempts that architectures have left which ended in these states so far."""
    ended = Counter(r.trial.architecture.key for r in records if r.state in states)
    return {key: MAX_ATTEMPTS - number for key, number in ended.items()}


def interrupted(records: Records, states: Set[str]) -> list[Proposal]:
    """Architectures to evaluate at last, oldest first: all their trials were interrupted."""
    if "interrupted" in states or not records.has("interrupted"):
        return []
    others = {r.trial.architecture.key for r in records if not r.interrupted}
    left = _endings(records, {"interrupted"})
    found = {
        r.trial.architecture.key: Proposal(r.trial.architecture, r.trial.notes)
        for r in records
        if r.interrupted
    }
    return [p for key, p in found.items() if key not in others and left[key] > 0]


def unfinished(records: Records) -> list[Proposal]:
    """Architectures without values, to be repeated first when nothing new is left.

    Those that have failed come before those that may still run, of which each is worth another
    attempt too, as their process may be gone.
    """
    done = {r.trial.architecture.key for r in records if r.state in ("complete", "pruned")}
    tries = Counter(r.trial.architecture.key for r in records)
    running = {r.trial.architecture.key for r in records if r.state == "running"}
    open_ = {
        r.trial.architecture.key: Proposal(r.trial.architecture)
        for r in records
        if r.trial.architecture.key not in done
    }
    keys = [key for key in open_ if tries[key] < MAX_ATTEMPTS]
    return [open_[key] for key in sorted(keys, key=lambda key: (key in running, tries[key]))]


@dataclass(frozen=True)
class _Best:
    """The history that `best_values` returns, carried on as trials come.

    Attributes:
        history: Of the trials so far.
        groups: The complete ones that are kept of each architecture.
    """

    history: History
    groups: Mapping[Key, tuple[Trial, ...]]

    def grown(self, trials: Sequence[Trial]) -> _Best:
        """What follows when these trials come next."""
        single = len(self.history.objectives) == 1
        changed: dict[Key, tuple[Trial, ...]] = {}
        for trial in trials:
            if trial.state is not TrialState.COMPLETE:
                continue
            key = trial.architecture.key
            group = (*changed.get(key, self.groups.get(key, ())), trial)
            if len(group) > 1:
                front = History(self.history.space, self.history.objectives, group).front
                group = front[:1] if single else front
            changed[key] = group
        kept = {trial.number for group in changed.values() for trial in group}
        before = {t.number for key in changed for t in self.groups.get(key, ())}
        new = [t for t in trials if t.state is not TrialState.COMPLETE or t.number in kept]
        history, gone = self.history, before - kept
        if gone:  # seldom: an architecture is better than it ever was
            left = tuple(t for t in history.trials if t.number not in gone)
            history = History(history.space, history.objectives, left)
        return _Best(history.extend(new).derived(), {**self.groups, **changed})


def best_values(history: History) -> History:
    """The history in which each architecture stands with the best values it had.

    Complete trials of an architecture that another of its trials is better than are left out;
    with several objectives those stay that no other dominates.
    """
    empty = _Best(History(history.space, history.objectives), {})
    return history.growing(_Best, lambda: empty).history.fixing(history.fixed)
