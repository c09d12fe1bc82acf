"""Features of an architecture's graph: what runs from input to output, and through what.

In the spirit of GRAF (Kadlecová et al., "Surprisingly Strong Performance Prediction with Neural
Graph Features", ICML 2024): counts of operations, lengths of paths and degrees, each over the
graph restricted to a set of operations. Written for graphs whose nodes carry the operations, so
it serves any space with `graphs`. Nodes that ``none`` cuts off count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.graph import NONE, live_nodes

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAX_SETS = 40
"""Most sets of operations of one part that are described as all of them."""

_DRAWN = 512

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

    Args:
        space: The space.
        rows: `(B, D)`.
        parts: What `OperationSets.of` gives for the space.

    Returns:
        `(B, F)` and F names.
    """
    parts = OperationSets.of(space) if parts is None else parts
    adjacency, labels = space.graphs(rows)
    live = live_nodes(adjacency, labels, space.node_operations)
    columns: list[Floats] = []
    names: list[str] = []
    for number, part in enumerate(parts):
        inside = live & part.nodes
        links = adjacency.astype(bool) & inside[:, :, None] & inside[:, None, :]
        sources, sinks = inside & ~links.any(axis=1), inside & ~links.any(axis=2)
        prefix = f"part_{number}/" if len(parts) > 1 else ""
        for name, members in zip(part.names, part.members, strict=True):
            columns += _describe(links, inside & members[labels], sources, sinks)
            names += [f"{prefix}{measure}:{name}" for measure in _MEASURES]
    if not columns:
        return np.zeros((len(rows), 0)), ()
    return np.stack(columns, axis=1), tuple(names)


def _describe(links: Flags, inside: Flags, sources: Flags, sinks: Flags) -> list[Floats]:
    within = links & inside[:, :, None] & inside[:, None, :]
    after = (links & sources[:, :, None]).any(axis=1) & inside
    before = (links & sinks[:, None, :]).any(axis=2) & inside
    weight = inside.astype(np.float64)
    most, least, _ = _paths(links, weight, sources, sinks)
    ends = sources | sinks
    open_nodes = inside | ends
    through = links & open_nodes[:, :, None] & open_nodes[:, None, :]
    longest, shortest, number = _paths(through, weight, sources, sinks)
    return [
        inside.sum(axis=1).astype(np.float64),
        after.sum(axis=1).astype(np.float64),
        before.sum(axis=1).astype(np.float64),
        most,
        least,
        longest,
        shortest,
        np.log1p(number),
        within.sum(axis=(1, 2)).astype(np.float64),
    ]


def _paths(
    links: Flags, weight: Floats, sources: Flags, sinks: Flags
) -> tuple[Floats, Floats, Floats]:
    """Greatest and least weight of a path from a source to a sink (-1: no path), and their number.

    Edges run from smaller to larger nodes.
    """
    most = np.where(sources, weight, -np.inf)
    least = np.where(sources, weight, np.inf)
    number = sources.astype(np.float64)
    for node in range(1, weight.shape[1]):
        into = links[:, :node, node]
        own = weight[:, node]
        reached = np.where(into, most[:, :node], -np.inf).max(axis=1) + own
        most[:, node] = np.maximum(most[:, node], reached)
        reached = np.where(into, least[:, :node], np.inf).min(axis=1) + own
        least[:, node] = np.minimum(least[:, node], reached)
        number[:, node] += (into * number[:, :node]).sum(axis=1)
    longest = np.where(sinks, most, -np.inf).max(axis=1)
    shortest = np.where(sinks, least, np.inf).min(axis=1)
    total = (number * sinks).sum(axis=1)
    found = np.isfinite(longest)
    return np.where(found, longest, -1.0), np.where(found, shortest, -1.0), total


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
