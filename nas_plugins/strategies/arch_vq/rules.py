"""Strict validity as a rule on prefixes: which node may follow the nodes before it.

With the codebook fixed, the code of node j decides its operation and its incoming edges. A graph
is therefore built column by column, and a rule tells for each candidate column whether a valid
architecture is still within reach. A column is an integer whose bit i is the edge i -> j.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.spaces.darts import DARTSCell
from nas_plugins.spaces.darts_cell import PAIRS
from nas_plugins.spaces.nasbench101 import OPERATIONS as NB101_OPERATIONS
from nas_plugins.spaces.nasbench101 import NASBench101

Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


class PrefixRule(ABC):
    """What may come at each position; works on whole batches.

    Args:
        space: The space whose graphs are built.
        n_nodes: Nodes N per graph.
    """

    def __init__(self, space: SearchSpace, n_nodes: int) -> None:
        self.space, self.n_nodes = space, n_nodes

    @abstractmethod
    def allowed(
        self, position: int, operations: Ints, columns: Ints, op: Ints, column: Ints
    ) -> Bools:
        """Which candidates may stand at `position`.

        Args:
            position: Node j to be chosen.
            operations: `(B, j)` labels of the nodes before it.
            columns: `(B, j)` their incoming edges.
            op: Label of each candidate, `(K,)` or `(B, K)`.
            column: `(B, K)` incoming edges of each candidate after each prefix.

        Returns:
            `(B, K)` bool.
        """

    @abstractmethod
    def rows(self, operations: Ints, columns: Ints) -> Rows:
        """Choice indices `(B, D)` of graphs that the rule allows, given as `(B, N)` each."""

    def valid(self, operations: Ints, columns: Ints) -> Bools:
        """Which whole graphs, given as `(B, N)` labels and columns, the rule allows."""
        result = np.ones(len(operations), dtype=bool)
        for j in range(self.n_nodes):
            here = slice(j, j + 1)
            result &= self.allowed(
                j, operations[:, :j], columns[:, :j], operations[:, here], columns[:, here]
            )[:, 0]
        return result


class FixedAdjacencyRule(PrefixRule):
    """Spaces whose graphs differ only in their labels, one decision per node.

    NAS-Bench-201, FBNet and every categorical space. The adjacency, and which node shows which
    decision, are read off graphs of the space.

    Raises:
        ValueError: The space's graphs are not of this kind.
    """

    def __init__(self, space: SearchSpace, n_nodes: int) -> None:
        super().__init__(space, n_nodes)
        widest = int(space.cardinalities.max())
        rows = np.minimum(np.arange(widest)[:, None], space.cardinalities - 1).astype(np.int16)
        adjacency, operations = space.graphs(rows)
        if (adjacency != adjacency[0]).any():
            raise ValueError(f"the graphs of {space.name!r} must share one adjacency")
        weights = 1 << np.arange(n_nodes, dtype=np.int64)
        self._columns = weights @ adjacency[0].astype(np.int64)
        self._possible = np.zeros((n_nodes, len(space.node_operations) + 1), dtype=bool)
        for node in range(n_nodes):
            self._possible[node, operations[:, node]] = True
        self._nodes, self._choices = self._read_decisions(rows[0], operations)

    def _read_decisions(self, base: Rows, operations: Ints) -> tuple[Ints, Ints]:
        """Per decision the node that shows it, and per decision and label the choice."""
        space = self.space
        changed = np.repeat(base[None], len(base), axis=0)
        changed[np.diag_indices(len(base))] = np.minimum(1, space.cardinalities - 1)
        _, labels = space.graphs(np.concatenate([base[None], changed]))
        differs = labels[1:] != labels[0]
        nodes = np.where(differs.any(axis=1), differs.argmax(axis=1), -1)
        if (differs.sum(axis=1) != (space.cardinalities > 1)).any():
            raise ValueError(f"each decision of {space.name!r} must show in exactly one node")
        choices = np.zeros((len(base), self._possible.shape[1]), dtype=np.int16)
        for decision, node in enumerate(nodes):
            for choice in range(space.cardinalities[decision] if node >= 0 else 0):
                choices[decision, operations[choice, node]] = choice
        return nodes, choices

    def allowed(
        self, position: int, operations: Ints, columns: Ints, op: Ints, column: Ints
    ) -> Bools:
        """The one column, and the labels that the space has at this node."""
        result: Bools = (column == self._columns[position]) & self._possible[position][op]
        return result

    def rows(self, operations: Ints, columns: Ints) -> Rows:
        """Looks up each decision's choice by the label of its node."""
        rows = np.zeros((len(operations), len(self._nodes)), dtype=np.int16)
        for decision, node in enumerate(self._nodes):
            if node >= 0:
                rows[:, decision] = self._choices[decision, operations[:, node]]
        return rows


