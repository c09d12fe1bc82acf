"""Features of architectures: the fast ones are the slow ones, and what they tell apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.spaces.base import Decision, SearchSpace
from nas_plugins.spaces.darts import DARTSCell
from nas_plugins.spaces.decision_features import decision_features
from nas_plugins.spaces.graph import ABSENT, Graph
from nas_plugins.spaces.graph_features import OperationSets, graph_features


def live_graph(graph: Graph, part: OperationSets) -> tuple[list[int], set[tuple[int, int]]]:
    """Nodes of a part that no ``none`` cuts off, and the edges between them."""
    edges = set(graph.edges)
    whole = {n for n, o in enumerate(graph.operations.tolist()) if o != ABSENT}
    if "none" in graph.vocabulary:
        blocked = {n for n in whole if graph.labels[n] == "none"}
        inputs = {n for n in whole if all(target != n for _, target in edges)} - blocked
        outputs = {n for n in whole if all(source != n for source, _ in edges)} - blocked
        ahead, behind = set(inputs), set(outputs)
        for source, target in sorted(edges):
            if source in ahead and target not in blocked:
                ahead.add(target)
        for source, target in sorted(edges, key=lambda e: -e[1]):
            if target in behind and source not in blocked:
                behind.add(source)
        whole = ahead & behind
    nodes = [n for n in sorted(whole) if part.nodes[n]]
    return nodes, {(a, b) for a, b in edges if a in nodes and b in nodes}


def paths(nodes: list[int], edges: set[tuple[int, int]], ends: set[int]) -> Iterator[list[int]]:
    """Every path from a source to a sink, node by node."""
    following = {n: [b for a, b in edges if a == n] for n in nodes}

    def extended(path: list[int]) -> Iterator[list[int]]:
        if path[-1] in ends:
            yield path
        for node in following[path[-1]]:
            yield from extended([*path, node])

    for node in nodes:
        if all(b != node for _, b in edges):
            yield from extended([node])


def slow_features(space: SearchSpace, architecture: nap.Architecture) -> list[float]:
    """What `graph_features` says it computes, by listing every path."""
    graph = space.graph(architecture)
    values: list[float] = []
    for part in OperationSets.of(space):
        nodes, edges = live_graph(graph, part)
        sources = {n for n in nodes if all(b != n for _, b in edges)}
        sinks = {n for n in nodes if all(a != n for a, _ in edges)}
        all_paths = list(paths(nodes, edges, sinks))
        for members in part.members:
            inside = {n for n in nodes if members[graph.operations[n]]}
            weights = [len(inside & set(path)) for path in all_paths]
            allowed = inside | sources | sinks
            alone = [w for w, p in zip(weights, all_paths, strict=True) if set(p) <= allowed]
            values += [
                len(inside),
                sum(any((s, n) in edges for s in sources) for n in inside),
                sum(any((n, s) in edges for s in sinks) for n in inside),
                max(weights, default=-1),
                min(weights, default=-1),
                max(alone, default=-1),
                min(alone, default=-1),
                float(np.log1p(len(alone))),
                sum(a in inside and b in inside for a, b in edges),
            ]
    return values


SPACES = {
    "nasbench201": lambda: nap.space("nasbench201"),
    "nasbench101": lambda: nap.space("nasbench101"),
    "nasbench101, padding at the end": lambda: nap.space("nasbench101", padding="end"),
    "darts": lambda: nap.space("darts"),
    "darts with none": lambda: nap.space("darts", with_none=True),
    "one cell": DARTSCell,
}


@pytest.mark.parametrize("name", SPACES)
def test_features_are_those_of_listing_every_path(name: str) -> None:
    space = SPACES[name]()
    rng = np.random.default_rng(3)
    rows = np.concatenate([space.random_cells(12, rng), space.random(4, rng)])
    if name == "nasbench201":  # nothing is left of the first, one operation of the second
        rows[0], rows[1] = 0, [0, 0, 0, 3, 0, 0]
    wanted = [slow_features(space, a) for a in space.architectures(rows)]
    assert np.array_equal(space.features(rows), np.array(wanted, dtype=np.float64))


@pytest.mark.parametrize("name", ["nasbench101", "darts"])
def test_features_of_many_rows_are_those_of_each(name: str) -> None:
    space = nap.space(name)
    rows = space.random_cells(1100, np.random.default_rng(4))  # more than are done at once
    values = space.features(rows)
    for some in (slice(495, 505), slice(1000, 1100)):
        assert np.array_equal(values[some], space.features(rows[some]))


def test_many_paths_are_counted_without_overflow() -> None:
    """40 layers of four nodes each, every one joined to all of the next: 4**40 paths."""
    n_layers, width = 40, 4
    nodes = n_layers * width + 2

    class Layered(nap.CategoricalSpace):
        def graphs(self, rows):  # type: ignore[no-untyped-def]
            layer = np.repeat(np.arange(n_layers), width)
            layer = np.concatenate([[-1], layer, [n_layers]])
            adjacency = (layer[:, None] + 1 == layer).astype(np.uint8)
            labels = np.full(nodes, 1, dtype=np.int16)
            labels[0], labels[-1] = 0, 3
            labels[width] += 1
            return np.stack([adjacency] * len(rows)), np.stack([labels] * len(rows))

    space = Layered({"operation": ["conv", "pool"]})
    values, names = graph_features(space, np.zeros((1, 1), dtype=np.int16))
    found = dict(zip(names, values[0].tolist(), strict=True))
    assert found['paths:"conv"|"pool"'] == pytest.approx(n_layers * np.log(width))
    assert found['paths:"conv"'] == pytest.approx(np.log(3) + (n_layers - 1) * np.log(width))
    assert found['longest:"conv"|"pool"'] == n_layers
    assert found['links:"conv"|"pool"'] == (n_layers - 1) * width**2


def test_choices_are_told_apart_and_counted() -> None:
    space = nap.CategoricalSpace({"a": ["conv", "pool"], "b": ["conv", "pool"], "only": [1]})
    rows = np.array([[0, 1, 0], [1, 1, 0]])
    assert space.features(rows).tolist() == [[1, 0, 0, 1, 1, 1], [0, 1, 0, 1, 0, 2]]


def test_an_ordered_decision_is_one_number() -> None:
    decisions = [Decision("depth", (2, 4, 8), ordered=True), Decision("op", (2, 4))]
    labels = [np.array([0, 1, 2]), np.array([0, 1])]
    rows = np.array([[0, 0], [1, 1], [2, 0]])
    values = decision_features(decisions, labels, rows)
    assert values.tolist() == [[0, 1, 0], [0.5, 0, 1], [1, 1, 0]]


def test_where_a_block_stands_matters_only_by_stage_and_layer() -> None:
    space = nap.space("fbnet")
    rows = np.full((3, 22), 8)
    rows[0, 1] = rows[1, 2] = rows[2, 5] = 3  # layers 1 and 2 are of one stage, 5 is of the next
    one_hot, counts = np.split(space.features(rows), [22 * 9], axis=1)
    assert one_hot.sum(axis=1).tolist() == [22, 22, 22]
    assert np.array_equal(counts[0], counts[1])
    assert not np.array_equal(counts[0], counts[2])
    assert np.array_equal(counts[0, -9:], counts[2, -9:])


def test_layers_that_are_not_in_use_have_no_features() -> None:
    space = nap.space("vit")
    rows = space.random(50, np.random.default_rng(0))
    same = np.stack([space.canonical(a).row for a in space.architectures(rows)])
    assert (rows != same).any()
    assert np.array_equal(space.features(rows), space.features(same))
    depths = space.features(rows)[:, -5:-2].sum(axis=1)  # layers by their ratio
    assert depths.tolist() == [len(space.layers(a)) for a in space.architectures(rows)]


def test_a_cell_with_further_decisions_has_the_features_of_both() -> None:
    core = nap.space("nasbench201")
    decisions = {d.name: d.choices for d in core.decisions} | {
        "width": (8, 16),
        "head": ("linear", "deep"),
        "dropout": ("yes", "no"),
    }
    conditions = {"dropout": [[["head", [1]]]]}
    options = {"decisions": decisions, "core": core.to_json(), "conditions": conditions}
    space = nap.space("nni-model-space", **options)
    rows = space.random(20, np.random.default_rng(0))
    cell, others = np.split(space.features(rows), [135], axis=1)
    assert np.array_equal(cell, core.features(rows[:, :6]))
    assert np.array_equal(others[:, :4].argmax(axis=1), rows[:, 6])
    assert np.array_equal(others[:, 4:].any(axis=1), rows[:, 7] == 1)
