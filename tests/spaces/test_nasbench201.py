"""The NAS-Bench-201 space: notation, keys, graph, size against the published tables."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, UnknownNameError
from nas_plugins.spaces.graph import Graph, wl_keys
from nas_plugins.spaces.nasbench201 import OPERATIONS, NASBench201

SPACE = NASBench201()
EXAMPLE = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
SETTINGS = {
    "cifar10": {},
    "cifar100": {"classes": 100},
    "imagenet16": {"classes": 120, "resolution": 16},
}

seeds = st.integers(0, 2**32 - 1)
architectures = st.tuples(*[st.integers(0, 4)] * 6).map(lambda i: nap.Architecture(SPACE, i))


@pytest.fixture(scope="module")
def table():
    path = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "nb201_accuracy.npz"
    if not path.is_file():
        pytest.skip("NAS_PLUGINS_DATA has no nb201_accuracy.npz")
    with np.load(path) as data:
        names = [f"{name}_{what}_m" for name in SETTINGS for what in ("params", "flops")]
        return {name: data[name] for name in ["arch_str", *names]}


@pytest.fixture(scope="module")
def everything():
    return np.concatenate(list(SPACE.enumerate(batch=4000)))


def test_every_combination_is_a_cell_with_its_own_key(everything):
    assert everything.shape == (15_625, 6)
    assert SPACE.size == 15_625
    assert SPACE.valid(everything).all()
    assert SPACE.keys(everything).tolist() == list(range(15_625))


def test_functional_classes(everything):
    assert len(np.unique(SPACE.class_keys(everything))) == 6_466


def test_functional_class_sees_through_identity_and_zero():
    def class_key(*names):
        return SPACE.class_keys(np.array([[OPERATIONS.index(n) for n in names]]))[0]

    none, skip, conv, pool = "none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3"
    # Any operation on a zero is a zero.
    assert class_key(none, conv, skip, skip, none, pool) == class_key(
        none, conv, pool, skip, none, pool
    )
    # An operation followed by the identity is the operation.
    assert class_key(conv, none, none, none, skip, none) == class_key(
        none, none, none, conv, none, none
    )
    assert class_key(conv, none, none, none, skip, none) != class_key(
        pool, none, none, none, skip, none
    )


def test_graphs_of_all_cells_differ(everything):
    adjacency, operations = SPACE.graphs(everything)
    assert adjacency.shape == (15_625, 8, 8)
    assert len(np.unique(wl_keys(adjacency, operations))) == 15_625


def test_graph_is_arch2vecs_line_graph():
    graph = SPACE.graph(SPACE.parse(EXAMPLE))
    assert graph.edges == (
        (0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7),
    )  # fmt: skip
    assert graph.operations.tolist() == [0, 2, 2, 3, 4, 2, 4, 6]


@given(architectures)
def test_round_trips(architecture):
    assert SPACE.parse(str(architecture)) == architecture
    assert nap.Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == (
        architecture
    )
    assert pickle.loads(pickle.dumps(architecture)) == architecture
    assert SPACE.architecture(architecture.choices) == architecture
    graph = SPACE.graph(architecture)
    assert SPACE.from_graph(Graph.from_json(graph.to_json())) == architecture


def test_no_key_of_a_written_space_is_passed_over() -> None:
    written = {"space": {"name": "darts", "optoins": {"with_none": True}}, "architecture": "x"}
    with pytest.raises(
        UnknownNameError, match="unknown key of a space 'optoins'; did you mean 'o"
    ):
        nap.Architecture.from_json(written)


@given(architectures)
def test_neighbours_differ_in_one_edge(architecture):
    neighbours = SPACE.neighbours(architecture)
    assert len(set(neighbours)) == 24
    assert all(np.count_nonzero(n.row != architecture.row) == 1 for n in neighbours)


@given(architectures, architectures, seeds, st.integers(1, 6))
def test_variation_is_repeatable_and_in_the_space(first, second, seed, n_changes):
    child = SPACE.mutate(first, np.random.default_rng(seed), n_changes=n_changes)
    assert np.count_nonzero(child.row != first.row) == n_changes
    assert child == SPACE.mutate(first, np.random.default_rng(seed), n_changes=n_changes)
    mixed = SPACE.crossover(first, second, np.random.default_rng(seed))
    assert ((mixed.row == first.row) | (mixed.row == second.row)).all()


def test_random_reaches_every_operation_of_every_edge():
    rows = SPACE.random(1000, np.random.default_rng(0))
    assert [len(np.unique(column)) for column in rows.T] == [5] * 6


def test_completion_keeps_what_is_given():
    fixed = {"1<-0": "none", "3<-2": "nor_conv_1x1", "batch_size": 64}
    choices = SPACE.complete(fixed, np.random.default_rng(0)).choices
    assert (choices["1<-0"], choices["3<-2"]) == ("none", "nor_conv_1x1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "3 nodes joined by '\\+', got 1"),
        ("|none~0|+|none~0|none~1|", "3 nodes joined by '\\+', got 2"),
        (EXAMPLE.replace("nor_conv_3x3~1", "nor_conv3x3~1"), "did you mean .*nor_conv_3x3"),
        (
            EXAMPLE.replace("avg_pool_3x3~1", "avg_pool_3x3"),
            "expected 'operation~source' in node 2",
        ),
        (EXAMPLE.replace("avg_pool_3x3~1", "avg_pool_3x3~0"), "takes each source 0..1 once"),
        (EXAMPLE.replace("avg_pool_3x3~1", "avg_pool_3x3~2"), "takes each source 0..1 once"),
        (EXAMPLE.replace("|avg_pool_3x3~1", ""), r"edges \[\(1, 2\)\] are missing"),
    ],
)
def test_parse_errors_say_what_is_wrong(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


def test_unknown_choices_and_decisions_suggest_the_nearest():
    choices = SPACE.parse(EXAMPLE).choices
    with pytest.raises(InvalidArchitectureError, match=r"'1<-0': unknown choice .*skip_connect"):
        SPACE.architecture({**choices, "1<-0": "skip"})
    with pytest.raises(InvalidArchitectureError, match="unknown decision '4<-0'"):
        SPACE.architecture({**choices, "4<-0": "none"})
    with pytest.raises(InvalidArchitectureError, match=r"lacks decisions \['3<-2'\]"):
        SPACE.architecture({k: v for k, v in choices.items() if k != "3<-2"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, o: (a * 0, o), "not the adjacency"),
        (lambda a, o: (a[:7, :7], o[:7]), "not the adjacency"),
        (lambda a, o: (a, [6, *o[1:]]), "node 0 must be 'input'"),
        (lambda a, o: (a, [*o[:3], 0, *o[4:]]), "node 3 must be an operation, got 'input'"),
        (lambda a, o: (a, [*o[:3], -1, *o[4:]]), "node 3 must be an operation, got ''"),
    ],
)
def test_graph_reading_is_strict(change, message):
    graph = SPACE.graph(SPACE.parse(EXAMPLE))
    adjacency, operations = change(np.array(graph.adjacency), graph.operations.tolist())
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.from_graph(Graph(adjacency, np.array(operations), graph.vocabulary))


def test_complexity_of_a_published_example():
    # Index 1 of the benchmark, printed in its README: 0.802 M parameters, 113.95 M FLOPs.
    size = SPACE.complexity(SPACE.parse(EXAMPLE))
    assert (size.params, size.flops) == (802_426, 113_951_370)
    with pytest.raises(TypeError, match="unknown options of complexity: \\['depth'\\]"):
        SPACE.complexity(SPACE.parse(EXAMPLE), depth=3)


def test_table_holds_every_cell_once(table):
    texts = table["arch_str"].tolist()
    digest = hashlib.md5("\n".join(texts).encode()).hexdigest()
    assert digest == "1985aacc268bf045d31ddeecaaac0dc0"
    architectures = [SPACE.parse(text) for text in texts]
    assert [str(a) for a in architectures] == texts
    assert sorted(SPACE.keys(SPACE.rows(architectures)).tolist()) == list(range(15_625))


@pytest.mark.parametrize("name", SETTINGS)
def test_complexity_equals_the_table_for_every_cell(table, name):
    sizes = [SPACE.complexity(SPACE.parse(text), **SETTINGS[name]) for text in table["arch_str"]]
    # The table holds millions in single precision.
    params = np.array([size.params for size in sizes])
    flops = np.array([size.flops for size in sizes])
    assert np.abs(params - table[f"{name}_params_m"] * 1e6).max() < 1
    assert np.abs(flops / 1e6 / table[f"{name}_flops_m"] - 1).max() < 2e-7
