"""A sampler class per strategy: the strategy's options and the sampler's in one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from nas_plugins import _options
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.strategies.arch_vq.strategy import ArchVQ
from nas_plugins.strategies.archive_evolution import ArchiveEvolution
from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution
from nas_plugins.strategies.local_search import LocalSearch
from nas_plugins.strategies.random import RandomSearch
from nas_plugins.strategies.regularized_evolution import RegularizedEvolution


class NamedSampler(StrategySampler):
    """Base of the samplers that are made for one strategy.

    A subclass is decorated with `samples`, which tells the strategy class and completes the
    signature and the docstring from it.

    Args:
        **options: Options of the strategy and of `StrategySampler`, by keyword.

    Raises:
        TypeError: An option is not known; the message suggests the nearest.
    """

    strategy_class: ClassVar[type[Any]]

    def __init__(self, **options: Any) -> None:
        own, sampler = _options.split(type(self), StrategySampler, options)
        super().__init__(self.strategy_class(**own), **sampler)


S = TypeVar("S", bound=type[NamedSampler])


def samples(strategy_class: type[Any]) -> Callable[[S], S]:
    """Makes a subclass of `NamedSampler` the sampler of a strategy, a frozen dataclass.

    Raises:
        ValueError: The strategy has an option that the sampler has too.
    """
    _options.refuse_clashes(strategy_class, StrategySampler)

    def decorate(sampler: S) -> S:
        sampler.strategy_class = strategy_class
        _options.join(sampler, strategy_class, StrategySampler)
        return sampler

    return decorate


@samples(RandomSearch)
class RandomArchitectureSampler(NamedSampler):
    """Sampler that draws architectures at random, without repetition."""


@samples(LocalSearch)
class LocalSearchSampler(NamedSampler):
    """Sampler that climbs from random starts by single changes.

    See :class:`nas_plugins.strategies.local_search.LocalSearch`.
    """


@samples(RegularizedEvolution)
class RegularizedEvolutionSampler(NamedSampler):
    """Sampler that mutates the winner of a tournament among the youngest trials.

    See :class:`nas_plugins.strategies.regularized_evolution.RegularizedEvolution`.
    """


@samples(ArchiveEvolution)
class ArchiveEvolutionSampler(NamedSampler):
    """Sampler that mutates a random member of the Pareto front.

    See :class:`nas_plugins.strategies.archive_evolution.ArchiveEvolution`.
    """


@samples(ArchVQ)
class ArchVQSampler(NamedSampler):
    """Sampler that searches the latent space of a learned model with a predictor.

    See :class:`nas_plugins.strategies.arch_vq.strategy.ArchVQ`.
    """


@samples(LLMCoEvolution)
class LLMCoEvolutionSampler(NamedSampler):
    """Sampler that lets a language model breed architectures in niches and learn rules.

    See :class:`nas_plugins.strategies.llm_coevolution.strategy.LLMCoEvolution`.
    """


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
