"""NAS-Bench-101 files: the compact archive and the official tfrecord."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._arrays import arrays as read_arrays
from nas_plugins._arrays import check_finite
from nas_plugins._reading import json_value, refusing
from nas_plugins._wording import excerpt
from nas_plugins.benchmarks.loaders import protobuf, tfrecord
from nas_plugins.errors import DataError
from nas_plugins.spaces.base import Rows
from nas_plugins.spaces.nasbench101 import OPERATIONS

SIZE = 423_624
EPOCHS = 108

_VERTICES = 7
_INNER = _VERTICES - 2
_N_EDGES = 21
_SHIFT = 32
_METRICS = ("val_accuracy", "test_accuracy", "train_seconds")
# Field numbers of nasbench's model_metrics.proto.
_EVALUATIONS, _PARAMETERS = 1, 2
_FIELDS = {"train_seconds": 2, "val_accuracy": 4, "test_accuracy": 5}
_POSITION = {
    edge: place
    for place, edge in enumerate((i, j) for i in range(_VERTICES) for j in range(i + 1, _VERTICES))
}


def load_compact(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Reads ``nb101_full.npz``.

    Returns:
        As `convert`, without ``val_accuracy`` and ``train_seconds``.

    Raises:
        DataError: The file is absent, torn or of another layout.
    """
    names = ("num_vertices", "adj_bits", "ops", "test_acc_108_mean", "trainable_parameters")
    arrays = read_arrays(file, names)
    shapes = [arrays[name].shape for name in names]
    if shapes != [(SIZE,), (SIZE,), (SIZE, _INNER), (SIZE,), (SIZE,)]:
        raise DataError(f"{file} does not hold the {SIZE:,} cells: its arrays are {shapes}")
    check_finite(file, **arrays)
    _check_cells(file, *(arrays[name] for name in names[:3]))
    return {
        "vertices": arrays["num_vertices"],
        "bits": arrays["adj_bits"],
        "operations": arrays["ops"],
        "test_accuracy": arrays["test_acc_108_mean"] * 100.0,
        "params_m": arrays["trainable_parameters"] / 1e6,
    }


def rows_of(
    vertices: npt.NDArray[Any], bits: npt.NDArray[Any], operations: npt.NDArray[Any]
) -> Rows:
    """Choice indices of cells, as the space ``nasbench101`` writes its canonical rows.

    Args:
        vertices: `(n,)` V, from 2 to 7.
        bits: `(n,)`, bit ``x + y(y-1)/2`` is the edge x to y of the V vertices.
        operations: `(n, 5)` operations of the vertices 1 to V-2, anything behind.

    Returns:
        `(n, 26)`: inner vertices first, unused ones hang on the input with operation 0.
    """
    rows = np.zeros((len(vertices), _N_EDGES + _INNER), dtype=np.int16)
    for v in np.unique(vertices).tolist():
        chosen = np.flatnonzero(vertices == v)
        for y in range(1, v):
            for x in range(y):
                column = _POSITION[x, _VERTICES - 1 if y == v - 1 else y]
                rows[chosen, column] = bits[chosen] >> (x + y * (y - 1) // 2) & 1
        rows[chosen, _N_EDGES : _N_EDGES + v - 2] = operations[chosen, : v - 2]
        for unused in range(v - 1, _VERTICES - 1):
            rows[chosen, _POSITION[0, unused]] = 1
    return rows


def _check_cells(
    file: Path,
    vertices: npt.NDArray[Any],
    bits: npt.NDArray[Any],
    operations: npt.NDArray[Any],
) -> None:
    """Refuses cells that `rows_of` would index wrongly."""
    # What stands behind the vertices of a cell means nothing.
    used = np.arange(_INNER) < vertices[:, None].astype(np.int64) - 2
    for name, array, most in (
        ("num_vertices", vertices, _VERTICES),
        ("adj_bits", bits, 2**_N_EDGES - 1),
        ("ops", operations[used], len(OPERATIONS) - 1),
    ):
        least = 2 if array is vertices else 0
        if array.dtype.kind not in "iu":
            raise DataError(f"{file}: `{name}` must hold integers, got {array.dtype}")
        if array.size and not least <= array.min() <= array.max() <= most:
            raise DataError(
                f"{file}: `{name}` must lie in {least}..{most}, got {array.min()}..{array.max()}"
            )


def codes_of(
    vertices: npt.NDArray[Any], bits: npt.NDArray[Any], operations: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """Codes ``V 2^32 + bits 3^(V-2) + operations`` of cells as they are written, `(n,)`.

    The space's canonical keys, where the cells are the representatives of their classes, as
    they are in the benchmark's own files.
    """
    codes = np.empty(len(vertices), dtype=np.int64)
    for v in np.unique(vertices).tolist():
        chosen = np.flatnonzero(vertices == v)
        weights = 3 ** np.arange(v - 3, -1, -1, dtype=np.int64)
        digits = operations[chosen, : v - 2].astype(np.int64) @ weights
        codes[chosen] = (v << _SHIFT) + bits[chosen].astype(np.int64) * 3 ** (v - 2) + digits
    return codes


@dataclass
class _Sums:
    """One cell while its runs are being added up."""

    vertices: int
    bits: int
    operations: list[int]
    params: int
    runs: int = 0
    totals: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_METRICS, 0.0))


