"""A sampler class per strategy: the strategy's options and the sampler's in one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from nas_plugins.engine.adapters import Named, adapter_for, named
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.strategies.arch_vq.strategy import ArchVQ
from nas_plugins.strategies.archive_evolution import ArchiveEvolution
from nas_plugins.strategies.graph_gp.strategy import GraphGP
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
        UnknownOptionError: An option is not known; the message suggests the nearest.
    """


S = TypeVar("S", bound=type[NamedSampler])


def samples(strategy_class: type[Any]) -> Callable[[S], S]:
    """Makes a subclass of `NamedSampler` the sampler of a strategy, a frozen dataclass.

    Raises:
        ValueError: The strategy has an option that the sampler has too.
    """
    return named(strategy_class, StrategySampler)


def _sampler(strategy_class: type[Any], name: str) -> type[NamedSampler]:
    return adapter_for(strategy_class, name, NamedSampler, StrategySampler, __name__)


RandomArchitectureSampler = _sampler(RandomSearch, "RandomArchitectureSampler")
LocalSearchSampler = _sampler(LocalSearch, "LocalSearchSampler")
RegularizedEvolutionSampler = _sampler(RegularizedEvolution, "RegularizedEvolutionSampler")
ArchiveEvolutionSampler = _sampler(ArchiveEvolution, "ArchiveEvolutionSampler")
GraphGPSampler = _sampler(GraphGP, "GraphGPSampler")
ArchVQSampler = _sampler(ArchVQ, "ArchVQSampler")
LLMCoEvolutionSampler = _sampler(LLMCoEvolution, "LLMCoEvolutionSampler")
