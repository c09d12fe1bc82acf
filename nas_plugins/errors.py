"""The errors this package raises on purpose, one small tree.

Every message names the argument in backticks, the rule and the value that broke it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nas_plugins._secrets import without_secrets
from nas_plugins._wording import shortened

_LONGEST_NAME = 200


class NasPluginsError(Exception):
    """Base class of every error raised on purpose by nas_plugins.

    Its message tells no secret, and keeps at most 200 characters of each thing that it quotes.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(shortened(a) if isinstance(a, str) else a for a in arguments))

    def __str__(self) -> str:
        return without_secrets(super().__str__())

    def __repr__(self) -> str:
        return without_secrets(super().__repr__())


class InvalidArchitectureError(NasPluginsError, ValueError):
    """A text, graph or set of choices is not an architecture of the space."""


class SpaceExhaustedError(NasPluginsError, ValueError):
    """More distinct architectures were asked for than the space still holds."""


class UnknownNameError(NasPluginsError, LookupError):
    """A name is not registered; the message suggests the nearest ones."""


class UnknownOptionError(UnknownNameError, TypeError):
    """A plug-in has no option of this name, for which Python raises a `TypeError` too."""


class PluginError(NasPluginsError):
    """A registered plug-in cannot be imported or used."""


class DataError(NasPluginsError):
    """A benchmark file is absent, torn, foreign or has the wrong checksum."""


class MetricUnavailableError(NasPluginsError, ValueError):
    """The benchmark has no measurement of this metric for this architecture."""


class EvaluationError(NasPluginsError, RuntimeError):
    """An architecture could not be evaluated: no memory, divergence, a network that fails."""


class UsageError(NasPluginsError, ValueError):
    """The arguments of a function do not make sense together; says which and why."""


class OutputError(NasPluginsError):
    """A result or report cannot be written."""


class EngineError(NasPluginsError):
    """The engine around a search (storage, study, worker) cannot go on."""


class MissingDependencyError(NasPluginsError, ImportError):
    """An optional dependency is absent; the message gives the pip command."""


@contextmanager
def needing(what: str, install: str) -> Iterator[None]:
    """Says what needs the packages that are imported within, and how to install them.

    Raises:
        MissingDependencyError: One of them cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        raise MissingDependencyError(f"{what} ({error}); run: pip install {install}") from error


def unknown_name(
    kind: str, name: object, known: Iterable[str], *, but: str = ""
) -> UnknownNameError:
    """Returns the error for an unknown `name`, with the nearest known names.

    Args:
        kind: What the name stands for, e.g. ``"search space"``.
        name: The name that was asked for.
        known: All names that would have worked.
        but: What it is instead, e.g. ``"which is a space"``.
    """
    hint = _hint(name, known, "none is registered")
    return UnknownNameError(f"unknown {kind} {name!r}{but and ', '}{but}; {hint}")


def unknown_option(owner: str, name: str, known: Iterable[str]) -> UnknownOptionError:
    """Returns the error for an unknown option, with the nearest options.

    Args:
        owner: Whose option it would be, e.g. ``"strategy 'random'"``.
        name: The name that was given.
        known: All names that would have worked.
    """
    hint = _hint(name, known, "there are none")
    return UnknownOptionError(f"{owner}: unknown option `{name}`; {hint}")


def _hint(name: object, known: Iterable[str], nothing: str) -> str:
    names = sorted(known)
    # Names are short, and the search for similar ones takes long for what is not.
    near = difflib.get_close_matches(str(name)[:_LONGEST_NAME], names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    return f"known: {', '.join(names)}" if names else nothing
