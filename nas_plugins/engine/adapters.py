"""The adapter of any strategy, made one of a single strategy with the options of both.

An adapter (Optuna's sampler, NNI's strategy, NNI's tuner) takes a strategy as its only positional
argument. A class per strategy takes the options of both by keyword, and says so in its signature
and its docstring.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from nas_plugins._checks import plain
from nas_plugins.errors import unknown_option


class Named:
    """Mixed into the adapter of any strategy, see `named`.

    Args:
        **options: Options of the strategy and of the adapter, by keyword.

    Raises:
        UnknownOptionError: An option is not known; the message suggests the nearest.
    """

    strategy_class: ClassVar[type[Any]]
    _adapter_options: ClassVar[frozenset[str]]

    def __init__(self, **options: Any) -> None:
        known = inspect.signature(type(self)).parameters
        for name in options:
            if name not in known:
                raise unknown_option(type(self).__name__, name, known)
        options = plain(options)
        own = {name: options.pop(name) for name in self._adapter_options & options.keys()}
        super().__init__(self.strategy_class(**options), **own)  # type: ignore[call-arg]


N = TypeVar("N", bound=type[Named])


def named(strategy_class: type[Any], adapter: type) -> Callable[[N], N]:
    """Makes a subclass of `Named` and `adapter` that of one strategy.

    Args:
        strategy_class: The strategy, a frozen dataclass with a section "Attributes".
        adapter: The adapter of any strategy, with a section "Args" whose first entry is the
            strategy itself.

    Raises:
        ValueError: The strategy has an option that the adapter has too.
    """
    fields = [field for field in dataclasses.fields(strategy_class) if field.init]
    own = [p for p in inspect.signature(adapter).parameters.values() if p.kind is p.KEYWORD_ONLY]
    names = frozenset(p.name for p in own)
    if taken := names & {field.name for field in fields}:
        raise ValueError(f"options of {strategy_class.__name__} must not be named {sorted(taken)}")

    def decorate(made: N) -> N:
        made.strategy_class = strategy_class
        made._adapter_options = names
        signature = inspect.Signature([*map(_parameter, fields), *own])
        made.__signature__ = signature  # type: ignore[attr-defined]
        options = [*_section(strategy_class, "Attributes"), *_section(adapter, "Args")[1:]]
        made.__doc__ = (
            f"{inspect.cleandoc(made.__doc__ or '')}\n\n"
            f"See :class:`{strategy_class.__module__}.{strategy_class.__qualname__}`.\n\n"
            f"Args:\n{chr(10).join(options)}\n"
        )
        return made

    return decorate


def adapter_for(strategy_class: type[Any], name: str, base: N, adapter: type, module: str) -> N:
    """Makes the class of one strategy, as `named` completes it; it says what the strategy says.

    Args:
        strategy_class: The strategy.
        name: What the class is called in its module.
        base: A subclass of `Named` and `adapter`.
        adapter: The adapter of any strategy.
        module: The module that holds the class under its name, so that it pickles.
    """
    summary = inspect.cleandoc(strategy_class.__doc__ or "").partition("\n")[0]
    made: Any = type(name, (base,), {"__module__": module, "__doc__": summary})
    return cast(N, named(strategy_class, adapter)(made))


def _parameter(field: dataclasses.Field[Any]) -> inspect.Parameter:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    elif default is dataclasses.MISSING:
        default = inspect.Parameter.empty
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=default, annotation=field.type)


def _section(documented: type, title: str) -> list[str]:
    """The entries of one section of a docstring, each with its lines."""
    text = inspect.cleandoc(documented.__doc__ or "")
    section = re.search(rf"\n{title}:\n((?: .*\n|\n)*)", f"{text}\n")
    found = section.group(1).rstrip() if section else ""
    return re.split(r"\n(?=    \S)", found) if found else []
