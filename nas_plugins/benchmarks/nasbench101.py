"""NAS-Bench-101: 423,624 cells trained on CIFAR-10.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.benchmarks import cache, files
from nas_plugins.benchmarks.base import Table, TabularBenchmark, table_name
from nas_plugins.benchmarks.loaders import nasbench101 as loader
from nas_plugins.errors import unknown_name
from nas_plugins.protocols import Metric
from nas_plugins.spaces.base import Rows
from nas_plugins.spaces.nasbench101 import NASBench101

SOURCES = ("auto", "compact", "official")

_LOG = logging.getLogger(__name__)

_SAMPLE = 500
_RUNS = "after 108 epochs, mean over three runs"
_METRICS = (
    Metric("val_accuracy", "%", "max", f"CIFAR-10 validation accuracy {_RUNS}"),
    Metric("test_accuracy", "%", "max", f"CIFAR-10 test accuracy {_RUNS}"),
    Metric("params_m", "M", "min", "trainable parameters of the network"),
    Metric("train_seconds", "s", "min", "training time of 108 epochs on one TPU v2, mean"),
)


class NASBench101Table(TabularBenchmark):
    """NAS-Bench-101: all 423,624 cells trained on CIFAR-10.

    Both sources give ``test_accuracy`` and ``params_m``; ``official`` adds ``val_accuracy``
    and ``train_seconds``. Cells are found by the canonical key of the space, so every way to
    write a cell finds it.

    Args:
        source: ``"compact"`` (one archive in the data folder), ``"official"`` (the tfrecord;
            its first use takes minutes), or ``"auto"``: the first of these that is at hand.

    Raises:
        UnknownNameError: The name goes on behind ``nasbench101``, or `source` is not known.
        DataError: The source is absent or not intact; says what to download and where.
    """

    def __init__(self, *parts: str, source: str = "auto") -> None:
        name = table_name("nasbench101", parts, self.tables())
        if source not in SOURCES:
            raise unknown_name("source", source, SOURCES)
        if source == "auto":
            there = files.get("nasbench101-compact").found is not None
            source = "compact" if there else "official"
        arrays, origin = _compact() if source == "compact" else _official()
        metrics = tuple(metric for metric in _METRICS if metric.name in arrays)
        space = NASBench101()
        rows, keys = _rows_and_keys(arrays, space)
        table = Table(
            rows=rows,
            columns={metric.name: arrays[metric.name] for metric in metrics},
            metrics=metrics,
            source=f"NAS-Bench-101: {origin}",
        )
        super().__init__(name, space, table, keys=keys)

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """The only name."""
        return ("nasbench101",)


def _compact() -> tuple[cache.Arrays, str]:
    file = files.path("nasbench101-compact")
    return loader.load_compact(file), f"compact table {file.name}"


def _official() -> tuple[cache.Arrays, str]:
    """The official file, converted on first use."""
    origin = files.path("nasbench101")

    def build() -> cache.Arrays:
        _LOG.warning("reading the 1.3 million records of %s, once; this takes minutes", origin)
        return loader.convert(files.trusted("nasbench101"))

    arrays = cache.converted(origin, build, kind="nasbench101", version=1)
    return arrays, f"official {origin.name}"


def _rows_and_keys(arrays: cache.Arrays, space: NASBench101) -> tuple[Rows, npt.NDArray[Any]]:
    """Rows of choice indices and their canonical keys.

    The codes of the benchmark's own cells are the canonical keys, which saves seconds. A
    sample tells whether a file holds these.
    """
    cell = arrays["vertices"], arrays["bits"], arrays["operations"]
    rows, codes = loader.rows_of(*cell), loader.codes_of(*cell)
    sample = slice(None, None, max(1, len(rows) // _SAMPLE))
    if not np.array_equal(space.keys(rows[sample]), codes[sample]):
        codes = space.keys(rows)
    return rows, codes
