"""Labelled directed acyclic graphs and isomorphism-invariant keys for batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import InvalidArchitectureError

ABSENT = -1
"""Operation index of a padding node, which has no edges and counts for nothing."""

NONE = "none"
"""Name of the operation that cuts: nothing passes a node that has it."""


@dataclass(frozen=True, eq=False)
class Graph:
    """One architecture as a graph whose nodes carry operations.

    Attributes:
        adjacency: `(N, N)` uint8, strictly upper triangular; ``[i, j] == 1`` is an edge i to j.
        operations: `(N,)` int16, index into `vocabulary`, or `ABSENT` for padding.
        vocabulary: Names of the node operations, in the encoding's index order.
    """

    adjacency: npt.NDArray[np.uint8]
    operations: npt.NDArray[np.int16]
    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        adjacency = np.array(self.adjacency, dtype=np.uint8)
        operations = np.array(self.operations, dtype=np.int16)
        n = len(operations)
        if operations.ndim != 1 or adjacency.shape != (n, n):
            raise InvalidArchitectureError(
                "`adjacency` must be (N, N) for `operations` of length N, "
                f"got {adjacency.shape} and {operations.shape}"
            )
        if np.tril(adjacency).any():
            raise InvalidArchitectureError(
                "`adjacency` must be strictly upper triangular (nodes in topological order)"
            )
        if n and (operations.min() < ABSENT or operations.max() >= len(self.vocabulary)):
            raise InvalidArchitectureError(
                f"`operations` must lie in -1..{len(self.vocabulary) - 1}, "
                f"got {operations.tolist()}"
            )
        adjacency.setflags(write=False)
        operations.setflags(write=False)
        object.__setattr__(self, "adjacency", adjacency)
        object.__setattr__(self, "operations", operations)

    @property
    def labels(self) -> tuple[str, ...]:
        """Operation name per node; an empty string for padding."""
        return tuple(self.vocabulary[o] if o >= 0 else "" for o in self.operations)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Edges as ``(source, target)`` pairs in row order."""
        return tuple((int(i), int(j)) for i, j in np.argwhere(self.adjacency))

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists that `from_json` reads back."""
        return {
            "adjacency": self.adjacency.tolist(),
            "operations": self.operations.tolist(),
            "vocabulary": list(self.vocabulary),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """Reads what `to_json` wrote."""
        return cls(
            np.asarray(data["adjacency"], dtype=np.uint8),
            np.asarray(data["operations"], dtype=np.int16),
            tuple(data["vocabulary"]),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[bytes, bytes, tuple[str, ...]]:
        return self.adjacency.tobytes(), self.operations.tobytes(), self.vocabulary


def wl_keys(
    adjacency: npt.NDArray[np.uint8], operations: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.uint64]:
    """64-bit isomorphism-invariant keys of a batch of labelled graphs.

    Colour refinement (Weisfeiler-Lehman) over in- and out-neighbours for N rounds with a
    64-bit mixing function. All 1,293,208 NAS-Bench-101 candidates fall into exactly the
    423,624 classes of the benchmark.

    Args:
        adjacency: `(B, N, N)`, 1 for an edge i to j.
        operations: `(B, N)` integer labels; `ABSENT` nodes are ignored.

    Returns:
        `(B,)` uint64.
    """
    outgoing = np.asarray(adjacency, dtype=np.uint64)
    incoming = outgoing.transpose(0, 2, 1)
    labels = np.asarray(operations).astype(np.int64)
    present = (labels != ABSENT).astype(np.uint64)
    with np.errstate(over="ignore"):
        colour = mix64(labels.astype(np.uint64) + np.uint64(0x51ED27)) * present
        for _ in range(outgoing.shape[1]):
            successors = (outgoing @ mix64(colour ^ np.uint64(0xA5A5A5A5))[..., None])[..., 0]
            predecessors = (incoming @ mix64(colour ^ np.uint64(0x5EED5EED))[..., None])[..., 0]
            colour = mix64(
                colour + mix64(successors) + np.uint64(3) * mix64(predecessors + np.uint64(1))
            )
            colour = colour * present
        return mix64((mix64(colour) * present).sum(axis=1, dtype=np.uint64))


def live_nodes(
    adjacency: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    vocabulary: Sequence[str],
) -> npt.NDArray[np.bool_]:
    """Nodes on a path from an input to an output that no ``none`` cuts, `(B, N)`.

    A node ``none`` passes nothing on and is dead itself. Inputs are the nodes that no edge leads
    to, outputs those that none leaves.

    Args:
        adjacency: `(B, N, N)`, edges from smaller to larger nodes.
        labels: `(B, N)` indices into `vocabulary`, `ABSENT` for padding.
        vocabulary: Names of the operations.
    """
    present: npt.NDArray[np.bool_] = labels != ABSENT
    if NONE not in vocabulary:
        return present
    passing = present & (labels != list(vocabulary).index(NONE))
    links = adjacency.astype(bool)
    ahead = passing & ~links.any(axis=1)
    behind = passing & ~links.any(axis=2)
    nodes = labels.shape[1]
    for node in range(nodes):
        ahead[:, node] |= passing[:, node] & (links[:, :, node] & ahead).any(axis=1)
    for node in reversed(range(nodes)):
        behind[:, node] |= passing[:, node] & (links[:, node] & behind).any(axis=1)
    live: npt.NDArray[np.bool_] = ahead & behind
    return live


def live_keys(
    adjacency: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    vocabulary: Sequence[str],
) -> list[bytes]:
    """What tells the live parts of graphs apart, one per graph.

    Graphs that differ only in nodes and edges that `live_nodes` leaves out have equal keys;
    graphs whose nodes are in another order have not.

    Args:
        adjacency: `(B, N, N)`.
        labels: `(B, N)` indices into `vocabulary`.
        vocabulary: Names of the operations.
    """
    live = live_nodes(adjacency, labels, vocabulary)
    links = adjacency.astype(bool) & live[:, :, None] & live[:, None, :]
    shown = np.where(live, labels, ABSENT)
    return [row.tobytes() + edges.tobytes() for row, edges in zip(shown, links, strict=True)]


def wl_md5(adjacency: npt.NDArray[np.uint8], labels: list[Any]) -> str:
    """MD5 fingerprint of one graph, string for string the one NAS-Bench-101 publishes.

    Follows ``nasbench.lib.graph_util.hash_module`` (Ying et al., ICML 2019). Slower than
    `wl_keys`; use it where compatibility with published hashes matters.

    Args:
        adjacency: `(N, N)`.
        labels: One label per node, formatted with ``str``.
    """
    matrix = np.asarray(adjacency)
    n = len(labels)
    out_degree, in_degree = matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    hashes = [_md5(str((int(out_degree[v]), int(in_degree[v]), labels[v]))) for v in range(n)]
    for _ in range(n):
        hashes = [
            _md5(
                "".join(sorted(hashes[w] for w in range(n) if matrix[w, v]))
                + "|"
                + "".join(sorted(hashes[w] for w in range(n) if matrix[v, w]))
                + "|"
                + hashes[v]
            )
            for v in range(n)
        ]
    return _md5(str(sorted(hashes)))


def chain_labels(graph: Graph, nodes: int) -> list[str]:
    """Labels of the nodes of a chain between its ``"input"`` and its ``"output"``.

    Raises:
        InvalidArchitectureError: The graph is not a chain of so many nodes from one to the other.
    """
    if not np.array_equal(graph.adjacency, np.eye(nodes, k=1, dtype=np.uint8)):
        raise InvalidArchitectureError(f"`graph` is not a chain of {nodes} nodes")
    first, *inner, last = graph.labels
    if (first, last) != ("input", "output"):
        raise InvalidArchitectureError(
            f"the chain must run from 'input' to 'output', got {first!r}, {last!r}"
        )
    return inner


def mix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection on 64 bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
