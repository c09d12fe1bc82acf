"""A sampler class per strategy: the strategy's options and the sampler's in one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from nas_plugins.engine.adapters import Named, named
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.strategies.arch_vq.strategy import ArchVQ
from nas_plugins.strategies.archive_evolution import ArchiveEvolution
from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution
from nas_plugins.strategies.local_search import LocalSearch
from nas_plugins.strategies.random import RandomSearch
from nas_plugins.strategies.regularized_evolution import RegularizedEvolution


class NamedSampler(Named, StrategySampler):
    """Base of the samplers that are made for one strategy.

    A subclass is decorated with `samples`, which tells the strategy class and completes the
    signature and the docstring from it.

    Args:
        **options: Options of the strategy and of `StrategySampler`, by keyword.

    Raises:
        TypeError: An option is not known; the message suggests the nearest.
    """


S = TypeVar("S", bound=type[NamedSampler])


def samples(strategy_class: type[Any]) -> Callable[[S], S]:
    """Makes a subclass of `NamedSampler` the sampler of a strategy, a frozen dataclass.

    Raises:
        ValueError: The strategy has an option that the sampler has too.
    """
    return named(strategy_class, StrategySampler)


@samples(RandomSearch)
class RandomArchitectureSampler(NamedSampler):
    """Sampler that draws architectures at random, without repetition."""


@samples(LocalSearch)
class LocalSearchSampler(NamedSampler):
    """Sampler that climbs from random starts by single changes."""


@samples(RegularizedEvolution)
class RegularizedEvolutionSampler(NamedSampler):
    """Sampler that mutates the winner of a tournament among the youngest trials."""


@samples(ArchiveEvolution)
class ArchiveEvolutionSampler(NamedSampler):
    """Sampler that mutates a random member of the Pareto front."""


@samples(ArchVQ)
class ArchVQSampler(NamedSampler):
    """Sampler that searches the latent space of a learned model with a predictor."""


@samples(LLMCoEvolution)
class LLMCoEvolutionSampler(NamedSampler):
    """Sampler that lets a language model breed architectures in niches and learn rules."""


__all__ = [
    "ArchVQSampler",
    "ArchiveEvolutionSampler",
    "LLMCoEvolutionSampler",
    "LocalSearchSampler",
    "NamedSampler",
    "RandomArchitectureSampler",
    "RegularizedEvolutionSampler",
    "samples",
]
