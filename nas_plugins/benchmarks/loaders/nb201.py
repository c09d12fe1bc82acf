"""What the readers of NAS-Bench-201 files share: the result and the architecture strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import DataError
from nas_plugins.spaces.base import Rows
from nas_plugins.spaces.nasbench201 import EDGES, OPERATIONS

SIZE = 15_625


@dataclass(frozen=True)
class TableData:
    """Numbers of one file about all 15,625 cells, in the benchmark's official index order.

    Attributes:
        rows: `(15625, 6)` choice indices.
        columns: `(15625,)` values by metric name.
        source: Which file this is, for reports.
    """

    rows: Rows
    columns: Mapping[str, npt.NDArray[np.float64]]
    source: str


def rows_of(strings: Sequence[str], *, origin: str) -> Rows:
    """Choice indices `(15625, 6)` of the whole benchmark, in the order of `strings`.

    Args:
        strings: All architecture strings, in the file's order.
        origin: Name of the file, for messages.

    Raises:
        DataError: The strings are not exactly the 15,625 cells.
    """
    nodes = [
        [
            f"|{'|'.join(f'{name}~{source}' for source, name in enumerate(names))}|"
            for names in product(OPERATIONS, repeat=inputs)
        ]
        for inputs in (1, 2, 3)
    ]
    known = {"+".join(cell): number for number, cell in enumerate(product(*nodes))}
    numbers = np.array([known.get(string, -1) for string in strings], dtype=np.int64)
    digits = len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1)
    rows = (numbers[:, None] // digits % len(OPERATIONS)).astype(np.int16)
    rows[numbers < 0] = -1
    return checked(rows, origin=origin)


def positions(rows: Rows, others: Rows) -> npt.NDArray[np.intp]:
    """Where the cells of `rows` stand in `others`, both all 15,625 cells."""
    order = np.argsort(_numbers(others))
    return order[np.argsort(np.argsort(_numbers(rows)))]


def checked(rows: Rows, *, origin: str) -> Rows:
    """Returns `rows` if they are the 15,625 cells, each once.

    Raises:
        DataError: They are not.
    """
    good = rows.shape == (SIZE, len(EDGES)) and 0 <= rows.min() <= rows.max() < len(OPERATIONS)
    if not good or len(np.unique(_numbers(rows))) != SIZE:
        raise DataError(f"{origin} does not hold each of the 15,625 NAS-Bench-201 cells once")
    return rows


def _numbers(rows: Rows) -> npt.NDArray[np.int64]:
    """One number per cell, `(n, 6)` to `(n,)`."""
    return rows @ len(OPERATIONS) ** np.arange(len(EDGES))
