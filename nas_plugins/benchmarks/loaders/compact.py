"""The compact NAS-Bench-201 and HW-NAS-Bench tables: one numpy archive each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._arrays import arrays as read_arrays
from nas_plugins._arrays import check_finite
from nas_plugins.benchmarks.loaders.nb201 import SIZE, TableData, rows_of
from nas_plugins.errors import DataError

ACCURACY_FILE = "nb201_accuracy.npz"
HARDWARE_FILE = "hwnasbench_nb201.npz"

_COLUMNS = {
    "val_accuracy": "val_200",
    "test_accuracy": "test_200",
    "val_accuracy_12": "val_12",
    "test_accuracy_12": "test_12",
    "params_m": "params_m",
    "flops_m": "flops_m",
    "train_seconds": "train_s_per_epoch",
}
# The CIFAR-10 validation accuracy is of runs on half of the training images, which take half
# the time; the archive times an epoch over all images.
_EPOCHS = {"cifar10": 100.0, "cifar100": 200.0, "imagenet16": 200.0}
_HARDWARE_DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "ImageNet16-120"}


def load_accuracy(file: Path, dataset: str) -> TableData:
    """Reads the accuracies after 200 and 12 epochs, size and training time of one data set.

    Args:
        file: ``nb201_accuracy.npz``.
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.

    Raises:
        DataError: The file is absent, torn or of another layout.
    """
    members = {metric: f"{dataset}_{member}" for metric, member in _COLUMNS.items()}
    arrays = read_arrays(file, ["arch_str", *members.values()])
    rows = rows_of(_texts(arrays["arch_str"], file, "arch_str"), origin=str(file))
    columns = {m: _column(arrays[member], file, member) for m, member in members.items()}
    columns["train_seconds"] = columns["train_seconds"] * _EPOCHS[dataset]
    return TableData(rows, columns, f"compact table {file.name}")


def load_hardware(file: Path, dataset: str) -> TableData:
    """Reads the HW-NAS-Bench metrics of one data set under the names of the official pickle.

    Args:
        file: ``hwnasbench_nb201.npz``.
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.

    Raises:
        DataError: The file is absent, torn or of another layout.
    """
    arrays = read_arrays(file, ["arch_str", "metrics", "datasets", "values"])
    rows = rows_of(_texts(arrays["arch_str"], file, "arch_str"), origin=str(file))
    names, datasets = (_texts(arrays[name], file, name) for name in ("metrics", "datasets"))
    values = arrays["values"]
    wanted = _HARDWARE_DATASETS[dataset]
    if wanted not in datasets or values.shape != (len(datasets), SIZE, len(names)):
        raise DataError(f"{file} has no values of {wanted} in its `values` {values.shape}")
    check_finite(file, values=values)
    block = values[datasets.index(wanted)].astype(np.float64)
    columns = {name: np.ascontiguousarray(block[:, i]) for i, name in enumerate(names)}
    return TableData(rows, columns, f"compact table {file.name}")


def _texts(array: npt.NDArray[Any], file: Path, member: str) -> list[str]:
    if array.ndim != 1 or array.dtype.kind != "U":
        got = f"{array.dtype} {array.shape}"
        raise DataError(f"{file}: `{member}` must be a row of texts, got {got}")
    found: list[str] = array.tolist()
    return found


def _column(
    array: npt.NDArray[np.floating[Any]], file: Path, member: str
) -> npt.NDArray[np.float64]:
    if array.shape != (SIZE,):
        raise DataError(f"{file}: `{member}` must have shape ({SIZE},), got {array.shape}")
    check_finite(file, **{member: array})
    # The archive is in single precision; what lies beyond six decimals is noise.
    column: npt.NDArray[np.float64] = array.astype(np.float64).round(6)
    return column
