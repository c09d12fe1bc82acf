"""Layered layout of small directed acyclic graphs (after Sugiyama et al., 1981).

Layers by longest path, dummy nodes on long edges, barycentre ordering, then heights by
isotonic regression: each node as near to its neighbours as the order and the gaps allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Edge = tuple[int, int]
_Pulls = Mapping[int, Sequence[tuple[int, float]]]
_SWEEPS = 12
_RELAXATIONS, _STILL = 100, 0.004


@dataclass(frozen=True)
class Layout:
    """Where nodes and edges go; x counts layers, y is in units of one gap.

    Attributes:
        layer: Layer per node, 0 leftmost.
        height: y per node, 0 at the top.
        routes: Per edge the heights on all layers from its source to its target.
        n_layers: Number of layers.
        span: Largest y.
    """

    layer: Mapping[int, int]
    height: Mapping[int, float]
    routes: Mapping[Edge, tuple[float, ...]]
    n_layers: int
    span: float


def layered(nodes: Sequence[int], edges: Sequence[Edge]) -> Layout:
    """Lays out a graph.

    Args:
        nodes: In topological order.
        edges: Pairs of nodes.
    """
    layer = _layers(nodes, edges)
    chains, members = _with_dummies(nodes, edges, layer)
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    order = _ordered(members, links)
    heights = _heights(order, links)
    top = min(heights.values(), default=0.0)
    heights = {node: height - top for node, height in heights.items()}
    return Layout(
        layer=layer,
        height={node: heights[node] for node in nodes},
        routes={edge: tuple(heights[node] for node in chain) for edge, chain in chains.items()},
        n_layers=len(members),
        span=max(heights.values(), default=0.0),
    )


def components(nodes: Sequence[int], edges: Sequence[Edge]) -> list[list[int]]:
    """Weakly connected components, each in the order of `nodes`, by their first node."""
    owner = {node: node for node in nodes}

    def root(node: int) -> int:
        while owner[node] != node:
            node = owner[node]
        return node

    for source, target in edges:
        a, b = root(source), root(target)
        owner[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for node in nodes:
        groups.setdefault(root(node), []).append(node)
    return list(groups.values())


def _layers(nodes: Sequence[int], edges: Sequence[Edge]) -> dict[int, int]:
    layer = dict.fromkeys(nodes, 0)
    by_source = sorted(edges, key=lambda edge: nodes.index(edge[0]))
    for source, target in by_source:
        layer[target] = max(layer[target], layer[source] + 1)
    # A second input that is used late stands beside what uses it, not at the far left.
    targets: dict[int, list[int]] = {}
    for source, target in edges:
        targets.setdefault(source, []).append(layer[target])
    entered = {target for _, target in edges}
    for node in nodes:
        if node not in entered and node != nodes[0] and node in targets:
            layer[node] = min(targets[node]) - 1
    return layer


def _with_dummies(
    nodes: Sequence[int], edges: Sequence[Edge], layer: Mapping[int, int]
) -> tuple[dict[Edge, list[int]], list[list[int]]]:
    members: list[list[int]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in nodes:
        members[layer[node]].append(node)
    chains: dict[Edge, list[int]] = {}
    dummy = -1
    for source, target in edges:
        chain = [source]
        for level in range(layer[source] + 1, layer[target]):
            members[level].append(dummy)
            chain.append(dummy)
            dummy -= 1
        chains[source, target] = [*chain, target]
    return chains, members


def _neighbours(links: Sequence[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for source, target in links:
        after.setdefault(source, []).append(target)
        before.setdefault(target, []).append(source)
    return before, after


def _ordered(members: list[list[int]], links: Sequence[Edge]) -> list[list[int]]:
    """Barycentre sweeps; keeps the order with the fewest crossings."""
    before, after = _neighbours(links)
    order = [list(row) for row in members]
    best, fewest = order, _crossings(order, links)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        around = before if forward else after
        rows = range(1, len(order)) if forward else range(len(order) - 2, -1, -1)
        order = [list(row) for row in order]
        for level in rows:
            other = order[level - 1 if forward else level + 1]
            place = {node: i for i, node in enumerate(other)}
            row = order[level]
            wanted = [_barycentre(around.get(node), place, i) for i, node in enumerate(row)]
            order[level] = [row[i] for i in sorted(range(len(row)), key=wanted.__getitem__)]
        crossings = _crossings(order, links)
        if crossings < fewest:
            best, fewest = order, crossings
    return best


def _barycentre(around: Sequence[int] | None, place: Mapping[int, int], default: int) -> float:
    if not around:
        return float(default)
    return sum(place[node] for node in around) / len(around)


def _crossings(order: list[list[int]], links: Sequence[Edge]) -> int:
    place = {node: (level, i) for level, row in enumerate(order) for i, node in enumerate(row)}
    by_level: dict[int, list[Edge]] = {}
    for source, target in links:
        level, i = place[source]
        by_level.setdefault(level, []).append((i, place[target][1]))
    return sum(
        (a - c) * (b - d) < 0
        for pairs in by_level.values()
        for n, (a, b) in enumerate(pairs)
        for c, d in pairs[n + 1 :]
    )


def _heights(order: list[list[int]], links: Sequence[Edge]) -> dict[int, float]:
    before, after = _neighbours(links)
    height = {node: i - (len(row) - 1) / 2 for row in order for i, node in enumerate(row)}
    pulls: _Pulls = {
        node: [(v, _pull(node, v)) for v in (*before.get(node, ()), *after.get(node, ()))]
        for node in height
    }
    for sweep in range(_RELAXATIONS):
        rows = order if sweep % 2 == 0 else order[::-1]
        if max((_relaxed(row, pulls, height) for row in rows), default=0.0) < _STILL:
            break
    return height


def _relaxed(row: Sequence[int], pulls: _Pulls, height: dict[int, float]) -> float:
    """Moves the nodes of a layer to the weighted means of their neighbours, as far as gaps allow.

    A node without neighbours wants to stay.

    Returns:
        The largest move.
    """
    totals = [sum(w for _, w in pulls[node]) or 1.0 for node in row]
    wanted = [
        sum(w * height[v] for v, w in pulls[node]) / total if pulls[node] else height[node]
        for node, total in zip(row, totals, strict=True)
    ]
    spread = dict(zip(row, _spread(wanted, totals), strict=True))
    moved = max((abs(value - height[node]) for node, value in spread.items()), default=0.0)
    height.update(spread)
    return moved


def _pull(node: int, other: int) -> float:
    """Long edges should be straight: their dummies (negative numbers) hold on to each other."""
    return (1.0, 2.0, 8.0)[(node < 0) + (other < 0)]


def _spread(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Nearest values (weighted least squares) to `wanted` that rise by at least 1 each."""
    blocks: list[tuple[float, float, int]] = []
    for i, (value, weight) in enumerate(zip(wanted, weights, strict=True)):
        mean, mass, size = value - i, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, more, count = blocks.pop()
            mean = (mean * mass + other * more) / (mass + more)
            mass, size = mass + more, size + count
        blocks.append((mean, mass, size))
    flat = [mean for mean, _, size in blocks for _ in range(size)]
    return [value + i for i, value in enumerate(flat)]
