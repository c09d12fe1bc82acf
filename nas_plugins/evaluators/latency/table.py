"""Published latency tables of many devices, looked up by the device's name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas_plugins import registry
from nas_plugins._public import benchmark as open_benchmark
from nas_plugins._public import benchmark_class, space_class
from nas_plugins.benchmarks import hw_nas_bench
from nas_plugins.errors import MetricUnavailableError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Evaluator, Metric, MetricValues
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace

_COSTS = ("latency_ms", "energy_mj")


class LatencyTableEvaluator(Evaluator):
    """Looks up latency, and energy where it is known, of one inference on a named device.

    For ``nasbench201`` the six devices of HW-NAS-Bench (Li et al., ICLR 2021), for ``fbnet``
    its look-up tables and the devices measured for HELP (Lee et al., NeurIPS 2021). The
    numbers are those of the benchmarks ``hw-nas-bench/DATASET/DEVICE`` and ``fbnet/DEVICE``.
    Where a device has no value (-1 for the Edge TPU, architectures that were not measured),
    the dictionary lacks the metric, and reading it raises `MetricUnavailableError` with the
    reason.

    Args:
        device: E.g. ``"edgegpu"``; `devices` lists those of a space.
        space: A space with latency tables or its name: ``"nasbench201"``, ``"fbnet"``.
        dataset: Which network of a NAS-Bench-201 cell: ``"cifar10"`` (default),
            ``"cifar100"`` or ``"imagenet16"``. FBNet's tables have the CIFAR-100 setting only.

    Raises:
        UnknownNameError: The space, device or data set has no table; suggests the nearest.
        DataError: The file is absent or not intact; says what to download and where.
    """

    takes_space = True

    def __init__(
        self,
        device: str = "edgegpu",
        *,
        space: str | SearchSpace = "nasbench201",
        dataset: str | None = None,
    ) -> None:
        name = space if isinstance(space, str) else space.name
        declared = space_class(space) if isinstance(space, str) else space
        offered = devices(declared)
        if not offered:
            raise unknown_name("space with latency tables", name, _known_spaces())
        if device not in offered:
            raise unknown_name(f"device of space {name!r}", device, offered)
        datasets = declared.latency_datasets
        if dataset is not None and dataset not in datasets:
            raise unknown_name(f"`dataset` of the latency tables of {name}", dataset, datasets)
        chosen = dataset or next(iter(datasets), "")
        self._device = device
        self._benchmark = open_benchmark(
            declared.latency_table.format(device=device, dataset=chosen)
        )
        self._metrics = tuple(m for m in self._benchmark.metrics if m.name in _COSTS)

    @property
    def device(self) -> str:
        """Name of the device."""
        return self._device

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures it can evaluate."""
        return self._benchmark.space

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark that answers."""
        return self._benchmark

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        if isinstance(self._benchmark, hw_nas_bench.HWNASBenchTable):
            return f"{self._benchmark.hardware_source}, {self._benchmark.name}"
        return self._benchmark.source

    @property
    def measured_rows(self) -> Rows | None:
        """Choice indices `(n, D)` of the only architectures that have values.

        ``None`` where any architecture of the space may have them.
        """
        rows = self._benchmark.measured_rows
        return rows if rows is not None and len(rows) < self.space.size else None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``latency_ms``, and ``energy_mj`` where the table has it."""
        return self._metrics

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns latency and energy per architecture, in order.

        Raises:
            TypeError: Not an `Architecture`.
            InvalidArchitectureError: One belongs to another space.
        """
        return [self._costs(values) for values in self._benchmark.evaluate(architectures)]

    def front(self, objectives: Sequence[Objective]) -> npt.NDArray[np.float64] | None:
        """The best value of a single objective, `(1, 1)`, or the front of latency and energy.

        Raises:
            UnknownNameError: The table has no such metric.
        """
        known = [metric.name for metric in self._metrics]
        for objective in objectives:
            if objective.name not in known:
                raise unknown_name(f"metric of device {self._device!r}", objective.name, known)
        return self._benchmark.front(objectives)

    def _costs(self, values: Mapping[str, float]) -> dict[str, float]:
        costs, gaps = {}, {}
        for metric in self._metrics:
            try:
                costs[metric.name] = values[metric.name]
            except MetricUnavailableError as error:
                gaps[metric.name] = str(error)
        known = [metric.name for metric in self._metrics]
        return MetricValues(costs, gaps=gaps, known=known, owner=f"device {self._device!r}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._device!r}, {self._benchmark.name!r})"


def devices(space: SearchSpace | type[SearchSpace]) -> tuple[str, ...]:
    """Names of the devices that have a table for a space; none where it has no tables."""
    if not space.latency_table:
        return ()
    family = space.latency_table.partition("/")[0]
    pattern = re.escape(space.latency_table)
    for field in ("device", "dataset"):
        pattern = pattern.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>[^/]+)")
    found = (re.fullmatch(pattern, name) for name in benchmark_class(family).tables())
    return tuple(dict.fromkeys(match["device"] for match in found if match))


def _known_spaces() -> list[str]:
    """Names of the registered spaces that have tables."""
    infos = registry.listing("space")
    return [i.name for i in infos if i.error is None and space_class(i.name).latency_table]
