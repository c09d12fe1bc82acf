"""The cell of NNI's hub ``NasBench201`` as an architecture of ``nasbench201``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.nni._translate.base import is_choice, value_of
from nas_plugins.spaces.base import Decision
from nas_plugins.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201

_HUB = {"nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3"}
HUB_OPERATIONS = tuple(_HUB.get(name, name) for name in OPERATIONS)
"""NNI's names of the operations, in the order of the space's own."""


@dataclass(frozen=True)
class NASBench201Part:
    """Six operation-labelled edges, labelled ``<prefix>0_1`` to ``<prefix>2_3``.

    Attributes:
        prefix: In front of the labels, e.g. ``"cell/"``.
        space: The space of the cell.
    """

    prefix: str
    space: NASBench201 = field(default_factory=NASBench201)

    @classmethod
    def find(cls, mutables: Mapping[str, Any]) -> NASBench201Part | None:
        """The part of a simplified model space, if it has one with all five operations."""
        for label in mutables:
            if not label.endswith("0_1"):
                continue
            part = cls(label.removesuffix("0_1"))
            if all(is_choice(mutables.get(name), HUB_OPERATIONS) for name in part.labels):
                return part
        return None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of ``nasbench201``."""
        return self.space.decisions

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the edges, in the order of the decisions."""
        return tuple(f"{self.prefix}{source}_{target}" for source, target in EDGES)

    def read(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """Reads the operation of every edge."""
        return tuple(_index(label, value_of(sample, label)) for label in self.labels)

    def write(self, indices: Sequence[int]) -> dict[str, Any]:
        """Writes the operation of every edge, under NNI's name."""
        pairs = zip(self.labels, indices, strict=True)
        return {label: HUB_OPERATIONS[index] for label, index in pairs}


def _index(label: str, value: Any) -> int:
    if value not in HUB_OPERATIONS:
        hint = unknown_name("operation", str(value), HUB_OPERATIONS)
        raise InvalidArchitectureError(f"label {label!r}: {hint}")
    return HUB_OPERATIONS.index(value)
