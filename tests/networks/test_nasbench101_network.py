"""The NAS-Bench-101 network against the closed form and the published table."""

from __future__ import annotations

import builtins
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from network_sizes import measured

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.errors import MissingDependencyError

torch = pytest.importorskip("torch")
nn = torch.nn

SPACE = nap.space("nasbench101")
CONV3, CONV1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
DIRECT = '{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}'


def parse(edges, *inner):
    v = len(inner) + 2
    matrix = np.zeros((v, v), dtype=int)
    for edge in edges:
        matrix[edge] = 1
    return SPACE.parse(json.dumps({"matrix": matrix.tolist(), "ops": ["input", *inner, "output"]}))


def full_size(architecture):
    """The benchmark's network without memory for its weights."""
    with torch.device("meta"):
        return SPACE.network(architecture)


def parameters(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_published_parameters_of_sampled_cells():
    path = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "nb101_full.npz"
    if not path.is_file():
        pytest.skip("NAS_PLUGINS_DATA has no nb101_full.npz")
    with np.load(path) as table:
        sizes, bits = table["num_vertices"], table["adj_bits"]
        inner, published = table["ops"], table["trainable_parameters"]
    rng = np.random.default_rng(0)
    chosen = [*np.flatnonzero(sizes < 4), *rng.choice(len(sizes), size=30, replace=False)]
    for i in chosen:
        v, code = int(sizes[i]), int(bits[i])
        pairs = [(x, y) for y in range(v) for x in range(y)]
        edges = [(x, y) for x, y in pairs if code >> (x + y * (y - 1) // 2) & 1]
        names = [(CONV3, CONV1, POOL)[o] for o in inner[i, : v - 2]]
        assert parameters(full_size(parse(edges, *names))) == published[i]


def test_measured_counts_equal_the_closed_form():
    rng = np.random.default_rng(1)
    rows = np.concatenate([SPACE.random_cells(15, rng), SPACE.random(15, rng)])
    for architecture in SPACE.architectures(rows):
        options = {
            "stem_channels": int(rng.integers(5, 20)),
            "stacks": int(rng.integers(1, 4)),
            "modules_per_stack": int(rng.integers(1, 4)),
            "classes": int(rng.integers(1, 200)),
        }
        resolution = int(rng.integers(4, 20))
        size = SPACE.complexity(architecture, resolution=resolution, **options)
        network = SPACE.network(architecture, **options)
        assert parameters(network) == size.params
        assert measured(network, resolution, count_bias=True).flops == size.flops


SMALL = {"stem_channels": 6, "stacks": 2, "modules_per_stack": 1}


@pytest.mark.parametrize("seed", range(8))
def test_forward_gives_logits(seed):
    (architecture,) = SPACE.architectures(SPACE.random_cells(1, np.random.default_rng(seed)))
    network = SPACE.network(architecture, **SMALL, classes=7, in_channels=2)
    assert isinstance(network, nn.Module)
    logits = network(torch.randn(3, 2, 9, 9))
    assert logits.shape == (3, 7)
    assert torch.isfinite(logits).all()
    logits.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_smallest_cell_is_a_projection():
    network = SPACE.network(SPACE.parse(DIRECT), **SMALL).eval()
    cell = network.layers[1]
    images = torch.randn(2, 6, 5, 5)
    assert torch.equal(cell(images), cell.projections["1"](images))


def test_vertices_add_what_they_receive_and_the_output_concatenates():
    # 1 and 2 feed the output, 1 feeds 2, and the input feeds the output as well.
    architecture = parse([(0, 1), (1, 2), (1, 3), (2, 3), (0, 2), (0, 3)], POOL, POOL)
    cell = SPACE.network(architecture, **SMALL).eval().layers[1]
    assert cell.channels == (6, 3, 3, 6)
    images = torch.randn(2, 6, 5, 5)
    pool = nn.MaxPool2d(3, stride=1, padding=1)
    projected = {v: cell.projections[str(v)](images) for v in (1, 2, 3)}
    first = pool(projected[1])
    second = pool(projected[2] + first)
    expected = torch.cat([first, second], dim=1) + projected[3]
    assert torch.allclose(cell(images), expected)


def test_surplus_channels_are_cut_off():
    # Three vertices share 128 channels as 43, 43, 42; vertex 1 feeds one of each kind.
    architecture = parse(
        [(0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (3, 5), (4, 5)], CONV1, POOL, POOL, POOL
    )
    cell = SPACE.network(architecture, stacks=1, modules_per_stack=1).layers[1]
    assert cell.channels == (128, 43, 43, 43, 42, 128)
    assert cell(torch.randn(2, 128, 4, 4)).shape == (2, 128, 4, 4)


def test_equal_cells_have_equal_networks():
    edges = [(0, 1), (0, 2), (1, 3), (2, 3)]
    pair = [parse(edges, CONV3, POOL), parse(edges, POOL, CONV3)]
    states = []
    for architecture in pair:
        torch.manual_seed(0)
        states.append(SPACE.network(architecture, **SMALL).state_dict())
    assert pair[0] != pair[1]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_seed_decides_the_weights():
    images = torch.randn(2, 3, 8, 8)
    logits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        logits.append(SPACE.network(SPACE.parse(DIRECT), **SMALL)(images))
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_convolutions_begin_with_variance_one_over_fan_in():
    torch.manual_seed(0)
    network = SPACE.network(parse([(0, 1), (1, 2)], CONV3), stem_channels=32, stacks=1)
    weights = network.layers[1].vertices[0][0].weight
    assert weights.shape == (32, 32, 3, 3)
    assert weights.std().item() == pytest.approx((32 * 9) ** -0.5, rel=0.03)


def test_bad_options_are_named():
    architecture = parse([(0, 1), (0, 2), (1, 3), (2, 3)], CONV3, POOL)
    with pytest.raises(ValueError, match="`stacks` must be >= 1, got 0"):
        SPACE.network(architecture, stacks=0)
    with pytest.raises(ValueError, match="a channel for each of the 2 vertices that feed it"):
        SPACE.network(architecture, stem_channels=1)
    other = nap.space("nasbench201").sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="`architecture` must belong to a NASBench101 space"):
        registry.load("network", "nasbench101")(other)


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201"])
def test_without_pytorch_the_error_gives_the_pip_command(name, monkeypatch):
    original = builtins.__import__

    def without_torch(module, *args, **kwargs):
        if module.split(".")[0] == "torch":
            raise ImportError("No module named 'torch'")
        return original(module, *args, **kwargs)

    for module in ("nas_plugins._torch", f"nas_plugins.networks.{name}"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    space = nap.space(name)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nas-plugins\[torch\]'"):
        space.network(space.sample(np.random.default_rng(0)))
