"""What every search space must do, as tests to inherit.

Subclass `SearchSpaceTestCase` and give it a ``space`` fixture::

    class TestMySpace(SearchSpaceTestCase):
        @pytest.fixture
        def space(self):
            return MySpace()
"""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

from nas_plugins import registry
from nas_plugins.errors import InvalidArchitectureError, PluginError
from nas_plugins.spaces.base import Architecture, Complexity, SearchSpace, space_from_json
from nas_plugins.spaces.graph import Graph

EXAMPLE_OPTIONS: dict[str, dict[str, Any]] = {
    "categorical": {
        "decisions": {
            "depth": [2, 3, 4],
            "operation": ["conv", "pool", None],
            "residual": [True, False],
            "ratio": [0.5, 1.0, 2.0],
        }
    },
    "nni-model-space": {
        "decisions": {
            "depth": [1, 2],
            "width": [8, 16, 32],
            "first": ["conv", "pool", "skip", "none"],
            "second": ["conv", "pool", "skip", "none"],
        },
        "conditions": {"second": [[["depth", [1]]]]},
    },
}
"""Constructor options for registered spaces that cannot be built without any."""

_MAX_CHECKED = 2**15


def registered_space(name: str) -> SearchSpace:
    """Builds a registered space for a test; skips the test when it needs options or is absent."""
    try:
        space: SearchSpace = registry.load("space", name)(**EXAMPLE_OPTIONS.get(name, {}))
    except (PluginError, TypeError) as error:
        pytest.skip(f"space {name!r} cannot be built here: {error}")
    return space


