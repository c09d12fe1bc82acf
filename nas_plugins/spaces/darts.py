"""The DARTS search space: a normal and a reduction cell of four nodes with two inputs each.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019. Without ``none``
these are the architectures of NAS-Bench-301 (Zela et al., ICLR 2022).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._frozen import FrozenDict
from nas_plugins._images import square_image_options
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.spaces._darts_notation import Genotype, Pairs, compact_cells, parse_cells
from nas_plugins.spaces._darts_size import DARTSNetworkShape, network_sizes
from nas_plugins.spaces.base import Architecture, Complexity, Decision, SearchSpace
from nas_plugins.spaces.darts_cell import (
    CELL_LENGTH,
    GRAPH_NODES,
    NODE_OPERATIONS,
    NONE,
    OPERATIONS,
    cell_decisions,
    cell_graphs,
    cell_inputs,
    cell_keys,
    cell_operations,
    cell_row_from_graph,
)
from nas_plugins.spaces.graph import Graph


class GenotypeSpace(SearchSpace):
    """What the one-cell and the two-cell space share: operations, genotypes, sizes, keys.

    Args:
        name: Registered name.
        decisions: Eleven decisions per cell.
        with_none: Whether ``none`` (a zero output) is one of the operations.
        options: Constructor arguments that differ from the defaults.
    """

    default_axis = "params"
    decision_noun = "edges"
    complexity_settings = (
        "stem",
        "channels",
        "layers",
        "classes",
        "resolution",
        "in_channels",
        "auxiliary",
    )
    network_sizes = FrozenDict(
        {
            "full": {"channels": 32, "layers": 8},
            "small": {"channels": 16, "layers": 8},
            "tiny": {"channels": 4, "layers": 3},
            "training": {"channels": 4, "layers": 3},
        }
    )
    network_depth = "layers"

    def __init__(
        self,
        name: str,
        decisions: Sequence[Decision],
        *,
        with_none: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__(name, decisions, options=options)
        self.operations = _operations(with_none)
        self._to_node = np.array(
            [NODE_OPERATIONS.index(name) for name in self.operations], dtype=np.int16
        )

    @property
    def node_operations(self) -> tuple[str, ...]:
        """arch2vec's eleven labels; ``none`` is among them even where it is no choice."""
        return NODE_OPERATIONS

    @abstractmethod
    def cells(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The choices of the normal and of the reduction cells, each `(B, 11)`."""

    @abstractmethod
    def _from_cells(self, normal: list[int], reduce: list[int]) -> Architecture:
        """Builds an architecture from 11 choices per cell."""

    # -- notation --------------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> Genotype:
        """The architecture as a DARTS genotype, each node's smaller input first."""
        normal, reduce = (self._pairs(cells) for cells in self.cells(architecture.row[None]))
        return Genotype(normal, reduce)

    def _pairs(self, cells: npt.NDArray[np.int64]) -> Pairs:
        operations, inputs = cell_operations(cells)[0].tolist(), cell_inputs(cells)[0].tolist()
        return tuple((self.operations[o], i) for o, i in zip(operations, inputs, strict=True))

    def format(self, architecture: Architecture) -> str:
        """Writes the ``Genotype(normal=[...], ...)`` of the DARTS code."""
        return str(self.genotype(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads a DARTS genotype or NASLib's compact form; the text is never evaluated.

        The two inputs of a node may come in either order. The compact form is two lists of
        eight pairs (input, operation index), the index in DARTS' order without ``none``.
        """
        return self._from_cells(*parse_cells(text, self.operations))

    def from_compact(self, cells: Sequence[Any]) -> Architecture:
        """Builds an architecture from NASLib's compact form, as `parse` reads it.

        Args:
            cells: Normal and reduction cell, each eight pairs (input, operation index).

        Raises:
            InvalidArchitectureError: `cells` has another form or an index out of range.
        """
        return self._from_cells(*compact_cells(cells, self.operations))

    def edge_cells(
        self, architecture: Architecture
    ) -> dict[str, tuple[tuple[int, int, str], ...]]:
        """The normal and the reduction cell; two edges enter each node."""
        cells = self.genotype(architecture)
        return {
            name: tuple((source, 2 + i // 2, op) for i, (op, source) in enumerate(pairs))
            for name, pairs in (("normal", cells.normal), ("reduce", cells.reduce))
        }

    @property
    def model_name(self) -> str:
        """One model, of the cells, serves for spaces of one cell and of two."""
        return "darts"

    # -- keys ------------------------------------------------------------------------------

    def genotype_keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Keys of the genotypes as written, `(B, D)` to `(B,)` int64: nodes are not renamed."""
        return super().keys(rows)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures that have the same key.

        Its `genotype_keys` entry is the key.
        """
        digits = np.unravel_index(int(self.keys(architecture.row[None])[0]), self.cardinalities)
        return Architecture(self, tuple(int(digit) for digit in digits))

    # -- size ------------------------------------------------------------------------------

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """The side and the channels of square images."""
        return square_image_options(shape)

    def complexity(
        self,
        architecture: Architecture,
        *,
        stem: str = "cifar",
        channels: int | None = None,
        layers: int | None = None,
        classes: int | None = None,
        resolution: int | None = None,
        in_channels: int = 3,
        auxiliary: bool = False,
        **options: Any,
    ) -> Complexity:
        """Parameters and FLOPs of the network that is trained from scratch.

        FLOPs are the multiply-accumulates of convolutions and the classifier without its bias;
        batch normalisation, pooling and sums are not counted. (Papers that quote 574 M for
        DARTS on ImageNet count more.) The auxiliary head adds parameters but no FLOPs, as
        inference leaves it out.

        Args:
            architecture: The cells.
            stem: ``"cifar"`` or ``"imagenet"``; also sets what is left at ``None``.
            channels: Channels of an operation in the first cells; 36 or 48.
            layers: Number of cells; 20 or 14.
            classes: Outputs of the classifier; 10 or 1000.
            resolution: Input height and width in pixels; 32 or 224.
            in_channels: Channels of the input.
            auxiliary: Whether to count the auxiliary head.
            **options: None is known; raises ``TypeError``.
        """
        if options:
            raise TypeError(f"unknown options of complexity: {sorted(options)}")
        params, flops = self.complexities(
            architecture.row[None],
            stem=stem,
            channels=channels,
            layers=layers,
            classes=classes,
            resolution=resolution,
            in_channels=in_channels,
            auxiliary=auxiliary,
        )[0].tolist()
        return Complexity(params, flops)

    def complexities(
        self, rows: npt.NDArray[np.integer[Any]], **options: Any
    ) -> npt.NDArray[np.int64]:
        """`complexity` of a batch, `(B, D)` to `(B, 2)`: parameters and FLOPs.

        Args:
            rows: Choice indices.
            **options: As in `complexity`.
        """
        normal, reduce = self.cells(rows)
        return network_sizes(
            cell_operations(normal),
            cell_operations(reduce),
            cell_inputs(reduce) < 2,
            self.operations,
            DARTSNetworkShape.of(**options),
        )


class DARTS(GenotypeSpace):
    """The DARTS space: a normal and a reduction cell, 1.09e18 genotypes.

    Each cell has four nodes; a node sums an operation on each of two different earlier nodes or
    inputs. Decisions are named ``normal/node_3/inputs`` (``"0_2"``: inputs 0 and 2) and
    ``normal/node_3/op_0`` (the operation on the smaller input), so every combination is an
    architecture. The notation is DARTS' ``Genotype(...)``. Keys are equal when both cells are
    the same up to the names of their nodes. The graph has 22 nodes: arch2vec's 11-node graphs of
    the normal and of the reduction cell side by side, without edges between them.

    Args:
        with_none: Whether ``none`` is one of the operations.
    """

    def __init__(self, *, with_none: bool = False) -> None:
        operations = _operations(with_none)
        decisions = [
            *cell_decisions(operations, "normal/"),
            *cell_decisions(operations, "reduce/"),
        ]
        options = {"with_none": True} if with_none else {}
        super().__init__("darts", decisions, with_none=with_none, options=options)

    def cell_space(self) -> DARTSCell:
        """The space of one cell used as both, with ``none`` as in arch2vec."""
        return DARTSCell()

    def cells(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The choices of the normal and of the reduction cells, each `(B, 11)`."""
        choices = np.asarray(rows, dtype=np.int64)
        return choices[:, :CELL_LENGTH], choices[:, CELL_LENGTH:]

    def _from_cells(self, normal: list[int], reduce: list[int]) -> Architecture:
        return Architecture(self, (*normal, *reduce))

    def keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Canonical keys, `(B, 22)` to `(B,)`: the smallest code over all names of the nodes."""
        n_operations = len(self.operations)
        normal, reduce = (cell_keys(cells, n_operations) for cells in self.cells(rows))
        return normal * int(np.prod(self.cardinalities[:CELL_LENGTH])) + reduce

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Both cells of a batch as one graph each: `(B, 22, 22)` and `(B, 22)`."""
        normal, reduce = (cell_graphs(cells, self._to_node) for cells in self.cells(rows))
        adjacency = np.zeros((len(rows), 2 * GRAPH_NODES, 2 * GRAPH_NODES), dtype=np.uint8)
        adjacency[:, :GRAPH_NODES, :GRAPH_NODES] = normal[0]
        adjacency[:, GRAPH_NODES:, GRAPH_NODES:] = reduce[0]
        return adjacency, np.concatenate([normal[1], reduce[1]], axis=1)

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads the two cells back; no edge may run between them."""
        if len(graph.operations) != 2 * GRAPH_NODES:
            raise InvalidArchitectureError(
                f"the graph of a 'darts' architecture has {2 * GRAPH_NODES} nodes, "
                f"got {len(graph.operations)}"
            )
        if graph.adjacency[:GRAPH_NODES, GRAPH_NODES:].any():
            raise InvalidArchitectureError(
                "no edge may run from the normal cell (nodes 0-10) to the reduction cell (11-21)"
            )
        rows = []
        for name, part in (
            ("normal", slice(0, GRAPH_NODES)),
            ("reduction", slice(GRAPH_NODES, None)),
        ):
            cell = Graph(graph.adjacency[part, part], graph.operations[part], graph.vocabulary)
            try:
                rows.append(cell_row_from_graph(cell, self.operations))
            except InvalidArchitectureError as error:
                raise InvalidArchitectureError(f"{name} cell: {error}") from error
        return self._from_cells(*rows)


class DARTSCell(GenotypeSpace):
    """One DARTS cell used as normal and reduction cell: 3.02e9 genotypes.

    The space from which arch2vec, and after it Arch-VQ, draws its architectures. Decisions are
    named ``node_3/inputs`` and ``node_3/op_0``. The notation is DARTS' ``Genotype(...)`` with
    two equal cells. The graph is arch2vec's 11-node graph of the cell.

    Args:
        with_none: Whether ``none`` is one of the operations, as it is in arch2vec.
    """

    def __init__(self, *, with_none: bool = True) -> None:
        super().__init__(
            "darts-cell",
            cell_decisions(_operations(with_none)),
            with_none=with_none,
            options={} if with_none else {"with_none": False},
        )

    def cells(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The choices of the cells, `(B, 11)`, twice."""
        choices = np.asarray(rows, dtype=np.int64)
        return choices, choices

    def _from_cells(self, normal: list[int], reduce: list[int]) -> Architecture:
        if normal != reduce:
            raise InvalidArchitectureError(
                "`reduce` must equal `normal` in the one-cell space 'darts-cell'; "
                "the space 'darts' has two cells"
            )
        return Architecture(self, tuple(normal))

    def keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Canonical keys, `(B, 11)` to `(B,)`: the smallest code over all names of the nodes."""
        return cell_keys(rows, len(self.operations))

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """arch2vec's graphs of a batch: `(B, 11, 11)` and `(B, 11)`."""
        return cell_graphs(self.cells(rows)[0], self._to_node)

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads the cell back, strictly; the operations of a block may be in either order."""
        return Architecture(self, tuple(cell_row_from_graph(graph, self.operations)))


def _operations(with_none: bool) -> tuple[str, ...]:
    return (NONE, *OPERATIONS) if with_none else OPERATIONS


__all__ = [
    "DARTS",
    "NODE_OPERATIONS",
    "OPERATIONS",
    "DARTSCell",
    "DARTSNetworkShape",
    "Genotype",
    "GenotypeSpace",
    "Pairs",
]
