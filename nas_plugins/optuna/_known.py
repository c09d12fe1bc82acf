"""What a study has tried: which configurations are known, and what an architecture is worth.

A configuration is an architecture and the *rest*: parameters such as a learning rate that are no
decisions of the space. The rest is written as a set of names with values in Optuna's internal
representation, numbers that hash and compare whatever the choices are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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


@dataclass
class _Group:
    """What the trials of one state and one rest have tried.

    Attributes:
        keys: Of their architectures.
        partial: Of those that have recorded a part of the decisions, by its positions.
    """

    keys: set[Key] = field(default_factory=set)
    partial: dict[tuple[int, ...], set[tuple[int, ...]]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Enters a trial."""
        architecture = record.trial.architecture
        self.keys.add(architecture.key)
        if record.asked is not None:
            chosen = tuple(architecture.indices[position] for position in record.asked)
            self.partial.setdefault(record.asked, set()).add(chosen)


class Records:
    """The records of a study's trials, entered one by one, so that nobody reads them all again.

    Another thread may enter records while they are read, which is why no loop here runs over a
    dictionary or a set that grows.

    Args:
        records: In order of the trials.
        before: Records of earlier trials, which are looked at too.
        queued: Keys of the architectures that wait to be evaluated.
    """

    def __init__(
        self,
        records: Iterable[Record] = (),
        before: Records | None = None,
        queued: frozenset[Key] = frozenset(),
    ) -> None:
        self._before = before
        self._queued = queued
        self._groups: dict[str, dict[Rest, _Group]] = {}
        self._names: tuple[frozenset[str], ...] = ()
        self._keys: dict[str, set[Key]] = {}
        self._unfinished: list[Record] = []
        self._tries: Counter[Key] = Counter()
        self.add(records)

    def add(self, records: Iterable[Record]) -> None:
        """Enters the records of later trials."""
        for record in records:
            group = self._groups.setdefault(record.state, {}).setdefault(record.rest, _Group())
            group.add(record)
            names = frozenset(name for name, _ in record.rest)
            if names not in self._names:
                self._names = (*self._names, names)
            self._keys.setdefault(record.state, set()).add(record.trial.architecture.key)
            self._tries[record.trial.architecture.key] += 1
            if record.state not in ("complete", "pruned"):
                self._unfinished.append(record)

    @property
    def _parts(self) -> list[Records]:
        return [self] if self._before is None else [*self._before._parts, self]

    @property
    def unfinished(self) -> list[Record]:
        """Those of trials without values, in order."""
        return [record for part in self._parts for record in part._unfinished]

    @property
    def has_rest(self) -> bool:
        """Whether any trial has other parameters than decisions."""
        return any(any(part._names) for part in self._parts)

    def queued(self, states: Set[str]) -> frozenset[Key]:
        """Keys of what waits to be evaluated, which is as good as running."""
        return self._queued if "running" in states else frozenset()

    def has(self, state: str) -> bool:
        """Whether any trial has begun and is in a state."""
        return any(state in part._groups for part in self._parts)

    def tried(self, key: Key) -> int:
        """How many trials an architecture has."""
        return sum(part._tries[key] for part in self._parts)

    def has_in(self, states: Set[str], key: Key) -> bool:
        """Whether a trial in one of the states has the architecture."""
        return any(
            key in part._keys[state]
            for part in self._parts
            for state in states
            if state in part._keys
        )

    def plain(self, states: Set[str]) -> bool:
        """Whether each trial's architecture is known, and it alone.

        Args:
            states: Those that count as seen.
        """
        groups = [(s, g) for part in self._parts for s, g in list(part._groups.items())]
        return not self.has_rest and all(
            state in states and not any(group.partial for group in list(found.values()))
            for state, found in groups
        )

    def within(self, rest: Rest, states: Set[str]) -> Iterator[_Group]:
        """What trials in the states have tried whose rest is part of this one."""
        for part in self._parts:
            parts = {frozenset(pair for pair in rest if pair[0] in n) for n in part._names}
            for state in [state for state in states if state in part._groups]:
                yield from (g for r in parts if (g := part._groups[state].get(r)) is not None)


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
    published = _attributes.read_json(trial.system_attrs, _REST)
    if not isinstance(published, dict):
        return found
    numbers = ((n, v) for n, v in published.items() if _attributes.is_number(v))
    return found | {(n, v) for n, v in numbers if n not in trial.params}


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
    given_up = {key for key, number in _interruptions(records).items() if number <= 0}
    groups = list(records.within(rest, states))
    again = _Group()
    for record in records.unfinished if given_up else ():
        if (
            record.interrupted
            and record.rest <= rest
            and record.trial.architecture.key in given_up
        ):
            again.add(record)
    groups.append(again)
    keys = records.queued(states).union(*(group.keys for group in groups))
    partial: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    if type(space).keys is SearchSpace.keys:  # else the space itself tells what is the same
        for group in groups:
            for positions, chosen in list(group.partial.items()):
                partial.setdefault(positions, set()).update(chosen)
    return Known(keys, space, partial) if partial else keys


def _interruptions(records: Records) -> dict[Key, int]:
    """Attempts that architectures have left which were interrupted so far."""
    if not records.has("interrupted"):
        return {}
    ended = Counter(r.trial.architecture.key for r in records.unfinished if r.interrupted)
    return {key: MAX_ATTEMPTS - number for key, number in ended.items()}


def interrupted(records: Records, states: Set[str]) -> list[Proposal]:
    """Architectures to evaluate at last, oldest first: all their trials were interrupted."""
    if "interrupted" in states or not records.has("interrupted"):
        return []
    others = set(STATES) - {"interrupted"}
    left = _interruptions(records)
    found = {
        r.trial.architecture.key: Proposal(r.trial.architecture, r.trial.notes)
        for r in records.unfinished
        if r.interrupted
    }
    return [p for key, p in found.items() if left[key] > 0 and not records.has_in(others, key)]


def unfinished(records: Records) -> list[Proposal]:
    """Architectures without values, to be repeated first when nothing new is left.

    Those that have failed come before those that may still run, of which each is worth another
    attempt too, as their process may be gone.
    """
    waiting = {r.trial.architecture.key: r for r in records.unfinished}
    running = {r.trial.architecture.key for r in records.unfinished if r.state == "running"}
    tries = {key: records.tried(key) for key in waiting}
    keys = [
        key
        for key in waiting
        if tries[key] < MAX_ATTEMPTS and not records.has_in({"complete", "pruned"}, key)
    ]
    keys.sort(key=lambda key: (key in running, tries[key]))
    return [Proposal(waiting[key].trial.architecture) for key in keys]


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
