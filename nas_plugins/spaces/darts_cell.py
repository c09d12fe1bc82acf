"""One DARTS cell as 11 choice indices: its exact canonical code and its 11-node graph.

The choices of a cell, in order: operations of node 2 (its inputs can only be 0 and 1), then
inputs and two operations of nodes 3, 4 and 5. The first operation applies to the smaller input.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.spaces.base import Decision
from nas_plugins.spaces.graph import Graph

NONE = "none"
OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The operations of DARTS without ``none``, in DARTS' order."""

NODE_OPERATIONS = ("c_k-2", "c_k-1", NONE, *OPERATIONS, "output")
"""Node labels of the 11-node graph, in arch2vec's index order."""

NODES = (2, 3, 4, 5)
PAIRS = tuple(tuple(combinations(range(node), 2)) for node in NODES)
"""Per intermediate node its possible pairs of inputs, the smaller input first."""

CELL_LENGTH = 11
GRAPH_NODES = 11

_PAIR_COLUMNS = (None, 2, 5, 8)
OPERATION_COLUMNS = np.array([[0, 1], [3, 4], [6, 7], [9, 10]])
"""Where the two operations of each node stand among the 11 choices."""

_OUTPUT = GRAPH_NODES - 1
_IMPOSSIBLE = np.int64(2**60)  # four of these still fit an int64


def cell_decisions(operations: tuple[str, ...], prefix: str = "") -> list[Decision]:
    """The 11 decisions of one cell, e.g. ``normal/node_3/inputs``, ``normal/node_3/op_0``."""
    decisions = []
    for node, pairs in zip(NODES, PAIRS, strict=True):
        name = f"{prefix}node_{node}"
        if len(pairs) > 1:
            decisions.append(Decision(f"{name}/inputs", tuple(f"{a}_{b}" for a, b in pairs)))
        decisions += [Decision(f"{name}/op_{slot}", operations) for slot in (0, 1)]
    return decisions


