"""What `SearchSpace` draws one by one, cheaply, is what its plain definition draws."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.spaces.variation import different

SPACES = [
    nap.space("nasbench201"),
    nap.CategoricalSpace({"a": (1, 2, 3), "b": ("only",), "c": (True, False), "d": (0, 1)}),
]


@pytest.mark.parametrize("n", [1, 2, 3, 6, 40])
def test_different_numbers_are_those_of_choice(n: int) -> None:
    for k in range(1, n + 1):
        ours, theirs = np.random.default_rng(k), np.random.default_rng(k)
        assert different(n, k, ours) == theirs.choice(n, size=k, replace=False).tolist()
        assert ours.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_mutation_steps_each_drawn_decision(space: nap.SearchSpace) -> None:
    cardinalities = space.cardinalities
    (open_positions,) = np.nonzero(cardinalities > 1)
    parent = space.sample(np.random.default_rng(0))
    for seed in range(20):
        n_changes = 1 + seed % len(open_positions)
        rng = np.random.default_rng(seed)
        row = parent.row
        for position in rng.choice(open_positions, size=n_changes, replace=False):
            step = rng.integers(1, cardinalities[position])
            row[position] = (row[position] + step) % cardinalities[position]
        child = space.mutate(parent, np.random.default_rng(seed), n_changes=n_changes)
        assert child.indices == tuple(row.tolist())


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_neighbours_are_all_that_differ_in_one_decision(space: nap.SearchSpace) -> None:
    everything = np.concatenate(list(space.enumerate()))
    for row in everything[:: max(1, len(everything) // 8)]:
        expected = everything[(everything != row).sum(axis=1) == 1]
        found = space.neighbour_rows(row)
        assert {tuple(r) for r in found.tolist()} == {tuple(r) for r in expected.tolist()}
        changed = (found != row).argmax(axis=1)
        assert changed.tolist() == sorted(changed.tolist())
        for position in set(changed.tolist()):
            choices = found[changed == position, position].tolist()
            assert choices == sorted(choices)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_key_of_one_is_that_of_the_batch(space: nap.SearchSpace) -> None:
    rows = space.random(50, np.random.default_rng(0))
    assert [a.key for a in space.architectures(rows)] == space.keys(rows).tolist()
