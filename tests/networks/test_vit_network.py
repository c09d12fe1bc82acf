"""Vision transformers: sizes counted by PyTorch equal the closed form."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.spaces import Complexity
from nas_plugins.spaces.vit import ViT

torch = pytest.importorskip("torch")

TINY = ViT()


def counted(network, images) -> Complexity:
    """Trainable weights, and multiply-accumulates of all matrix products that PyTorch ran."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(images)
    params = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Complexity(params, counter.get_total_flops() // 2)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ("tiny", {"resolution": 32, "patch": 4, "classes": 10}),
        ("tiny", {"resolution": 32, "patch": 8, "classes": 7, "relative_position": False}),
        ("small", {"resolution": 24, "patch": 8, "in_channels": 1}),
    ],
)
def test_counted_size_equals_the_closed_form(size, options) -> None:
    space = ViT(size=size)
    architecture = space.sample(np.random.default_rng(0))
    side, channels = options["resolution"], options.get("in_channels", 3)
    images = torch.zeros(1, channels, side, side)
    expected = space.complexity(architecture, **options)
    assert counted(space.network(architecture, **options), images) == expected


def test_trains_and_takes_images_of_another_size() -> None:
    torch.manual_seed(0)
    architecture = TINY.sample(np.random.default_rng(1))
    network = TINY.network(architecture, resolution=32, patch=8, classes=5)
    for shape in ((32, 32), (16, 24), (40, 40)):
        logits = network(torch.randn(2, 3, *shape))
        assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_layers_beyond_the_depth_are_not_built() -> None:
    row = TINY.sample(np.random.default_rng(2)).row
    row[1] = 0
    network = TINY.network(TINY.architectures([row])[0], resolution=16, patch=8, classes=2)
    assert len(network.layers) == 12


def test_relative_positions_tell_the_patches_apart() -> None:
    """Without any position the mean of the patches does not change when they are shuffled."""
    torch.manual_seed(0)
    architecture = TINY.sample(np.random.default_rng(3))
    left = torch.randn(1, 3, 8, 8)
    images = torch.zeros(1, 3, 16, 16)
    images[:, :, :8, :8] = left
    moved = images.roll((8, 8), dims=(2, 3))
    moved[:, :, 8:, :8] = torch.randn(1, 3, 8, 8)
    images[:, :, :8, 8:] = moved[:, :, 8:, :8]
    for relative in (True, False):
        network = TINY.network(
            architecture, resolution=16, patch=8, classes=2, relative_position=relative
        ).eval()
        network.positions.data.zero_()
        with torch.no_grad():
            same = torch.allclose(network(images), network(moved), atol=1e-5)
        assert same != relative


def test_refuses_wrong_options() -> None:
    architecture = TINY.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="`in_channels` must be >= 1, got 0"):
        TINY.network(architecture, in_channels=0)
    from nas_plugins.networks.vit import build

    with pytest.raises(ValueError, match="`architecture` must belong to a ViT space"):
        build(nap.space("nasbench201").sample(np.random.default_rng(0)))
