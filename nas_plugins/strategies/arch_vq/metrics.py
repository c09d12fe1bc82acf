"""Reconstruction, validity, uniqueness and novelty of graphs, as published and strictly.

Published figures count *leniently*, with arch2vec's functions: on NAS-Bench-201 the adjacency is
never looked at, on NAS-Bench-101 graphs are compared before pruning, on DARTS only the operations
and one incoming edge per node are tested. *Strictly*, a graph is valid when it is exactly that of
an architecture, and two are the same when the space's canonical keys are.

Graphs are batches: adjacency `(B, N, N)`, strictly upper triangular, and labels `(B, N)`, indices
into the space's node operations, padding having the index after the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least
from nas_plugins.spaces import nasbench101_cells as cells
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.spaces.darts import DARTSCell
from nas_plugins.spaces.graph import ABSENT, wl_keys
from nas_plugins.spaces.nasbench101 import OPERATIONS as NB101_OPERATIONS
from nas_plugins.spaces.nasbench101 import NASBench101
from nas_plugins.spaces.nasbench201 import NASBench201
from nas_plugins.strategies.arch_vq.rules import rule_for

Matrices = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[Any]

_CHUNK = 32768


@dataclass(frozen=True, eq=False)
class Graphs:
    """A batch of graphs, valid or not.

    Attributes:
        adjacency: `(B, N, N)` uint8, strictly upper triangular.
        labels: `(B, N)` indices of node operations; padding has the index after the last.
    """

    adjacency: Matrices
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Graphs:
        return Graphs(self.adjacency[index], self.labels[index])

    @classmethod
    def of(cls, space: SearchSpace, rows: Rows) -> Graphs:
        """The graphs of architectures `(B, D)`."""
        adjacency, operations = space.graphs(rows)
        labels = np.where(operations == ABSENT, len(space.node_operations), operations)
        return cls(adjacency, labels)

    @classmethod
    def from_columns(cls, labels: Labels, columns: Labels) -> Graphs:
        """Unpacks incoming edges `(B, N)`: bit i of column j is the edge i to j."""
        n_nodes = labels.shape[1]
        edges = columns[:, None, :].astype(np.int64) >> np.arange(n_nodes)[:, None] & 1
        return cls(np.triu(edges.astype(np.uint8), 1), labels)

    @property
    def columns(self) -> npt.NDArray[np.int64]:
        """Incoming edges of every node as bits, `(B, N)`."""
        weights = np.int64(1) << np.arange(self.labels.shape[1], dtype=np.int64)
        packed: npt.NDArray[np.int64] = np.einsum(
            "bij,i->bj", self.adjacency.astype(np.int64), weights
        )
        return packed


# -- validity ------------------------------------------------------------------------------


def lenient_valid(space: SearchSpace, graphs: Graphs) -> Bools:
    """Which graphs the published functions accept, `(B,)`.

    arch2vec ea01b0c: ``nasbench.is_valid(ModelSpec(...))`` on NAS-Bench-101,
    ``is_valid_nasbench201`` and ``is_valid_darts``, their gaps included. Other spaces have no
    published function; strict validity stands in.
    """
    test = _published_test(space)
    return strict_rows(space, graphs)[1] if test is None else test(space, graphs)


def has_published_test(space: SearchSpace) -> bool:
    """Whether a function that tells valid graphs of the space was published."""
    return _published_test(space) is not None


def _published_test(space: SearchSpace) -> Callable[[SearchSpace, Graphs], Bools] | None:
    tests: tuple[tuple[type[SearchSpace], Callable[[SearchSpace, Graphs], Bools]], ...] = (
        (NASBench101, _lenient_nasbench101),
        (NASBench201, _lenient_nasbench201),
        (DARTSCell, _lenient_darts),
    )
    return next((test for kind, test in tests if isinstance(space, kind)), None)


def _lenient_nasbench101(space: SearchSpace, graphs: Graphs) -> Bools:
    """After pruning: at most 9 edges, input first, output last, known operations between.

    What is pruned away may carry any label and any number of edges.
    """
    names = list(space.node_operations)
    inner = np.isin(graphs.labels, [names.index(name) for name in NB101_OPERATIONS])
    matrices = graphs.adjacency.astype(bool)
    used = cells.used_vertices(matrices)
    result: Bools = (
        used[:, 0]
        & (cells.edge_counts(matrices, used) <= cells.MAX_EDGES)
        & (graphs.labels[:, 0] == names.index("input"))
        & (graphs.labels[:, -1] == names.index("output"))
        & (inner | ~used)[:, 1:-1].all(axis=1)
    )
    return result


def _lenient_nasbench201(space: SearchSpace, graphs: Graphs) -> Bools:
    """Operations only. Node 1 is not looked at: the published loop begins at node 2."""
    names, labels = list(space.node_operations), graphs.labels
    inside = (labels != names.index("input")) & (labels != names.index("output"))
    inside &= labels < len(names)
    ends = (labels[:, 0] == names.index("input")) & (labels[:, -1] == names.index("output"))
    result: Bools = ends & inside[:, 2:-1].all(axis=1)
    return result


def _lenient_darts(space: SearchSpace, graphs: Graphs) -> Bools:
    """Operations, and at least one edge into each node from the blocks before its own."""
    names, labels = list(space.node_operations), graphs.labels
    fixed = {0: "c_k-2", 1: "c_k-1", labels.shape[1] - 1: "output"}
    result: Bools = np.ones(len(labels), dtype=bool)
    for node, name in fixed.items():
        result &= labels[:, node] == names.index(name)
    reserved = [names.index(name) for name in fixed.values()]
    result &= (~np.isin(labels[:, 2:-1], reserved) & (labels[:, 2:-1] < len(names))).all(axis=1)
    for node in range(2, labels.shape[1] - 1):
        result &= graphs.adjacency[:, : node - node % 2, node].any(axis=1)
    return result


def strict_rows(space: SearchSpace, graphs: Graphs) -> tuple[Rows, Bools]:
    """The architectures whose graphs these exactly are.

    Returns:
        Choices `(V, D)` of the valid graphs and which of the graphs are valid, `(B,)`.
    """
    trailing = np.ones(len(graphs), dtype=bool)
    if space.padding == "end":
        graphs, trailing = _output_last(graphs, len(space.node_operations))
    rule = rule_for(space, graphs.labels.shape[1])
    valid = rule.valid(graphs.labels, graphs.columns) & trailing
    kept = graphs[valid]
    return rule.rows(kept.labels, kept.columns), valid


def _output_last(graphs: Graphs, padding: int) -> tuple[Graphs, Bools]:
    """Moves trailing padding before the last other node, and tells where it was trailing."""
    is_padding = graphs.labels == padding
    rank = is_padding.astype(np.int64)
    last = graphs.labels.shape[1] - 1 - np.argmin(is_padding[:, ::-1], axis=1)
    rank[np.arange(len(graphs)), last] = 2
    order = np.argsort(rank, axis=1, kind="stable")
    moved = cells.reorder(graphs.adjacency.astype(bool), order).astype(np.uint8)
    labels = np.take_along_axis(graphs.labels, order, axis=1)
    trailing = (np.diff(is_padding.astype(np.int8), axis=1) >= 0).all(axis=1)
    # Edges that now lead backwards came out of padding.
    forward = ~np.tril(moved).any(axis=(1, 2))
    return Graphs(moved, labels), trailing & forward


def raw_keys(graphs: Graphs) -> npt.NDArray[np.uint64]:
    """Keys of the graphs as they are, nothing pruned: equal for isomorphic ones, `(B,)`."""
    parts = [np.empty(0, dtype=np.uint64)]
    for start in range(0, len(graphs), _CHUNK):
        part = graphs[start : start + _CHUNK]
        parts.append(wl_keys(part.adjacency, part.labels))
    return np.concatenate(parts)


# -- validity, uniqueness, novelty ---------------------------------------------------------


@dataclass(frozen=True)
class Generation:
    """Counts over generated graphs, and the shares the papers report, in percent.

    Attributes:
        requested: Graphs asked for: the denominator of validity.
        valid: Valid ones, with repetitions.
        distinct: Different valid ones.
        novel: Valid ones, with repetitions, that are not in the training set.
        distinct_novel: Different valid ones that are not in the training set.
    """

    requested: int
    valid: int
    distinct: int
    novel: int
    distinct_novel: int

    @classmethod
    def count(cls, requested: int, keys: Keys, train_keys: Keys) -> Generation:
        """Counts from the keys of the valid graphs `(V,)` and of the training set."""
        distinct = np.unique(keys)
        return cls(
            requested,
            len(keys),
            len(distinct),
            int((~np.isin(keys, train_keys)).sum()),
            int((~np.isin(distinct, train_keys)).sum()),
        )

    @property
    def validity(self) -> float:
        """Valid of all requested."""
        return _percent(self.valid, self.requested)

    @property
    def uniqueness(self) -> float:
        """Different of the valid ones."""
        return _percent(self.distinct, self.valid)

    @property
    def novelty(self) -> float:
        """Not in the training set, of the valid ones with repetitions (the papers' text)."""
        return _percent(self.novel, self.valid)

    @property
    def distinct_novelty(self) -> float:
        """Not in the training set, of the different valid ones."""
        return _percent(self.distinct_novel, self.distinct)

    @property
    def absolute_uniqueness(self) -> float:
        """Different valid ones of all requested: validity times uniqueness."""
        return _percent(self.distinct, self.requested)

    @property
    def absolute_novelty(self) -> float:
        """Valid ones outside the training set of all requested: validity times novelty."""
        return _percent(self.novel, self.requested)

    def to_json(self) -> dict[str, float]:
        """All shares by name."""
        return {name: float(getattr(self, name)) for name in SHARES}


SHARES = (
    "validity",
    "uniqueness",
    "novelty",
    "distinct_novelty",
    "absolute_uniqueness",
    "absolute_novelty",
)


@dataclass(frozen=True, eq=False)
class TrainKeys:
    """Keys of a training set, for novelty.

    Attributes:
        raw: `raw_keys` of its graphs.
        canonical: The space's keys of its architectures.
    """

    raw: npt.NDArray[np.uint64]
    canonical: Keys

    @classmethod
    def of(cls, space: SearchSpace, rows: Rows) -> TrainKeys:
        """From the training architectures `(B, D)`."""
        parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        raw = [raw_keys(Graphs.of(space, part)) for part in parts]
        return cls(np.concatenate([np.empty(0, dtype=np.uint64), *raw]), space.keys(rows))


def lenient(
    space: SearchSpace, graphs: Graphs, train: TrainKeys, *, requested: int | None = None
) -> Generation:
    """Counts as published: lenient validity, keys of graphs that are not pruned.

    Args:
        space: Where the graphs should belong.
        graphs: What was generated.
        train: For novelty.
        requested: How many were asked for; by default as many as there are.
    """
    keys = raw_keys(graphs[lenient_valid(space, graphs)])
    return Generation.count(len(graphs) if requested is None else requested, keys, train.raw)


def strict(
    space: SearchSpace, graphs: Graphs, train: TrainKeys, *, requested: int | None = None
) -> Generation:
    """Counts strictly: exact graphs of architectures, canonical keys; as `lenient` otherwise."""
    rows, _ = strict_rows(space, graphs)
    whole = len(graphs) if requested is None else requested
    return Generation.count(whole, space.keys(rows), train.canonical)


def iid_ceiling(size: int, n: int) -> float:
    """Largest expected uniqueness of `n` independent draws from `size` architectures, in %.

    Attained by the uniform distribution: ``size (1 - (1 - 1/size)^n) / n``.

    Raises:
        ValueError: `size` or `n` is less than 1.
    """
    at_least(1, size=size, n=n)
    if size == 1:
        return 100.0 / n
    return float(-size * np.expm1(n * np.log1p(-1 / size)) / n * 100)


# -- reconstruction ------------------------------------------------------------------------


@dataclass(frozen=True)
class Reconstruction:
    """How graphs come back, in percent.

    Attributes:
        operations: Node labels that are right.
        edges: Pairs i < j that are right.
        exact: Graphs of which everything is right.
        lenient_operations: arch2vec's: as `operations`, padding counted as the first label.
        edge_probability: arch2vec's ``mean_corr_adj`` at a threshold: true edges that come back.
        false_edges: arch2vec's ``mean_fal_pos_adj``: absent edges that appear.
    """

    operations: float
    edges: float
    exact: float
    lenient_operations: float
    edge_probability: float
    false_edges: float


def reconstruction(original: Graphs, decoded: Graphs, n_operations: int) -> Reconstruction:
    """Compares graphs node by node, as they stand.

    Args:
        original: What was encoded.
        decoded: What came back, in the same order.
        n_operations: Labels, padding not included.

    Raises:
        ValueError: There are no graphs, or not as many of both.
    """
    if len(original) != len(decoded) or not len(original):
        raise ValueError(
            "`decoded` must have as many graphs as `original`, at least one, "
            f"got {len(decoded)} and {len(original)}"
        )
    upper = np.triu(np.ones(original.adjacency.shape[1:], dtype=bool), 1)
    truth, found = (g.adjacency[:, upper].astype(bool) for g in (original, decoded))
    same_label, same_edge = original.labels == decoded.labels, truth == found
    first = [np.where(g.labels == n_operations, 0, g.labels) for g in (original, decoded)]
    return Reconstruction(
        _mean(same_label),
        _mean(same_edge),
        _mean(same_label.all(axis=1) & same_edge.all(axis=1)),
        _mean(first[0] == first[1]),
        _mean(found[truth]),
        _mean(found[~truth]),
    )


def _mean(hits: Bools) -> float:
    return float(hits.mean() * 100) if hits.size else float("nan")


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else float("nan")
