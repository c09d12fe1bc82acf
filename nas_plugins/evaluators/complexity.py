"""Parameters and FLOPs in closed form, for any space that has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas_plugins.protocols import Evaluator, Metric
from nas_plugins.spaces.base import Architecture

_METRICS = (
    Metric("params_m", "M", "min", "trainable parameters of the network"),
    Metric("flops_m", "M", "min", "multiply-accumulates of one forward pass of one input"),
)


class ComplexityEvaluator(Evaluator):
    """Counts parameters and FLOPs of an architecture's network, without building it.

    Args:
        **options: Settings of the network that the space's `complexity` takes, e.g.
            ``classes=100, resolution=32`` for ``nasbench201``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = dict(options)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``params_m`` and ``flops_m``, both in millions."""
        return _METRICS

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns ``params_m`` and ``flops_m`` per architecture, in order.

        Raises:
            TypeError: The space has no closed form, or does not know an option.
        """
        return [self._evaluate(architecture) for architecture in architectures]

    def _evaluate(self, architecture: Architecture) -> dict[str, float]:
        size = architecture.space.complexity(architecture, **self._options)
        return {"params_m": size.params / 1e6, "flops_m": size.flops / 1e6}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"{type(self).__name__}({options})"
