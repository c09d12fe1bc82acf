"""FBNet latency on many devices.

Li et al., "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", ICLR 2021 (its
additive look-up tables), and Lee et al., "HELP: Hardware-Adaptive Efficient Latency Prediction
for NAS via Meta-Learning", NeurIPS 2021 (5,000 architectures measured on 27 devices).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas_plugins._arrays import arrays as read_arrays
from nas_plugins._arrays import check_finite
from nas_plugins._reading import refusing
from nas_plugins.benchmarks import cache, files
from nas_plugins.benchmarks.base import (
    Floats,
    Table,
    TabularBenchmark,
    check_spaces,
    table_name,
)
from nas_plugins.benchmarks.loaders import hw_nas_bench
from nas_plugins.errors import DataError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Metric, MetricValues
from nas_plugins.spaces.base import Architecture, Rows
from nas_plugins.spaces.fbnet import BLOCKS, N_LAYERS, FBNet

ADDITIVE = ("edgegpu", "eyeriss", "fpga", "pixel3", "raspi4")
"""Devices with a look-up table: any architecture has a latency."""

_GPUS = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")

MEASURED = (
    *(f"{gpu}_{batch}" for gpu in _GPUS for batch in (1, 32, 64)),
    "essential_ph_1",
    "gold_6226",
    "gold_6240",
    "pixel2",
    "samsung_a50",
    "samsung_s7",
    "silver_4114",
    "silver_4210r",
)
"""Devices on which only 5,000 architectures were measured; ``_32`` is the batch size."""

SOURCES = ("auto", "compact", "official")


@dataclass(frozen=True)
class LookUp:
    """An additive table: the value of an architecture is a sum over its layers.

    Attributes:
        constant: What every architecture costs (stem, head, classifier).
        blocks: `(22, 9)` cost of each block in each layer.
    """

    constant: float
    blocks: Floats

    def __post_init__(self) -> None:
        if self.blocks.shape != (N_LAYERS, len(BLOCKS)):
            raise DataError(f"a look-up table must be {N_LAYERS} x {len(BLOCKS)}")

    def values(self, rows: Rows) -> Floats:
        """Values of rows of choice indices, `(B, 22)` to `(B,)`."""
        values: Floats = self.constant + self.blocks[np.arange(N_LAYERS), rows].sum(axis=1)
        return values

    def optimum(self, objective: Objective) -> float:
        """The best value over the whole space."""
        losses = self.blocks * objective.sign
        return self.constant + objective.sign * float(losses.min(axis=1).sum())


class FBNetLatencyTable(Benchmark):
    """FBNet latency in the CIFAR-100 setting, on up to 28 devices.

    For edgegpu, eyeriss, fpga, pixel3 and raspi4 the latency of any of the 9.8e20
    architectures is a sum over its layers. On the other devices 5,000 architectures were
    measured; for others `query` raises `MetricUnavailableError`.

    Args:
        device: E.g. ``"raspi4"``.
        source: ``"compact"`` (one archive in the data folder; all devices but edgegpu),
            ``"official"`` (the HW-NAS-Bench pickle; the five devices above, and
            ``energy_mj`` for edgegpu, eyeriss and fpga), or ``"auto"``: the first that is at
            hand and has the device.

    Raises:
        UnknownNameError: The device or source is not known; suggests the nearest.
        DataError: No file has the device; says what to download and where to put it.
    """

    def __init__(self, *device: str, source: str = "auto") -> None:
        self._name = table_name("fbnet", device, self.tables())
        if source not in SOURCES:
            raise unknown_name("source", source, SOURCES)
        self._space = FBNet()
        if source == "auto":
            source = _best_source(device[0])
        reader = _compact if source == "compact" else _official
        found, self._source = reader(device[0])
        self._look_up: Mapping[str, LookUp] = {}
        self._table: TabularBenchmark | None = None
        if isinstance(found, Table):
            self._table = TabularBenchmark(self._name, self._space, found)
        else:
            self._look_up = found

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Full names of all tables, without loading any."""
        return tuple(f"fbnet/{device}" for device in sorted((*ADDITIVE, *MEASURED)))

    @property
    def name(self) -> str:
        """E.g. ``"fbnet/raspi4"``."""
        return self._name

    @property
    def space(self) -> FBNet:
        """The FBNet space."""
        return self._space

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        return self._source

    @property
    def measured_rows(self) -> Rows | None:
        """Choice indices `(n, 22)` of the architectures measured; ``None``: it knows any."""
        return None if self._table is None else self._table.rows

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """``latency_ms``, and ``energy_mj`` where the source has it."""
        if self._table is not None:
            return self._table.metrics
        device = self._name.split("/")[1]
        return tuple(metric for metric in _metrics(device) if metric.name in self._look_up)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Adds up or looks up; see `TabularBenchmark.evaluate`.

        Raises:
            TypeError: Not an `Architecture`.
            InvalidArchitectureError: One belongs to another space.
        """
        if self._table is not None:
            return self._table.evaluate(architectures)
        owner = f"benchmark {self._name!r}"
        check_spaces(architectures, self._space, owner=owner)
        rows = self._space.rows(architectures)
        columns = {name: sums.values(rows).tolist() for name, sums in self._look_up.items()}
        return [
            MetricValues(
                {name: column[i] for name, column in columns.items()},
                known=tuple(columns),
                owner=owner,
            )
            for i in range(len(rows))
        ]

    def front(self, objectives: Sequence[Objective]) -> Floats | None:
        """The best value for a single objective, `(1, 1)`; ``None`` for several.

        Over the whole space for additive devices, over the measured architectures otherwise.

        Raises:
            UnknownNameError: The benchmark has no such metric.
        """
        if self._table is not None:
            return self._table.front(objectives)
        for objective in objectives:
            if objective.name not in self._look_up:
                owner = f"metric of benchmark {self._name!r}"
                raise unknown_name(owner, objective.name, self._look_up)
        if len(objectives) > 1:
            return None
        return np.array([[self._look_up[objectives[0].name].optimum(objectives[0])]])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"


def _metrics(device: str) -> tuple[Metric, Metric]:
    what = f"of one inference on {device}, CIFAR-100 setting"
    return (
        Metric("latency_ms", "ms", "min", f"latency {what}"),
        Metric("energy_mj", "mJ", "min", f"energy {what}"),
    )


def _best_source(device: str) -> str:
    small = files.get("fbnet-compact").found is not None
    if device in MEASURED or (small and device != "edgegpu"):
        return "compact"
    return "official"


def _compact(device: str) -> tuple[Table | dict[str, LookUp], str]:
    file = files.path("fbnet-compact")
    names = ("archs", "devices", "latency_ms", "lut_devices", "lut_const", "lut")
    arrays = read_arrays(file, names)
    check_finite(file, **{name: arrays[name] for name in ("latency_ms", "lut_const", "lut")})
    with refusing(file, "the FBNet table"):
        return _of_compact(arrays, device, file)


def _of_compact(
    arrays: cache.Arrays, device: str, file: Path
) -> tuple[Table | dict[str, LookUp], str]:
    source = f"FBNet on {device}, CIFAR-100 setting: compact table {file.name}"
    additive = arrays["lut_devices"].tolist()
    if device in additive:
        i = additive.index(device)
        blocks = arrays["lut"][i].astype(np.float64)
        return {"latency_ms": LookUp(float(arrays["lut_const"][i]), blocks)}, source
    measured = arrays["devices"].tolist()
    if device not in measured:
        raise DataError(f"{file} has no {device!r}: {files.get('hw-nas-bench').advice}")
    column = arrays["latency_ms"][measured.index(device)].astype(np.float64)
    rows = arrays["archs"].astype(np.int16)
    table = Table(rows, {"latency_ms": column}, _metrics(device)[:1], source)
    return table, source


def _official(device: str) -> tuple[dict[str, LookUp], str]:
    if device not in ADDITIVE:
        raise DataError(
            f"HW-NAS-Bench has no {device!r} for FBNet, only {', '.join(ADDITIVE)}; "
            f"{files.get('fbnet-compact').advice}"
        )
    origin = files.path("hw-nas-bench")

    def build() -> cache.Arrays:
        return hw_nas_bench.convert_fbnet(files.trusted("hw-nas-bench"))

    arrays = cache.converted(origin, build, kind="hw-nas-bench-fbnet", version=1)
    look_up = {}
    for metric in _metrics(device):
        name = f"{device}_{metric.name.split('_')[0]}"
        if f"{name}_blocks" in arrays:
            constant = float(arrays[f"{name}_constant"])
            look_up[metric.name] = LookUp(constant, arrays[f"{name}_blocks"])
    if not look_up:
        raise DataError(f"{origin} has no FBNet table of {device!r}")
    return look_up, f"FBNet on {device}, CIFAR-100 setting: official {origin.name}"
