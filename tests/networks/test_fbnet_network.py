"""FBNet networks: sizes measured on the module equal the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from network_sizes import measured

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.spaces.fbnet import BLOCKS, FBNet

torch = pytest.importorskip("torch")

SPACE = FBNet()


@pytest.mark.parametrize(
    ("options", "resolution"),
    [
        ({}, 32),
        ({"classes": 10}, 19),
        ({"stem": "imagenet"}, 224),
        ({"stem": "imagenet", "classes": 4}, 45),
    ],
)
def test_measured_size_equals_the_closed_form(options, resolution) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        architecture = SPACE.sample(rng)
        expected = SPACE.complexity(architecture, resolution=resolution, **options)
        assert measured(SPACE.network(architecture, **options), resolution) == expected


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs_everywhere(block: str) -> None:
    architecture = SPACE.parse(",".join([block] * 22))
    network = SPACE.network(architecture, classes=3)
    logits = network(torch.randn(2, 3, 16, 16))
    assert logits.shape == (2, 3)
    logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    size = measured(network, 16)
    assert size == SPACE.complexity(architecture, classes=3, resolution=16)


def test_skip_is_the_identity_where_the_shape_stays() -> None:
    network = SPACE.network(SPACE.parse(",".join(["skip"] * 22)))
    identities = [isinstance(layer, torch.nn.Identity) for layer in network.layers]
    assert [i for i, is_identity in enumerate(identities) if not is_identity] == [
        1, 5, 9, 13, 17, 21,
    ]  # fmt: skip


def test_refuses_wrong_options() -> None:
    architecture = SPACE.sample(np.random.default_rng(0))
    with pytest.raises(UnknownNameError, match="did you mean 'imagenet'"):
        SPACE.network(architecture, stem="imagenet1k")
    with pytest.raises(ValueError, match="`in_channels` must be >= 1, got 0"):
        SPACE.network(architecture, in_channels=0)
    from nas_plugins.networks.fbnet import build

    with pytest.raises(ValueError, match="`architecture` must belong to"):
        build(nap.space("nasbench201").sample(np.random.default_rng(0)))
