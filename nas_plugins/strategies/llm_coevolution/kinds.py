"""The kinds of axes: what number of an architecture each one measures.

`nas_plugins.strategies.llm_coevolution.axes.axis` builds them from their names.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins.protocols import Benchmark, Evaluator
from nas_plugins.spaces.base import Architecture, Choice, Key, SearchSpace

Floats: TypeAlias = npt.NDArray[np.float64]
Measure: TypeAlias = Callable[[Architecture], float]

SIZES = {"params": "parameters", "flops": "FLOPs"}
"""Axes from ``space.complexity``, both in millions, and what prompts call them."""

_THINGS = {
    "nasbench201": "edges",
    "nasbench101": "inner vertices",
    "darts": "edges",
    "darts-cell": "edges",
    "fbnet": "layers",
}
_IDENTITIES = frozenset({"input", "output", "skip_connect", "skip", "identity"})
_ZEROS = frozenset({"none", "zero", ""})


@dataclass(frozen=True, kw_only=True)
class Axis(ABC):
    """A number of every architecture of a space.

    Attributes:
        space: The space.
        name: What `axis` builds it from.
        unit: E.g. ``"M"`` or ``"ms"``; empty for a pure number.
    """

    space: SearchSpace = field(repr=False)
    name: str
    unit: str = ""

    @property
    def count_of(self) -> str | None:
        """The choice whose decisions the axis counts, as text; ``None`` for other axes."""
        return None

    @property
    def whole(self) -> tuple[int, ...] | None:
        """All values it can have, where those are few whole numbers; else ``None``."""
        return None

    @property
    def cheap(self) -> bool:
        """Whether it may be measured for every architecture of an enumerable space."""
        return True

    @abstractmethod
    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Values of a batch of choice indices, `(B, D)` to `(B,)`; NaN where not measured."""

    def measure(self, architectures: Sequence[Architecture]) -> Floats:
        """Values of architectures, `(n,)`; NaN where not measured."""
        return self.measure_rows(self.space.rows(architectures))

    @property
    def title(self) -> str:
        """What prompts and reports call the value."""
        return self.name

    def phrase(self, low: float, high: float) -> str:
        """Says in words that ``low <= value < high``, as a prompt puts it."""
        unit = f" {self.unit}" if self.unit else ""
        if np.isinf(low) and np.isinf(high):
            return f"any {self.title}"
        if np.isinf(low):
            return f"{self.title} below {high:.10g}{unit}"
        if np.isinf(high):
            return f"{self.title} of at least {low:.10g}{unit}"
        return f"{self.title} between {low:.10g} and {high:.10g}{unit}"


@dataclass(frozen=True, kw_only=True)
class CountAxis(Axis):
    """How many decisions take one choice; those that the space leaves out do not count.

    Attributes:
        choice: The choice that is counted.
    """

    choice: Choice

    @property
    def count_of(self) -> str:
        """The choice that is counted, as text."""
        return str(self.choice)

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """Index of the choice per decision, `(D,)`; -1 where a decision does not have it."""
        wanted = (type(self.choice), self.choice)
        places = [
            next((i for i, c in enumerate(d.choices) if (type(c), c) == wanted), -1)
            for d in self.space.decisions
        ]
        return np.array(places, dtype=np.int64)

    @property
    def whole(self) -> tuple[int, ...]:
        """From 0 to the number of decisions that have the choice."""
        return tuple(range(int((self.indices >= 0).sum()) + 1))

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Counts, `(B, D)` to `(B,)`."""
        taken = (np.asarray(rows) == self.indices) & self.space.active(rows)
        counts: Floats = taken.sum(axis=1, dtype=np.float64)
        return counts

    def phrase(self, low: float, high: float) -> str:
        """E.g. ``"exactly 2 of the 6 edges are nor_conv_3x3"``."""
        total = len(self.whole) - 1
        inside = self.counts(low, high)
        first, last = inside.start, inside.stop - 1
        if first == last:
            number = f"exactly {first}"
        elif last == total:
            number = f"at least {first}"
        else:
            number = f"{first} to {last}" if first else f"at most {last}"
        things = _THINGS.get(self.space.name, "decisions")
        verb = "is" if number == "exactly 1" else "are"
        return f"{number} of the {total} {things} {verb} {self.choice}"

    def counts(self, low: float, high: float) -> range:
        """The counts for which ``low <= count < high``."""
        most = len(self.whole) - 1
        first = max(math.ceil(low), 0) if math.isfinite(low) else 0
        last = min(math.ceil(high) - 1, most) if math.isfinite(high) else most
        return range(first, last + 1)


@dataclass(frozen=True, kw_only=True)
class SizeAxis(Axis):
    """Parameters or FLOPs of the network, in millions, as ``space.complexity`` counts them."""

    @property
    def title(self) -> str:
        """``"parameters"`` or ``"FLOPs"``."""
        return SIZES[self.name]

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Millions, `(B, D)` to `(B,)`."""
        batched = getattr(self.space, "complexities", None)
        if batched is not None:
            column: Floats = batched(rows)[:, list(SIZES).index(self.name)] / 1e6
            return column
        sizes = (self.space.complexity(a) for a in _architectures(self.space, rows))
        return np.array([getattr(size, self.name) for size in sizes], dtype=np.float64) / 1e6


