"""Any benchmark as an evaluator plug-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._public import benchmark as open_benchmark
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Metric
from nas_plugins.spaces.base import Architecture, SearchSpace


class TableEvaluator(Benchmark):
    """Looks architectures up in a registered benchmark.

    Args:
        benchmark: Full name, e.g. ``"nasbench201/cifar10"``, or an opened benchmark.
        **options: Options of the benchmark, for a name only.

    Raises:
        UnknownNameError: The benchmark is not known; suggests the nearest.
        DataError: Its file is absent or not intact; says what to download and where.
        TypeError: Options are given for a benchmark that is open already.
    """

    def __init__(self, benchmark: str | Benchmark, **options: Any) -> None:
        if isinstance(benchmark, str):
            benchmark = open_benchmark(benchmark, **options)
        elif options:
            raise TypeError(f"an open benchmark takes no options, got {sorted(options)}")
        self._benchmark = benchmark

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark that answers."""
        return self._benchmark

    @property
    def name(self) -> str:
        """Full name of the benchmark."""
        return self._benchmark.name

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures it can evaluate."""
        return self._benchmark.space

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        return self._benchmark.source

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of the benchmark."""
        return self._benchmark.metrics

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns one dictionary of metrics per architecture, as the benchmark does."""
        return self._benchmark.evaluate(architectures)

    def front(self, objectives: Sequence[Objective]) -> npt.NDArray[np.float64] | None:
        """Values of the true Pareto front; ``None`` where the benchmark does not know it."""
        return self._benchmark.front(objectives)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._benchmark!r})"
