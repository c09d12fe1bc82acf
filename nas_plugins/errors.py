"""The errors this package raises on purpose, one small tree.

Every message names the argument in backticks, the rule and the value that broke it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nas_plugins._wording import shortened

_LONGEST_NAME = 200


class NasPluginsError(Exception):
    """Base class of every error raised on purpose by nas_plugins.

    At most 200 characters of each thing that a message quotes are kept.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(shortened(a) if isinstance(a, str) else a for a in arguments))


class InvalidArchitectureError(NasPluginsError, ValueError):
    """A text, graph or set of choices is not an architecture of the space."""


class SpaceExhaustedError(NasPluginsError, ValueError):
    """More distinct architectures were asked for than the space still holds."""


class UnknownNameError(NasPluginsError, LookupError):
    """A name is not registered; the message suggests the nearest ones."""


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


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Returns the error for an unknown `name`, with the nearest known names.

    Args:
        kind: What the name stands for, e.g. ``"search space"``.
        name: The name that was asked for.
        known: All names that would have worked.
    """
    names = sorted(known)
    # Names are short, and the search for similar ones takes long for what is not.
    near = difflib.get_close_matches(name[:_LONGEST_NAME], names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?"
    elif names:
        hint = f"known: {', '.join(names)}"
    else:
        hint = "none is registered"
    return UnknownNameError(f"unknown {kind} {name!r}; {hint}")
