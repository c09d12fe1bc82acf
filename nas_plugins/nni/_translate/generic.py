"""Any labelled choice of a model space as decisions: single, multiple, small-range numerical."""

from __future__ import annotations

import copy
import itertools
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.nni._translate.base import value_of
from nas_plugins.spaces.base import Choice, Decision

MAX_NUMBERS = 256
"""Most values that a numerical label may have."""

MAX_SUBSETS = 64
"""Most subsets of a fixed size that become the choices of one decision."""

_TOLERANCE = 1e-6  # NNI's own, for quantised values
_PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class Dimension(ABC):
    """One label.

    Attributes:
        label: NNI's label, a plain string.
        values: What the label chooses from, as NNI has it.
    """

    label: str
    values: tuple[Any, ...]

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions that stand for the label."""

    @abstractmethod
    def read(self, value: Any) -> tuple[int, ...]:
        """Choice indices of a value.

        Raises:
            InvalidArchitectureError: It is not one that the label takes.
        """

    @abstractmethod
    def write(self, indices: Sequence[int]) -> Any:
        """The value of choice indices."""

    def _position(self, value: Any) -> int:
        for position, known in enumerate(self.values):
            if _equal(known, value):
                return position
        raise self._refused(value)

    def _positions(self, value: Any) -> list[int]:
        """Positions of several chosen values, ascending."""
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise self._refused(value)
        found = sorted(self._position(v) for v in value)
        if len(set(found)) < len(found):
            raise self._refused(value)
        return found

    def _chosen(self, positions: Iterable[int]) -> list[Any]:
        return [copy.deepcopy(self.values[p]) for p in positions]

    def _refused(self, value: Any) -> InvalidArchitectureError:
        return InvalidArchitectureError(
            f"label {self.label!r} does not take {value!r}; it chooses from {_short(self.values)}"
        )


class OneOf(Dimension):
    """One of several values, also of a quantised range: one decision."""

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """One decision, named as the label."""
        return (Decision(self.label, _choices(self.values)),)

    def read(self, value: Any) -> tuple[int, ...]:
        """Position of the value."""
        return (self._position(value),)

    def write(self, indices: Sequence[int]) -> Any:
        """The value at the position."""
        return copy.deepcopy(self.values[indices[0]])


class AnyOf(Dimension):
    """Any number of several values: one decision per value, as NNI's own categorical format."""

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Whether each value is chosen: ``<label>/0``, ``<label>/1``, ..."""
        names = (f"{self.label}/{i}" for i in range(len(self.values)))
        return tuple(Decision(name, (False, True)) for name in names)

    def read(self, value: Any) -> tuple[int, ...]:
        """Ones where the values are chosen, in any order."""
        chosen = set(self._positions(value))
        return tuple(int(i in chosen) for i in range(len(self.values)))

    def write(self, indices: Sequence[int]) -> Any:
        """The chosen values, in the order of the label."""
        return self._chosen(i for i, bit in enumerate(indices) if bit)


@dataclass(frozen=True)
class SomeOf(Dimension):
    """A fixed number of several values, few enough to list: one decision.

    Attributes:
        n_chosen: How many.
    """

    n_chosen: int

    @cached_property
    def _subsets(self) -> list[tuple[int, ...]]:
        return list(itertools.combinations(range(len(self.values)), self.n_chosen))

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """One decision, named as the label; a choice is the list of values, written."""
        if self.n_chosen == 1:
            return (Decision(self.label, _choices(self.values)),)
        subsets = [[self.values[p] for p in subset] for subset in self._subsets]
        return (Decision(self.label, _choices(subsets)),)

    def read(self, value: Any) -> tuple[int, ...]:
        """Position of the subset; the values may come in any order."""
        chosen = self._positions(value)
        if len(chosen) != self.n_chosen:
            raise self._refused(value)
        return (self._subsets.index(tuple(chosen)),)

    def write(self, indices: Sequence[int]) -> Any:
        """The chosen values, in the order of the label."""
        return self._chosen(self._subsets[indices[0]])


@dataclass(frozen=True)
class Picks(Dimension):
    """A fixed number of many values: one decision per pick, among those that are left.

    Every combination is a subset, so that single changes stay valid; several combinations are
    the same one, which `nas_plugins.nni._translate.composed.ComposedSpace` knows.

    Attributes:
        n_chosen: How many.
    """

    n_chosen: int

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Which of the values that are left each pick takes: ``<label>/0``, ..."""
        n = len(self.values)
        return tuple(
            Decision(f"{self.label}/{i}", tuple(range(n - i))) for i in range(self.n_chosen)
        )

    def read(self, value: Any) -> tuple[int, ...]:
        """The picks that take the values in the label's order."""
        chosen = self._positions(value)
        if len(chosen) != self.n_chosen:
            raise self._refused(value)
        return ascending(chosen)

    def write(self, indices: Sequence[int]) -> Any:
        """The chosen values, in the order of the label."""
        return self._chosen(picked(indices, len(self.values)))


