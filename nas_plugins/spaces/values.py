"""The values of a search space: decisions, architectures and their complexity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins import registry
from nas_plugins.errors import InvalidArchitectureError, unknown_name

if TYPE_CHECKING:
    from nas_plugins.spaces.base import SearchSpace

Choice: TypeAlias = bool | int | float | str | None
Key: TypeAlias = int | bytes
Rows: TypeAlias = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Decision:
    """One categorical decision of a space.

    Attributes:
        name: Unique in the space; also the parameter name in an Optuna study.
        choices: The alternatives in canonical order. ``None``, bool, int, float or str.
        ordered: Whether choices that are next to each other are alike, as numbers are.
    """

    name: str
    choices: tuple[Choice, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices:
            raise ValueError(f"`choices` of decision {self.name!r} must not be empty")
        for choice in self.choices:
            if choice is not None and not isinstance(choice, (bool, int, float, str)):
                raise TypeError(
                    f"`choices` of decision {self.name!r} must be None, bool, int, float or str, "
                    f"got {type(choice).__name__}"
                )
        if len(self._positions) < len(self.choices):
            raise ValueError(
                f"`choices` of decision {self.name!r} must differ, got {self.choices}"
            )

    @cached_property
    def _positions(self) -> dict[tuple[type, Choice], int]:
        return {(type(choice), choice): i for i, choice in enumerate(self.choices)}

    def index(self, choice: Choice) -> int:
        """Returns the position of `choice`; the type decides between 1, 1.0 and True.

        Raises:
            InvalidArchitectureError: `choice` is not one of the choices.
        """
        position = self._positions.get((type(choice), choice))
        if position is not None:
            return position
        equal = [i for i, known in enumerate(self.choices) if known == choice]
        if len(equal) == 1:
            return equal[0]
        hint = unknown_name("choice", str(choice), map(str, self.choices))
        raise InvalidArchitectureError(f"decision {self.name!r}: {hint}")


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
    """Reads what `SearchSpace.to_json` wrote."""
    space: SearchSpace = registry.load("space", data["name"])(**data.get("options", {}))
    return space
