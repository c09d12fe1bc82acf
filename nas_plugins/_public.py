"""The functions that look a plug-in up by name: its class, or built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nas_plugins import registry
from nas_plugins._plugin_code import plugin_code, shown
from nas_plugins.errors import PluginError, unknown_name
from nas_plugins.protocols import (
    Benchmark,
    Evaluator,
    Strategy,
    as_benchmark,
    as_evaluator,
    as_strategy,
)
from nas_plugins.spaces.base import SearchSpace

T = TypeVar("T")

REFUSALS = (TypeError, ValueError)
"""By these a plug-in refuses arguments, as any function does."""

SAMPLERS = "optuna:"
"""How the names of Optuna's own samplers begin, which `nap.compare` takes as strategies."""


def space(name: str, **options: Any) -> SearchSpace:
    """Builds a registered search space, e.g. ``space("nasbench201")``.

    Raises:
        UnknownNameError: The name is not registered, or an option (`UnknownOptionError`, which is
            a `TypeError` too) is not known; the message suggests the nearest.
        PluginError: The plug-in cannot be imported or built.
        TypeError: It refuses an option; likewise `ValueError`.
    """
    return _built("space", name, _as_space, **options)


def strategy(name: str, *, space: SearchSpace | None = None, **options: Any) -> Strategy:
    """Builds a registered strategy, e.g. ``strategy("archive-evolution", n_initial=20)``.

    Args:
        name: Registered name.
        space: When given, the strategy prepares for it now (loads weights, say) instead of at
            the first proposal.
        **options: Options of the strategy.

    Raises:
        UnknownNameError: The name is not registered, or an option (`UnknownOptionError`, which is
            a `TypeError` too) is not known; the message suggests the nearest.
        PluginError: The plug-in cannot be imported, built or prepared.
        TypeError: It refuses an option; likewise `ValueError`.
    """
    _refuse_samplers(name)
    built = _built("strategy", name, as_strategy, **options)
    if space is not None:
        with plugin_code(f"strategy {name!r}", "cannot prepare", passing=REFUSALS):
            built.prepare(space)
    return built


def evaluator(name: str, **options: Any) -> Evaluator:
    """Builds a registered evaluator, e.g. ``evaluator("complexity")``.

    Raises:
        UnknownNameError: The name is not registered, or an option (`UnknownOptionError`, which is
            a `TypeError` too) is not known; the message suggests the nearest.
        PluginError: The plug-in cannot be imported or built.
        TypeError: It refuses an option; likewise `ValueError`.
    """
    return _built("evaluator", name, as_evaluator, **options)


def benchmark(name: str, **options: Any) -> Benchmark:
    """Opens a benchmark, e.g. ``benchmark("nasbench201/cifar10")``.

    The part before the first ``/`` is the registered family; the rest selects the table.

    Raises:
        UnknownNameError: The family, its table or an option is not known; suggests the nearest.
        DataError: The table's file is absent or not intact; says what to download and where.
        PluginError: The plug-in cannot be imported or built.
        TypeError: `name` is no text, or an option is refused; likewise `ValueError`.
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be the name of a benchmark, got {shown(name)}")
    family, *table = name.split("/")
    return _built("benchmark", family, as_benchmark, *table, **options)


def measuring(name: str, use: str = "", metrics: Sequence[str] = (), **options: Any) -> Evaluator:
    """Builds what measures: a benchmark or an evaluator by name.

    Args:
        name: Of a benchmark, with or without its table, or of an evaluator.
        use: What for, where the evaluator may have options that suit it: see
            `Evaluator.options_for`. Options that are given go first.
        metrics: Those that will be asked for.
        **options: Of the benchmark or evaluator.

    Raises:
        UnknownNameError: The name or an option is not known; suggests the nearest.
        DataError: The file of a table is absent or not intact.
        PluginError: The plug-in cannot be imported.
    """
    benchmarks, evaluators = registry.names("benchmark"), registry.names("evaluator")
    if name.partition("/")[0] in benchmarks:
        return benchmark(name, **options)
    if name not in evaluators:
        raise unknown_name("benchmark or evaluator", name, [*evaluators, *benchmarks])
    suited = evaluator_class(name).options_for(use, metrics) if use else {}
    return evaluator(name, **{**suited, **options})


def _built(kind: str, name: str, adapt: Callable[[Any], T], *arguments: str, **options: Any) -> T:
    """What a plug-in makes, taken for what it is registered as.

    Raises:
        PluginError: It fails, or makes something else.
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be the name of a {kind}, got {shown(name)}")
    with plugin_code(f"{kind} {name!r}", "cannot be built", passing=REFUSALS):
        made = registry.build(kind, name, *arguments, **options)
    try:
        with plugin_code(f"{kind} {name!r}", "is of no use", passing=TypeError):
            return adapt(made)
    except TypeError as error:
        raise PluginError(f"{kind} {name!r} is of no use: {error}") from error


def _as_space(made: Any) -> SearchSpace:
    if not isinstance(made, SearchSpace):
        raise TypeError(f"a space must be a `SearchSpace`, got {shown(made)}")
    return made


# What a plug-in declares on its class, before it is built: the class that is registered, or the
# role with its defaults where a function is, or a class that does not subclass the role.


def space_class(name: str) -> type[SearchSpace]:
    """The class of a registered space, for what it declares."""
    found: type[SearchSpace] = _declared("space", name, SearchSpace)
    return found


def strategy_class(name: str) -> type[Strategy]:
    """The class of a registered strategy, for what it declares."""
    _refuse_samplers(name)
    found: type[Strategy] = _declared("strategy", name, Strategy)
    return found


def evaluator_class(name: str) -> type[Evaluator]:
    """The class of a registered evaluator, for what it declares."""
    found: type[Evaluator] = _declared("evaluator", name, Evaluator)
    return found


def benchmark_class(name: str) -> type[Benchmark]:
    """The class of a registered family of benchmarks, for what it declares."""
    found: type[Benchmark] = _declared("benchmark", name, Benchmark)
    return found


def _refuse_samplers(name: str) -> None:
    if isinstance(name, str) and name.startswith(SAMPLERS):
        but = (
            "which is a sampler of Optuna's own, for nap.compare(...) and for studies of Optuna's"
        )
        raise unknown_name("strategy", name, registry.names("strategy"), but=but)


def _declared(kind: str, name: str, role: Any) -> Any:
    found = registry.load(kind, name)
    return found if isinstance(found, type) and issubclass(found, role) else role
