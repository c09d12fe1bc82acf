"""The published zero-cost proxies of NAS-Bench-201: one gzipped CSV file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas_plugins._reading import csv_lines, inflated, refusing
from nas_plugins.benchmarks.loaders.nb201 import SIZE
from nas_plugins.errors import DataError
from nas_plugins.spaces.base import Rows
from nas_plugins.spaces.nasbench201 import EDGES, OPERATIONS

PROXIES = (
    "epe_nas",
    "fisher",
    "flops",
    "grad_norm",
    "grasp",
    "jacov",
    "l2_norm",
    "nwot",
    "params",
    "plain",
    "snip",
    "synflow",
    "zen",
)

_LARGEST = 1 << 26
"""Bytes of the unpacked table, ten times the real ones."""

_NONE = OPERATIONS.index("none")
_DATASETS = {"cifar10": "cifar10", "imagenet16": "ImageNet16-120"}


def load(file: Path, dataset: str, rows: Rows) -> dict[str, npt.NDArray[np.float64]]:
    """Reads the 13 proxies of one data set, `(15625,)` each.

    The file has one line for every set of cells that differ in unreachable edges only, at the
    official index of the one in which these edges are ``none``.

    Args:
        file: ``nbsuitezero_nb201_9445.csv.gz``.
        dataset: ``"cifar10"`` or ``"imagenet16"``.
        rows: All cells in the benchmark's official index order, `(15625, 6)`.

    Returns:
        By name of the proxy, in the order of `rows`.

    Raises:
        DataError: The file is absent, torn or of another layout.
    """
    values = _lines(file, _DATASETS[dataset])[simplest(rows)]
    absent = np.isnan(values).any(axis=1)
    if absent.any():
        raise DataError(
            f"{file} lacks proxies on {dataset} of {int(absent.sum()):,} NAS-Bench-201 cells"
        )
    return {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(PROXIES)}


def simplest(rows: Rows) -> npt.NDArray[np.int64]:
    """Position of each cell's simplest equal: its unreachable edges are ``none``, `(15625,)`.

    An edge is reachable if it lies on a path from the input to the output without ``none``.

    Args:
        rows: All 15,625 cells, in any order.
    """
    powers = len(OPERATIONS) ** np.arange(len(EDGES))
    position = np.empty(SIZE, dtype=np.int64)
    position[rows @ powers] = np.arange(SIZE)
    return position[np.where(_reachable(rows), rows, _NONE) @ powers]


def _reachable(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which edges lie on a path from input to output, `(n, 6)`."""
    present = rows != _NONE
    fed = np.zeros((len(rows), 4), dtype=np.bool_)
    used = np.zeros((len(rows), 4), dtype=np.bool_)
    fed[:, 0] = used[:, 3] = True
    for i, (source, target) in enumerate(EDGES):
        fed[:, target] |= fed[:, source] & present[:, i]
    for i, (source, target) in reversed(list(enumerate(EDGES))):
        used[:, source] |= used[:, target] & present[:, i]
    sources, targets = np.array(EDGES).T
    reachable: npt.NDArray[np.bool_] = present & fed[:, sources] & used[:, targets]
    return reachable


def _lines(file: Path, dataset: str) -> npt.NDArray[np.float64]:
    """Values by official index, `(15625, 13)`; NaN where there is no line."""
    values = np.full((SIZE, len(PROXIES)), np.nan)
    with refusing(file, "a readable table of proxies"):
        for line in csv_lines(inflated(file, most=_LARGEST).decode("utf-8")):
            if line["dataset"] == dataset:
                index = int(line["index"])
                if not 0 <= index < SIZE:
                    raise ValueError(f"there is no cell {index}")
                values[index] = [_finite(line, name) for name in PROXIES]
    return values


def _finite(line: Mapping[str, str], name: str) -> float:
    value = float(line[name])
    if not math.isfinite(value):
        raise ValueError(f"`{name}` of cell {line['index']} is {value}")
    return value
