"""What a search has seen so far: objectives, trials and their history, as values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins._frozen import FrozenDict
from nas_plugins.spaces.base import Architecture, Choice, Key, SearchSpace, space_from_json

DIRECTIONS = ("min", "max")

_MAX_GROWN = 8
REASON_NOTE = "reason"
"""Name of the note on a failed trial: one sentence that tells why."""


@dataclass(frozen=True)
class Objective:
    """A metric to minimise or maximise; written ``name:min`` or ``name:max``.

    Attributes:
        name: Name of the metric, as evaluators return it.
        direction: ``"min"`` or ``"max"``.
    """

    name: str
    direction: str = "max"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("`name` of an objective must not be empty")
        if self.direction not in DIRECTIONS:
            raise ValueError(f"`direction` must be 'min' or 'max', got {self.direction!r}")

    def __str__(self) -> str:
        return f"{self.name}:{self.direction}"

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Reads ``name:min`` or ``name:max``."""
        name, separator, direction = text.rpartition(":")
        if not separator:
            raise ValueError(f"`objective` must be written name:min or name:max, got {text!r}")
        return cls(name, direction)

    @property
    def sign(self) -> float:
        """Factor that turns a value into a loss: 1 for min, -1 for max."""
        return 1.0 if self.direction == "min" else -1.0


class TrialState(str, Enum):
    """State of a trial. Only `COMPLETE` trials have values."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    PRUNED = "pruned"


@dataclass(frozen=True)
class Trial:
    """One evaluated, running or failed architecture.

    Attributes:
        number: Position in the study, from 0.
        architecture: What is evaluated.
        state: `TrialState`.
        values: One value per objective in the history's order; empty unless complete. May be
            infinite, never NaN.
        constraints: Constraint values by name; feasible where all are <= 0.
        notes: Text that a strategy or evaluator left on the trial, append-only.
    """

    number: int
    architecture: Architecture
    state: TrialState = TrialState.COMPLETE
    values: tuple[float, ...] = ()
    constraints: FrozenDict[float] = field(default_factory=FrozenDict)
    notes: FrozenDict[str] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", TrialState(self.state))
        object.__setattr__(self, "values", tuple(float(v) for v in self.values))
        object.__setattr__(self, "constraints", FrozenDict(self.constraints))
        object.__setattr__(self, "notes", FrozenDict(self.notes))
        if any(map(math.isnan, self.values)):
            raise ValueError(f"`values` of trial {self.number} must not be NaN, got {self.values}")
        if self.values and self.state is not TrialState.COMPLETE:
            raise ValueError(f"`values` of a {self.state.value} trial must be empty")

    @property
    def violation(self) -> float:
        """Sum of the positive constraint values; 0 means feasible."""
        return sum(v for v in self.constraints.values() if v > 0) if self.constraints else 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; the architecture is written in its space's notation."""
        return {
            "number": self.number,
            "architecture": str(self.architecture),
            "state": self.state.value,
            "values": list(self.values),
            "constraints": dict(self.constraints),
            "notes": dict(self.notes),
        }

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], space: SearchSpace, objectives: Sequence[Objective]
    ) -> Trial:
        """Reads what `to_json` wrote, or somebody else.

        Raises:
            ValueError: Something has another form than `to_json` gives it; likewise `TypeError`,
                `KeyError`, `AttributeError` and `OverflowError`.
        """
        found = cls(
            number=operator.index(data["number"]),
            architecture=space.parse(data["architecture"]),
            state=TrialState(data["state"]),
            values=data["values"],
            constraints=FrozenDict({n: float(v) for n, v in data["constraints"].items()}),
            notes=FrozenDict(data["notes"].items()),
        )
        expected = len(objectives) if found.state is TrialState.COMPLETE else 0
        if found.number < 0 or len(found.values) != expected:
            raise ValueError(f"`values` of trial {found.number} must be {expected} numbers")
        if any(map(math.isnan, found.constraints.values())):
            raise ValueError(f"`constraints` of trial {found.number} must not be NaN")
        if not all(isinstance(text, str) for text in found.notes.values()):
            raise TypeError(f"`notes` of trial {found.number} must be texts")
        return found


@dataclass(frozen=True)
class Proposal:
    """An architecture that a strategy wants evaluated, with notes to keep on its trial."""

    architecture: Architecture
    notes: FrozenDict[str] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", FrozenDict(self.notes))


