"""The cell of NNI's hub ``NasBench101`` as an architecture of ``nasbench101``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.nni._translate.base import integers, is_choice, is_subset, value_of
from nas_plugins.spaces.base import Architecture, Decision
from nas_plugins.spaces.nasbench101 import OPERATIONS, NASBench101

VERTICES = 7
MAX_EDGES = 9


@dataclass(frozen=True)
class NASBench101Part:
    """A cell of up to 7 vertices, in twelve labels.

    ``<prefix>num_nodes`` says how many vertices there are, ``op<i>`` and ``input<i>`` what vertex
    i does and reads; the output is vertex ``num_nodes - 1``. NNI wants all twelve labels even
    where the cell is smaller, and counts edges before it prunes while the benchmark counts them
    afterwards. So `write` writes the pruned cell, in the order of its vertices, and fills the
    labels that it does not need with the first operation and no input: what comes back from
    `read` has the same canonical key. A sample that NNI has pruned itself (``<prefix>final``) is
    read from the other labels, which are complete.

    Attributes:
        prefix: In front of the labels, e.g. ``"cell/"``.
        space: The space of the cell.
    """

    prefix: str
    space: NASBench101 = field(default_factory=NASBench101)

    @classmethod
    def find(cls, mutables: Mapping[str, Any]) -> NASBench101Part | None:
        """The part of a simplified model space, if it has one of the published size."""
        for label in mutables:
            part = cls(label.removesuffix("num_nodes"))
            if label.endswith("num_nodes") and part._matches(mutables):
                return part
        return None

    def _matches(self, mutables: Mapping[str, Any]) -> bool:
        final = mutables.get(f"{self.prefix}final")
        return (
            is_choice(mutables.get(f"{self.prefix}num_nodes"), range(2, VERTICES + 1))
            and getattr(final, "max_num_edges", None) == MAX_EDGES
            and all(is_choice(mutables.get(self._op(i)), OPERATIONS) for i in range(1, 6))
            and all(is_subset(mutables.get(self._input(i)), i, None) for i in range(1, VERTICES))
            and not {self._op(6), self._input(7)} & mutables.keys()
        )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of ``nasbench101``."""
        return self.space.decisions

    @property
    def labels(self) -> tuple[str, ...]:
        """The twelve labels, and the one under which NNI writes the pruned cell."""
        inner = range(1, VERTICES - 1)
        return (
            f"{self.prefix}num_nodes",
            *(self._op(i) for i in inner),
            *(self._input(i) for i in range(1, VERTICES)),
            f"{self.prefix}final",
        )

    def read(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """Reads the cell; labels of vertices beyond ``num_nodes`` may be missing."""
        vertices = self._vertices(sample)
        matrix = [[0] * vertices for _ in range(vertices)]
        for target in range(1, vertices):
            for source in self._sources(sample, target):
                matrix[source][target] = 1
        inner = [self._operation(sample, i) for i in range(1, vertices - 1)]
        cell = {"matrix": matrix, "ops": ["input", *inner, "output"]}
        return self.space.parse(json.dumps(cell)).indices

    def write(self, indices: Sequence[int]) -> dict[str, Any]:
        """Writes the pruned cell."""
        matrix, operations = self.space.cell(Architecture(self.space, tuple(indices)))
        vertices = len(operations)
        sample: dict[str, Any] = {f"{self.prefix}num_nodes": vertices}
        for i in range(1, VERTICES - 1):
            sample[self._op(i)] = operations[i] if i < vertices - 1 else OPERATIONS[0]
        for i in range(1, VERTICES):
            sources = matrix[:i, i].nonzero()[0].tolist() if i < vertices else []
            sample[self._input(i)] = sources
        return sample

    def _op(self, vertex: int) -> str:
        return f"{self.prefix}op{vertex}"

    def _input(self, vertex: int) -> str:
        return f"{self.prefix}input{vertex}"

    def _vertices(self, sample: Mapping[str, Any]) -> int:
        label = f"{self.prefix}num_nodes"
        value = value_of(sample, label)
        if value not in range(2, VERTICES + 1):
            raise InvalidArchitectureError(
                f"label {label!r} must be in 2..{VERTICES}, got {value!r}"
            )
        return int(value)

    def _sources(self, sample: Mapping[str, Any], target: int) -> list[int]:
        label = self._input(target)
        sources = integers(label, value_of(sample, label))
        if len(set(sources)) < len(sources) or not set(sources) <= set(range(target)):
            raise InvalidArchitectureError(
                f"label {label!r} takes different inputs in 0..{target - 1}, got {sources}"
            )
        return sources

    def _operation(self, sample: Mapping[str, Any], vertex: int) -> str:
        label = self._op(vertex)
        value = value_of(sample, label)
        if value not in OPERATIONS:
            hint = unknown_name("operation", str(value), OPERATIONS)
            raise InvalidArchitectureError(f"label {label!r}: {hint}")
        return str(value)
