"""NAS-Bench-Suite-Zero: 13 published zero-cost proxies of every NAS-Bench-201 cell.

Krishnakumar, White, Zela et al., "NAS-Bench-Suite-Zero: Accelerating Research on Zero Cost
Proxies", NeurIPS 2022 Datasets and Benchmarks.
"""

from __future__ import annotations

from nas_plugins.benchmarks import files, nasbench201
from nas_plugins.benchmarks.base import Table, TabularBenchmark, table_name
from nas_plugins.benchmarks.loaders import suite_zero
from nas_plugins.protocols import Metric
from nas_plugins.spaces.nasbench201 import NASBench201

DATASETS = ("cifar10", "imagenet16")

_PROXIES = {
    "epe_nas": ("", "separation of the classes' input Jacobians"),
    "fisher": ("", "squared sums of activation times gradient"),
    "flops": ("M", "multiply-accumulates and element-wise operations of one image"),
    "grad_norm": ("", "norms of the layers' gradients"),
    "grasp": ("", "preservation of the gradient flow"),
    "jacov": ("", "correlation of the images' input Jacobians"),
    "l2_norm": ("", "norms of the layers' weights"),
    "nwot": ("", "log-determinant of the kernel of ReLU patterns"),
    "params": ("M", "trainable parameters"),
    "plain": ("", "weights times gradients, signed; ranks this space upside down"),
    "snip": ("", "absolute weights times gradients"),
    "synflow": ("", "logarithm of the synaptic flow"),
    "zen": ("", "expressivity under Gaussian noise"),
}


class NASBenchSuiteZeroTable(TabularBenchmark):
    """NAS-Bench-Suite-Zero: 13 zero-cost proxies of the NAS-Bench-201 cells, as published.

    One value per proxy, cell and data set, from one minibatch and one initialisation. Cells
    that differ only in edges on no path from input to output have the same values: 9,445
    different ones stand for all 15,625. Every proxy has the direction ``max``, as its authors
    mean it, ``plain`` too although it ranks this space upside down. There is no accuracy here:
    the table stands in for scores that would have to be computed, e.g. in a warm start.

    Args:
        dataset: ``"cifar10"`` or ``"imagenet16"``.

    Raises:
        UnknownNameError: The data set is not known; suggests the nearest.
        DataError: The file is absent or not intact; says where to put it.
    """

    def __init__(self, *dataset: str) -> None:
        name = table_name("nas-bench-suite-zero", dataset, self.tables())
        file = files.path("nas-bench-suite-zero")
        space = NASBench201()
        # Any source of NAS-Bench-201 has the cells in the order that the indices refer to.
        rows = nasbench201.load(dataset[0]).rows
        columns = suite_zero.load(file, dataset[0], rows)
        title = nasbench201.TITLES[dataset[0]]
        table = Table(
            rows=rows,
            columns=columns,
            metrics=tuple(
                Metric(proxy, unit, "max", f"{text}; {title}")
                for proxy, (unit, text) in _PROXIES.items()
            ),
            source=f"NAS-Bench-Suite-Zero, {title}: {file.name}",
        )
        super().__init__(name, space, table)

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Full names of all tables, without loading any."""
        return tuple(f"nas-bench-suite-zero/{dataset}" for dataset in DATASETS)
