"""Parameters and FLOPs in closed form, for any space that has them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from nas_plugins import registry
from nas_plugins._images import shape_text
from nas_plugins._public import space_class
from nas_plugins.errors import NasPluginsError, unknown_option
from nas_plugins.protocols import Evaluator, Metric
from nas_plugins.spaces.base import Architecture, SearchSpace

_METRICS = (
    Metric("params_m", "M", "min", "trainable parameters of the network"),
    Metric("flops_m", "M", "min", "multiply-accumulates of one forward pass of one input"),
)


class ComplexityEvaluator(Evaluator):
    """Counts parameters and FLOPs of an architecture's network, without building it.

    Args:
        **options: Settings of the network that the space's `complexity` takes, e.g.
            ``classes=100, resolution=32`` for ``nasbench201``. Where another evaluator of the
            search trains on a data set, networks for its images are counted.

    Raises:
        UnknownOptionError: No space's `complexity` takes an option; suggests the nearest. A
            space of your own tells its options in `SearchSpace.complexity_settings`.
    """

    _shape: tuple[int, ...] | None = None  # of the data set of the search

    def __init__(self, **options: Any) -> None:
        known = _known_options() if options else None
        for name in options:
            if known is not None and name not in known:
                raise unknown_option("evaluator 'complexity'", name, known)
        self._options = dict(options)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``params_m`` and ``flops_m``, both in millions."""
        return _METRICS

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Channels, height and width of the data set's images; ``None`` without one."""
        return self._shape

    def for_data(self, shape: tuple[int, ...]) -> ComplexityEvaluator:
        """Counts networks for images of this shape; options that differ are told by `check`."""
        fitted = copy.copy(self)
        fitted._shape = shape
        return fitted

    def check(self, space: SearchSpace) -> None:
        """As `evaluate` of one architecture.

        Raises:
            TypeError: The space has no closed form, or does not know an option.
            ValueError: It has none for the images of the search, or an option is for others.
        """
        self._evaluate(space.sample(np.random.default_rng(0)))

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns ``params_m`` and ``flops_m`` per architecture, in order.

        Raises:
            TypeError: The space has no closed form, or does not know an option.
            ValueError: It has none for the images of the search, or an option is for others.
        """
        return [self._evaluate(architecture) for architecture in architectures]

    def _evaluate(self, architecture: Architecture) -> dict[str, float]:
        size = architecture.space.complexity(architecture, **self._of(architecture.space))
        return {"params_m": size.params / 1e6, "flops_m": size.flops / 1e6}

    def _of(self, space: SearchSpace) -> Mapping[str, Any]:
        """The options as given, and those that the images of the search ask for."""
        if self._shape is None:
            return self._options
        images = space.complexity_options(self._shape)
        for name, value in images.items():
            if self._options.get(name, value) != value:
                raise ValueError(
                    f"`{name}` of the complexity is {self._options[name]}, and the search trains "
                    f"on images of {shape_text(self._shape)}; leave it out or give {value}"
                )
        return {**images, **self._options}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        images = f" for images of {shape_text(self._shape)}" if self._shape else ""
        return f"{type(self).__name__}({options}){images}"


def _known_options() -> set[str] | None:
    """What the `complexity` of any space takes; ``None`` where a registered one does not tell."""
    known: set[str] = set()
    for name in registry.names("space"):
        with suppress(NasPluginsError):  # whoever uses the broken one is told
            kind = space_class(name)
            if kind.complexity_settings is None and kind.complexity is not SearchSpace.complexity:
                return None
    for kind in _descendants(SearchSpace):
        known.update(kind.complexity_settings or ())
    return known


def _descendants(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)
