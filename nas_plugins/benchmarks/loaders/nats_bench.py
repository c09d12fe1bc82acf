"""The official NATS-Bench files of the topology search space (MIT), one pickle per cell.

Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
TPAMI 2021. A cell's file is a bz2-compressed pickle: training schedule (``"12"``, ``"200"``)
to the cell's string and to one record per data set and seed.
"""

from __future__ import annotations

import bz2
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._reading import refusing
from nas_plugins.benchmarks.loaders import pickles
from nas_plugins.benchmarks.loaders.nb201 import SIZE
from nas_plugins.errors import DataError

METRICS = (
    "val_accuracy",
    "test_accuracy",
    "val_accuracy_12",
    "test_accuracy_12",
    "latency_ms",
    "train_seconds",
)

_MEMBER = re.compile(r"(?:.*/)?(\d{6})\.pickle\.pbz2")
_MAX_BYTES = 1 << 26
"""More than a hundred times the size of a real cell, against decompression bombs."""

# Per data set: name of the runs that are validated, of those that are tested, the test set.
_RUNS = {
    "cifar10": ("cifar10-valid", "cifar10", "ori-test"),
    "cifar100": ("cifar100", "cifar100", "x-test"),
    "imagenet16": ("ImageNet16-120", "ImageNet16-120", "x-test"),
}


def convert(path: Path, *, size: int = SIZE) -> dict[str, npt.NDArray[Any]]:
    """Reads the whole benchmark; minutes for the official file.

    Args:
        path: The ``.tar`` file, read without unpacking it, or the unpacked folder.
        size: Number of cells that must be there.

    Returns:
        ``arch_str`` `(size,)` and ``<data set>_<metric>`` `(size,)` for each of `METRICS`,
        NaN where a cell lacks a metric.

    Raises:
        DataError: A cell is missing, torn, hostile or of another layout.
    """
    strings = [""] * size
    columns = {
        f"{dataset}_{metric}": np.full(size, np.nan) for dataset in _RUNS for metric in METRICS
    }
    for index, name, data in _members(path):
        if index >= size:
            raise DataError(f"{path}: cell {name} is beyond the {size:,} cells of the benchmark")
        strings[index], values = read_cell(data, origin=f"{name} in {path}", index=index)
        for column, value in values.items():
            columns[column][index] = value
    missing = [i for i, string in enumerate(strings) if not string]
    if missing:
        raise DataError(
            f"{path} holds {size - len(missing):,} of the {size:,} cells; "
            f"the first missing one is {missing[0]:06d}"
        )
    return {"arch_str": np.array(strings), **columns}


def read_cell(data: bytes, *, origin: str, index: int) -> tuple[str, dict[str, float]]:
    """Reads one cell's file.

    Accuracies are those after the last epoch, mean over the recorded seeds.

    Args:
        data: Content of ``NNNNNN.pickle.pbz2``.
        origin: Name of the file, for messages.
        index: The cell's index, which the file must agree with.

    Returns:
        The cell's string, and values named ``<data set>_<metric>``.

    Raises:
        DataError: The file is torn, hostile or of another layout.
    """
    cell = pickles.loads(_decompress(data, origin), origin=origin)
    try:
        if cell["200"]["arch_index"] != index:
            raise DataError(f"{origin} describes cell {cell['200']['arch_index']}, not {index}")
        values = {
            f"{dataset}_{metric}": value
            for dataset, runs in _RUNS.items()
            for metric, value in _values(cell, *runs).items()
        }
        return str(cell["200"]["arch_str"]), values
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{origin} has not the layout of NATS-Bench 1.0: {error!r}") from error


def _values(cell: Mapping[str, Any], valid: str, tested: str, test_set: str) -> dict[str, float]:
    values = {}
    for schedule, suffix in (("200", ""), ("12", "_12")):
        last = int(schedule) - 1
        records = cell[schedule]["all_results"]
        validated, final = _records(records, valid), _records(records, tested)
        values[f"val_accuracy{suffix}"] = _mean(
            record["eval_acc1es"][f"x-valid@{last}"] for record in validated
        )
        values[f"test_accuracy{suffix}"] = _mean(
            record["eval_acc1es"][f"{test_set}@{last}"] for record in final
        )
        if schedule == "200":
            values["train_seconds"] = _mean(sum(r["train_times"].values()) for r in validated)
            values["latency_ms"] = _latency(validated)
    return values


def _records(records: Mapping[Any, Any], dataset: str) -> list[Any]:
    return [record for (name, _), record in records.items() if name == dataset]


def _latency(records: list[Any]) -> float:
    """Milliseconds; the files are in seconds, with no or negative entries where not measured."""
    seconds = [s for record in records for s in record["latency"] or () if s > 0]
    return _mean(seconds) * 1000.0 if seconds else float("nan")


def _mean(values: Iterator[float] | list[float]) -> float:
    return float(np.mean([float(value) for value in values]))


def _decompress(data: bytes, origin: str) -> bytes:
    decompressor = bz2.BZ2Decompressor()
    try:
        plain = decompressor.decompress(data, max_length=_MAX_BYTES)
    except (OSError, ValueError) as error:
        raise DataError(f"{origin} is not bz2 data: {error}") from error
    if not decompressor.eof:
        reason = "is torn" if len(plain) < _MAX_BYTES else f"holds more than {_MAX_BYTES:,} bytes"
        raise DataError(f"{origin} {reason}")
    return plain


def _members(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Index, name and content of the cells' files, in the order in which they lie."""
    with refusing(path, "a readable archive or folder of cells"):
        if path.is_dir():
            for file in sorted(path.iterdir()):
                if match := _MEMBER.fullmatch(file.name):
                    yield int(match[1]), file.name, file.read_bytes()
            return
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                match = _MEMBER.fullmatch(member.name)
                stream = archive.extractfile(member) if match and member.isreg() else None
                if match and stream is not None:
                    yield int(match[1]), member.name, stream.read()
