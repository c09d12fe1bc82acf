"""A sampler class per strategy: the strategy's options and the sampler's in one signature."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from nas_plugins.errors import unknown_name
from nas_plugins.optuna._sampler import StrategySampler
from nas_plugins.strategies.arch_vq.strategy import ArchVQ
from nas_plugins.strategies.archive_evolution import ArchiveEvolution
from nas_plugins.strategies.local_search import LocalSearch
from nas_plugins.strategies.random import RandomSearch
from nas_plugins.strategies.regularized_evolution import RegularizedEvolution

_SAMPLER_OPTIONS = [
    parameter
    for parameter in inspect.signature(StrategySampler).parameters.values()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY
]


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
        known = inspect.signature(type(self)).parameters
        for name in options:
            if name not in known:
                kind = f"option of {type(self).__name__}"
                raise TypeError(str(unknown_name(kind, name, known)))
        own = {p.name: options.pop(p.name) for p in _SAMPLER_OPTIONS if p.name in options}
        super().__init__(self.strategy_class(**options), **own)


S = TypeVar("S", bound=type[NamedSampler])


def samples(strategy_class: type[Any]) -> Callable[[S], S]:
    """Makes a subclass of `NamedSampler` the sampler of a strategy, a frozen dataclass.

    Raises:
        ValueError: The strategy has an option that the sampler has too.
    """
    fields = [field for field in dataclasses.fields(strategy_class) if field.init]
    taken = {field.name for field in fields} & {p.name for p in _SAMPLER_OPTIONS}
    if taken:
        raise ValueError(f"options of {strategy_class.__name__} must not be named {sorted(taken)}")

    def decorate(sampler: S) -> S:
        sampler.strategy_class = strategy_class
        parameters = [*map(_parameter, fields), *_SAMPLER_OPTIONS]
        sampler.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        own = inspect.cleandoc(sampler.__doc__ or "")
        options = _section(strategy_class, "Attributes") + _section(StrategySampler, "Args")
        sampler.__doc__ = f"{own}\n\nArgs:\n{options}"
        return sampler

    return decorate


def _parameter(field: dataclasses.Field[Any]) -> inspect.Parameter:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    elif default is dataclasses.MISSING:
        default = inspect.Parameter.empty
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=default, annotation=field.type)


def _section(documented: type, title: str) -> str:
    """The entries of one section of a docstring; without the strategy, which is known."""
    text = inspect.cleandoc(documented.__doc__ or "")
    _, found, rest = text.partition(f"\n{title}:\n")
    lines: list[str] = []
    for line in rest.splitlines() if found else []:
        if line and not line.startswith(" "):
            break
        lines.append(line)
    entries = "\n".join(lines).rstrip() + "\n"
    if documented is StrategySampler:
        entries = entries[entries.index("    space:") :]
    return entries


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


__all__ = [
    "ArchVQSampler",
    "ArchiveEvolutionSampler",
    "LocalSearchSampler",
    "NamedSampler",
    "RandomArchitectureSampler",
    "RegularizedEvolutionSampler",
    "samples",
]