def pair_indices(rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Index into `PAIRS` for each node, `(B, 11)` to `(B, 4)`."""
    pairs = np.zeros((len(rows), len(NODES)), dtype=np.int64)
    for position, column in enumerate(_PAIR_COLUMNS):
        if column is not None:
            pairs[:, position] = rows[:, column]
    return pairs


def cell_inputs(rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Input of every operation, `(B, 11)` to `(B, 8)`; operations in the genotype's order."""
    pairs = pair_indices(rows)
    inputs = [np.array(PAIRS[n])[pairs[:, n]] for n in range(len(NODES))]
    return np.concatenate(inputs, axis=1)


def cell_operations(rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Index of every operation, `(B, 11)` to `(B, 8)`; operations in the genotype's order."""
    return np.asarray(rows, dtype=np.int64)[:, OPERATION_COLUMNS.ravel()]


def cell_row(pairs: list[tuple[int, int]], operations: list[tuple[int, int]]) -> list[int]:
    """The 11 choices from each node's two inputs and operations; the inputs in any order."""
    row: list[int] = []
    for node, known in enumerate(PAIRS):
        inputs, chosen = zip(*sorted(zip(pairs[node], operations[node], strict=True)), strict=True)
        if len(known) > 1:
            row.append(known.index(inputs))
        row += chosen
    return row


# -- canonical code ------------------------------------------------------------------------


def cell_keys(rows: npt.NDArray[np.integer[Any]], n_operations: int) -> npt.NDArray[np.int64]:
    """Smallest mixed-radix code over all renamings of the intermediate nodes, `(B, 11)` to `(B,)`.

    A renaming counts when every node still takes its inputs from smaller ones. The code is that
    of `SearchSpace.enumerate`, so it names a cell of the space.
    """
    choices = np.asarray(rows, dtype=np.int64)
    operations = choices[:, OPERATION_COLUMNS]
    nodes = pair_indices(choices) * n_operations**2
    nodes += operations[..., 0] * n_operations + operations[..., 1]
    best = np.full(len(choices), _IMPOSSIBLE)
    for tables in _renamed_codes(n_operations):
        code = sum(table[nodes[:, n]] for n, table in enumerate(tables))
        np.minimum(best, code, out=best)
    return best


@lru_cache(maxsize=4)
def _renamed_codes(n_operations: int) -> tuple[tuple[npt.NDArray[np.int64], ...], ...]:
    """Per renaming and old node, the contribution to the code of each choice of that node."""
    return tuple(
        tuple(_node_codes(node, renamed, n_operations) for node in range(len(NODES)))
        for renamed in permutations(range(len(NODES)))
    )


def _node_codes(node: int, renamed: tuple[int, ...], n_operations: int) -> npt.NDArray[np.int64]:
    square = n_operations**2
    target = renamed[node]
    weight = int(np.prod([len(p) * square for p in PAIRS[target + 1 :]], dtype=np.int64))
    kept = np.arange(square, dtype=np.int64).reshape(n_operations, n_operations)
    codes = np.full((len(PAIRS[node]), n_operations, n_operations), _IMPOSSIBLE)
    for index, pair in enumerate(PAIRS[node]):
        first, second = (i if i < 2 else NODES[renamed[i - 2]] for i in pair)
        if max(first, second) < NODES[target]:
            place = PAIRS[target].index((min(first, second), max(first, second)))
            codes[index] = (place * square + (kept if first < second else kept.T)) * weight
    flat = codes.ravel()
    flat.setflags(write=False)
    return flat


# -- graphs --------------------------------------------------------------------------------


def _source_columns() -> npt.NDArray[np.uint8]:
    """Adjacency column of an operation that reads input i: row i of `(5, 11)`."""
    columns = np.zeros((5, GRAPH_NODES), dtype=np.uint8)
    columns[0, 0] = columns[1, 1] = 1
    for block in range(3):
        columns[2 + block, [2 + 2 * block, 3 + 2 * block]] = 1
    return columns


_COLUMNS = _source_columns()
_OUTPUT_COLUMN = np.array([0, 0, *[1] * 8, 0], dtype=np.uint8)


def cell_graphs(
    rows: npt.NDArray[np.integer[Any]], to_node: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """arch2vec's graphs of a batch of cells: `(B, 11, 11)` and `(B, 11)`.

    Nodes 0 and 1 are the cell's inputs, nodes 2-9 the operations in the genotype's order, node
    10 the output. An operation that reads an intermediate node has edges from both operations
    of that node; the sums themselves are not nodes.

    Args:
        rows: Choices, `(B, 11)`.
        to_node: Node label of each operation index.
    """
    n = len(rows)
    adjacency = np.zeros((n, GRAPH_NODES, GRAPH_NODES), dtype=np.uint8)
    adjacency[:, :, 2:_OUTPUT] = _COLUMNS[cell_inputs(rows)].transpose(0, 2, 1)
    adjacency[:, :, _OUTPUT] = _OUTPUT_COLUMN
    labels = np.empty((n, GRAPH_NODES), dtype=np.int16)
    labels[:, 0], labels[:, 1], labels[:, _OUTPUT] = 0, 1, len(NODE_OPERATIONS) - 1
    labels[:, 2:_OUTPUT] = to_node[cell_operations(rows)]
    return adjacency, labels


def cell_row_from_graph(graph: Graph, operations: tuple[str, ...]) -> list[int]:
    """Reads the 11 choices of a cell from its graph, strictly.

    Args:
        graph: An 11-node graph as `cell_graphs` writes it; the two operations of a block may
            stand in either order.
        operations: Names of the space's operations in index order.

    Raises:
        InvalidArchitectureError: The graph is not exactly that of a cell.
    """
    labels = graph.labels
    if len(labels) != GRAPH_NODES:
        raise InvalidArchitectureError(
            f"the graph of a DARTS cell has {GRAPH_NODES} nodes, got {len(labels)}"
        )
    for node, name in ((0, "c_k-2"), (1, "c_k-1"), (_OUTPUT, "output")):
        if labels[node] != name:
            raise InvalidArchitectureError(f"node {node} must be {name!r}, got {labels[node]!r}")
    if graph.adjacency[:, :2].any():
        raise InvalidArchitectureError("nodes 0 and 1 are inputs and take no edge")
    if not np.array_equal(graph.adjacency[:, _OUTPUT], _OUTPUT_COLUMN):
        raise InvalidArchitectureError(
            "the output takes an edge from each of nodes 2-9 and from no other, "
            f"got edges from {np.flatnonzero(graph.adjacency[:, _OUTPUT]).tolist()}"
        )
    pairs, chosen = [], []
    for block in range(len(NODES)):
        nodes = (2 + 2 * block, 3 + 2 * block)
        first, second = (_source(graph, node, block) for node in nodes)
        if first == second:
            raise InvalidArchitectureError(
                f"nodes {nodes[0]} and {nodes[1]} must read different inputs, "
                f"got input {first} twice"
            )
        pairs.append((first, second))
        chosen.append(
            (_operation(labels, nodes[0], operations), _operation(labels, nodes[1], operations))
        )
    return cell_row(pairs, chosen)


def _source(graph: Graph, node: int, block: int) -> int:
    matches = np.flatnonzero((_COLUMNS[: 2 + block] == graph.adjacency[:, node]).all(axis=1))
    if not len(matches):
        raise InvalidArchitectureError(
            f"node {node} must have one edge from node 0 or 1, or edges from both nodes of one "
            f"earlier block, got edges from {np.flatnonzero(graph.adjacency[:, node]).tolist()}"
        )
    return int(matches[0])


def _operation(labels: tuple[str, ...], node: int, operations: tuple[str, ...]) -> int:
    if labels[node] not in operations:
        raise InvalidArchitectureError(
            f"node {node} must be one of {', '.join(operations)}, got {labels[node]!r}"
        )
    return operations.index(labels[node])
