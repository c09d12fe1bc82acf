"""A class per strategy for NNI: the strategy's options and NNI's in one signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from nas_plugins import _options, _public
from nas_plugins.constraints import Constraint
from nas_plugins.history import Objective
from nas_plugins.nni._strategy import NNIStrategy
from nas_plugins.strategies import archive_evolution, local_search, regularized_evolution
from nas_plugins.strategies import random as random_search
from nas_plugins.strategies.arch_vq import strategy as arch_vq
from nas_plugins.strategies.llm_coevolution import strategy as llm_coevolution


class NamedStrategy(NNIStrategy):
    """Base of the classes that are made for one strategy.

    A subclass is decorated with `runs`, which tells the strategy class and completes the
    signature and the docstring from it.

    Args:
        **options: Options of the strategy and of `NNIStrategy`, by keyword.

    Raises:
        TypeError: An option is not known; the message suggests the nearest.
    """

    strategy_class: ClassVar[type[Any]]

    def __init__(self, **options: Any) -> None:
        own, adapter = _options.split(type(self), NNIStrategy, options)
        super().__init__(self.strategy_class(**own), **adapter)


S = TypeVar("S", bound=type[NamedStrategy])


def runs(strategy_class: type[Any]) -> Callable[[S], S]:
    """Makes a subclass of `NamedStrategy` that of a strategy, a frozen dataclass.

    Raises:
        ValueError: The strategy has an option that `NNIStrategy` has too.
    """
    _options.refuse_clashes(strategy_class, NNIStrategy)

    def decorate(adapter: S) -> S:
        adapter.strategy_class = strategy_class
        _options.join(adapter, strategy_class, NNIStrategy)
        return adapter

    return decorate


@runs(random_search.RandomSearch)
class RandomSearch(NamedStrategy):
    """Draws architectures at random, without repetition."""


@runs(local_search.LocalSearch)
class LocalSearch(NamedStrategy):
    """Climbs from random starts by single changes.

    See :class:`nas_plugins.strategies.local_search.LocalSearch`.
    """


@runs(regularized_evolution.RegularizedEvolution)
class RegularizedEvolution(NamedStrategy):
    """Mutates the winner of a tournament among the youngest trials.

    NNI's class of this name stays what it is in ``nni.nas.strategy``. See
    :class:`nas_plugins.strategies.regularized_evolution.RegularizedEvolution`.
    """


@runs(archive_evolution.ArchiveEvolution)
class ArchiveEvolution(NamedStrategy):
    """Mutates a random member of the Pareto front.

    See :class:`nas_plugins.strategies.archive_evolution.ArchiveEvolution`.
    """


@runs(arch_vq.ArchVQ)
class ArchVQ(NamedStrategy):
    """Searches the latent space of a learned model with a predictor.

    See :class:`nas_plugins.strategies.arch_vq.strategy.ArchVQ`.
    """


@runs(llm_coevolution.LLMCoEvolution)
class LLMCoEvolution(NamedStrategy):
    """Lets a language model breed architectures in niches and learn rules.

    See :class:`nas_plugins.strategies.llm_coevolution.strategy.LLMCoEvolution`.
    """


def strategy(
    name: str,
    *,
    seed: int | None = None,
    objectives: Sequence[Objective | str] | None = None,
    constraints: Sequence[Constraint | str] = (),
    **options: Any,
) -> NNIStrategy:
    """Builds any registered strategy for NNI, e.g. ``strategy("archive-evolution", seed=0)``.

    Args:
        name: Registered name.
        seed: As of `NNIStrategy`.
        objectives: As of `NNIStrategy`.
        constraints: As of `NNIStrategy`.
        **options: Options of the strategy.

    Raises:
        UnknownNameError: The name is not registered; the message suggests the nearest.
        PluginError: The plug-in cannot be imported.
    """
    built = _public.strategy(name, **options)
    return NNIStrategy(built, seed=seed, objectives=objectives, constraints=constraints)


__all__ = [
    "ArchVQ",
    "ArchiveEvolution",
    "LLMCoEvolution",
    "LocalSearch",
    "NamedStrategy",
    "RandomSearch",
    "RegularizedEvolution",
    "runs",
    "strategy",
]
