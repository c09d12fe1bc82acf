"""HW-NAS-Bench: latency and energy of every NAS-Bench-201 cell on six devices.

Li et al., "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", ICLR 2021.
"""

from __future__ import annotations

import numpy as np

from nas_plugins.benchmarks import cache, files, nasbench201
from nas_plugins.benchmarks.base import Floats, Table, TabularBenchmark, table_name
from nas_plugins.benchmarks.loaders import compact, hw_nas_bench
from nas_plugins.benchmarks.loaders.nb201 import TableData, positions, rows_of
from nas_plugins.protocols import Metric
from nas_plugins.spaces.nasbench201 import NASBench201

DEVICES = {
    "edgegpu": "NVIDIA Jetson TX2",
    "raspi4": "Raspberry Pi 4",
    "edgetpu": "Google Edge TPU",
    "pixel3": "Google Pixel 3",
    "eyeriss": "Eyeriss ASIC, estimated by its simulator",
    "fpga": "Xilinx ZC706 FPGA, estimated by its synthesis report",
}

_FILES = _COMPACT, _OFFICIAL = "hw-nas-bench-compact", "hw-nas-bench"


class HWNASBenchTable(TabularBenchmark):
    """HW-NAS-Bench: latency and energy of the NAS-Bench-201 cells on six devices.

    Latency and energy are of one inference with batch size 1. ``energy_mj`` exists for
    edgegpu, eyeriss and fpga. Accuracy, size and training time are those of ``nasbench201``
    on the same data set. 4,699 cells have no latency on the Edge TPU (-1 in the file): they
    are left out of `evaluate` and of the front, and `query` raises `MetricUnavailableError`.

    Args:
        *parts: Data set (``cifar10``, ``cifar100``, ``imagenet16``) and device.
        accuracy_source: Where accuracy comes from, as ``nasbench201`` takes ``source``.

    Raises:
        UnknownNameError: The data set or device is not known; suggests the nearest.
        DataError: No file holds the latencies; says what to download and where to put it.
    """

    def __init__(self, *parts: str, accuracy_source: str = "auto") -> None:
        name = table_name("hw-nas-bench", parts, self.tables())
        dataset, device = parts
        hardware = load(dataset)
        accuracy = nasbench201.load(dataset, source=accuracy_source)
        self._hardware_source = f"HW-NAS-Bench, {DEVICES[device]}: {hardware.source}"
        columns, metrics = _measured(hardware, device)
        gaps = dict.fromkeys(columns, f"{DEVICES[device]} did not run it (-1 in the table)")
        order = positions(hardware.rows, accuracy.rows)
        for metric in nasbench201.describe(dataset).values():
            if metric.name in accuracy.columns and metric.name != "latency_ms":
                columns[metric.name] = accuracy.columns[metric.name][order]
                metrics.append(metric)
        table = Table(
            rows=hardware.rows,
            columns=columns,
            metrics=tuple(metrics),
            source=(
                f"{self._hardware_source}; "
                f"accuracy of {nasbench201.TITLES[dataset]}: {accuracy.source}"
            ),
            gaps=gaps,
        )
        super().__init__(name, NASBench201(), table)

    @property
    def hardware_source(self) -> str:
        """Where latency and energy come from."""
        return self._hardware_source

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Full names of all tables, without loading any."""
        return tuple(
            f"hw-nas-bench/{dataset}/{device}"
            for dataset in nasbench201.DATASETS
            for device in DEVICES
        )

    @classmethod
    def stand_in(cls, *parts: str) -> str | None:
        """Name of the benchmark that can serve where the file with the latencies is absent.

        It has the same cells and accuracies, and another device's latency.

        Args:
            *parts: As of the constructor.

        Returns:
            ``None`` where the file is there, or there is no such table.
        """
        there = any(files.get(name).found for name in _FILES)
        known = "/".join(("hw-nas-bench", *parts)) in cls.tables()
        return f"nasbench201/{parts[0]}" if known and not there else None


def load(dataset: str) -> TableData:
    """Reads the hardware metrics of one data set from the file that is at hand.

    Raises:
        DataError: Neither file is there, or it is not intact; says what to download and where.
    """
    small = files.get(_COMPACT).found
    if small is not None:
        return compact.load_hardware(small, dataset)
    origin = files.path(_OFFICIAL)

    def build() -> cache.Arrays:
        return hw_nas_bench.convert(files.trusted(_OFFICIAL))

    arrays = cache.converted(origin, build, kind="hw-nas-bench-nb201", version=1)
    prefix = f"{dataset}_"
    return TableData(
        rows_of(arrays["arch_str"].tolist(), origin=str(origin)),
        {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)},
        f"official {origin.name}",
    )


def _measured(hardware: TableData, device: str) -> tuple[dict[str, Floats], list[Metric]]:
    what = f"of one inference with batch size 1 on {DEVICES[device]}"
    kinds = {
        "latency": Metric("latency_ms", "ms", "min", f"latency {what}"),
        "energy": Metric("energy_mj", "mJ", "min", f"energy {what}"),
    }
    columns, metrics = {}, []
    for kind, metric in kinds.items():
        raw = hardware.columns.get(f"{device}_{kind}")
        if raw is not None:
            columns[metric.name] = np.where(raw < 0, np.nan, raw)
            metrics.append(metric)
    return columns, metrics
