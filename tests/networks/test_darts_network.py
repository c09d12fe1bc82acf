"""DARTS networks: sizes measured on the module equal the closed form; options do what they say."""

from __future__ import annotations

import numpy as np
import pytest
from network_sizes import measured

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.spaces.darts import DARTS, DARTSCell

torch = pytest.importorskip("torch")

DARTS_V2 = DARTS().from_compact(
    [
        [(0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5)],
        [(0, 0), (1, 0), (2, 2), (1, 0), (0, 0), (2, 2), (2, 2), (1, 0)],
    ]
)


@pytest.mark.parametrize(
    ("stem", "params", "resolution"), [("cifar", 3_349_342, 32), ("imagenet", 4_718_752, 224)]
)
def test_darts_v2_has_its_published_size(stem: str, params: int, resolution: int) -> None:
    network = DARTS_V2.space.network(DARTS_V2, stem=stem)
    size = measured(network, resolution)
    assert size.params == params
    assert size == DARTS_V2.space.complexity(DARTS_V2, stem=stem)


@pytest.mark.parametrize("space", [DARTS(), DARTS(with_none=True), DARTSCell()], ids=repr)
@pytest.mark.parametrize(
    ("options", "resolution"),
    [
        ({"channels": 8, "layers": 6}, 16),
        ({"channels": 4, "layers": 5, "classes": 3}, 19),
        ({"channels": 4, "layers": 1}, 8),
        ({"stem": "imagenet", "channels": 8, "layers": 4}, 67),
        ({"channels": 4, "layers": 3, "auxiliary": True}, 32),
        ({"stem": "imagenet", "channels": 4, "layers": 3, "auxiliary": True}, 224),
    ],
)
def test_measured_size_equals_the_closed_form(space, options, resolution) -> None:
    rng = np.random.default_rng(0)
    for _ in range(2):
        architecture = space.sample(rng)
        network = space.network(architecture, **options)
        expected = space.complexity(architecture, resolution=resolution, **options)
        assert measured(network, resolution) == expected


def test_every_operation_runs_backwards() -> None:
    space = nap.space("darts-cell")
    cell = [("none", 0), ("max_pool_3x3", 1), ("avg_pool_3x3", 0), ("skip_connect", 1)]
    cell += [("sep_conv_3x3", 0), ("sep_conv_5x5", 1), ("dil_conv_3x3", 0), ("dil_conv_5x5", 1)]
    text = f"Genotype(normal={cell}, normal_concat=range(2, 6), reduce={cell}, "
    network = space.network(
        space.parse(f"{text}reduce_concat=range(2, 6))"), channels=4, layers=3, classes=5
    )
    logits = network(torch.randn(2, 3, 16, 16))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_none_is_zero() -> None:
    space = DARTSCell()
    cell = [("none", 0), ("none", 1)] * 4
    text = f"Genotype(normal={cell}, normal_concat=[2,3,4,5], reduce={cell}, "
    network = space.network(space.parse(f"{text}reduce_concat=[2,3,4,5])"), channels=4, layers=3)
    logits = network.eval()(torch.randn(2, 3, 16, 16))
    assert torch.equal(logits, network.classifier.bias.expand(2, 10))


def test_auxiliary_head_is_for_training_only() -> None:
    options = {"channels": 4, "layers": 3, "classes": 7}
    network = DARTS_V2.space.network(DARTS_V2, auxiliary=True, **options).eval()
    images = torch.randn(2, 3, 32, 32)
    logits, auxiliary = network.forward_with_auxiliary(images)
    assert logits.shape == auxiliary.shape == (2, 7)
    assert torch.equal(network(images), logits)
    plain = DARTS_V2.space.network(DARTS_V2, **options)
    with pytest.raises(ValueError, match="build it with auxiliary=True"):
        plain.forward_with_auxiliary(images)


def test_drop_path_acts_in_training_only() -> None:
    network = DARTS_V2.space.network(DARTS_V2, channels=4, layers=3, drop_path=0.5)
    images = torch.randn(4, 3, 16, 16)
    network.eval()
    assert torch.equal(network(images), network(images))
    network.train()
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        network.drop_path = 0.0
        assert torch.equal(network(images), network(images))


def test_one_cell_space_builds_the_same_network() -> None:
    cell = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 4
    text = f"Genotype(normal={cell}, normal_concat=range(2, 6), reduce={cell}, "
    text += "reduce_concat=range(2, 6))"
    outputs = []
    for space in (DARTS(), DARTSCell()):
        torch.manual_seed(3)
        network = space.network(space.parse(text), channels=4, layers=3).eval()
        outputs.append(network(torch.ones(1, 3, 16, 16)))
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": 5}, ValueError, "`channels` must be even, got 5"),
        ({"layers": 0}, ValueError, "`layers` must be >= 1, got 0"),
        ({"drop_path": 1.0}, ValueError, r"`drop_path` must be in \[0, 1\), got 1.0"),
        ({"in_channels": 0}, ValueError, "`in_channels` must be >= 1, got 0"),
        ({"stem": "cifra"}, UnknownNameError, "did you mean 'cifar'"),
    ],
)
def test_refuses_wrong_options(options, error, message) -> None:
    with pytest.raises(error, match=message):
        DARTS_V2.space.network(DARTS_V2, **options)


def test_refuses_another_space() -> None:
    from nas_plugins.networks.darts import build

    other = nap.space("nasbench201").sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="`architecture` must be a DARTS genotype"):
        build(other)