def convert(file: Path, *, size: int = SIZE) -> dict[str, npt.NDArray[Any]]:
    """Reads an official tfrecord; a minute or two for ``nasbench_only108.tfrecord``.

    Every record is a JSON list: hash, epochs, adjacency as 0s and 1s, operations, and a
    base64-encoded ``ModelMetrics`` message. Runs of other than 108 epochs are skipped; the
    last evaluation of a run counts, and the mean over the runs of a cell is taken.

    Args:
        file: The tfrecord.
        size: Number of cells that must be there.

    Returns:
        ``vertices``, ``bits`` `(n,)` and ``operations`` `(n, 5)`, as `rows_of` takes them, and
        `(n,)` ``val_accuracy`` and ``test_accuracy`` in %, ``train_seconds``, ``params_m``.

    Raises:
        DataError: The file is absent, torn, damaged or of another layout; says which record.
    """
    cells: dict[str, _Sums] = {}
    for number, record in enumerate(tfrecord.records(file)):
        with refusing(f"record {number} of {file}", "one of NAS-Bench-101"):
            _add(record, cells)
    if len(cells) != size:
        raise DataError(f"{file} holds {len(cells):,} of the {size:,} cells")
    found = list(cells.values())
    operations = np.zeros((len(found), _INNER), dtype=np.int8)
    for i, cell in enumerate(found):
        operations[i, : len(cell.operations)] = cell.operations
    means = {m: np.array([c.totals[m] / c.runs for c in found]) for m in _METRICS}
    return {
        "vertices": np.array([c.vertices for c in found], dtype=np.uint8),
        "bits": np.array([c.bits for c in found], dtype=np.uint32),
        "operations": operations,
        "val_accuracy": means["val_accuracy"] * 100.0,
        "test_accuracy": means["test_accuracy"] * 100.0,
        "train_seconds": means["train_seconds"],
        "params_m": np.array([c.params / 1e6 for c in found]),
    }


def _add(record: bytes, cells: dict[str, _Sums]) -> None:
    name, epochs, adjacency, operations, metrics = json_value(record)
    if epochs != EPOCHS:
        return
    message = protobuf.parse(base64.b64decode(metrics, validate=True))
    if name not in cells:
        cells[name] = _cell(adjacency, operations.split(","), message)
    final = message[_EVALUATIONS][-1]
    if not isinstance(final, bytes):
        raise ValueError("the evaluations are no messages")
    values = protobuf.parse(final)
    cell = cells[name]
    cell.runs += 1
    for metric, number in _FIELDS.items():
        # Proto2 leaves out what was never set: zero.
        value = float(values.get(number, [0.0])[-1])
        if not math.isfinite(value):
            raise ValueError(f"{metric} is {value}")
        cell.totals[metric] += value


def _cell(adjacency: str, operations: list[str], message: protobuf.Message) -> _Sums:
    v = len(operations)
    if not 2 <= v <= _VERTICES or len(adjacency) != v * v or set(adjacency) - {"0", "1"}:
        raise ValueError(f"{v} operations and the adjacency {excerpt(adjacency)}")
    upper = ((x, y) for y in range(v) for x in range(y) if adjacency[x * v + y] == "1")
    bits = sum(1 << (x + y * (y - 1) // 2) for x, y in upper)
    if bits.bit_count() != adjacency.count("1"):
        raise ValueError(f"the adjacency {excerpt(adjacency)} is not upper triangular")
    inner = [OPERATIONS.index(name) for name in operations[1:-1]]
    return _Sums(v, bits, inner, int(message[_PARAMETERS][-1]))
