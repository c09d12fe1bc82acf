"""The two cells of NNI's hub ``DARTS`` as an architecture of ``darts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.nni._translate.base import integers, is_choice, is_subset, value_of
from nas_plugins.spaces.base import Architecture, Choice, Decision
from nas_plugins.spaces.darts import DARTS

CELLS = ("normal", "reduce")
NODES = (2, 3, 4, 5)

SIZES = {"channels": "width", "layers": "depth"}
"""Which label of the hub's space decides which size of the network."""


@dataclass(frozen=True)
class DARTSPart:
    """Labels ``normal/op_3_0``, ``normal/input_3_0`` and so on: 16 per cell.

    NNI lets the two operations of a node read the same input, which no published genotype does
    and the benchmarks cannot judge. Such a sample is refused rather than repaired, since the
    network that NNI would train is not the repaired one. What `write` writes never has it: the
    smaller input comes first.

    Attributes:
        space: The space of the cells, with or without the operation ``none``.
    """

    space: DARTS

    @classmethod
    def find(cls, mutables: Mapping[str, Any]) -> DARTSPart | None:
        """The part of a simplified model space, if its cells are those of DARTS."""
        for with_none in (False, True):
            part = cls(DARTS(with_none=with_none))
            if part._matches(mutables):
                return part
        return None

    def _matches(self, mutables: Mapping[str, Any]) -> bool:
        prefixes = tuple(f"{cell}/" for cell in CELLS)
        present = {label for label in mutables if label.startswith(prefixes)}
        return present == set(self.labels) and all(
            is_choice(mutables[_op(cell, node, slot)], self.space.operations)
            and is_subset(mutables[_input(cell, node, slot)], node, 1)
            for cell in CELLS
            for node in NODES
            for slot in (0, 1)
        )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of ``darts``."""
        return self.space.decisions

    @property
    def labels(self) -> tuple[str, ...]:
        """The 32 labels of the two cells."""
        return tuple(
            name(cell, node, slot)
            for cell in CELLS
            for node in NODES
            for slot in (0, 1)
            for name in (_op, _input)
        )

    def read(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        """Reads both cells; the inputs of a node may come in either order."""
        choices: dict[str, Choice] = {}
        for cell in CELLS:
            for node in NODES:
                pairs = [(self._source(sample, cell, node, slot), slot) for slot in (0, 1)]
                (first, _), (second, _) = sorted(pairs)
                if first == second:
                    raise InvalidArchitectureError(
                        f"node {node} of the {cell!r} cell must read two different inputs, got "
                        f"{first} twice; such a network is no architecture of 'darts'"
                    )
                if node > NODES[0]:
                    choices[f"{cell}/node_{node}/inputs"] = f"{first}_{second}"
                for place, (_, slot) in enumerate(sorted(pairs)):
                    operation = value_of(sample, _op(cell, node, slot))
                    choices[f"{cell}/node_{node}/op_{place}"] = operation
        return self.space.architecture(choices).indices

    def write(self, indices: Sequence[int]) -> dict[str, Any]:
        """Writes both cells, the smaller input of every node first."""
        genotype = self.space.genotype(Architecture(self.space, tuple(indices)))
        sample: dict[str, Any] = {}
        for cell, pairs in zip(CELLS, (genotype.normal, genotype.reduce), strict=True):
            for position, (operation, source) in enumerate(pairs):
                node, slot = NODES[position // 2], position % 2
                sample[_op(cell, node, slot)] = operation
                sample[_input(cell, node, slot)] = [int(source)]
        return sample

    @staticmethod
    def _source(sample: Mapping[str, Any], cell: str, node: int, slot: int) -> int:
        label = _input(cell, node, slot)
        sources = integers(label, value_of(sample, label))
        if len(sources) != 1 or not 0 <= sources[0] < node:
            raise InvalidArchitectureError(
                f"label {label!r} takes one input in 0..{node - 1}, got {sources}"
            )
        return sources[0]


def _op(cell: str, node: int, slot: int) -> str:
    return f"{cell}/op_{node}_{slot}"


def _input(cell: str, node: int, slot: int) -> str:
    return f"{cell}/input_{node}_{slot}"
