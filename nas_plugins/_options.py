"""One signature and one docstring for an adapter class and the strategy it is made for."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from nas_plugins.errors import unknown_name


def keyword_options(adapter: type) -> list[inspect.Parameter]:
    """The keyword-only parameters of an adapter's constructor."""
    parameters = inspect.signature(adapter).parameters.values()
    return [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def refuse_clashes(strategy_class: type[Any], base: type) -> None:
    """Raises where the options of a strategy cannot stand beside those of an adapter.

    Raises:
        ValueError: The strategy has an option that the adapter has too.
    """
    taken = {f.name for f in _fields(strategy_class)} & {p.name for p in keyword_options(base)}
    if taken:
        raise ValueError(f"options of {strategy_class.__name__} must not be named {sorted(taken)}")


def join(adapter: type, strategy_class: type[Any], base: type) -> None:
    """Completes the signature and the docstring of `adapter`.

    Args:
        adapter: A subclass of `base` that takes the options of both by keyword.
        strategy_class: The strategy, a frozen dataclass with a section "Attributes".
        base: The adapter of any strategy, with a section "Args" whose first entry is the
            strategy itself.
    """
    parameters = [*map(_parameter, _fields(strategy_class)), *keyword_options(base)]
    signature = inspect.Signature(parameters)
    adapter.__signature__ = signature  # type: ignore[attr-defined]
    options = "\n".join(
        [*_section(strategy_class, "Attributes"), *_without_first(_section(base, "Args"))]
    )
    adapter.__doc__ = f"{inspect.cleandoc(adapter.__doc__ or '')}\n\nArgs:\n{options}\n"


def split(
    adapter: type, base: type, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts the options of a joined adapter into those of the strategy and those of `base`.

    Raises:
        TypeError: An option is not known; the message suggests the nearest.
    """
    known = inspect.signature(adapter).parameters
    for name in options:
        if name not in known:
            kind = f"option of {adapter.__name__}"
            raise TypeError(str(unknown_name(kind, name, known)))
    own = {p.name for p in keyword_options(base)}
    strategy = {name: value for name, value in options.items() if name not in own}
    return strategy, {name: value for name, value in options.items() if name in own}


def _fields(strategy_class: type[Any]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(strategy_class) if field.init]


def _parameter(field: dataclasses.Field[Any]) -> inspect.Parameter:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    elif default is dataclasses.MISSING:
        default = inspect.Parameter.empty
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, kind, default=default, annotation=field.type)


def _section(documented: type, title: str) -> list[str]:
    """The lines of one section of a docstring."""
    text = inspect.cleandoc(documented.__doc__ or "")
    _, found, rest = text.partition(f"\n{title}:\n")
    lines: list[str] = []
    for line in rest.splitlines() if found else []:
        if line and not line.startswith(" "):
            break
        lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _without_first(lines: list[str]) -> list[str]:
    entries = [i for i, line in enumerate(lines) if line[:4].isspace() and line[4:5].strip()]
    return lines[entries[1] :] if len(entries) > 1 else []


__all__ = ["join", "keyword_options", "refuse_clashes", "split"]
