"""From an architecture and settings to a network, the same one in every process.

Width and depth where the settings leave them open:

============  =====================  ====================  ==================
space         full                   small                 tiny
============  =====================  ====================  ==================
nasbench201   16 channels, 5 cells   16 channels, 5 cells  4 channels, 1 cell
nasbench101   128 channels, 3 cells  32 channels, 3 cells  8 channels, 1 cell
darts         32 channels, 8 layers  16 channels, 8 layers 4 channels, 3 layers
============  =====================  ====================  ==================

"full" is what the proxies of NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022) were
computed on; its parameter counts say so. A cell that is repeated less often ranks differently, so
"small" keeps the depth. FBNet's network has one size, and so have transformers, whose patches here
are 4 pixels wide. The builder of any other space is passed the settings that its signature names.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas_plugins import registry
from nas_plugins.evaluators.zero_cost.settings import Settings
from nas_plugins.spaces.base import Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class _Sizes:
    """What a builder calls width and depth, and both by name of the size."""

    width: str
    depth: str
    sizes: Mapping[str, tuple[int, int]]


_NASBENCH201 = {"full": (16, 5), "small": (16, 5), "tiny": (4, 1)}
_NASBENCH101 = {"full": (128, 3), "small": (32, 3), "tiny": (8, 1)}
_DARTS = _Sizes("channels", "layers", {"full": (32, 8), "small": (16, 8), "tiny": (4, 3)})
_KNOWN: Mapping[str, _Sizes] = {
    "nasbench201": _Sizes("channels", "cells", _NASBENCH201),
    "nasbench101": _Sizes("stem_channels", "modules_per_stack", _NASBENCH101),
    "darts": _DARTS,
    "darts-cell": _DARTS,
}
_FIXED: Mapping[str, Mapping[str, Any]] = {"vit": {"resolution": 32, "patch": 4}}


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
    wanted: dict[str, Any] = {"classes": settings.classes, "in_channels": in_channels}
    chosen = {"channels": settings.channels, "cells": settings.cells}
    known = _KNOWN.get(space.name)
    if known is not None:
        width, depth = known.sizes[settings.size]
        wanted[known.width] = width if settings.channels is None else settings.channels
        wanted[known.depth] = depth if settings.cells is None else settings.cells
        return wanted
    accepted = _parameters(space)
    for name, value in chosen.items():
        if value is not None and name not in accepted:
            raise ValueError(
                f"`{name}` must be left out for the space {space.name!r}, whose network has no "
                f"such setting, got {value}"
            )
    wanted.update({name: value for name, value in chosen.items() if value is not None})
    wanted.update(_FIXED.get(space.name, {}))
    return {name: value for name, value in wanted.items() if name in accepted}


def representative(architecture: Architecture) -> Architecture:
    """The one of all architectures with the same key whose network is built.

    Equal cells that are written differently would otherwise get other weights. A space that
    has no `canonical` gets the architecture itself.
    """
    canonical = getattr(architecture.space, "canonical", None)
    if not callable(canonical):
        return architecture
    found = canonical(architecture)
    return found if isinstance(found, Architecture) else architecture


def weight_seed(seed: int, architecture: Architecture) -> int:
    """Seed of the weights: the same whatever was scored before, and wherever.

    Args:
        seed: Of the settings.
        architecture: A `representative`.
    """
    text = f"{seed}|{architecture}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def built_under_seed(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Calls `build` under a seed and leaves PyTorch's global generator as it was."""
    from nas_plugins._torch import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()


def _parameters(space: SearchSpace) -> set[str]:
    """Names of what can be set about the networks of a space."""
    builder: Callable[..., Any] = type(space).network
    if builder is SearchSpace.network:
        builder = registry.load("network", space.name)
    return set(inspect.signature(builder).parameters)


__all__ = ["built_under_seed", "network_options", "representative", "weight_seed"]
