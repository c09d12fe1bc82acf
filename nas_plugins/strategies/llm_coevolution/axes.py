"""Axes: the numbers by which a space is cut into niches.

LLM-NAS (arXiv 2510.01472) cuts NAS-Bench-201 by the number of 3x3 convolutions and its ViT space
by embedding dimension and depth. Here an axis is any number of an architecture: a count of one
operation, a size, a decision, a metric of a benchmark or evaluator, or a user's function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from nas_plugins import _public
from nas_plugins.errors import unknown_name
from nas_plugins.protocols import Benchmark, Evaluator, measured
from nas_plugins.spaces.base import Architecture, Choice, Key, SearchSpace

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.integer[Any]]
Measure: TypeAlias = Callable[[Architecture], float]

SIZES = {"params": "parameters", "flops": "FLOPs"}
"""Axes from ``space.complexities``, both in millions, and what prompts call them."""

_IDENTITIES = frozenset({"input", "output", "skip_connect", "skip", "identity"})
_ZEROS = frozenset({"none", "zero", ""})


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A number of every architecture of a space.

    Attributes:
        space: The space.
        name: What `axis` builds it from.
        unit: E.g. ``"M"`` or ``"ms"``; empty for a pure number.
        title: What prompts and reports call the value; the name by default.
        measure_rows: Values of a batch of choice indices, `(B, D)` to `(B,)`; NaN where not
            measured.
        cheap: Whether it may be measured for every architecture of an enumerable space.
    """

    space: SearchSpace = field(repr=False)
    name: str
    unit: str = ""
    title: str = ""
    measure_rows: Callable[[Indices], Floats] = field(repr=False, compare=False)
    cheap: bool = True

    @property
    def whole(self) -> tuple[int, ...] | None:
        """All values it can have, where those are few whole numbers; else ``None``."""
        return None

    def measure(self, architectures: Sequence[Architecture]) -> Floats:
        """Values of architectures, `(n,)`; NaN where not measured."""
        return self.measure_rows(self.space.rows(architectures))

    def phrase(self, low: float, high: float) -> str:
        """Says in words that ``low <= value < high``, as a prompt puts it."""
        title, unit = self.title or self.name, f" {self.unit}" if self.unit else ""
        if np.isinf(low) and np.isinf(high):
            return f"any {title}"
        if np.isinf(low):
            return f"{title} below {high:.10g}{unit}"
        if np.isinf(high):
            return f"{title} of at least {low:.10g}{unit}"
        return f"{title} between {low:.10g} and {high:.10g}{unit}"


@dataclass(frozen=True, kw_only=True)
class CountAxis(Axis):
    """How many decisions take one choice; those that the space leaves out do not count.

    Attributes:
        choice: The choice that is counted.
        indices: Its index per decision, `(D,)`; -1 where a decision does not have it.
    """

    choice: Choice
    indices: npt.NDArray[np.int64] = field(repr=False, compare=False)

    @property
    def whole(self) -> tuple[int, ...]:
        """From 0 to the number of decisions that have the choice."""
        return tuple(range(int((self.indices >= 0).sum()) + 1))

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
        verb = "is" if number == "exactly 1" else "are"
        return f"{number} of the {total} {self.space.decision_noun} {verb} {self.choice}"

    def counts(self, low: float, high: float) -> range:
        """The counts for which ``low <= count < high``."""
        most = len(self.whole) - 1
        first = max(math.ceil(low), 0) if math.isfinite(low) else 0
        last = min(math.ceil(high) - 1, most) if math.isfinite(high) else most
        return range(first, last + 1)


@dataclass(frozen=True, kw_only=True)
class DecisionAxis(Axis):
    """The number that one decision chooses, e.g. a depth or a width; the least if left out.

    Attributes:
        values: The decision's choices.
    """

    values: tuple[float, ...]

    @property
    def whole(self) -> tuple[int, ...] | None:
        """The decision's choices, ascending, where they are whole numbers."""
        values = sorted(set(self.values))
        return tuple(map(int, values)) if all(v.is_integer() for v in values) else None

    def phrase(self, low: float, high: float) -> str:
        """E.g. ``"embed_dim is 216"``."""
        inside = [v for v in sorted(self.values) if low <= v < high]
        return f"{self.name} is {' or '.join(f'{v:g}' for v in inside)}"


# -- by name -------------------------------------------------------------------------------


