"""From an architecture and settings to a network, the same one in every process.

Width and depth, where the settings leave them open, are those that the space declares for the
size (`SearchSpace.network_sizes`). "full" is what the proxies of NAS-Bench-Suite-Zero
(Krishnakumar et al., NeurIPS 2022) were computed on; its parameter counts say so. A cell that is
repeated less often ranks differently, so "small" keeps the depth.

Of architectures with the same key one network is built, that of ``space.canonical``: equal cells
that are written differently would otherwise get other weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nas_plugins.evaluators.zero_cost.settings import Settings
from nas_plugins.spaces.base import Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import nn


def network_options(space: SearchSpace, settings: Settings, in_channels: int) -> dict[str, Any]:
    """Arguments of ``space.network`` for the settings.

    Args:
        space: Any space with networks.
        settings: How to score.
        in_channels: Channels of the images.

    Raises:
        UnknownNameError: No network builder is registered for the space.
        ValueError: `channels` or `cells` is set, and the space's network has no such setting.
    """
    known = space.network_options()
    offered: dict[str, Any] = {"classes": settings.classes, "in_channels": in_channels}
    offered |= space.network_sizes.get(settings.size, {})
    options = {name: value for name, value in offered.items() if known is None or name in known}
    for name, called, value in (
        ("channels", space.network_width, settings.channels),
        ("cells", space.network_depth, settings.cells),
    ):
        if value is None:
            continue
        if known is not None and called not in known:
            raise ValueError(
                f"`{name}` must be left out for the space {space.name!r}, whose network has no "
                f"such setting, got {value}"
            )
        options[called] = value
    return options


def weight_seed(seed: int, architecture: Architecture) -> int:
    """Seed of the weights: the same whatever was scored before, and wherever.

    Args:
        seed: Of the settings.
        architecture: The canonical one.
    """
    text = f"{seed}|{architecture}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def built_under_seed(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Calls `build` under a seed and leaves PyTorch's global generator as it was."""
    from nas_plugins._torch import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()
