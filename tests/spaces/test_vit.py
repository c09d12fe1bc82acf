"""The AutoFormer space: notation, what counts, graphs and closed-form sizes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, UnknownNameError
from nas_plugins.spaces import Architecture, Graph
from nas_plugins.spaces.graph import ABSENT
from nas_plugins.spaces.vit import SUPERNETS, Layer, ViT
from nas_plugins.testing.spaces import SearchSpaceTestCase

TINY = ViT()
RELEASED = {
    "tiny": (
        "embed_dim=192;mlp_ratio=3.5,3.5,3,3.5,3,3,4,4,3.5,4,3.5,4,3.5;"
        "num_heads=3,3,3,3,3,3,3,3,3,3,4,3,3"
    ),
    "small": (
        "embed_dim=384;mlp_ratio=3,3.5,3,3.5,4,4,4,4,4,4,4,3.5,4;"
        "num_heads=6,6,5,7,5,5,5,6,6,7,7,6,7"
    ),
    "base": (
        "embed_dim=576;mlp_ratio=3.5,3.5,4,3.5,4,3.5,3.5,3,4,4,3,4,3,3.5;"
        "num_heads=9,9,9,9,9,10,9,9,10,9,10,9,9,10"
    ),
}
"""The networks that AutoFormer's authors found and released."""

architectures = st.builds(
    lambda seed: TINY.sample(np.random.default_rng(seed)), st.integers(0, 2**32 - 1)
)