def axis(spec: str | Measure | Axis, space: SearchSpace) -> Axis:
    """Builds an axis of a space.

    Args:
        spec: One of

            * ``"auto"``: what suits the space, see `auto_name`;
            * ``"n_<choice>"``: how many decisions take a choice, e.g. ``"n_nor_conv_3x3"``;
              signs in a choice may be written ``_``;
            * ``"params"``, ``"flops"``: in millions, where the space counts them;
            * the name of a decision among numbers, e.g. ``"embed_dim"``;
            * ``"depth"``: operations on the longest path, unless a decision is called so;
            * ``"level"``: how far the decisions are from their least choice, on average;
            * ``"<benchmark or evaluator>.<metric>"``, e.g.
              ``"hw-nas-bench/cifar10/edgegpu.latency_ms"``;
            * a function that takes an `Architecture` and returns a number;
            * an axis.
        space: The space.

    Raises:
        UnknownNameError: No such axis, benchmark, evaluator or metric; suggests the nearest.
        ValueError: The axis is of another space, or the name means several choices.
        TypeError: `spec` is none of these, or the space does not count its size.
    """
    if isinstance(spec, Axis):
        if spec.space == space:
            return spec
        raise ValueError(f"`axis` must be one of {space.name!r}, got one of {spec.space.name!r}")
    if callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        measure = partial(_called, space, spec)
        return Axis(space=space, name=name.strip("<>"), measure_rows=measure)
    if not isinstance(spec, str):
        raise TypeError(f"`axis` must be a name or a function, got {spec!r}")
    found = _named(auto_name(space) if spec == "auto" else spec, space)
    if found is None:
        raise unknown_name("axis", spec, axis_names(space))
    return found


def auto_name(space: SearchSpace) -> str:
    """The axis that ``"auto"`` means: the space's own, else parameters, else the level.

    A count of operations where there is one to aim at: a language model sees at once in which
    niche a cell lies, and a grammar can count. It does not spread the true front best. By the
    entropy of the front's points over six niches, as a share of the greatest (NAS-Bench-201,
    CIFAR-10 accuracy against latency on the six devices of HW-NAS-Bench), the number of 3x3
    convolutions of LLM-NAS has 0.69, with 1.7 niches without a point of the front, parameters
    0.86 and FLOPs 0.91. On NAS-Bench-101, accuracy against parameters, it has 0.91, FLOPs and
    parameters 0.85. No table tells for the others.
    """
    if space.default_axis is not None:
        return space.default_axis
    return "params" if _counts_size(space) else "level"


def axis_names(space: SearchSpace) -> list[str]:
    """Names of the axes of a space, without those of benchmarks and evaluators."""
    sizes = SIZES if _counts_size(space) else ()
    counts = (f"n_{_written(choice)}" for choice in _choices(space))
    names = ["auto", *counts, *sizes, *_number_decisions(space), "depth", "level"]
    return list(dict.fromkeys(names))


def _named(name: str, space: SearchSpace) -> Axis | None:
    numbers = _number_decisions(space)
    if name in numbers:
        choices = space.decisions[numbers[name]].choices
        values = tuple(float(choice) for choice in choices if _is_number(choice))
        measure = partial(_chosen, space, numbers[name], values)
        return DecisionAxis(space=space, name=name, values=values, measure_rows=measure)
    if name in SIZES:
        space.complexity(space.sample(np.random.default_rng(0)))  # a TypeError says what lacks
        measure = partial(_sizes, space, list(SIZES).index(name))
        return Axis(space=space, name=name, unit="M", title=SIZES[name], measure_rows=measure)
    if name == "depth":
        title = "depth (operations on the longest path)"
        return Axis(space=space, name=name, title=title, measure_rows=partial(_depths, space))
    if name == "level":
        title = "mean level of the decisions (0 least, 1 greatest)"
        levels = [_levels(decision.labels) for decision in space.decisions]
        measure = partial(_mean_levels, space, levels)
        return Axis(space=space, name=name, title=title, measure_rows=measure)
    counted = _counted(name, space) if name.startswith("n_") else []
    if counted:
        return _count_axis(name, space, counted[0])
    return _metric_axis(name, space) if "." in name else None


def _count_axis(name: str, space: SearchSpace, choice: Choice) -> CountAxis:
    wanted = (type(choice), choice)
    places = [
        next((i for i, c in enumerate(d.labels) if (type(c), c) == wanted), -1)
        for d in space.decisions
    ]
    indices = np.array(places, dtype=np.int64)
    measure = partial(_takers, space, indices)
    return CountAxis(space=space, name=name, choice=choice, indices=indices, measure_rows=measure)


def _metric_axis(name: str, space: SearchSpace) -> Axis:
    source, _, metric = name.rpartition(".")
    evaluator = _public.measuring(source)
    if isinstance(evaluator, Benchmark) and evaluator.space != space:
        raise ValueError(
            f"`axis` must be measured on {space.name!r}, got {source!r}, which measures "
            f"{evaluator.space.name!r}"
        )
    units = {m.name: m.unit for m in evaluator.metrics}
    if metric not in units:
        raise unknown_name(f"metric of {source!r}", metric, units)
    return Axis(
        space=space,
        name=name,
        unit=units[metric],
        title=metric,  # where it comes from is not said, as prompts may have to hide it
        measure_rows=partial(_evaluated, space, evaluator, metric, {}),
        cheap=isinstance(evaluator, Benchmark) or source == "complexity",
    )