def picked(indices: Sequence[int], n: int) -> list[int]:
    """Which of 0 to n - 1 are taken by picks among those that are left, ascending."""
    left = list(range(n))
    return sorted(left.pop(index) for index in indices)


def ascending(chosen: Sequence[int]) -> tuple[int, ...]:
    """The picks that take ascending numbers in their order."""
    return tuple(position - before for before, position in enumerate(chosen))


@dataclass(frozen=True)
class GenericPart:
    """Labels without a published meaning.

    Attributes:
        dimensions: One per label.
    """

    dimensions: tuple[Dimension, ...]

    @classmethod
    def of(cls, mutables: Mapping[str, Any]) -> GenericPart:
        """The part for the labels of a simplified model space; constraints are passed over.

        Raises:
            ValueError: A label has too many values, or a kind that is not known.
        """
        from nni.mutable import MutableAnnotation

        return cls(
            tuple(
                dimension(str(label), mutable)
                for label, mutable in mutables.items()
                if not isinstance(mutable, MutableAnnotation)
            )
        )

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of the labels, in order."""
        return tuple(d for one in self.dimensions for d in one.decisions)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels, in order."""
        return tuple(one.label for one in self.dimensions)

    @cached_property
    def picks(self) -> dict[str, list[int]]:
        """Of the labels that are `Picks`: how many of how many."""
        return {
            one.label: [one.n_chosen, len(one.values)]
            for one in self.dimensions
            if isinstance(one, Picks)
        }

    def read(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """Reads every label."""
        return tuple(i for one in self.dimensions for i in one.read(value_of(sample, one.label)))

    def write(self, indices: Sequence[int]) -> dict[str, Any]:
        """Writes every label."""
        sample: dict[str, Any] = {}
        start = 0
        for one in self.dimensions:
            end = start + len(one.decisions)
            sample[one.label] = one.write(indices[start:end])
            start = end
        return sample


def dimension(label: str, mutable: Any) -> Dimension:
    """The dimension of one labelled choice.

    Raises:
        ValueError: It has too many values, or a kind that is not known; says how to fix it.
    """
    from nni.mutable import Categorical, CategoricalMultiple, Numerical

    if isinstance(mutable, Categorical):
        return OneOf(label, tuple(mutable.values))
    if isinstance(mutable, CategoricalMultiple):
        values = tuple(mutable.values)
        if mutable.n_chosen is None:
            return AnyOf(label, values)
        few = math.comb(len(values), mutable.n_chosen) <= MAX_SUBSETS
        return (SomeOf if few else Picks)(label, values, int(mutable.n_chosen))
    if isinstance(mutable, Numerical):
        return OneOf(label, _numbers(label, mutable))
    raise ValueError(
        f"`model_space` has a {type(mutable).__name__} under the label {label!r}, and only "
        "Categorical, CategoricalMultiple and Numerical can be searched; express it with "
        "nni.choice"
    )


def _numbers(label: str, mutable: Any) -> tuple[Any, ...]:
    """All values of a quantised range, as NNI rounds them."""
    low, high, step = mutable.low, mutable.high, mutable.quantize
    fix = f"write nni.choice({label!r}, [...]) with the values to try"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"label {label!r} is a Numerical without finite bounds; {fix}")
    if step is None:
        raise ValueError(
            f"label {label!r} is a continuous Numerical from {low} to {high}; {fix}, or give it "
            f"a `quantize` that leaves at most {MAX_NUMBERS} values"
        )
    first, last = round(low / step), round(high / step)
    if last - first + 1 > MAX_NUMBERS:
        raise ValueError(
            f"label {label!r} is a Numerical with {last - first + 1:,} values from {low} to "
            f"{high}; {fix}, or give it a larger `quantize` that leaves at most {MAX_NUMBERS}"
        )
    values = [mutable.qclip(k * step) for k in range(first, last + 1)]
    possible = [v for v in dict.fromkeys(values) if mutable.contains({mutable.label: v})]
    return tuple(possible)


def _equal(known: Any, value: Any) -> bool:
    """Whether a sample's value is this one; lists and tuples are the same, as in JSON."""
    if isinstance(known, float) and isinstance(value, (int, float)):
        return math.isclose(known, value, rel_tol=0.0, abs_tol=_TOLERANCE * abs(known)) or (
            known == value
        )
    if isinstance(known, (list, tuple)) and isinstance(value, (list, tuple)):
        pairs = itertools.zip_longest(known, value, fillvalue=object())
        return all(_equal(a, b) for a, b in pairs)
    return bool(known == value)


def _choices(values: Sequence[Any]) -> tuple[Choice, ...]:
    """Values as choices of a decision: plain ones as they are, others written."""
    found = [v if v is None or type(v) in _PLAIN else _written(v) for v in values]
    if len({(type(v), v) for v in found}) < len(found):
        found = [f"{i}: {v}" for i, v in enumerate(found)]
    return tuple(found)


def _written(value: Any) -> str:
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=repr)
    return repr(value)


def _short(values: tuple[Any, ...]) -> str:
    text = ", ".join(map(repr, values[:8]))
    return f"[{text}{', ...' if len(values) > 8 else ''}]"
