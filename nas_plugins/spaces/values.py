"""The values of a search space: decisions, architectures and their complexity."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins import registry
from nas_plugins.errors import InvalidArchitectureError, unknown_name

if TYPE_CHECKING:
    from nas_plugins.spaces.base import SearchSpace

Choice: TypeAlias = Any
"""A choice: mostly ``None``, a bool, number or text; anything else is known by its label."""

Label: TypeAlias = bool | int | float | str | None
Key: TypeAlias = int | bytes
Rows: TypeAlias = npt.NDArray[np.int16]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SAME = 1e-9
"""Numbers that differ by less, as part of the larger, are the same value of a stepped range."""


def in_order(name: str, choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices of a decision as they are given; a set has another order in every process.

    Raises:
        TypeError: They have no order, or are a text.
    """
    if isinstance(choices, str | set | frozenset) or not isinstance(choices, Iterable):
        raise TypeError(f"`choices` of decision {name!r} must be a list, got {choices!r}")
    return tuple(choices)


@dataclass(frozen=True, eq=False)
class Decision:
    """One categorical decision of a space.

    Attributes:
        name: Unique in the space; also the parameter name in an Optuna study.
        choices: The alternatives in canonical order: ``None``, bools, numbers, texts, tuples,
            lists, dictionaries, classes, functions, whatever the caller wants to be handed.
        ordered: Whether choices that are next to each other are alike, as numbers are: a
            mutation goes to the next choice first, and so does local search.
    """

    name: str
    choices: tuple[Choice, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"`name` of a decision must be a text, got {self.name!r}")
        if not isinstance(self.ordered, bool):
            raise TypeError(
                f"`ordered` of decision {self.name!r} must be True or False, got {self.ordered!r}"
            )
        choices = tuple(plain(choice) for choice in in_order(self.name, self.choices))
        object.__setattr__(self, "choices", choices)
        if not choices:
            raise ValueError(f"`choices` of decision {self.name!r} must not be empty")
        if len({identity(choice) for choice in choices}) < len(choices):
            raise ValueError(f"`choices` of decision {self.name!r} must differ, got {choices}")

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The choices as they are written: plain values, different from each other.

        A choice that is a bool, number, text or ``None`` is its own label, NaN excepted.
        """
        labels = [label(choice) for choice in self.choices]
        own = [is_plain(choice) for choice in self.choices]
        taken = {(type(text), text) for text, is_own in zip(labels, own, strict=True) if is_own}
        for i, is_own in enumerate(own):
            if not is_own:
                text, n = labels[i], 1
                while (str, labels[i]) in taken:
                    n += 1
                    labels[i] = f"{text}#{n}"
                taken.add((str, labels[i]))
        return tuple(labels)

    @cached_property
    def is_plain(self) -> bool:
        """Whether every choice is its own label."""
        return all(map(is_plain, self.choices))

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        return self.name, tuple((type(text), text) for text in self.labels), self.ordered

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _positions(self) -> dict[Any, int]:
        return {identity(choice): i for i, choice in enumerate(self.choices)}

    @cached_property
    def _labelled(self) -> dict[tuple[type, Label], int]:
        return {(type(text), text): i for i, text in enumerate(self.labels)}

    def index(self, choice: Choice) -> int:
        """Returns the position of a choice or its label; the type decides between 1 and True.

        Raises:
            InvalidArchitectureError: `choice` is not one of the choices.
        """
        choice = plain(choice)
        position = self._positions.get(identity(choice))
        if position is None:
            position = self._otherwise(choice)
        if position is not None:
            return position
        hint = unknown_name("choice", str(choice), map(str, self.labels))
        raise InvalidArchitectureError(f"decision {self.name!r}: {hint}")

    def _otherwise(self, choice: Choice) -> int | None:
        """The position of what is the same as a choice without being written as it is."""
        text = label(choice)
        position = self._labelled.get((type(text), text))
        if position is not None or not is_plain(choice):
            return position
        equal = [i for i, known in enumerate(self.choices) if is_plain(known) and known == choice]
        if not equal and isinstance(choice, float) and self.ordered:
            # 0.30000000000000004 is the 0.3 of a range with a step.
            equal = [
                i
                for i, known in enumerate(self.choices)
                if isinstance(known, float) and math.isclose(known, choice, rel_tol=_SAME)
            ]
        return equal[0] if len(equal) == 1 else None

    def steps(self, index: int) -> list[int]:
        """Other positions in the order in which a search should try them, nearest first.

        All of them where the choices are not ordered. Of ordered ones those at distances of 1,
        2, 4, 8 ..., so that a long range has few neighbours.
        """
        n = len(self.choices)
        if not self.ordered:
            return [i for i in range(n) if i != index]
        distances = [1 << bit for bit in range(n.bit_length())]
        around = [index + sign * d for d in distances for sign in (-1, 1)]
        return [i for i in around if 0 <= i < n]


def is_plain(choice: Choice) -> bool:
    """Whether a choice is its own label: ``None``, a bool, text or a number that is not NaN."""
    if isinstance(choice, float):
        return not math.isnan(choice)
    return choice is None or isinstance(choice, (bool, int, str))


def plain(choice: Choice) -> Choice:
    """A NumPy number, bool or text as Python's; anything else as it is."""
    return choice.item() if isinstance(choice, np.generic) else choice


