"""The four functions that look a plug-in up by name and build it."""

from __future__ import annotations

from typing import Any

from nas_plugins import registry
from nas_plugins.protocols import Benchmark, Evaluator, Strategy, as_evaluator, as_strategy
from nas_plugins.spaces.base import SearchSpace


def space(name: str, **options: Any) -> SearchSpace:
    """Builds a registered search space, e.g. ``space("nasbench201")``.

    Raises:
        UnknownNameError: The name is not registered; the message suggests the nearest.
        PluginError: The plug-in cannot be imported.
    """
    built: SearchSpace = registry.load("space", name)(**options)
    return built


def strategy(name: str, *, space: SearchSpace | None = None, **options: Any) -> Strategy:
    """Builds a registered strategy, e.g. ``strategy("archive-evolution", n_initial=20)``.

    Args:
        name: Registered name.
        space: When given, the strategy prepares for it now (loads weights, say) instead of at
            the first proposal.
        **options: Options of the strategy.

    Raises:
        UnknownNameError: The name is not registered; the message suggests the nearest.
        PluginError: The plug-in cannot be imported.
    """
    built = as_strategy(registry.load("strategy", name)(**options))
    if space is not None:
        built.prepare(space)
    return built


def evaluator(name: str, **options: Any) -> Evaluator:
    """Builds a registered evaluator, e.g. ``evaluator("complexity")``.

    Raises:
        UnknownNameError: The name is not registered; the message suggests the nearest.
        PluginError: The plug-in cannot be imported.
    """
    return as_evaluator(registry.load("evaluator", name)(**options))


def benchmark(name: str, **options: Any) -> Benchmark:
    """Opens a benchmark, e.g. ``benchmark("nasbench201/cifar10")``.

    The part before the first ``/`` is the registered family; the rest selects the table.

    Raises:
        UnknownNameError: The family or its table is not known; suggests the nearest.
        DataError: The table's file is absent or not intact; says what to download and where.
    """
    family, *table = name.split("/")
    built: Benchmark = registry.load("benchmark", family)(*table, **options)
    return built


__all__ = ["benchmark", "evaluator", "space", "strategy"]