class Growing(Protocol):
    """What follows from trials one after the other, an immutable value; see `History.growing`."""

    def grown(self: G, trials: Sequence[Trial]) -> G:
        """What follows when these trials, at least one, come next."""


G = TypeVar("G", bound=Growing)


@dataclass(frozen=True)
class History:
    """The trials of a search, finished and running, and what follows from them.

    Attributes:
        space: The space searched.
        objectives: One or more; the order of every trial's values.
        trials: In order of number.
        fixed: Choices that the engine has fixed for the next proposal (an enqueued trial, a
            partially fixed sampler). The engine enforces them; a strategy may use them.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    trials: tuple[Trial, ...] = ()
    fixed: FrozenDict[Choice] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "objectives", tuple(self.objectives))
        object.__setattr__(self, "trials", tuple(self.trials))
        object.__setattr__(self, "fixed", FrozenDict(self.fixed))
        if not self.objectives:
            raise ValueError("`objectives` must not be empty")
        m = len(self.objectives)
        for trial in self.trials:
            if trial.state is TrialState.COMPLETE and len(trial.values) != m:
                raise ValueError(
                    f"trial {trial.number} must have one value per objective ({m}), "
                    f"got {trial.values}"
                )

    def __len__(self) -> int:
        return len(self.trials)

    def extend(self, trials: Iterable[Trial]) -> History:
        """Returns a history with more trials at the end.

        What this history has derived from its trials so far (`seen`, `losses`, `front`, ...) is
        carried over at the cost of the new ones, so that a long search stays cheap.
        """
        added = History(self.space, self.objectives, tuple(trials), self.fixed)
        if not self.trials:
            return added
        if not added.trials:
            return self
        state = {**vars(self), "trials": self.trials + added.trials}
        state["_grown"] = self._grown.extended(len(self))
        state.pop("best", None)
        if "complete" in state:
            state["complete"] = self.complete + added.complete
        if "seen" in state:
            state["seen"] = self.seen | added.seen
        if "losses" in state:
            state["losses"] = np.concatenate([self.losses, added.losses])
        if "violations" in state:
            state["violations"] = np.concatenate([self.violations, added.violations])
        if "front" in state:
            # A trial that is off the front stays off it, whatever comes.
            candidates = self.front + added.complete
            state["front"] = History(self.space, self.objectives, candidates).front
        return _unchecked(state)

    def with_running(self, proposals: Sequence[Proposal]) -> History:
        """Returns the history in which proposals are running already."""
        if not proposals:
            return self
        first = self.trials[-1].number + 1 if self.trials else 0
        return self.extend(
            Trial(first + i, proposal.architecture, TrialState.RUNNING, notes=proposal.notes)
            for i, proposal in enumerate(proposals)
        )

    def derived(self) -> History:
        """Returns itself, with all that `extend` carries over derived from the trials.

        What keeps a growing history extends this rather than deriving from all trials anew.
        """
        for name in ("complete", "seen", "losses", "violations", "front"):
            getattr(self, name)
        return self

    def fixing(self, fixed: Mapping[str, Choice]) -> History:
        """Returns the same trials with other fixed choices for the next proposal."""
        return _unchecked({**vars(self), "_grown": self._grown, "fixed": FrozenDict(fixed)})

    def growing(self, key: Hashable, empty: Callable[[], G]) -> G:
        """Returns what follows from the trials one after the other.

        It is kept, and `extend` carries it over at the cost of the new trials, so that a strategy
        need not read all trials for every proposal. It is the same where nothing is kept. The
        last 8 keys are kept.

        Args:
            key: Tells it from whatever else follows from the same trials.
            empty: Makes what follows from no trial.
        """
        return self._grown.at(self.trials, key, empty)

    @cached_property
    def _grown(self) -> _Grown:
        return _Grown({}, 0)

    def __getstate__(self) -> dict[str, Any]:
        # What strategies keep beside the trials may be large.
        return {name: value for name, value in vars(self).items() if name != "_grown"}

    def avoiding(self, seen: Set[Key]) -> History:
        """Returns the same trials with other keys that the next proposal should avoid.

        An engine knows more than the architectures: the same one may be worth another trial
        with other numbers, and one that was interrupted has not been evaluated.
        """
        return _unchecked({**vars(self), "_grown": self._grown, "seen": seen})

    @cached_property
    def complete(self) -> tuple[Trial, ...]:
        """Trials with values, in order; the arrays below follow this order."""
        return tuple(t for t in self.trials if t.state is TrialState.COMPLETE)

    @cached_property
    def seen(self) -> Set[Key]:
        """Canonical keys of all trials in any state: what a new proposal should avoid.

        What an engine has said otherwise with `avoiding` counts.
        """
        # In one batch, which is many times faster where keys are those of graphs.
        new = [t.architecture for t in self.trials if "key" not in vars(t.architecture)]
        if len(new) > 1:
            keys = self.space.keys(self.space.rows(new)).tolist()
            for architecture, key in zip(new, keys, strict=True):
                vars(architecture)["key"] = key
        return frozenset(t.architecture.key for t in self.trials)

    @cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """Values of the complete trials turned so that less is better, shape `(n, m)`."""
        values = np.array([t.values for t in self.complete], dtype=np.float64)
        signs = np.array([objective.sign for objective in self.objectives])
        losses: npt.NDArray[np.float64] = values.reshape(-1, len(self.objectives)) * signs
        return losses

    @cached_property
    def violations(self) -> npt.NDArray[np.float64]:
        """Constraint violation of the complete trials, shape `(n,)`; 0 means feasible."""
        return np.array([t.violation for t in self.complete], dtype=np.float64)

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto-optimal trials among the feasible ones, in order.

        While nothing is feasible, the trials of least violation. With one objective, the best
        trials. Of equal trials all are kept.
        """
        mask = pareto.constrained_front(self.losses, self.violations)
        return tuple(t for t, keep in zip(self.complete, mask, strict=True) if keep)

    @cached_property
    def best(self) -> Trial | None:
        """First trial of the front, or ``None`` while nothing is complete."""
        return self.front[0] if self.front else None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads back."""
        return {
            "space": self.space.to_json(),
            "objectives": [str(objective) for objective in self.objectives],
            "trials": [trial.to_json() for trial in self.trials],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> History:
        """Reads what `to_json` wrote."""
        space = space_from_json(data["space"])
        objectives = tuple(Objective.parse(text) for text in data["objectives"])
        trials = (Trial.from_json(trial, space, objectives) for trial in data["trials"])
        return cls(space, objectives, tuple(trials))


class _Grown:
    """The values of `History.growing`, each beside the number of trials it follows from.

    Args:
        base: The values of the history that this one extends, where more may be kept.
        n_base: Number of its trials.
    """

    def __init__(self, base: dict[Hashable, tuple[int, Any]], n_base: int) -> None:
        self._base, self._n_base = base, n_base
        self._own: dict[Hashable, tuple[int, Any]] = {}

    def extended(self, n: int) -> _Grown:
        """The values of a history that extends this one of `n` trials."""
        for key, kept in list(self._base.items()):
            self._own.setdefault(key, kept)
        return _Grown(self._own, n)

    def at(self, trials: Sequence[Trial], key: Hashable, empty: Callable[[], G]) -> G:
        """The value after all trials of the history."""
        kept = self._own.get(key) or self._base.get(key)
        n, value = kept or (0, empty())
        if n < self._n_base:
            value = value.grown(trials[n : self._n_base])
            n = _keep(self._base, key, self._n_base, value)
        if n < len(trials):
            value = value.grown(trials[n:])
        _keep(self._own, key, len(trials), value)
        return value


def _keep(store: dict[Hashable, tuple[int, Any]], key: Hashable, n: int, value: Growing) -> int:
    store[key] = n, value
    while len(store) > _MAX_GROWN:
        store.pop(next(iter(store)), None)
    return n


def _unchecked(state: Mapping[str, Any]) -> History:
    """A history from its attributes and derived properties, which hold by construction."""
    history: History = object.__new__(History)
    vars(history).update(state)
    return history


def objectives_of(specs: Sequence[Objective | str]) -> tuple[Objective, ...]:
    """Reads objectives given as values or as text such as ``"latency_ms:min"``.

    Raises:
        ValueError: None is given, one is malformed, or a name comes twice.
    """
    objectives = tuple(s if isinstance(s, Objective) else Objective.parse(s) for s in specs)
    names = [objective.name for objective in objectives]
    if not objectives:
        raise ValueError("`objectives` must not be empty")
    if len(set(names)) < len(names):
        raise ValueError(f"`objectives` must have different names, got {names}")
    return objectives