def label(choice: Choice) -> Label:
    """How a choice is written: the same in every process where it is known by name or value.

    Tuples and lists, which storages do not tell apart, are written as the same JSON; classes and
    functions by their full names.
    """
    if is_plain(choice):
        return choice  # type: ignore[no-any-return]
    if isinstance(choice, float):
        return "nan"
    if isinstance(choice, (tuple, list, dict)):
        with suppress(TypeError, ValueError):  # keys that are no texts, and what holds itself
            return json.dumps(choice, default=lambda part: label(plain(part)))
    name = getattr(choice, "__qualname__", None)
    if name is not None:
        return f"{choice.__module__}.{name}"
    return _ADDRESS.sub("", repr(choice))


def identity(choice: Choice) -> Any:
    """What tells choices of a decision apart, which hashes whatever the choice is."""
    if is_plain(choice):
        return type(choice), choice
    if isinstance(choice, (float, tuple, list, dict)):
        return None, label(choice)
    try:
        hash(choice)
    except TypeError:
        return id(choice)
    return object, choice


@dataclass(frozen=True)
class Complexity:
    """Size of an architecture's network.

    Attributes:
        params: Trainable parameters, a count.
        flops: Multiply-accumulate operations of one forward pass of one input.
    """

    params: int
    flops: int


@dataclass(frozen=True, repr=False)
class Architecture:
    """A space and one choice per decision; valid by construction.

    Attributes:
        space: The space it belongs to.
        indices: Index of the choice taken for each decision, in the space's order.
    """

    space: SearchSpace
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", tuple(map(int, self.indices)))
        reason = self.space.violation(self.indices)
        if reason is not None:
            raise InvalidArchitectureError(f"not an architecture of {self.space.name!r}: {reason}")

    @classmethod
    def trusted(cls, space: SearchSpace, indices: tuple[int, ...]) -> Architecture:
        """An architecture whose indices the space has just found valid; not checked again."""
        architecture: Architecture = object.__new__(cls)
        vars(architecture).update(space=space, indices=indices)
        return architecture

    def __str__(self) -> str:
        return self.space.format(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space.name}: {self})"

    def _repr_svg_(self) -> str:
        """The drawing that Jupyter shows."""
        from nas_plugins.drawing import draw

        return draw(self)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.space, self.indices))

    def __reduce__(self) -> tuple[type[Architecture], tuple[SearchSpace, tuple[int, ...]]]:
        # Leaves the cached hash behind: hashes of strings differ between processes.
        return type(self), (self.space, self.indices)

    @cached_property
    def key(self) -> Key:
        """Canonical key: equal for architectures that the space holds to be the same."""
        return self.space.key(self)

    @property
    def choices(self) -> dict[str, Choice]:
        """Choice per decision name, a fresh dictionary in the space's order."""
        decisions = self.space.decisions
        return {d.name: d.choices[i] for d, i in zip(decisions, self.indices, strict=True)}

    @property
    def labels(self) -> dict[str, Label]:
        """As `choices`, with what each choice is written as."""
        decisions = self.space.decisions
        return {d.name: d.labels[i] for d, i in zip(decisions, self.indices, strict=True)}

    @property
    def row(self) -> Rows:
        """The choice indices as a `(D,)` array of the space's `row_type`."""
        return np.array(self.indices, dtype=self.space.row_type)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads back, the space included."""
        return {"space": self.space.to_json(), "architecture": str(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Architecture:
        """Reads what `to_json` wrote."""
        return space_from_json(data["space"]).parse(data["architecture"])


def space_from_json(data: Mapping[str, Any]) -> SearchSpace:
    """Reads what `SearchSpace.to_json` wrote.

    Raises:
        UnknownNameError: It says more than the space's name and options, or the name is not known.
    """
    for key in data:
        if key not in ("name", "options"):
            raise unknown_name("key of a space", key, ("name", "options"))
    space: SearchSpace = registry.load("space", data["name"])(**data.get("options", {}))
    return space


def sortable(keys: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Gives raw bytes an order: numpy sorts and searches ``S`` but not ``V``."""
    if keys.dtype.kind != "V":
        return keys
    return np.ascontiguousarray(keys).view(f"S{keys.dtype.itemsize}")
