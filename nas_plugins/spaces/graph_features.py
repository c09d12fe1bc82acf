"""Features of an architecture's graph: what runs from input to output, and through what.

In the spirit of GRAF (Kadlecová et al., "Surprisingly Strong Performance Prediction with Neural
Graph Features", ICML 2024): counts of operations, lengths of paths and degrees, each over the
graph restricted to a set of operations. Written for graphs whose nodes carry the operations, so
it serves any space with `graphs`. Nodes that ``none`` cuts off count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.graph import NONE, live_nodes

if TYPE_CHECKING:
    from nas_plugins.spaces.base import SearchSpace

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.unsignedinteger[Any]]

MAX_SETS = 40
"""Most sets of operations of one part that are described as all of them."""

_DRAWN = 512
_CHUNK = 500  # graphs at a time; a power of two would set columns at odds in the cache
_COUNTED = 2.0**32
"""Fewer paths are counted in integers; more in floats."""

_MEASURES = ("count", "first", "last", "most", "least", "longest", "shortest", "paths", "links")


@dataclass(frozen=True, eq=False)
class OperationSets:
    """What is described of one part of a space's graphs, e.g. of one of two separate cells.

    Attributes:
        nodes: `(N,)`, which nodes belong to the part.
        names: One per set of operations, e.g. ``"nor_conv_1x1|nor_conv_3x3"``.
        members: `(S, L)`, which of the L labels are in each set.
    """

    nodes: Flags
    names: tuple[str, ...]
    members: Flags

    @classmethod
    def of(cls, space: SearchSpace) -> tuple[OperationSets, ...]:
        """The parts that no edge ever joins, found by drawing from the space, and their sets.

        All non-empty sets of a part's operations where they are at most 40; otherwise single
        operations, pairs as long as they are few, complements and the whole. Inputs, outputs
        and ``none`` are in no set.
        """
        adjacency, labels = space.graphs(space.random(_DRAWN, np.random.default_rng(0)))
        inner = adjacency.any(axis=1) & adjacency.any(axis=2)
        vocabulary = space.node_operations
        parts = []
        for nodes in _components(adjacency.max(axis=0) > 0):
            found = np.unique(labels[inner & nodes]).tolist()
            used = [i for i in found if i >= 0 and vocabulary[i] != NONE]
            sets = _chosen_sets(used)
            names = tuple("|".join(vocabulary[i] for i in sorted(s)) for s in sets)
            members = np.array([[i in s for i in range(len(vocabulary))] for s in sets], bool)
            parts.append(cls(nodes, names, members.reshape(len(sets), len(vocabulary))))
        return tuple(parts)


@lru_cache(maxsize=32)
def operation_sets(space: SearchSpace) -> tuple[OperationSets, ...]:
    """`OperationSets.of`, kept for spaces that have been asked for."""
    return OperationSets.of(space)


def graph_features(
    space: SearchSpace,
    rows: npt.NDArray[np.integer[Any]],
    parts: Sequence[OperationSets] | None = None,
) -> tuple[Floats, tuple[str, ...]]:
    """Features of a batch of architectures given as rows of choices.

    Per part and set of operations: ``count``, live nodes of the set; ``first`` and ``last``,
    those right behind an input and right before an output; ``most`` and ``least``, nodes of the
    set on the path with most and with least of them; ``longest``, ``shortest`` and ``paths``,
    the longest and shortest path through the set alone (-1 where there is none) and the
    logarithm of 1 plus the number of such paths; ``links``, edges within the set.

    >>> space = nap.space("nasbench201")
    >>> values, names = graph_features(space, space.random(2, np.random.default_rng(0)))
    >>> values.shape, names[0]
    ((2, 135), 'count:nor_conv_1x1')

    Args:
        space: The space.
        rows: `(B, D)`; B may be 0.
        parts: What `OperationSets.of` gives for the space.

    Returns:
        `(B, F)` and F names.
    """
    parts = operation_sets(space) if parts is None else parts
    names: list[str] = []
    for number, part in enumerate(parts):
        prefix = f"part_{number}/" if len(parts) > 1 else ""
        names += [f"{prefix}{measure}:{name}" for name in part.names for measure in _MEASURES]
    values = np.zeros((len(rows), len(names)))
    for start in range(0, len(rows) if names else 0, _CHUNK):
        adjacency, labels = space.graphs(rows[start : start + _CHUNK])
        live = live_nodes(adjacency, labels, space.node_operations)
        found = [_described(PartBatch.of(adjacency, labels, live, part)) for part in parts]
        values[start : start + _CHUNK] = np.concatenate(found).T
    return values, tuple(names)


@dataclass(frozen=True, eq=False)
class PartBatch:
    """One part of a batch of graphs, its architectures last: N nodes, S sets, B graphs.

    Attributes:
        inside: `(N, B)`, which nodes are live.
        links: `(N, N, B)`, edges between live nodes, from smaller to larger ones.
        into: Per node the nodes that have an edge to it in any of the graphs.
        own: `(N, S, B)`, 1 where a node is live and its operation in the set, otherwise 0, of
            an unsigned type that holds twice the nodes and all edges.
    """

    inside: Flags
    links: Flags
    into: tuple[tuple[int, ...], ...]
    own: Counts

    @classmethod
    def of(
        cls,
        adjacency: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.integer[Any]],
        live: Flags,
        part: OperationSets,
    ) -> PartBatch:
        """Takes a part out of `(B, N', N')` adjacencies, `(B, N')` labels and live nodes."""
        nodes = np.flatnonzero(part.nodes)
        inside = np.ascontiguousarray(live[:, nodes].T)
        links = np.ascontiguousarray(adjacency.transpose(1, 2, 0)[np.ix_(nodes, nodes)] > 0)
        links &= inside[:, None]
        links &= inside
        into = tuple(tuple(np.flatnonzero(row).tolist()) for row in links.any(axis=2).T)
        most = max(2 * len(nodes), sum(map(len, into)))
        members = part.members.astype(np.min_scalar_type(most))
        own = np.empty((len(nodes), len(members), len(labels)), dtype=members.dtype)
        for node, column in enumerate(nodes.tolist()):
            np.take(members, labels[:, column], axis=1, out=own[node], mode="wrap")
            own[node] *= inside[node]
        return cls(inside, links, into, own)

    @cached_property
    def sources(self) -> Flags:
        """Which nodes no edge leads to, `(N, B)`."""
        sources: Flags = self.inside & ~self.links.any(axis=0)
        return sources

    @cached_property
    def sinks(self) -> Flags:
        """Which nodes no edge leaves, `(N, B)`."""
        sinks: Flags = self.inside & ~self.links.any(axis=1)
        return sinks

    def steps(self) -> Iterator[tuple[int, int]]:
        """Edges (target, source) of any of the graphs, in an order that follows paths."""
        return ((node, before) for node, many in enumerate(self.into) for before in many)


def _described(part: PartBatch) -> Floats:
    """The measures of every set, `(S * 9, B)`."""
    own = part.own
    behind_source = np.logical_or.reduce(part.links & part.sources[:, None], axis=0)
    before_sink = np.logical_or.reduce(part.links & part.sinks, axis=1)
    within = np.zeros_like(own[0])
    for node, before in part.steps():
        within += own[node] & own[before] & part.links[before, node]
    open_nodes = (own > 0) | (part.sources | part.sinks)[:, None]
    most, least = _extremes(part, np.broadcast_to(part.inside[:, None], own.shape))
    longest, shortest = _extremes(part, open_nodes)
    columns = (
        own.sum(axis=0, dtype=own.dtype),
        (own * behind_source[:, None]).sum(axis=0, dtype=own.dtype),
        (own * before_sink[:, None]).sum(axis=0, dtype=own.dtype),
        most,
        least,
        longest,
        shortest,
        np.log1p(_numbers(part, open_nodes)),
        within,
    )
    described = np.stack(columns, axis=1, dtype=np.float64, casting="unsafe")
    return described.reshape(-1, described.shape[2])


def _extremes(part: PartBatch, open_nodes: Flags) -> tuple[Floats, Floats]:
    """Most and least nodes of a set on a path from source to sink, each `(S, B)`; -1: no path.

    Args:
        part: The graphs.
        open_nodes: `(N, S, B)`, what paths may lead through.
    """
    own, kind = part.own, part.own.dtype.type
    # 1 + most and top - least of the paths that end at a node; 0 where none does.
    top = kind(len(own) + 1)
    best = np.zeros((len(own), 2, *own.shape[1:]), dtype=kind)
    passed, reached = np.empty_like(best[0]), np.zeros_like(best[0])
    through, last = _masks(part.links, kind), _masks(part.sinks, kind)
    for node, sources in enumerate(part.sources):
        here = best[node]
        here[0], here[1] = sources, sources * top
        for before in part.into[node]:
            np.bitwise_and(best[before], through[before, node], out=passed)
            np.maximum(here, passed, out=here)
        kept = _masks((here[0] > 0) & open_nodes[node], kind)
        here[0] += own[node]
        here[1] -= own[node]
        here &= kept
        np.bitwise_and(here, last[node], out=passed)
        np.maximum(reached, passed, out=reached)
    found = reached.astype(np.float64)
    return found[0] - 1.0, np.where(found[1] > 0, float(top) - found[1], -1.0)


def _numbers(part: PartBatch, open_nodes: Flags) -> Floats:
    """Number of paths from source to sink through open nodes, `(S, B)`."""
    everything = _path_counts(part, part.inside[:, None], np.float64)
    # Every part of a path is a part of a whole one, so no count on the way is larger.
    largest = everything.max(initial=0.0)
    kind = np.min_scalar_type(int(largest)) if largest < _COUNTED else np.float64
    return _path_counts(part, open_nodes, kind).astype(np.float64)


def _path_counts(part: PartBatch, open_nodes: Flags, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    counts = np.zeros(open_nodes.shape, dtype=kind)
    total = np.zeros(open_nodes.shape[1:], dtype=kind)
    links = part.links.astype(kind)
    for node, sources in enumerate(part.sources):
        here = counts[node]
        here += sources.astype(kind)
        for before in part.into[node]:
            here += counts[before] * links[before, node]
        here *= open_nodes[node]
        total += here * part.sinks[node]
    return total


def _masks(flags: Flags, kind: type[np.unsignedinteger[Any]]) -> Counts:
    """All bits set where a flag is."""
    return np.where(flags, np.iinfo(kind).max, 0).astype(kind)


def node_features(
    space: SearchSpace, rows: npt.NDArray[np.integer[Any]]
) -> tuple[Floats, tuple[str, ...]]:
    """Which live operation each node of the graph has, `(B, N * L)` ones and zeros.

    Differs from the one-hot decisions in that nodes that are cut off have no operation, so that
    architectures that differ only there are the same.
    """
    adjacency, labels = space.graphs(rows)
    vocabulary = space.node_operations
    live = live_nodes(adjacency, labels, vocabulary)
    hot = (labels[:, :, None] == np.arange(len(vocabulary))) & live[:, :, None]
    names = tuple(f"node_{n}:{name}" for n in range(labels.shape[1]) for name in vocabulary)
    return hot.reshape(len(rows), -1).astype(np.float64), names


def _components(links: Flags) -> list[Flags]:
    """Which nodes each weakly connected part has; one part has also the nodes without links."""
    reach = links | links.T | np.eye(len(links), dtype=bool)
    for _ in range(len(links)):
        reach = reach @ reach
    parts = [part for part in np.unique(reach, axis=0)[::-1] if part.sum() > 1]
    return parts if len(parts) > 1 else [np.ones(len(links), dtype=bool)]


def _chosen_sets(labels: Sequence[int]) -> list[frozenset[int]]:
    sizes: Sequence[int] = range(1, len(labels) + 1)
    if 2 ** len(labels) - 1 > MAX_SETS:
        sizes = (1, 2) if len(labels) * (len(labels) + 1) // 2 <= MAX_SETS else (1,)
    everything = frozenset(labels)
    sets = [frozenset(c) for size in sizes for c in combinations(labels, size)]
    sets += [everything - {label} for label in labels] + [everything]
    return list(dict.fromkeys(s for s in sets if s))