def _counts_size(space: SearchSpace) -> bool:
    try:
        space.complexity(space.sample(np.random.default_rng(0)))
    except TypeError:
        return False
    return True


def _number_decisions(space: SearchSpace) -> dict[str, int]:
    """Positions of the decisions among different numbers, by name."""
    return {
        d.name: i
        for i, d in enumerate(space.decisions)
        if len(d.choices) > 1 and all(map(_is_number, d.choices))
    }


def _choices(space: SearchSpace) -> list[Choice]:
    known = {(type(c), c): c for d in space.decisions for c in d.labels}
    return list(known.values())


def _counted(name: str, space: SearchSpace) -> list[Choice]:
    """The choice that ``n_<choice>`` means, as it is or with its signs normalised."""
    choices = _choices(space)
    exact = [c for c in choices if name == f"n_{c}"]
    near = exact or [c for c in choices if _written(name[2:]) == _written(c)]
    if len(near) > 1:
        raise ValueError(f"`axis` {name!r} must mean one choice, got {near}")
    return near


def _written(choice: Choice) -> str:
    return re.sub(r"[^0-9a-z]+", "_", str(choice).lower()).strip("_")


# -- what is measured, `(B, D)` to `(B,)` ----------------------------------------------------


def _takers(space: SearchSpace, indices: npt.NDArray[np.int64], rows: Indices) -> Floats:
    counts: Floats = ((np.asarray(rows) == indices) & space.active(rows)).sum(
        axis=1, dtype=np.float64
    )
    return counts


def _sizes(space: SearchSpace, column: int, rows: Indices) -> Floats:
    """Parameters or FLOPs of the network in millions, as ``space.complexities`` counts them."""
    return space.complexities(rows)[:, column] / 1e6


def _chosen(space: SearchSpace, position: int, values: Sequence[float], rows: Indices) -> Floats:
    active = space.active(rows)[:, position]
    chosen = np.array(values)[np.asarray(rows)[:, position]]
    return np.where(active, chosen, min(values))


def _depths(space: SearchSpace, rows: Indices) -> Floats:
    """Operations on the longest path; 0 where input and output are not connected.

    ``none`` cuts a path, ``skip`` adds nothing.
    """
    adjacency, operations = space.graphs(np.asarray(rows, dtype=np.int16))
    labels = [label.strip('"').lower() for label in space.node_operations]
    cost = np.array([-np.inf if x in _ZEROS else float(x not in _IDENTITIES) for x in labels])
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


def _mean_levels(space: SearchSpace, levels: Sequence[Floats], rows: Indices) -> Floats:
    """A stand-in for size where none is known."""
    columns = [column[np.asarray(rows)[:, i]] for i, column in enumerate(levels)]
    mean: Floats = (np.stack(columns, axis=1) * space.active(rows)).mean(axis=1)
    return mean


def _levels(choices: Sequence[Choice]) -> Floats:
    """Numbers by rank, from 0 for the least to 1; others 1 where they are not the first."""
    if all(map(_is_number, choices)):
        values = np.array(choices, dtype=np.float64)
        ranks = np.searchsorted(np.sort(values), values)
        return ranks / max(len(choices) - 1, 1)
    return (np.arange(len(choices)) > 0).astype(np.float64)


def _evaluated(
    space: SearchSpace, evaluator: Evaluator, metric: str, known: dict[Key, float], rows: Indices
) -> Floats:
    """A metric, measured once per architecture and process: `known` remembers."""
    keys = space.keys(rows).tolist()
    new = {key: i for i, key in enumerate(keys) if key not in known}
    if new:
        asked = _architectures(space, np.asarray(rows)[list(new.values())])
        for key, values in zip(new, measured(evaluator, asked), strict=True):
            known[key] = float(values.get(metric, np.nan))
    return np.array([known[key] for key in keys], dtype=np.float64)


def _called(space: SearchSpace, function: Measure, rows: Indices) -> Floats:
    values = [float(function(a)) for a in _architectures(space, rows)]
    return np.array(values, dtype=np.float64)


def _architectures(space: SearchSpace, rows: Indices) -> list[Architecture]:
    """Architectures of rows that the space has found valid."""
    return [Architecture.trusted(space, tuple(row)) for row in np.asarray(rows).tolist()]


def _is_number(choice: Choice) -> TypeGuard[int | float]:
    """``True`` is none."""
    return isinstance(choice, (int, float)) and not isinstance(choice, bool)