class TestSmall(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> nap.SearchSpace:
        return nap.space("vit", size="small")


class TestBase(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> nap.SearchSpace:
        return nap.space("vit", size="base")


def test_choices_and_sizes() -> None:
    assert nap.space("vit") == TINY
    assert [len(ViT(size=size).decisions) for size in SUPERNETS] == [30, 30, 34]
    assert TINY.size == 3 * (6**12 + 6**13 + 6**14)
    assert TINY.decisions[2].name == "mlp_ratio_0"
    assert TINY.decisions[29].name == "num_heads_13"
    with pytest.raises(UnknownNameError, match="`size` 'tny'; did you mean 'tiny'"):
        ViT(size="tny")


@settings(max_examples=30, deadline=None)
@given(architectures)
def test_round_trips(architecture: Architecture) -> None:
    canonical = TINY.canonical(architecture)
    assert TINY.parse(str(architecture)) == canonical
    assert TINY.from_graph(TINY.graph(architecture)) == architecture
    assert canonical.key == architecture.key
    assert TINY.complexity(canonical) == TINY.complexity(architecture)
    layers = TINY.layers(architecture)
    as_json = {
        "embed_dim": TINY.embed_dim(architecture),
        "mlp_ratio": [layer.mlp_ratio for layer in layers],
        "num_heads": [layer.num_heads for layer in layers],
    }
    assert TINY.parse(json.dumps(as_json)) == canonical


@settings(max_examples=30, deadline=None)
@given(architectures, st.integers(0, 29), st.integers(1, 2))
def test_only_layers_in_use_count(architecture: Architecture, position: int, step: int) -> None:
    indices = list(architecture.indices)
    indices[position] = (indices[position] + step) % len(TINY.decisions[position].choices)
    other = Architecture(TINY, tuple(indices))
    same = other == architecture or not TINY.active(architecture.row[None])[0, position]
    assert (other.key == architecture.key) == same
    assert (str(other) == str(architecture)) == same


def test_active_decisions_follow_the_depth() -> None:
    rows = TINY.random(20, np.random.default_rng(0))
    depths = np.array(TINY.supernet.depth)[rows[:, 1]]
    assert TINY.active(rows).sum(axis=1).tolist() == (2 + 2 * depths).tolist()


def test_variations_mean_other_networks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        architecture = TINY.sample(rng)
        assert TINY.mutate(architecture, rng).key != architecture.key
        keys = [a.key for a in TINY.neighbours(architecture)]
        assert architecture.key not in keys
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("embed_dim=192", "expected embed_dim="),
        ("embed_dim=192;mlp_ratio=3;num_heads=3;depth=1", "expected embed_dim="),
        ("embed_dim=192;embed_dim=192;mlp_ratio=3", "expected embed_dim="),
        ("embed_dim=192;mlp_ratio=3,3;num_heads=3", "one number per layer each, got 2 and 1"),
        ("embed_dim=192,192;mlp_ratio=3;num_heads=3", "'embed_dim' takes one number"),
        ("embed_dim=192;mlp_ratio=3;num_heads=3", "decision 'depth': unknown choice '1'"),
        (RELEASED["tiny"].replace("192", "200"), "decision 'embed_dim': unknown choice '200'"),
        (RELEASED["tiny"].replace("192", "nan"), "is not finite"),
        (RELEASED["small"], "unknown choice '384'"),
        ('{"embed_dim": true, "mlp_ratio": [3], "num_heads": [3]}', "is not a number"),
        ("[1]", "expected embed_dim="),
        ("{" * 5000, "expected embed_dim="),
        ("embed_dim=" + "1" * 20_000, "20010 characters"),
    ],
)
def test_says_what_is_wrong_with_a_text(text: str, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        TINY.parse(text)


def test_graph_is_a_chain_of_the_decisions() -> None:
    graph = TINY.graph(TINY.parse(RELEASED["tiny"]))
    assert len(graph.labels) == 32
    assert graph.labels[:5] == (
        "input",
        "embed_dim_192",
        "depth_13",
        "mlp_ratio_3.5",
        "num_heads_3",
    )
    assert graph.edges == tuple((i, i + 1) for i in range(31))


def test_from_graph_refuses_what_is_no_chain() -> None:
    graph = TINY.graph(TINY.parse(RELEASED["tiny"]))

    def changed(node: int, label: int) -> Graph:
        operations = graph.operations.copy()
        operations[node] = label
        return Graph(graph.adjacency, operations, graph.vocabulary)

    shortcut = graph.adjacency.copy()
    shortcut[0, 5] = 1
    for bad, message in (
        (Graph(shortcut, graph.operations, graph.vocabulary), "not a chain of 32 nodes"),
        (Graph(graph.adjacency, graph.operations, tuple("abcdefghijklmn")), "not the labels"),
        (changed(0, 1), "from 'input' to 'output', got 'embed_dim_192'"),
        (changed(31, 1), "from 'input' to 'output', got 'input', 'embed_dim_192'"),
        (changed(1, 4), "the node of decision 'embed_dim' must not be 'depth_12'"),
        (changed(3, 3), "the node of decision 'mlp_ratio_0' must not be 'embed_dim_240'"),
        (changed(3, ABSENT), "the node of decision 'mlp_ratio_0' must not be ''"),
    ):
        with pytest.raises(InvalidArchitectureError, match=message):
            TINY.from_graph(bad)


@pytest.mark.parametrize(
    ("size", "params", "flops", "tolerance"),
    [
        ("tiny", 5.7e6, 1.3e9, 0.15),  # 5.87 M and 1.48 G with relative positions
        ("small", 22.9e6, 5.1e9, 0.02),
        ("base", 53.7e6, 11e9, 0.07),
    ],
)
def test_released_networks_have_the_published_sizes(size, params, flops, tolerance) -> None:
    """AutoFormer, table 3, which rounds and does not say whether relative positions count."""
    space = ViT(size=size)
    complexity = space.complexity(space.parse(RELEASED[size]))
    assert complexity.params == pytest.approx(params, rel=0.001 if size != "tiny" else 0.03)
    assert complexity.flops == pytest.approx(flops, rel=tolerance)
    plain = space.complexity(space.parse(RELEASED[size]), relative_position=False)
    assert plain.flops < complexity.flops
    assert (
        plain.params == complexity.params - len(space.layers(space.parse(RELEASED[size]))) * 7680
    )


def test_sizes_of_batches_and_singles_agree() -> None:
    rows = TINY.random(10, np.random.default_rng(0))
    options = {"resolution": 32, "patch": 4, "classes": 10}
    singles = [TINY.complexity(a, **options) for a in TINY.architectures(rows)]
    assert TINY.complexities(rows, **options).tolist() == [[c.params, c.flops] for c in singles]


def test_refuses_wrong_settings() -> None:
    architecture = TINY.parse(RELEASED["tiny"])
    with pytest.raises(TypeError, match=r"unknown options of complexity: \['width'\]"):
        TINY.complexity(architecture, width=3)
    with pytest.raises(ValueError, match="`classes` must be >= 1, got 0"):
        TINY.complexity(architecture, classes=0)
    with pytest.raises(
        ValueError, match="`resolution` must be a multiple of `patch`, which is 16"
    ):
        TINY.complexity(architecture, resolution=225)


def test_layers_of_an_architecture() -> None:
    layers = TINY.layers(TINY.parse(RELEASED["tiny"]))
    assert len(layers) == 13
    assert layers[10] == Layer(3.5, 4)