@dataclass(frozen=True, kw_only=True)
class DecisionAxis(Axis):
    """The number that one decision chooses, e.g. a depth or a width; the least if left out.

    Attributes:
        position: Position of the decision.
    """

    position: int

    @property
    def _values(self) -> Floats:
        return np.array(self.space.decisions[self.position].choices, dtype=np.float64)

    @property
    def whole(self) -> tuple[int, ...] | None:
        """The decision's choices, ascending, where they are whole numbers."""
        values = sorted(set(self._values.tolist()))
        return tuple(map(int, values)) if all(v.is_integer() for v in values) else None

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Chosen values, `(B, D)` to `(B,)`."""
        active = self.space.active(rows)[:, self.position]
        values = self._values[np.asarray(rows)[:, self.position]]
        return np.where(active, values, self._values.min())

    def phrase(self, low: float, high: float) -> str:
        """E.g. ``"embed_dim is 216"``."""
        inside = [v for v in sorted(self._values.tolist()) if low <= v < high]
        return f"{self.name} is {' or '.join(f'{v:g}' for v in inside)}"


@dataclass(frozen=True, kw_only=True)
class DepthAxis(Axis):
    """Operations on the longest path of the graph; ``none`` cuts a path, ``skip`` adds nothing."""

    @property
    def title(self) -> str:
        """``"depth (operations on the longest path)"``."""
        return "depth (operations on the longest path)"

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Depths, `(B, D)` to `(B,)`; 0 where input and output are not connected."""
        adjacency, operations = self.space.graphs(np.asarray(rows, dtype=np.int16))
        labels = [label.strip('"').lower() for label in self.space.node_operations]
        cost = np.array([_step(label) for label in labels])
        steps = np.where(operations >= 0, cost[operations], -np.inf)
        starts: npt.NDArray[np.bool_] = np.asarray(adjacency.sum(axis=1) == 0)
        depth = np.where(starts, steps, -np.inf)
        for node in range(1, operations.shape[1]):
            before = np.where(adjacency[:, :node, node] > 0, depth[:, :node], -np.inf)
            reached = before.max(axis=1) + steps[:, node]
            depth[:, node] = np.where(starts[:, node], depth[:, node], reached)
        ends = operations == labels.index("output")
        deepest: Floats = np.maximum(np.where(ends, depth, -np.inf).max(axis=1), 0.0)
        return deepest


@dataclass(frozen=True, kw_only=True)
class LevelAxis(Axis):
    """How far the decisions are from their least choice, on average, 0 to 1.

    A decision among numbers counts by rank, from 0 for the least to 1 for the greatest; any other
    counts 1 when it differs from its first choice. A stand-in for size where none is known.
    """

    @property
    def title(self) -> str:
        """``"mean level of the decisions (0 least, 1 greatest)"``."""
        return "mean level of the decisions (0 least, 1 greatest)"

    @cached_property
    def _levels(self) -> list[Floats]:
        return [_levels(decision.choices) for decision in self.space.decisions]

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Levels, `(B, D)` to `(B,)`."""
        columns = [levels[np.asarray(rows)[:, i]] for i, levels in enumerate(self._levels)]
        mean: Floats = (np.stack(columns, axis=1) * self.space.active(rows)).mean(axis=1)
        return mean


@dataclass(frozen=True, kw_only=True)
class MetricAxis(Axis):
    """A metric of a benchmark or evaluator, measured once per architecture and process.

    Attributes:
        evaluator: What measures.
        metric: Which metric.
    """

    evaluator: Evaluator = field(repr=False)
    metric: str
    _known: dict[Key, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cheap(self) -> bool:
        """Whether it is a benchmark, which looks values up, or counts sizes."""
        return isinstance(self.evaluator, Benchmark) or self.name.startswith("complexity.")

    @property
    def title(self) -> str:
        """The metric; where it comes from is not said, as prompts may have to hide it."""
        return self.metric

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Values, `(B, D)` to `(B,)`; NaN where there is none."""
        keys = self.space.keys(rows).tolist()
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            asked = _architectures(self.space, np.asarray(rows)[list(new.values())])
            for key, values in zip(new, self.evaluator.evaluate(asked), strict=True):
                self._known[key] = float(values.get(self.metric, np.nan))
        return np.array([self._known[key] for key in keys], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class FunctionAxis(Axis):
    """A user's function.

    Attributes:
        function: Takes an architecture and returns a number, NaN where there is none.
    """

    function: Measure = field(repr=False)

    def measure_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Values, `(B, D)` to `(B,)`."""
        values = [float(self.function(a)) for a in _architectures(self.space, rows)]
        return np.array(values, dtype=np.float64)


def _architectures(space: SearchSpace, rows: npt.NDArray[np.integer[Any]]) -> list[Architecture]:
    """Architectures of rows that the space has found valid."""
    return [Architecture.trusted(space, tuple(row)) for row in np.asarray(rows).tolist()]


def is_number(choice: Choice) -> bool:
    """Whether a choice is a number, which ``True`` is not."""
    return isinstance(choice, (int, float)) and not isinstance(choice, bool)


def _step(label: str) -> float:
    """What a node adds to the length of a path."""
    if label in _IDENTITIES:
        return 0.0
    return -np.inf if label in _ZEROS else 1.0


def _levels(choices: Sequence[Choice]) -> Floats:
    if all(map(is_number, choices)):
        values = np.array(choices, dtype=np.float64)
        ranks = np.searchsorted(np.sort(values), values)
        return ranks / max(len(choices) - 1, 1)
    return (np.arange(len(choices)) > 0).astype(np.float64)


__all__ = [
    "SIZES",
    "Axis",
    "CountAxis",
    "DecisionAxis",
    "DepthAxis",
    "Floats",
    "FunctionAxis",
    "LevelAxis",
    "Measure",
    "MetricAxis",
    "SizeAxis",
    "is_number",
]
