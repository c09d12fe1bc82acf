"""Plug-ins by name, found through Python entry points.

Our own plug-ins are registered in ``pyproject.toml`` exactly as a third party's would be in
theirs. A name may be registered once per kind. A plug-in that cannot be imported does not
disturb the others: it is listed with its error, and asking for it by name raises that error.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nas_plugins._checks import plain
from nas_plugins._plugin_code import module_code, plugin_code, writable
from nas_plugins.errors import (
    MissingDependencyError,
    NasPluginsError,
    PluginError,
    unknown_name,
    unknown_option,
)

GROUPS = {
    "space": "nas_plugins.spaces",
    "strategy": "nas_plugins.strategies",
    "evaluator": "nas_plugins.evaluators",
    "benchmark": "nas_plugins.benchmarks",
    "network": "nas_plugins.networks",
    "proxy": "nas_plugins.proxies",
    "chat model": "nas_plugins.chat_models",
}

_NAMED_FIRST = {
    "space": "a space",
    "strategy": "a strategy",
    "evaluator": "an evaluator",
    "benchmark": "a benchmark",
}
"""Kinds that users mix up: a name of another kind is told to be of the first of these."""


@dataclass(frozen=True)
class PluginInfo:
    """One registered plug-in, as `listing` reports it.

    Attributes:
        name: The registered name.
        target: ``module:attribute`` of the object.
        distribution: The installed distribution that registers it, with its version.
        summary: First line of the object's docstring; empty when it cannot be imported.
        error: Why it cannot be imported, or ``None``.
        tables: Of a benchmark: full names of its tables; ``None`` for any other kind.
    """

    name: str
    target: str
    distribution: str
    summary: str = ""
    error: str | None = None
    tables: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The attributes as plain data, `tables` for benchmarks alone."""
        found = dict(vars(self))
        if self.tables is None:
            del found["tables"]
        else:
            found["tables"] = [*self.tables]
        return found


def names(kind: str) -> list[str]:
    """Returns the sorted names registered for `kind`, without importing any of them."""
    return sorted(_points(kind))


def load(kind: str, name: str) -> Any:
    """Imports and returns the object registered as `name`.

    Args:
        kind: A key of `GROUPS`, e.g. ``"strategy"``.
        name: The registered name.

    Raises:
        UnknownNameError: Nothing is registered under the name; suggests the nearest.
        PluginError: The name is registered twice, or importing its object fails.
        MissingDependencyError: It needs an optional dependency that is not installed.
    """
    points = _points(kind)
    if name not in points:
        others = [other for other in _NAMED_FIRST if other != kind and name in _points(other)]
        but = f"which is the name of {_NAMED_FIRST[others[0]]}" if others else ""
        raise unknown_name(kind, name, points, but=but)
    candidates = points[name]
    if len({point.value for point in candidates}) > 1:
        owners = ", ".join(f"{p.value} from {_distribution(p)}" for p in candidates)
        raise PluginError(f"{kind} {name!r} is registered more than once: {owners}; uninstall one")
    return _import(kind, candidates[0])


def build(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """Calls the object registered as `name`; its options may be NumPy's numbers.

    Raises:
        UnknownOptionError: It has no such option; suggests the nearest.
        UnknownNameError: As `load`.
        PluginError: As `load`.
        MissingDependencyError: As `load`.
    """
    refuse_unknown_options(kind, name, options)
    return load(kind, name)(*args, **plain(options))


def refuse_unknown_options(kind: str, name: str, options: Iterable[str]) -> None:
    """Says which option a plug-in does not have, where Python would name a function.

    Raises:
        UnknownOptionError: It has no such option; suggests the nearest.
    """
    target = load(kind, name)
    with plugin_code(f"{kind} {name!r}", "cannot be built"):
        parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [key for key, parameter in parameters.items() if parameter.kind in named]
    for key in options:
        if key not in known:
            raise unknown_option(f"{kind} {name!r}", key, known)


def listing(kind: str) -> list[PluginInfo]:
    """Imports every plug-in of `kind` and reports each one, the broken ones with their error."""
    return [_info(kind, point) for _, points in sorted(_points(kind).items()) for point in points]


def _points(kind: str) -> dict[str, list[EntryPoint]]:
    if kind not in GROUPS:
        raise unknown_name("plug-in kind", kind, GROUPS)
    return _installed(GROUPS[kind], _places(), entry_points)


def _places() -> tuple[tuple[str, int], ...]:
    """Where packages are found, and when one came or went there last."""
    found = []
    for place in sys.path:
        with suppress(OSError):
            found.append((place, os.stat(place or ".").st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=32)
def _installed(
    group: str, places: tuple[tuple[str, int], ...], read: Callable[..., Iterable[EntryPoint]]
) -> dict[str, list[EntryPoint]]:
    """The entry points of a group by name, read anew when `places` changes.

    Python looks into every installed package at each call: 10 ms, some twenty times a search.
    """
    found: dict[str, list[EntryPoint]] = {}
    for point in read(group=group):
        known = found.setdefault(point.name, [])
        # An editable install on a path that is listed twice shows the same entry point twice.
        if all(point.value != other.value for other in known):
            known.append(point)
    return found


def owner(kind: str, thing: object) -> str:
    """How messages call the plug-in that an object is of: by its name, or by its class.

    >>> from nas_plugins.strategies.random import RandomSearch
    >>> owner("strategy", RandomSearch())
    "strategy 'random'"
    """
    made = type(thing)
    target = f"{made.__module__}:{made.__qualname__}"
    for name, points in _points(kind).items():
        if any(point.value == target for point in points):
            return f"{kind} {name!r}"
    return f"the {kind} {made.__qualname__} of {made.__module__}"


def _import(kind: str, point: EntryPoint) -> Any:
    with module_code(f"{kind} {point.name!r} ({point.value} from {_distribution(point)})"):
        return point.load()


def _info(kind: str, point: EntryPoint) -> PluginInfo:
    info = PluginInfo(
        point.name, point.value, _distribution(point), tables=() if kind == "benchmark" else None
    )
    try:
        target = _import(kind, point)
        with plugin_code(f"{kind} {point.name!r}", "has a docstring that cannot be read"):
            info = replace(info, summary=_summary(target))
    except (MissingDependencyError, PluginError) as error:
        return replace(info, error=str(error))
    if kind != "benchmark":
        return info
    try:
        with plugin_code("tables()", "fails"):
            # An entry point may name any callable, which need not be a class of ours.
            tables = tuple(target.tables()) if hasattr(target, "tables") else ()
            if not all(isinstance(table, str) for table in tables):
                raise TypeError(f"they must be names, got {tables!r}")
    except NasPluginsError as error:
        return replace(info, error=str(error))
    return replace(info, tables=tuple(map(writable, tables)) or (point.name,))


def _summary(target: Any) -> str:
    """First line of the docstring; empty where there is none."""
    text = getattr(target, "__doc__", None)
    lines = writable(text).strip().splitlines() if isinstance(text, str) else []
    return lines[0] if lines else ""


def _distribution(point: EntryPoint) -> str:
    dist = point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "an unknown distribution"