class SearchSpaceTestCase:
    """Inherit this and define a ``space`` fixture."""

    n_samples = 24

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space under test; override this."""
        raise NotImplementedError("define a `space` fixture")

    @pytest.fixture
    def samples(self, space: SearchSpace) -> list[Architecture]:
        """Some random architectures."""
        return space.architectures(space.random(self.n_samples, np.random.default_rng(0)))

    # -- identity --------------------------------------------------------------------------

    def test_decisions_are_named_and_open(self, space: SearchSpace) -> None:
        names = [decision.name for decision in space.decisions]
        assert len(set(names)) == len(names) > 0
        assert space.cardinalities.tolist() == [len(d.choices) for d in space.decisions]
        assert space.size >= 1

    def test_space_round_trips(self, space: SearchSpace) -> None:
        copies = (
            space_from_json(json.loads(json.dumps(space.to_json()))),
            pickle.loads(pickle.dumps(space)),
        )
        for copy in copies:
            assert copy == space
            assert hash(copy) == hash(space)

    def test_architectures_round_trip(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        for sample in samples:
            copies = (
                space.parse(str(sample)),
                space.architecture(sample.choices),
                Architecture.from_json(json.loads(json.dumps(sample.to_json()))),
                pickle.loads(pickle.dumps(sample)),
                Architecture(space, sample.indices),
            )
            # A notation may write the canonical form, so only the key must come back...
            assert copies[0].key == sample.key
            assert copies[2].key == sample.key
            assert str(copies[0]) == str(sample)
            # ... but choices and pickles keep every decision.
            for copy in (copies[1], copies[3], copies[4]):
                assert copy == sample
                assert hash(copy) == hash(sample)

    def test_batches_of_rows_round_trip(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        rows = space.rows(samples)
        assert rows.shape == (len(samples), len(space.decisions))
        assert rows.dtype == np.int16
        assert space.architectures(rows) == samples
        assert space.rows([]).shape == (0, len(space.decisions))

    # -- validity --------------------------------------------------------------------------

    def test_bad_input_is_refused(self, space: SearchSpace, samples: list[Architecture]) -> None:
        good = samples[0].indices
        too_large = (len(space.decisions[0].choices), *good[1:])
        for bad in (good[:-1], (*good, 0), too_large, (-1, *good[1:])):
            with pytest.raises(InvalidArchitectureError):
                Architecture(space, bad)
        for text in ("", "nonsense", "{}", str(samples[0]) + "~"):
            with pytest.raises(InvalidArchitectureError):
                space.parse(text)
        name = space.decisions[0].name
        for choices in ({}, {name: "no such choice"}, {**samples[0].choices, "no such": 1}):
            with pytest.raises(InvalidArchitectureError):
                space.architecture(choices)

    def test_valid_agrees_with_violation(self, space: SearchSpace) -> None:
        rng = np.random.default_rng(1)
        rows = rng.integers(space.cardinalities, size=(200, len(space.decisions)))
        mask = space.valid(rows)
        assert mask.shape == (200,)
        assert mask.dtype == np.bool_
        assert mask.tolist() == [space.violation(row) is None for row in rows.tolist()]

    # -- drawing and varying ---------------------------------------------------------------

    def test_random_is_valid_and_seeded(self, space: SearchSpace) -> None:
        rows = space.random(50, np.random.default_rng(2))
        assert rows.shape == (50, len(space.decisions))
        assert rows.dtype == np.int16
        assert (rows >= 0).all()
        assert (rows < space.cardinalities).all()
        assert space.valid(rows).all()
        assert np.array_equal(rows, space.random(50, np.random.default_rng(2)))
        assert space.random(0, np.random.default_rng(2)).shape == (0, len(space.decisions))
        sample = space.sample(np.random.default_rng(3))
        assert sample == space.sample(np.random.default_rng(3))

    def test_neighbours_differ_in_one_decision(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        for sample in samples[:4]:
            neighbours = space.neighbours(sample)
            assert len(set(neighbours)) == len(neighbours)
            rows = space.neighbour_rows(sample.row)
            assert np.array_equal(rows, space.rows(neighbours))
            assert ((rows != sample.row).sum(axis=1) == 1).all()
            assert space.valid(rows).all()

    def test_mutations_change_as_many_decisions_as_asked(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        rng = np.random.default_rng(4)
        n_open = int((space.cardinalities > 1).sum())
        for n_changes in range(1, min(n_open, 3) + 1):
            child = space.mutate(samples[0], rng, n_changes=n_changes)
            assert int((child.row != samples[0].row).sum()) == n_changes
        for n_changes in (0, n_open + 1):
            with pytest.raises(ValueError, match="n_changes"):
                space.mutate(samples[0], rng, n_changes=n_changes)

    def test_crossover_mixes_the_parents(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        rng = np.random.default_rng(5)
        for first, second in zip(samples[::2], samples[1::2], strict=False):
            child = space.crossover(first, second, rng)
            pairs = zip(child.indices, first.indices, second.indices, strict=True)
            assert all(c in (a, b) for c, a, b in pairs)

    def test_complete_keeps_what_is_fixed(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        rng = np.random.default_rng(6)
        name = space.decisions[0].name
        for sample in samples[:5]:
            fixed = {name: sample.choices[name], "some other parameter": 1}
            assert space.complete(fixed, rng).choices[name] == sample.choices[name]
            assert space.complete(sample.choices, rng) == sample
        with pytest.raises(InvalidArchitectureError):
            space.complete({name: "no such choice"}, rng)

    # -- keys and graphs -------------------------------------------------------------------

    def test_keys_of_batches_and_singles_agree(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        keys = space.keys(space.rows(samples))
        assert keys.shape == (len(samples),)
        assert keys.tolist() == [sample.key for sample in samples]
        assert all(isinstance(key, (int, bytes)) for key in keys.tolist())
        assert len(np.unique(keys)) == len(set(keys.tolist()))

    def test_enumeration_counts_the_size(self, space: SearchSpace) -> None:
        if math.prod(space.cardinalities.tolist()) > _MAX_CHECKED:
            pytest.skip("too large to enumerate in a test")
        rows = np.concatenate(list(space.enumerate(batch=1000)))
        assert space.valid(rows).all()
        assert len(np.unique(rows, axis=0)) == len(rows)
        assert len(np.unique(space.keys(rows))) == space.size

    def test_graphs_are_well_formed(self, space: SearchSpace, samples: list[Architecture]) -> None:
        adjacency, operations = space.graphs(space.rows(samples))
        n, nodes = operations.shape
        assert n == len(samples)
        assert adjacency.shape == (n, nodes, nodes)
        assert adjacency.dtype == np.uint8
        for i, sample in enumerate(samples):
            graph = space.graph(sample)
            # The constructor of Graph checks order and vocabulary.
            assert graph == Graph(adjacency[i], operations[i], space.node_operations)
            assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph

    def test_graphs_can_be_read_back(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        for sample in samples:
            graph = space.graph(sample)
            again = space.from_graph(graph)
            assert again.key == sample.key
            assert space.graph(again) == graph
        alien = Graph(np.zeros((1, 1), np.uint8), np.zeros(1, np.int16), ("alien",))
        with pytest.raises(InvalidArchitectureError):
            space.from_graph(alien)

    # -- features --------------------------------------------------------------------------

    def test_features_describe_each_row_for_itself(self, space: SearchSpace) -> None:
        rng = np.random.default_rng(7)
        rows = np.concatenate(
            [
                space.random(20, rng),
                rng.integers(space.cardinalities, size=(20, len(space.decisions))),
            ]
        )
        values = space.features(rows)
        assert values.dtype == np.float64
        assert values.ndim == 2
        assert np.isfinite(values).all()
        assert np.array_equal(values, space.features(rows))
        assert np.array_equal(values[::3], space.features(rows[::3]))
        assert np.array_equal(values[5:6], space.features(rows[5:6]))
        assert space.features(rows[:0]).shape == (0, values.shape[1])

    # -- size ------------------------------------------------------------------------------

    def test_complexity_is_counted_or_refused(
        self, space: SearchSpace, samples: list[Architecture]
    ) -> None:
        try:
            sizes = [space.complexity(sample) for sample in samples]
        except TypeError:
            return
        assert all(isinstance(size, Complexity) for size in sizes)
        assert all(size.params >= 0 and size.flops >= 0 for size in sizes)
