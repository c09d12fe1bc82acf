"""Validity, uniqueness, novelty and reconstruction, leniently as published and strictly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from nas_plugins.spaces.darts import DARTSCell
from nas_plugins.spaces.nasbench101 import NASBench101
from nas_plugins.spaces.nasbench201 import NASBench201
from nas_plugins.strategies.arch_vq.metrics import (
    Generation,
    Graphs,
    TrainKeys,
    iid_ceiling,
    lenient,
    lenient_valid,
    raw_keys,
    reconstruction,
    strict,
    strict_rows,
)

NB101, NB101_END = NASBench101(), NASBench101(padding="end")
NB201, CELL = NASBench201(), DARTSCell()
SPACES = [NB101, NB101_END, NB201, CELL]
IDS = ["nasbench101", "nasbench101 padded at the end", "nasbench201", "darts-cell"]


def some_rows(space, n=300, seed=0):
    draw = getattr(space, "random_cells", space.random)
    return draw(n, np.random.default_rng(seed))


def some_graphs(space, n=300, seed=0):
    return Graphs.of(space, some_rows(space, n, seed))


def changed(graphs, *, label=None, edge=None):
    """The graphs with one label, or one edge, set in all of them."""
    adjacency, labels = graphs.adjacency.copy(), graphs.labels.copy()
    if label is not None:
        labels[:, label[0]] = label[1]
    if edge is not None:
        adjacency[:, edge[0], edge[1]] = edge[2]
    return Graphs(adjacency, labels)


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_graphs_of_architectures_are_strictly_valid_and_read_back(space):
    rows = some_rows(space)
    found, valid = strict_rows(space, Graphs.of(space, rows))
    assert valid.all()
    assert np.array_equal(space.keys(found), space.keys(rows))


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_columns_hold_the_whole_adjacency(space):
    graphs = some_graphs(space)
    back = Graphs.from_columns(graphs.labels, graphs.columns)
    assert np.array_equal(back.adjacency, graphs.adjacency)


@pytest.mark.parametrize("space", [NB101, NB201, CELL], ids=["101", "201", "darts"])
def test_graphs_of_architectures_are_leniently_valid(space):
    assert lenient_valid(space, some_graphs(space)).all()


def test_nasbench101_padded_at_the_end_is_leniently_valid_only_with_seven_vertices():
    graphs = some_graphs(NB101_END)
    seven = (graphs.labels < len(NB101_END.node_operations)).all(axis=1)
    assert 0 < seven.sum() < len(graphs)
    assert np.array_equal(lenient_valid(NB101_END, graphs), seven)


def test_lenient_nasbench201_never_looks_at_edges_or_at_node_1():
    graphs = some_graphs(NB201)
    no_edges = Graphs(np.zeros_like(graphs.adjacency), graphs.labels)
    wrong_first = changed(graphs, label=(1, NB201.node_operations.index("output")))
    for broken in (no_edges, wrong_first):
        assert lenient_valid(NB201, broken).all()
        assert not strict_rows(NB201, broken)[1].any()
    wrong_second = changed(graphs, label=(2, NB201.node_operations.index("output")))
    assert not lenient_valid(NB201, wrong_second).any()


def test_lenient_nasbench101_ignores_what_is_pruned():
    # input -> output directly; node 3 carries a reserved label and dangles.
    matrix = np.zeros((1, 7, 7), dtype=np.uint8)
    matrix[0, 0, 6] = matrix[0, 0, 3] = 1
    labels = np.array([[0, 1, 1, 4, 1, 1, 4]])
    graphs = Graphs(matrix, labels)
    assert lenient_valid(NB101, graphs).all()
    assert not strict_rows(NB101, graphs)[1].any()
    reached = changed(graphs, edge=(3, 6, 1))
    assert not lenient_valid(NB101, reached).any()


def test_lenient_nasbench101_allows_nine_edges_after_pruning():
    full = Graphs(
        np.triu(np.ones((1, 7, 7), dtype=np.uint8), 1), np.array([[0, 1, 1, 1, 1, 1, 4]])
    )
    assert not lenient_valid(NB101, full).any()


def test_lenient_darts_wants_one_edge_from_an_earlier_block():
    graphs = some_graphs(CELL)
    two_sources = changed(changed(graphs, edge=(0, 4, 1)), edge=(1, 4, 1))
    assert lenient_valid(CELL, two_sources).all()
    assert not strict_rows(CELL, two_sources)[1].any()
    none = graphs.adjacency.copy()
    none[:, :, 5] = 0
    none[:, 4, 5] = 1  # from its own block
    assert not lenient_valid(CELL, Graphs(none, graphs.labels)).any()


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_labels_out_of_place_are_invalid(space):
    padding = len(space.node_operations)
    for node in (0, -1):
        graphs = changed(some_graphs(space), label=(node, 2))
        assert not lenient_valid(space, graphs).any()
        assert not strict_rows(space, graphs)[1].any()
    assert not strict_rows(space, changed(some_graphs(space), label=(0, padding)))[1].any()


def test_raw_keys_do_not_prune():
    graphs = some_graphs(NB101, n=1)
    lonely = Graphs(
        np.array([[[0, 0, 1], [0, 0, 0], [0, 0, 0]]], dtype=np.uint8), np.array([[0, 1, 4]])
    )
    other = changed(lonely, label=(1, 2))
    assert raw_keys(graphs).dtype == np.uint64
    assert raw_keys(lonely) != raw_keys(other)


def test_lenient_novelty_counts_graphs_outside_the_space():
    rows = some_rows(NB201)
    train = TrainKeys.of(NB201, rows)
    broken = changed(Graphs.of(NB201, rows), edge=(0, 7, 1))
    found = lenient(NB201, broken, train)
    assert (found.validity, found.novelty) == (100.0, 100.0)
    assert strict(NB201, broken, train).valid == 0
    assert lenient(NB201, Graphs.of(NB201, rows), train).novelty == 0.0


@given(
    st.lists(st.integers(0, 9), max_size=40),
    st.sets(st.integers(0, 9)),
    st.integers(0, 20),
)
def test_counts_agree_with_sets(keys, train, invalid):
    found = Generation.count(
        len(keys) + invalid, np.array(keys, dtype=np.int64), np.array(sorted(train), np.int64)
    )
    assert found.valid == len(keys)
    assert found.distinct == len(set(keys))
    assert found.novel == sum(key not in train for key in keys)
    assert found.distinct_novel == len(set(keys) - train)
    if keys:
        product = found.validity * found.uniqueness / 100
        assert found.absolute_uniqueness == pytest.approx(product)
        assert found.absolute_novelty == pytest.approx(found.validity * found.novelty / 100)
    else:
        assert math.isnan(found.uniqueness)


def test_ceiling_of_independent_draws():
    assert iid_ceiling(15_625, 10_000) == pytest.approx(73.86, abs=0.005)
    assert iid_ceiling(423_624, 10_000) == pytest.approx(98.83, abs=0.005)
    assert iid_ceiling(3_019_898_880, 10_000) == pytest.approx(100.0, abs=0.001)
    assert iid_ceiling(1, 4) == 25.0
    draws = np.random.default_rng(0).integers(15_625, size=(20, 10_000))
    measured = np.mean([len(np.unique(row)) / 100 for row in draws])
    assert measured == pytest.approx(73.86, abs=0.3)
    with pytest.raises(ValueError, match="`n` must be >= 1, got 0"):
        iid_ceiling(5, 0)


def test_perfect_reconstruction():
    graphs = some_graphs(NB101_END)
    found = reconstruction(graphs, graphs, len(NB101_END.node_operations))
    assert (found.operations, found.edges, found.exact) == (100.0, 100.0, 100.0)
    assert (found.lenient_operations, found.edge_probability) == (100.0, 100.0)
    assert found.false_edges == 0.0


def test_reconstruction_counts_elements_and_whole_graphs():
    graphs = some_graphs(NB201, n=4)
    adjacency, labels = graphs.adjacency.copy(), graphs.labels.copy()
    labels[0, 3] = (labels[0, 3] % 5) + 1
    adjacency[1, 0, 7] = 1
    found = reconstruction(graphs, Graphs(adjacency, labels), len(NB201.node_operations))
    assert found.operations == pytest.approx(100 * 31 / 32)
    assert found.edges == pytest.approx(100 * (1 - 1 / (4 * 28)))
    assert found.exact == 50.0
    absent = 4 * 28 - int(graphs.adjacency.sum())
    assert found.false_edges == pytest.approx(100 / absent)


def test_lenient_reconstruction_takes_padding_for_the_first_label():
    graphs = some_graphs(NB101_END)
    padding = len(NB101_END.node_operations)
    first = Graphs(graphs.adjacency, np.where(graphs.labels == padding, 0, graphs.labels))
    found = reconstruction(graphs, first, padding)
    assert found.lenient_operations == 100.0
    assert found.operations < 100.0


def test_reconstruction_refuses_what_does_not_match():
    graphs = some_graphs(NB201, n=4)
    with pytest.raises(ValueError, match="`decoded` must have as many graphs"):
        reconstruction(graphs, graphs[:2], 7)
