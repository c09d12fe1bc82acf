"""The FBNet space: notation, graphs and closed-form sizes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, UnknownNameError
from nas_plugins.spaces import Architecture, Graph
from nas_plugins.spaces.fbnet import BLOCKS, NODE_OPERATIONS, FBNet, FBNetShape

SPACE = FBNet()
FBNET_C = (
    "k3_e1,k3_e6,skip,k3_e1,k3_e1,k5_e6,k5_e3,k5_e6,k3_e6,k5_e6,k5_e3,"
    "k5_e6,k5_e6,k5_e6,k5_e6,k5_e6,k5_e3,k5_e6,k5_e6,k5_e6,k5_e6,k3_e6"
)

architectures = st.builds(
    lambda indices: Architecture(SPACE, tuple(indices)),
    st.lists(st.integers(0, 8), min_size=22, max_size=22),
)


def test_size_names_and_registration() -> None:
    assert nap.space("fbnet") == SPACE
    assert SPACE.size == 9**22
    assert SPACE.decisions[21].name == "layer_21"
    assert SPACE.decisions[0].choices == BLOCKS


@given(architectures)
def test_round_trips(architecture: Architecture) -> None:
    assert SPACE.parse(str(architecture)) == architecture
    assert SPACE.parse(str(list(architecture.indices))) == architecture
    assert SPACE.parse(str(list(SPACE.blocks(architecture)))) == architecture
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert SPACE.from_graph(SPACE.graph(architecture)) == architecture
    assert pickle.loads(pickle.dumps(architecture)) == architecture


@given(architectures, architectures)
def test_keys_are_equal_only_for_equal_architectures(first, second) -> None:
    assert (first.key == second.key) == (first == second)
    assert isinstance(first.key, bytes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 22 blocks, got 1"),
        ("k3_e1,k3_e1", "has 22 blocks, got 2"),
        ("[0, 1]", "has 22 blocks, got 2"),
        ("[0, 1", "expected a list of 22 block indices or names"),
        ("[__import__('os')]", "expected a list of 22 block indices or names"),
        ("[" * 2000 + "]" * 2000, "22 block"),
        (FBNET_C.replace("skip", "skp"), "layer 2: unknown block 'skp'; did you mean 'skip'"),
        (str([9] * 22), r"layer 0 takes a block name or an index in 0\.\.8, got 9"),
        (str([True] * 22), "got True"),
        (str([0.5] * 22), "got 0.5"),
    ],
)
def test_says_what_is_wrong_with_a_text(text: str, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


def test_graph_is_a_chain() -> None:
    graph = SPACE.graph(SPACE.parse(FBNET_C))
    assert graph.labels == ("input", *FBNET_C.split(","), "output")
    assert graph.edges == tuple((i, i + 1) for i in range(23))


def test_from_graph_refuses_what_is_no_chain_of_blocks() -> None:
    graph = SPACE.graph(SPACE.parse(FBNET_C))
    shortcut = graph.adjacency.copy()
    shortcut[0, 5] = 1
    with pytest.raises(InvalidArchitectureError, match="not a chain of 24 nodes"):
        SPACE.from_graph(Graph(shortcut, graph.operations, graph.vocabulary))
    labels = graph.operations.copy()
    labels[0] = NODE_OPERATIONS.index("skip")
    with pytest.raises(InvalidArchitectureError, match="from 'input' to 'output', got 'skip'"):
        SPACE.from_graph(Graph(graph.adjacency, labels, graph.vocabulary))
    labels = graph.operations.copy()
    labels[3] = NODE_OPERATIONS.index("input")
    with pytest.raises(InvalidArchitectureError, match="layer 2: unknown block 'input'"):
        SPACE.from_graph(Graph(graph.adjacency, labels, graph.vocabulary))


def test_layers_of_both_settings() -> None:
    cifar, imagenet = FBNetShape.of(), FBNetShape.of(stem="imagenet")
    assert [i for i, layer in enumerate(cifar.layers) if layer.stride == 2] == [5, 9, 17]
    assert [i for i, layer in enumerate(imagenet.layers) if layer.stride == 2] == [1, 5, 9, 17]
    changing = [i for i, layer in enumerate(cifar.layers) if not layer.keeps_shape]
    assert changing == [1, 5, 9, 13, 17, 21]
    assert (cifar.head_channels, imagenet.head_channels) == (1504, 1984)


def test_size_of_fbnet_c_is_near_the_published_one() -> None:
    complexity = SPACE.complexity(SPACE.parse(FBNET_C), stem="imagenet")
    # FBNet, table 3: 5.5 M parameters, 375 M multiply-adds.
    assert complexity.params == pytest.approx(5.5e6, rel=0.02)
    assert complexity.flops == pytest.approx(375e6, rel=0.03)


def test_sizes_grow_with_the_block() -> None:
    base = SPACE.parse(",".join(["k3_e1"] * 22))
    for layer in range(22):
        sizes = {}
        for index, block in enumerate(BLOCKS):
            row = base.row
            row[layer] = index
            sizes[block] = SPACE.complexity(SPACE.architectures([row])[0]).flops
        assert sizes["k3_e1_g2"] < sizes["k3_e1"] < sizes["k3_e3"] < sizes["k3_e6"]
        # Where it is a convolution, its one group may cost more than two 1x1 of two groups.
        assert sizes["skip"] < sizes["k3_e1"]
        assert sizes["k5_e1_g2"] < sizes["k5_e1"] < sizes["k5_e3"] < sizes["k5_e6"]


def test_refuses_wrong_settings() -> None:
    architecture = SPACE.parse(FBNET_C)
    with pytest.raises(UnknownNameError, match="did you mean 'cifar'"):
        SPACE.complexity(architecture, stem="cifar10")
    with pytest.raises(ValueError, match="`classes` must be >= 1, got 0"):
        SPACE.complexity(architecture, classes=0)
    with pytest.raises(TypeError, match="unknown options of complexity"):
        SPACE.complexity(architecture, width=3)


@pytest.fixture
def latency_table() -> dict[str, np.ndarray]:
    table = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "fbnet_cifar100_help.npz"
    if not os.environ.get("NAS_PLUGINS_DATA") or not table.is_file():
        pytest.skip("NAS_PLUGINS_DATA does not name a folder with fbnet_cifar100_help.npz")
    with np.load(table) as data:
        return dict(data)


def test_block_order_is_that_of_the_latency_table(latency_table) -> None:
    rows = latency_table["archs"]
    assert tuple(latency_table["op_names"].tolist()) == BLOCKS
    assert len(np.unique(SPACE.keys(rows))) == len(np.unique(rows, axis=0))


def test_layers_are_those_of_the_latency_table(latency_table) -> None:
    """The FPGA's model is linear in the work, so it shows each layer's channels and stride."""
    fpga = latency_table["lut"][latency_table["lut_devices"].tolist().index("fpga")]
    growth = fpga[:, BLOCKS.index("k3_e6")] - fpga[:, BLOCKS.index("k3_e1")]
    side, work = 32, []
    for layer in FBNetShape.of().layers:
        side //= layer.stride
        work.append(side**2 * layer.inputs * (layer.inputs + layer.outputs + 8))
    ratio = growth / np.array(work) / (5 * 4.6875e-7)
    assert np.allclose(ratio[:17], 1, rtol=1e-6)
    # The device's tiles do not fill up on the 4x4 maps of the last five layers.
    assert np.all((ratio[17:] > 1) & (ratio[17:] < 1.1))
