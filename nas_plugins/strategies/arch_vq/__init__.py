"""Arch-VQ: a discrete latent space of architectures, a prior over it, and search on both.

Poddenige et al., "Arch-VQ: Discrete Architecture Representation Learning with Autoregressive
Priors", arXiv 2503.22063v2. The names below load PyTorch when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.model import ArchVQModel
    from nas_plugins.strategies.arch_vq.strategy import ArchVQ
    from nas_plugins.strategies.arch_vq.train import train

_HOMES = {"ArchVQ": "strategy", "ArchVQModel": "model", "train": "train"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["ArchVQ", "ArchVQModel", "train"]
