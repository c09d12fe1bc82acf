"""The prefix rules allow exactly the architectures of a space, and never lead to a dead end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.spaces.graph import ABSENT, Graph
from nas_plugins.strategies.arch_vq.rules import NASBench101Rule, PrefixRule, rule_for

NAMES = ("nasbench201", "nasbench101", "darts-cell", "fbnet", "vit")


def encoded(space: SearchSpace, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and columns of architectures, as the rules read them."""
    adjacency, operations = space.graphs(rows)
    labels = np.where(operations == ABSENT, len(space.node_operations), operations)
    weights = 1 << np.arange(labels.shape[1])
    columns = (adjacency.astype(np.int64) * weights[None, :, None]).sum(axis=1)
    return labels.astype(np.int64), columns


def walk(rule: PrefixRule, n_labels: int, depth: int) -> list[int]:
    """Counts the allowed prefixes of each length; fails on one that cannot go on."""
    labels = np.empty((1, 0), dtype=np.int64)
    columns = labels.astype(np.int16)
    counts = []
    for j in range(depth):
        op, column = (a.ravel() for a in np.meshgrid(np.arange(n_labels), np.arange(1 << j)))
        candidates = np.broadcast_to(column.astype(np.int16), (len(labels), len(column)))
        allowed = rule.allowed(j, labels, columns, op, candidates)
        assert allowed.any(axis=1).all(), f"a prefix of length {j} has no continuation"
        parent, chosen = np.nonzero(allowed)
        labels = np.column_stack([labels[parent], op[chosen]])
        columns = np.column_stack([columns[parent], column[chosen].astype(np.int16)])
        counts.append(len(labels))
    return counts


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_every_architecture_is_allowed_and_read_back(name: str, seed: int) -> None:
    space = nap.space(name)
    rows = space.random(50, np.random.default_rng(seed))
    labels, columns = encoded(space, rows)
    rule = rule_for(space, labels.shape[1])
    assert rule.valid(labels, columns).all()
    np.testing.assert_array_equal(space.keys(rule.rows(labels, columns)), space.keys(rows))


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts-cell"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_changed_graph_is_allowed_only_if_the_space_reads_it(name: str, seed: int) -> None:
    space, rng = nap.space(name), np.random.default_rng(seed)
    labels, columns = encoded(space, space.random(40, rng))
    n = labels.shape[1]
    rule = rule_for(space, n)
    for i in range(len(labels)):
        if i % 2:
            labels[i, rng.integers(n)] = rng.integers(len(space.node_operations) + 1)
        else:
            j = rng.integers(1, n)
            columns[i, j] ^= 1 << rng.integers(j)
    for label, column, allowed in zip(labels, columns, rule.valid(labels, columns), strict=True):
        adjacency = (column[None, :] >> np.arange(n)[:, None] & 1).astype(np.uint8)
        operations = np.where(label == len(space.node_operations), ABSENT, label)
        try:
            read = space.from_graph(Graph(adjacency, operations, space.node_operations))
        except InvalidArchitectureError:
            assert not allowed
            continue
        if allowed:
            assert space.keys(rule.rows(label[None], column[None]))[0] == read.key


def test_nasbench101_allows_exactly_the_benchmarks_candidates() -> None:
    # Labelled full cells with up to 5 and 6 vertices, as generate_graphs.py meets them.
    space = nap.space("nasbench101")
    assert walk(NASBench101Rule(space, 5), 6, 5)[-1] == 1 + 6 + 90 + 3_267
    assert walk(NASBench101Rule(space, 6), 6, 6)[-1] == 1 + 6 + 90 + 3_267 + 125_145


def test_nasbench201_allows_exactly_its_cells() -> None:
    assert walk(rule_for(nap.space("nasbench201"), 8), 8, 8)[-1] == 5**6


def test_darts_allows_each_pair_of_inputs_once() -> None:
    space = nap.space("darts-cell")
    counts = walk(rule_for(space, 11), 12, 6)
    assert counts == [1, 1, 8, 64, 64 * 8 * 2, 64 * 8 * 8 * 3]


def test_decisions_with_one_choice_are_no_obstacle() -> None:
    space = CategoricalSpace({"a": [1], "b": ["x", "y"], "c": [True, False, None]})
    rows = np.concatenate(list(space.enumerate()))
    labels, columns = encoded(space, rows)
    rule = rule_for(space, 5)
    np.testing.assert_array_equal(rule.rows(labels, columns), rows)
    assert walk(rule, len(space.node_operations) + 1, 5)[-1] == 6


def test_spaces_whose_graphs_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="must share one adjacency"):
        rule_for(nap.space("darts"), 22)
