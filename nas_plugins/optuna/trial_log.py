"""From Optuna's trials to a `History`, kept up to date at the cost of what is new."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.optuna import _attributes, compat
from nas_plugins.optuna._known import Record, Records, asked, recorded_rest
from nas_plugins.spaces.base import Architecture, Choice, Decision, Key, SearchSpace

_logger = compat.follow_optuna(logging.getLogger(__name__))

REASON = f"{_attributes.PREFIX}reason"
"""User attribute of a failed or pruned trial: one sentence that tells why."""

_STATES = {
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.FAIL: TrialState.FAILED,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.RUNNING: TrialState.RUNNING,
    # An enqueued trial is as good as running: its architecture will be evaluated.
    OptunaState.WAITING: TrialState.RUNNING,
}
_MAX_TAIL = 512


def architecture_of(
    trial: FrozenTrial, space: SearchSpace, *, inactive: bool = False
) -> Architecture | None:
    """The architecture that a trial evaluates.

    Its parameters decide. Decisions among them that are not set (yet) are taken from the
    enqueued parameters, then from the choices published when the trial was sampled, unless
    these contradict the parameters. An objective that uses a part of the decisions only thus
    still leaves a history. One that has asked for none of them, by other names perhaps, does not.

    Args:
        trial: The trial.
        space: The space.
        inactive: Whether decisions of which nothing is known have had no effect, as the space
            follows from all trials together. They are written as their first choice.

    Returns:
        ``None`` where decisions remain open or the choices are not an architecture.
    """
    params = trial.params
    try:
        chosen = {d.name: params[d.name] for d in space.decisions}
    except KeyError:
        if trial.state.is_finished() and not _evaluates(trial, space):
            return None
        chosen = _chosen(trial, space)
        if inactive and (
            trial.state.is_finished() or _attributes.read_choices(trial.system_attrs)
        ):
            known = any(d.name in chosen for d in space.decisions)
            chosen = {**{d.name: d.choices[0] for d in space.decisions}, **chosen} if known else {}
    try:
        return Architecture(space, tuple(d.index(chosen[d.name]) for d in space.decisions))
    except (KeyError, InvalidArchitectureError):
        return None


def _evaluates(trial: FrozenTrial, space: SearchSpace) -> bool:
    """Whether a finished trial has asked for any decision, if there is one to ask for."""
    open_ = [d.name for d in space.decisions if len(d.choices) > 1]
    return not open_ or any(name in trial.params for name in open_)


def _chosen(trial: FrozenTrial, space: SearchSpace) -> dict[str, Choice]:
    given = {**compat.enqueued_params(trial), **trial.params}
    published = _attributes.read_choices(trial.system_attrs)
    decisions = {d.name: d for d in space.decisions if d.name in given and d.name in published}
    if any(_at(d, published[name]) != _at(d, given[name]) for name, d in decisions.items()):
        published = {}
    single = {d.name: d.choices[0] for d in space.decisions if len(d.choices) == 1}
    return {**single, **published, **given}


def _at(decision: Decision, choice: Choice) -> int | None:
    try:
        return decision.index(choice)
    except InvalidArchitectureError:
        return None


def convert(trial: FrozenTrial, space: SearchSpace, *, inactive: bool = False) -> Trial | None:
    """The trial as a value, or ``None`` where it has no architecture of the space.

    Raises:
        ValueError: The storage holds something else than numbers as its constraints.
    """
    architecture = architecture_of(trial, space, inactive=inactive)
    if architecture is None:
        return None
    complete = trial.state == OptunaState.COMPLETE
    return Trial(
        number=trial.number,
        architecture=architecture,
        state=_STATES[trial.state],
        values=tuple(trial.values) if complete else (),
        constraints=FrozenDict(compat.constraints(trial)),
        notes=FrozenDict(_attributes.read_notes(trial.system_attrs)),
    )


class TrialLog:
    """The trials of one study, converted once each.

    Finished trials never change. Those that precede every unfinished trial form a base whose
    derived properties are extended rather than computed anew. Trials that hang unfinished far
    behind the others (a worker that was killed) join the base too, and are watched.

    Args:
        space: What the trials' parameters are read as.
        objectives: The study's objectives.
        inactive: As in `architecture_of`.
    """

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, inactive: bool = False
    ) -> None:
        self._inactive = inactive
        self._empty = History(space, tuple(objectives))
        self._decisions = frozenset(decision.name for decision in space.decisions)
        self._told: set[int] = set()
        self._converted: dict[int, _Reading] = {}
        self._queue = _Queue()
        self._reset()

    @property
    def space(self) -> SearchSpace:
        """What the trials' parameters are read as."""
        return self._empty.space

    def _reset(self) -> None:
        self._base = self._empty
        self._records = Records()
        self._settled = 0
        self._hanging: dict[int, tuple[bool, Record | None]] = {}

    def history(self, trials: Sequence[FrozenTrial], *, exclude: int | None = None) -> History:
        """The trials as a history, those that wait in the queue among them.

        Args:
            trials: All trials of the study, in order of number.
            exclude: Number of the trial that is being sampled.
        """
        known = self.look(trials, exclude=exclude)[0]
        records = [self._record(t) for t in compat.apart(trials)[1] if t.number != exclude]
        queued = [record.trial for record in records if record is not None]
        if not queued:
            return known
        every = sorted((*known.trials, *queued), key=attrgetter("number"))
        return History(known.space, known.objectives, tuple(every))

    def look(
        self, trials: Sequence[FrozenTrial], *, exclude: int | None = None
    ) -> tuple[History, Records]:
        """The trials that have begun, and their records, to be read before the next call.

        Of those that wait in the queue the records have the keys alone: nobody is to read a
        long queue again for every trial that is taken from it.
        """
        self._check(trials)
        if len(trials) < self._settled or (exclude is not None and exclude < self._settled):
            # A view older than the base (of another thread), or a trial asked for long ago.
            base, settled, (tail, queue) = self._empty, None, compat.apart(trials)
            hanging = frozenset[Key]()
        else:
            self._settle(trials, exclude)
            base, settled = self._base, self._records
            tail, queue = compat.apart(trials[self._settled :])
            hanging = _keys(record for waits, record in self._hanging.values() if waits)
        found = [self._record(trial) for trial in tail if trial.number != exclude]
        rest = [record for record in found if record is not None]
        self._queue = self._queue.moved_to(queue, self._record)
        queued = self._queue.keys | hanging
        return base.extend(record.trial for record in rest), Records(rest, settled, queued)

    def _check(self, trials: Sequence[FrozenTrial]) -> None:
        """Starts over where a trial that hung has moved on."""
        hanging = [(trials[i], known) for i, known in self._hanging.items() if i < len(trials)]
        if any((_waits(trial), self._record(trial)) != known for trial, known in hanging):
            self._reset()

    def _settle(self, trials: Sequence[FrozenTrial], exclude: int | None) -> None:
        """Moves trials from the tail into the base.

        A queue does not hang, however long it is: what counts is how many trials behind one
        have begun.
        """
        begun = compat.apart(trials[self._settled :])[0]
        first = len(begun) - _MAX_TAIL
        forced = 0 if first < 0 else begun[first].number if begun[first:] else len(trials)
        settled: list[Record] = []
        position = self._settled
        # Numbers may have gaps for a moment, while other workers create trials.
        while position < len(trials) and trials[position].number == position != exclude:
            trial = trials[position]
            finished = trial.state.is_finished()
            if not finished and position >= forced:
                break
            record = self._record(trial)
            if finished:
                self._converted.pop(position, None)
            else:
                self._hanging[position] = _waits(trial), record
            if record is not None and not _waits(trial):
                settled.append(record)
            position += 1
        self._settled = position
        if settled:
            self._records.add(settled)
            self._base = self._base.extend(record.trial for record in settled).derived()

    def _record(self, trial: FrozenTrial) -> Record | None:
        """What a trial says, read once, and again when it has changed."""
        known = self._converted.get(trial.number)
        if known is None or not known.is_of(trial):
            known = _Reading(trial, _content(trial), self._read(trial))
            self._converted[trial.number] = known
        return known.record

    def _read(self, trial: FrozenTrial) -> Record | None:
        try:
            converted = convert(trial, self.space, inactive=self._inactive)
        except ValueError as error:
            if trial.number not in self._told:
                self._told.add(trial.number)
                _logger.warning("Trial#%d is left out: %s", trial.number, error)
            return None
        if converted is None:
            return None
        return Record(
            converted,
            rest=recorded_rest(trial, self._decisions),
            asked=asked(trial, self.space),
            interrupted=trial.state == OptunaState.FAIL
            and _attributes.interrupted(trial.system_attrs),
        )


