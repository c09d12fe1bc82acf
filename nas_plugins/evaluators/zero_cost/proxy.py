"""What a zero-cost proxy is, and how one is found by its name.

A proxy names the recordings that it needs of a network; the engine makes each of them once for
all proxies that are asked for together, and the proxy turns them into one number:

    from nas_plugins.evaluators.zero_cost.proxy import Need, proxy

    @proxy("largest_gradient", needs=[Need.LOSS_GRADIENT], source="an idea")
    def largest_gradient(recording):
        \"\"\"max over all weights of |dL/dw|.\"\"\"
        return max(float(g.abs().max()) for g in recording.weight_gradients)

Ours are found through the entry points ``nas_plugins.proxies``, as an installed third party's
are. The decorator also registers a proxy in this process, so that one of a script or notebook
has a name; `_DECLARED` below is the only place that remembers these.
"""

from __future__ import annotations

import importlib
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from nas_plugins import registry
from nas_plugins.errors import MissingDependencyError, PluginError, unknown_name

if TYPE_CHECKING:
    from nas_plugins.evaluators.zero_cost.recording import Recording

Direction = Literal["max", "min"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RESERVED = ("all", "default")


class Need(Enum):
    """A recording of a network, made once for all proxies that need it.

    Each names the attribute of `Recording` that it fills.
    """

    MACS = "macs"
    RELU_GRAM = "relu_gram"
    RELU_PATTERNS = "relu_patterns"
    MAPS = "maps"
    BLOCKS = "blocks"
    BLOCK_GRADIENTS = "block_gradients"
    INPUT_GRADIENT = "input_gradient"
    LOSS_GRADIENT = "weight_gradients"
    OUTPUT_GRADIENT = "output_products"
    HALF_GRADIENTS = "half_gradients"
    HESSIAN_GRADIENT = "hessian_gradients"
    SYNFLOW = "synflow"
    PERTURBATION = "perturbation"


class NoValueError(Exception):
    """Raised by a proxy's function: the network has no value, for this reason."""


@dataclass(frozen=True)
class Proxy:
    """One number about an untrained network.

    Attributes:
        name: How it is asked for; lower case letters, digits, ``_`` and ``-``.
        compute: Maps the recording of a network to the number. Raises `NoValueError` with a
            reason where there is none.
        needs: The recordings that `compute` reads.
        direction: ``"max"`` if networks with a larger value are expected to be more accurate.
        description: The formula, in a line.
        source: Where it was published.
        version: Raised whenever the values change, so that caches do not mix them.
        default: Whether it is in the set ``"default"``; expensive ones are asked for by name.
        exact: Whether it must be computed in float32 even if a lower precision is asked for.
    """

    name: str
    compute: Callable[[Recording], float]
    needs: frozenset[Need] = frozenset()
    direction: Direction = "max"
    description: str = ""
    source: str = ""
    version: int = 1
    default: bool = True
    exact: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _RESERVED:
            raise ValueError(
                "`name` must be lower case letters, digits, '_' and '-', and not "
                f"{' or '.join(map(repr, _RESERVED))}, got {self.name!r}"
            )
        if self.direction not in ("max", "min"):
            raise ValueError(f"`direction` must be 'max' or 'min', got {self.direction!r}")
        for need in self.needs:
            if not isinstance(need, Need):
                raise TypeError(f"`needs` must hold members of Need, got {need!r}")

    def __call__(self, recording: Recording) -> float:
        """Computes the value from a recording."""
        return self.compute(recording)

    @property
    def reference(self) -> str:
        """``module:name`` of the function, by which worker processes find it."""
        return f"{self.compute.__module__}:{self.compute.__qualname__}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # The decorator puts the proxy where its function was, so neither can be pickled by value.
        found = _at(self.compute.__module__, self.compute.__qualname__)
        if found is self:
            return _at, (self.compute.__module__, self.compute.__qualname__)
        if found is not self.compute:
            raise pickle.PicklingError(
                f"proxy {self.name!r} cannot be sent to a worker process: {self.reference} is "
                "not it; define it at the top level of a module"
            )
        return Proxy, (self.name, self.compute, self.needs, self.direction, self.description,
                       self.source, self.version, self.default, self.exact)  # fmt: skip


_DECLARED: dict[str, Proxy] = {}


def proxy(
    name: str,
    *,
    needs: Iterable[Need] = (),
    direction: Direction = "max",
    source: str = "",
    version: int = 1,
    default: bool = True,
    exact: bool = False,
) -> Callable[[Callable[[Recording], float]], Proxy]:
    """Turns a function of a recording into a proxy and registers it in this process.

    Args:
        name: How it is asked for.
        needs: The recordings that the function reads.
        direction: ``"max"`` or ``"min"``, see `Proxy`.
        source: Where it was published.
        version: See `Proxy`.
        default: Whether it is in the set ``"default"``.
        exact: Whether it must be computed in float32.

    Returns:
        A decorator. The first line of the function's docstring becomes the description.

    Raises:
        PluginError: Another function has registered the name in this process.
    """

    def decorate(function: Callable[[Recording], float]) -> Proxy:
        lines = (function.__doc__ or "").strip().splitlines()
        made = Proxy(name, function, frozenset(needs), direction, lines[0] if lines else "",
                     source, version, default, exact)  # fmt: skip
        made.__dict__["__doc__"] = function.__doc__
        known = _DECLARED.get(name)
        # The same function comes again when a module is reloaded or a notebook cell rerun.
        if known is not None and known.reference != made.reference:
            raise PluginError(
                f"proxy {name!r} is registered by {known.reference} and by {made.reference}; "
                "rename one"
            )
        _DECLARED[name] = made
        return made

    return decorate


def names() -> list[str]:
    """Returns the sorted names of all proxies: installed ones and those declared here."""
    return sorted({*_installed_names(), *_DECLARED})


def resolve(words: str | Sequence[str | Proxy]) -> tuple[Proxy, ...]:
    """Returns the proxies that `words` ask for, each once, in the order of their names.

    Args:
        words: ``"all"``, ``"default"`` (all but those that are expensive), a name, names
            separated by commas, or a sequence of these and of `Proxy` objects.

    Raises:
        UnknownNameError: A name is not registered; suggests the nearest.
        PluginError: A name is registered twice, or its proxy cannot be imported. Within
            ``"all"`` and ``"default"`` such a proxy is left out with a warning instead.
        ValueError: Nothing is asked for, or two proxies have the same name.
    """
    asked: Sequence[str | Proxy] = [words] if isinstance(words, str) else words
    found: dict[str, Proxy] = {}
    for word in asked:
        for one in [word] if isinstance(word, Proxy) else _spoken(word):
            if found.setdefault(one.name, one) != one:
                raise ValueError(f"`words` has two proxies of the name {one.name!r}")
    if not found:
        raise ValueError("`words` must ask for at least one proxy")
    return tuple(found[name] for name in sorted(found))


def _spoken(text: str) -> list[Proxy]:
    found: list[Proxy] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word in _RESERVED:
            found += [one for one in _every() if one.default or word == "all"]
        else:
            found.append(_named(word))
    return found


def _every() -> list[Proxy]:
    found = []
    for name in names():
        try:
            found.append(_named(name))
        except MissingDependencyError:
            raise
        except PluginError as error:
            warnings.warn(f"left out: {error}", RuntimeWarning, stacklevel=4)
    return found


def _named(name: str) -> Proxy:
    declared = _DECLARED.get(name)
    if name not in _installed_names():
        if declared is None:
            raise unknown_name("proxy", name, [*names(), *_RESERVED])
        return declared
    installed = _loaded(name)
    declared = _DECLARED.get(name, installed)
    if declared.reference != installed.reference:
        raise PluginError(
            f"proxy {name!r} is registered by {declared.reference} and, as an entry point, by "
            f"{installed.reference}; rename one"
        )
    return declared


# Reading the metadata of every installed distribution takes longer than scoring a small network.
@cache
def _installed_names() -> tuple[str, ...]:
    return tuple(registry.names("proxy"))


@cache
def _loaded(name: str) -> Proxy:
    found = registry.load("proxy", name)
    if not isinstance(found, Proxy):
        raise PluginError(f"proxy {name!r} must be a Proxy, got {type(found).__name__}")
    return found


def _at(module: str, qualified: str) -> Any:
    target: Any = importlib.import_module(module)
    for part in qualified.split("."):
        target = getattr(target, part, None)
    return target
