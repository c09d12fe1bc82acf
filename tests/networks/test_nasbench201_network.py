"""The NAS-Bench-201 network against the closed form and the published tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from network_sizes import measured

import nas_plugins as nap

torch = pytest.importorskip("torch")
nn = torch.nn

SPACE = nap.space("nasbench201")
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SETTINGS = {
    "cifar10": {"classes": 10, "resolution": 32},
    "cifar100": {"classes": 100, "resolution": 32},
    "imagenet16": {"classes": 120, "resolution": 16},
}


def test_published_counts_of_sampled_cells():
    path = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "nb201_accuracy.npz"
    if not path.is_file():
        pytest.skip("NAS_PLUGINS_DATA has no nb201_accuracy.npz")
    with np.load(path) as table:
        texts = table["arch_str"]
        counts = {name: (table[f"{name}_params_m"], table[f"{name}_flops_m"]) for name in SETTINGS}
    for i in np.random.default_rng(0).choice(len(texts), size=12, replace=False).tolist():
        for name, setting in SETTINGS.items():
            network = SPACE.network(SPACE.parse(texts[i]), classes=setting["classes"])
            size = measured(network, setting["resolution"], count_bias=True)
            assert abs(size.params - counts[name][0][i] * 1e6) < 1
            assert size.flops / 1e6 == pytest.approx(counts[name][1][i], rel=2e-7)


def test_measured_counts_equal_the_closed_form():
    rng = np.random.default_rng(1)
    for architecture in SPACE.architectures(SPACE.random(15, rng)):
        options = {
            "channels": 2 * int(rng.integers(1, 9)),
            "cells": int(rng.integers(1, 4)),
            "classes": int(rng.integers(1, 200)),
        }
        resolution = int(rng.integers(8, 40))
        size = SPACE.complexity(architecture, resolution=resolution, **options)
        network = SPACE.network(architecture, **options)
        assert measured(network, resolution, count_bias=True) == size


@pytest.mark.parametrize("resolution", [16, 31, 32])
def test_forward_gives_logits(resolution):
    architecture = SPACE.sample(np.random.default_rng(2))
    network = SPACE.network(architecture, channels=4, cells=1, classes=7, in_channels=1)
    assert isinstance(network, nn.Module)
    logits = network(torch.randn(3, 1, resolution, resolution))
    assert logits.shape == (3, 7)
    assert torch.isfinite(logits).all()


def test_a_dead_cell_runs_and_sees_nothing_of_the_input():
    network = SPACE.network(SPACE.parse(DEAD), channels=4, cells=1).eval()
    logits = network(torch.randn(2, 3, 16, 16))
    assert torch.allclose(logits[0], logits[1])
    logits.sum().backward()
    assert not network.stem[0].weight.grad.any()


def test_every_operation_does_what_its_name_says():
    images = torch.randn(1, 4, 6, 6)
    torch.manual_seed(0)

    def through(operation):
        text = f"|{operation}~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
        network = SPACE.network(SPACE.parse(text), channels=4, cells=1).eval()
        return network.body[0](images)

    assert torch.equal(through("skip_connect"), images)
    assert not through("none").any()
    corner = through("avg_pool_3x3")[0, 0, 0, 0]
    assert corner == pytest.approx(float(images[0, 0, :2, :2].mean()), abs=1e-6)
    for name in ("nor_conv_1x1", "nor_conv_3x3"):
        assert through(name).shape == images.shape
        assert not torch.allclose(through(name), images)


def test_nodes_sum_their_edges():
    text = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|{0}~0|{0}~1|{0}~2|"
    network = SPACE.network(SPACE.parse(text.format("skip_connect")), channels=4, cells=1)
    images = torch.randn(1, 4, 5, 5)
    assert torch.allclose(network.body[0](images), 4 * images)


def test_the_seed_decides_the_weights():
    architecture = SPACE.sample(np.random.default_rng(3))
    images = torch.randn(2, 3, 8, 8)
    logits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        logits.append(SPACE.network(architecture, channels=4, cells=1)(images))
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_training_step_reaches_every_parameter():
    text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|"
    alive = text.replace("none~2", "nor_conv_3x3~2")
    network = SPACE.network(SPACE.parse(alive), channels=4, cells=1)
    network(torch.randn(4, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_bad_options_are_named():
    architecture = SPACE.parse(DEAD)
    with pytest.raises(ValueError, match="`cells` must be >= 1, got 0"):
        SPACE.network(architecture, cells=0)
    with pytest.raises(TypeError, match="depth"):
        SPACE.network(architecture, depth=3)
    other = nap.space("nasbench101").sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="`architecture` must belong to a NASBench201 space"):
        nap.registry.load("network", "nasbench201")(other)