@dataclass(frozen=True)
class _Reading:
    """What a trial said when it was read.

    Attributes:
        trial: As the storage had it; whoever runs it may have changed the object since.
        content: What it held then.
        record: What it said.
    """

    trial: FrozenTrial
    content: tuple[Any, ...]
    record: Record | None

    def is_of(self, trial: FrozenTrial) -> bool:
        """Whether a trial is what it was. Some storages make a new object at every look."""
        return self.trial is trial or self.content == _content(trial)


def _content(trial: FrozenTrial) -> tuple[Any, ...]:
    """All that counts of a trial, which of a finished one is no more than that it has ended."""
    if trial.state.is_finished():
        return (True,)
    return trial.state, dict(trial.params), dict(trial.system_attrs)


@dataclass(frozen=True)
class _Queue:
    """The trials that wait, and the keys of their architectures.

    Attributes:
        trials: In order.
        each: Their keys, in sets; an empty one for a trial that leaves decisions open.
    """

    trials: list[FrozenTrial] = field(default_factory=list)
    each: list[frozenset[Key]] = field(default_factory=list)

    @cached_property
    def keys(self) -> frozenset[Key]:
        """All of them."""
        return frozenset[Key]().union(*self.each)

    def moved_to(
        self, trials: list[FrozenTrial], record: Callable[[FrozenTrial], Record | None]
    ) -> _Queue:
        """The queue as it is now; nothing is read where it has lost its first trials only."""
        gone = len(self.trials) - len(trials)
        if gone >= 0 and self.trials[gone:] == trials:
            return self if not gone else _Queue(trials, self.each[gone:])
        return _Queue(trials, [_keys([record(trial)]) for trial in trials])


def _waits(trial: FrozenTrial) -> bool:
    return trial.state is OptunaState.WAITING


def _keys(records: Iterable[Record | None]) -> frozenset[Key]:
    return frozenset(record.trial.architecture.key for record in records if record is not None)


def objectives_in(directions: Sequence[str], names: Sequence[str] | None) -> tuple[Objective, ...]:
    """Objectives of a study: named where the study has usable metric names."""
    if names is None or not len(names) == len({*names, ""}) - 1 == len(directions):
        numbered = [f"value_{i}" for i in range(len(directions))]
        names = numbered if len(numbered) > 1 else ["value"]
    return tuple(Objective(n, d) for n, d in zip(names, directions, strict=True))


def restrict(params: Mapping[str, Any], space: SearchSpace) -> dict[str, Choice]:
    """Those of the parameters that are decisions of the space and take one of its choices."""
    kept: dict[str, Choice] = {}
    for decision in space.decisions:
        if decision.name in params:
            try:
                kept[decision.name] = decision.choices[decision.index(params[decision.name])]
            except InvalidArchitectureError:
                continue
    return kept
