"""Small models that train in a second."""

from __future__ import annotations

from functools import cache

from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.arch_vq.config import PriorConfig, Recipe, Schedule, VQVAEConfig
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.train import train

SPACE = CategoricalSpace.macro(4, ["a", "b", "c"])

SMALL = Recipe(
    VQVAEConfig(
        hidden=32, layers=2, latent=8, codes=32, schedule=Schedule(1, 36, 5e-3, min_steps=700)
    ),
    PriorConfig(width=32, layers=1, heads=2, schedule=Schedule(1, 36, 3e-3, min_steps=80)),
)


@cache
def small_model() -> ArchVQModel:
    """A model of 81 architectures, 73 of them learned."""
    return train(SPACE, settings=SMALL, seed=0)
