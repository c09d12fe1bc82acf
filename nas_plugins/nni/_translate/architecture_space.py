"""A model space that was made of one of our spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas_plugins.nni._translate.base import value_of
from nas_plugins.spaces.base import Choice, Decision, SearchSpace, space_from_json

CONSTRAINT = "nas_plugins/is_architecture"
"""Label of the constraint on combinations."""


@dataclass(frozen=True)
class ArchitectureSpacePart:
    """One label per decision, with the decision's name and choices.

    Attributes:
        space: The space.
    """

    space: SearchSpace

    @classmethod
    def find(cls, model_space: Any) -> ArchitectureSpacePart | None:
        """The part of a model space that says itself what it was made of."""
        for place in (model_space, *(getattr(model_space, n, None) for n in _PLACES)):
            symbol = getattr(place, "trace_symbol", type(place))
            if getattr(symbol, "nas_plugins_space", False):
                spec = [*place.trace_args, *place.trace_kwargs.values()][0]
                return cls(space_from_json(spec))
        return None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of the space."""
        return self.space.decisions

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the decisions, and that of the constraint."""
        return (*(d.name for d in self.decisions), CONSTRAINT)

    @property
    def constrained(self) -> bool:
        """Whether some combinations are no architectures."""
        return type(self.space).valid is not SearchSpace.valid

    @cached_property
    def values(self) -> dict[str, tuple[Choice, ...]]:
        """What NNI chooses from by label: the choices, or their positions where some are equal.

        NNI does not tell 1, 1.0 and True apart.
        """
        found: dict[str, tuple[Choice, ...]] = {}
        for decision in self.decisions:
            plain = len(set(decision.choices)) == len(decision.choices)
            found[decision.name] = (
                decision.choices if plain else tuple(range(len(decision.choices)))
            )
        return found

    def read(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """Reads every decision."""
        return tuple(
            Decision(name, values).index(value_of(sample, name))
            for name, values in self.values.items()
        )

    def write(self, indices: Sequence[int]) -> dict[str, Any]:
        """Writes every decision."""
        pairs = zip(self.values.items(), indices, strict=True)
        return {name: values[index] for (name, values), index in pairs}


_PLACES = ("model", "model_space")
