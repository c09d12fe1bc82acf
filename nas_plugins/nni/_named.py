"""A class per strategy for NNI: the strategy's options and NNI's in one signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nas_plugins import _public
from nas_plugins.constraints import Constraint
from nas_plugins.engine.adapters import Named, adapter_for, named
from nas_plugins.history import Objective
from nas_plugins.nni._strategy import NNIStrategy
from nas_plugins.strategies import archive_evolution, local_search, regularized_evolution
from nas_plugins.strategies import random as random_search
from nas_plugins.strategies.arch_vq import strategy as arch_vq
from nas_plugins.strategies.graph_gp import strategy as graph_gp
from nas_plugins.strategies.llm_coevolution import strategy as llm_coevolution


class NamedStrategy(Named, NNIStrategy):
    """Base of the classes that are made for one strategy.

    A subclass is decorated with `runs`, which tells the strategy class and completes the
    signature and the docstring from it.

    Args:
        **options: Options of the strategy and of `NNIStrategy`, by keyword.

    Raises:
        UnknownOptionError: An option is not known; the message suggests the nearest.
    """


S = TypeVar("S", bound=type[NamedStrategy])


def runs(strategy_class: type[Any]) -> Callable[[S], S]:
    """Makes a subclass of `NamedStrategy` that of a strategy, a frozen dataclass.

    Raises:
        ValueError: The strategy has an option that `NNIStrategy` has too.
    """
    return named(strategy_class, NNIStrategy)


def _strategy(strategy_class: type[Any]) -> type[NamedStrategy]:
    name = strategy_class.__name__
    return adapter_for(strategy_class, name, NamedStrategy, NNIStrategy, __name__)


RandomSearch = _strategy(random_search.RandomSearch)
LocalSearch = _strategy(local_search.LocalSearch)
# NNI's class of this name stays what it is in `nni.nas.strategy`.
RegularizedEvolution = _strategy(regularized_evolution.RegularizedEvolution)
ArchiveEvolution = _strategy(archive_evolution.ArchiveEvolution)
GraphGP = _strategy(graph_gp.GraphGP)
ArchVQ = _strategy(arch_vq.ArchVQ)
LLMCoEvolution = _strategy(llm_coevolution.LLMCoEvolution)


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
