"""Parameters and FLOPs in closed form, for any space that has them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas_plugins._images import shape_text
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
    """

    _shape: tuple[int, ...] | None = None  # of the data set of the search

    def __init__(self, **options: Any) -> None:
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
