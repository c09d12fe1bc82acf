"""Options of plug-ins: whose they are, and which of them are wrong."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nas_plugins import registry
from nas_plugins.composition import SEPARATOR
from nas_plugins.errors import NasPluginsError, UsageError, unknown_name

Options = Mapping[str, Any]


def options_by_source(
    options: Options, sources: Sequence[str], option: str
) -> dict[str, dict[str, Any]]:
    """Shares ``source.key`` options out; without a source, to the only one there is.

    Args:
        options: By name, or by `source.name`.
        sources: Names that may qualify a key.
        option: Name of the argument that they come from, for messages.

    Raises:
        UsageError: Nobody can tell whose option one is.
        UnknownNameError: A key is qualified by another name; suggests the nearest.
    """
    found: dict[str, dict[str, Any]] = {source: {} for source in sources}
    for key, value in options.items():
        source, dot, plain = key.rpartition(SEPARATOR)
        if dot and source not in found:
            raise unknown_name(f"name in `{option}` {key}", source, sources)
        if not dot and len(sources) != 1:
            names = ", ".join(f"{name}{SEPARATOR}{key}" for name in sources)
            raise UsageError(f"`{option}`: say whose option {key!r} is, e.g. {names}")
        found[source if dot else sources[0]][plain] = value
    return found


def at_least(least: int, **given: int | None) -> None:
    """Refuses numbers, by the names of their arguments, that are below the least.

    Raises:
        TypeError: One is no whole number.
        UsageError: One is too small.
    """
    for name, value in given.items():
        if value is not None:
            whole(name, value, least)


@contextmanager
def options_of(kind: str, name: str, options: Options) -> Iterator[None]:
    """Says which option of a plug-in is wrong, where Python would name a function."""
    registry.refuse_unknown_options(kind, name, options)
    with as_usage(f"{kind} {name!r}", (TypeError, ValueError)):
        yield


@contextmanager
def as_usage(what: str, errors: tuple[type[Exception], ...] = (ValueError,)) -> Iterator[None]:
    """Turns errors that are not ours into a wrong use of `what`."""
    try:
        yield
    except NasPluginsError:
        raise
    except errors as error:
        raise UsageError(f"{what}: {error}") from error


def whole(name: str, value: Any, least: int) -> int:
    """The argument `name` as an int, of whatever library's integers it is.

    Raises:
        TypeError: It is no whole number.
        UsageError: It is too small.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be a whole number, got {value!r}") from None
    if number < least:
        raise UsageError(f"`{name}` must be >= {least}, got {number}")
    return number


def words_of(argument: str, given: Any, one: type, example: str) -> tuple[str, ...]:
    """Objectives or constraints as they are written; one of them may stand alone.

    Args:
        argument: Its name.
        given: One, or several.
        one: The class of one that is not written.
        example: How one is written.

    Raises:
        TypeError: Something is neither text nor of the class.
    """
    several = (given,) if isinstance(given, str | one) else given
    if several is None:
        return ()
    # The direction of {"loss": "max"} would be lost without a word.
    if isinstance(several, Mapping) or not isinstance(several, Iterable):
        several = (given,)
    found = tuple(several)
    for word in found:
        if not isinstance(word, str | one):
            raise TypeError(
                f"`{argument}` are written {example!r}, several in a list, got {word!r}"
            )
    return tuple(map(str, found))