class NASBench101Rule(PrefixRule):
    """Full cells, padded before the output: every vertex on a path, at most 9 edges.

    After each vertex the edges so far plus one for every vertex that leads nowhere yet must not
    exceed 9. A completion then exists: wire all of those to the output.
    """

    MAX_EDGES = 9

    def __init__(self, space: SearchSpace, n_nodes: int) -> None:
        super().__init__(space, n_nodes)
        names = list(space.node_operations)
        self._input, self._output, self._pad = names.index("input"), names.index("output"), 5
        self._inner = np.array([name in NB101_OPERATIONS for name in names] + [False])
        self._bits = np.array([bin(i).count("1") for i in range(1 << n_nodes)], dtype=np.uint8)

    def allowed(
        self, position: int, operations: Ints, columns: Ints, op: Ints, column: Ints
    ) -> Bools:
        """Keeps a completion with at most 9 edges in reach."""
        if position == 0:
            first: Bools = (op == self._input) & (column == 0)
            return first
        real = ((operations != self._pad) << np.arange(position)).sum(axis=1)[:, None]
        covered = np.bitwise_or.reduce(columns, axis=1)[:, None]
        edges = self._bits[columns].sum(axis=1, dtype=np.uint8)[:, None]
        open_before = (real & ~covered).astype(column.dtype)
        inside = (column & ~real.astype(column.dtype)) == 0
        uncovered = open_before & ~column
        total = edges + self._bits[column]
        if position == self.n_nodes - 1:
            last: Bools = inside & (uncovered == 0) & (total <= self.MAX_EDGES)
            last &= op == self._output
            return last
        # This vertex will need an edge onwards, like every uncovered one before it.
        fits: Bools = (
            inside & (column != 0) & (total + self._bits[uncovered] + 1 <= self.MAX_EDGES)
        )
        fits &= (operations[:, -1] != self._pad)[:, None] & self._inner[op]
        fits |= (op == self._pad) & (column == 0)
        return fits

    def rows(self, operations: Ints, columns: Ints) -> Rows:
        """The choices that `NASBench101.from_graph` gives: what is unused hangs on the input."""
        adjacency = columns[:, None, :] >> np.arange(self.n_nodes)[:, None] & 1
        adjacency[:, 0] |= operations == self._pad
        sources, targets = np.triu_indices(self.n_nodes, 1)
        edges = adjacency[:, sources, targets]
        names = list(self.space.node_operations)
        choice = np.zeros(len(names) + 1, dtype=np.int16)
        for index, name in enumerate(NB101_OPERATIONS):
            choice[names.index(name)] = index
        inner = choice[operations[:, 1:-1]]
        return np.concatenate([edges, inner], axis=1).astype(np.int16)


class DARTSCellRule(PrefixRule):
    """Every operation has one source, a block has two in order, the output reads them all."""

    def __init__(self, space: SearchSpace, n_nodes: int) -> None:
        super().__init__(space, n_nodes)
        names = list(space.node_operations)
        self._inputs = (names.index("c_k-2"), names.index("c_k-1"))
        self._output = names.index("output")
        self._choice = np.full(len(names) + 1, -1, dtype=np.int16)
        for index, name in enumerate(space.decisions[0].choices):
            self._choice[names.index(str(name))] = index

    @cached_property
    def _source_of(self) -> Ints:
        """Which input of a node (0 .. 4) a column stands for; -1 for any other column."""
        table = np.full(1 << self.n_nodes, -1, dtype=np.int16)
        for source, column in enumerate([1, 2, *(3 << (2 + 2 * b) for b in range(3))]):
            table[column] = source
        return table

    def allowed(
        self, position: int, operations: Ints, columns: Ints, op: Ints, column: Ints
    ) -> Bools:
        """A source before this block, the second one of a block after the first."""
        fits: Bools
        if position < 2:
            fits = (op == self._inputs[position]) & (column == 0)
            return fits
        if position == self.n_nodes - 1:
            fits = (op == self._output) & (column == (1 << position) - 4)
            return fits
        block, second = divmod(position - 2, 2)
        source = self._source_of[column]
        fits = (source >= 0) & (source < block + 2) & (self._choice[op] >= 0)
        if second:
            return fits & (source > self._source_of[columns[:, -1:]])
        return fits & (source < block + 1)

    def rows(self, operations: Ints, columns: Ints) -> Rows:
        """Inputs and operations of the four nodes, in the order of the decisions."""
        sources, choices = self._source_of[columns[:, 2:-1]], self._choice[operations[:, 2:-1]]
        parts = []
        for node, pairs in enumerate(PAIRS):
            if len(pairs) > 1:
                index = np.zeros((5, 5), dtype=np.int16)
                for i, (a, b) in enumerate(pairs):
                    index[a, b] = i
                parts.append(index[sources[:, 2 * node], sources[:, 2 * node + 1]])
            parts += [choices[:, 2 * node], choices[:, 2 * node + 1]]
        return np.stack(parts, axis=1)


def rule_for(space: SearchSpace, n_nodes: int) -> PrefixRule:
    """The strict rule of a space.

    Raises:
        ValueError: The space's graphs follow none of the known rules.
    """
    if isinstance(space, NASBench101):
        return NASBench101Rule(space, n_nodes)
    if isinstance(space, DARTSCell):
        return DARTSCellRule(space, n_nodes)
    return FixedAdjacencyRule(space, n_nodes)
