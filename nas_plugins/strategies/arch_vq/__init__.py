"""Arch-VQ: a discrete latent space of architectures, a prior over it, and search on both.

Poddenige et al., "Arch-VQ: Discrete Architecture Representation Learning with Autoregressive
Priors", arXiv 2503.22063v2. The names below load PyTorch when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins._lazy import lazy

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.model import ArchVQModel
    from nas_plugins.strategies.arch_vq.strategy import ArchVQ
    from nas_plugins.strategies.arch_vq.train import train

__getattr__, __dir__ = lazy(
    __name__, {"ArchVQ": "strategy", "ArchVQModel": "model", "train": "train"}
)

__all__ = ["ArchVQ", "ArchVQModel", "train"]
