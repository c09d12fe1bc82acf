"""Published latency tables of many devices, looked up by the device's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas_plugins._public import benchmark as open_benchmark
from nas_plugins.benchmarks import fbnet, hw_nas_bench, nasbench201
from nas_plugins.benchmarks.base import MetricValues
from nas_plugins.errors import MetricUnavailableError, UnknownNameError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Evaluator, Metric
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace

DEVICES: Mapping[str, tuple[str, ...]] = {
    "nasbench201": tuple(hw_nas_bench.DEVICES),
    "fbnet": (*fbnet.ADDITIVE, *fbnet.MEASURED),
}
"""Names of the devices that have a table, per search space."""

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
        device: E.g. ``"edgegpu"``; `DEVICES` lists them per space.
        space: ``"nasbench201"`` or ``"fbnet"``, or such a space.
        dataset: Which network of a NAS-Bench-201 cell: ``"cifar10"`` (default),
            ``"cifar100"`` or ``"imagenet16"``. FBNet's tables have the CIFAR-100 setting only.

    Raises:
        UnknownNameError: The space, device or data set has no table; suggests the nearest.
        DataError: The file is absent or not intact; says what to download and where.
    """

    def __init__(
        self,
        device: str = "edgegpu",
        *,
        space: str | SearchSpace = "nasbench201",
        dataset: str | None = None,
    ) -> None:
        family = space if isinstance(space, str) else space.name
        if family not in DEVICES:
            raise unknown_name("space with latency tables", family, DEVICES)
        if device not in DEVICES[family]:
            raise unknown_name(f"device of space {family!r}", device, DEVICES[family])
        self._device = device
        self._benchmark = open_benchmark(_OPENERS[family](device, dataset))
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
    def rows(self) -> Rows | None:
        """Choice indices `(n, D)` of the only architectures that have values.

        ``None`` where any architecture of the space may have them.
        """
        if isinstance(self._benchmark, fbnet.FBNetLatencyTable):
            return self._benchmark.rows
        return None

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


def _cell_table(device: str, dataset: str | None) -> str:
    dataset = "cifar10" if dataset is None else dataset
    if dataset not in nasbench201.DATASETS:
        raise unknown_name("`dataset`", dataset, nasbench201.DATASETS)
    return f"hw-nas-bench/{dataset}/{device}"


def _fbnet_table(device: str, dataset: str | None) -> str:
    if dataset not in (None, "cifar100"):
        raise UnknownNameError(
            f"`dataset` of FBNet's latency tables must be 'cifar100', got {dataset!r}"
        )
    return f"fbnet/{device}"


_OPENERS: Mapping[str, Callable[[str, str | None], str]] = {
    "nasbench201": _cell_table,
    "fbnet": _fbnet_table,
}

__all__ = ["DEVICES", "LatencyTableEvaluator"]
