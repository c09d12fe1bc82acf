"""Pruning, canonical codes and enumeration of NAS-Bench-101 cells, on batches of rows.

A row holds the 21 bits of the upper triangle of the 7x7 adjacency matrix, row by row, and the
operations of the vertices 1..5. Vertices that do not lie on a path from the input (0) to the
output (6) are pruned; what is left is the cell, of V <= 7 vertices.

The canonical code of a cell packs V with the least value that ``bits * 3^(V-2) + operations``
takes over all relabellings of the inner vertices which keep the matrix upper triangular. Bit
``x + y(y-1)/2`` is the edge x to y; the operations are digits to base 3, vertex 1 first. The
cell which has that least value is the one the benchmark itself keeps of its class, as
its ``generate_graphs.py`` meets it first (Ying et al., ICML 2019).
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

VERTICES = 7
MAX_EDGES = 9
EDGES = tuple((i, j) for i in range(VERTICES) for j in range(i + 1, VERTICES))
"""Edges (source, target) in the order of a row."""

OUTPUT = VERTICES - 1
N_EDGES = len(EDGES)

_SOURCES = np.array([i for i, _ in EDGES])
_TARGETS = np.array([j for _, j in EDGES])
_POSITION = {edge: position for position, edge in enumerate(EDGES)}
_BASE = 3
_SHIFT = 32
_FORBIDDEN = 2.0**44
"""Weight of an edge that a relabelling turns backwards: above every code, and nine of them
still add up exactly in float64."""
_CHUNK = 16384

Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]


def adjacency(rows: Integers) -> Bools:
    """Unpruned adjacency matrices of rows, `(B, 26)` to `(B, 7, 7)`."""
    matrices = np.zeros((len(rows), VERTICES, VERTICES), dtype=bool)
    matrices[:, _SOURCES, _TARGETS] = np.asarray(rows)[:, :N_EDGES]
    return matrices


def used_vertices(matrices: Bools) -> Bools:
    """Which vertices lie on a path from input to output, `(B, 7, 7)` to `(B, 7)`.

    All false where no such path exists.
    """
    reached = np.zeros(matrices.shape[:2], dtype=bool)
    reaching = reached.copy()
    reached[:, 0] = reaching[:, OUTPUT] = True
    for v in range(1, VERTICES):
        reached[:, v] = (reached[:, :v] & matrices[:, :v, v]).any(axis=1)
    for v in range(OUTPUT - 1, -1, -1):
        reaching[:, v] = (reaching[:, v + 1 :] & matrices[:, v, v + 1 :]).any(axis=1)
    used: Bools = reached & reaching
    return used


def used_decisions(rows: Integers) -> Bools:
    """Which decisions have a part in the pruned cell, `(B, 26)`: those of used vertices."""
    used = used_vertices(adjacency(rows))
    return np.concatenate([used[:, _SOURCES] & used[:, _TARGETS], used[:, 1:OUTPUT]], axis=1)


def edge_counts(matrices: Bools, used: Bools) -> npt.NDArray[np.int64]:
    """Edges left after pruning, `(B,)`."""
    counts: npt.NDArray[np.int64] = _pruned(matrices, used).sum(axis=(1, 2), dtype=np.int64)
    return counts


def compact(rows: Integers) -> tuple[Bools, npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Prunes, and moves the inner vertices that are left to the front in their order.

    Args:
        rows: `(B, 26)`.

    Returns:
        Adjacency `(B, 7, 7)` in which unused vertices stand isolated between the inner ones
        and the output; operations `(B, 5)`, 0 for unused vertices; V `(B,)`, which is 0 where
        no path leads from input to output.
    """
    matrices = adjacency(rows)
    used = used_vertices(matrices)
    order = np.zeros((len(rows), VERTICES), dtype=np.intp)
    order[:, 1:OUTPUT] = np.argsort(~used[:, 1:OUTPUT], axis=1, kind="stable") + 1
    order[:, OUTPUT] = OUTPUT
    operations = np.where(used[:, 1:OUTPUT], np.asarray(rows)[:, N_EDGES:], 0)
    operations = np.take_along_axis(operations, order[:, 1:OUTPUT] - 1, axis=1)
    return (
        reorder(_pruned(matrices, used), order),
        operations.astype(np.int16),
        used.sum(axis=1, dtype=np.int64),
    )


def reorder(matrices: Bools, order: npt.NDArray[np.intp]) -> Bools:
    """Renumbers vertices: new vertex i is old vertex ``order[b, i]``."""
    batch = np.arange(len(matrices))[:, None, None]
    return matrices[batch, order[:, :, None], order[:, None, :]]


def codes(rows: Integers) -> npt.NDArray[np.int64]:
    """Canonical codes of rows, `(B, 26)` to `(B,)`; -1 where input and output are separate."""
    result = np.full(len(rows), -1, dtype=np.int64)
    for start in range(0, len(rows), _CHUNK):
        matrices, operations, vertices = compact(rows[start : start + _CHUNK])
        features = np.concatenate([matrices[:, _SOURCES, _TARGETS], operations], axis=1)
        features = features.astype(np.float64)
        for v in np.unique(vertices[vertices > 0]).tolist():
            chosen = np.flatnonzero(vertices == v)
            least = (features[chosen] @ _weights(v)).min(axis=1)
            result[start + chosen] = (v << _SHIFT) + least.astype(np.int64)
    return result


def rows_of(canonical: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
    """Rows of canonical codes, `(B,)` to `(B, 26)`; inverse of `codes`.

    Inner vertices come first. Unused vertices have operation 0 and hang on the input: they
    are pruned all the same, but switching one more edge on lets them take part. Without any
    edge they could only be reached by changing two decisions at once.
    """
    rows = np.zeros((len(canonical), N_EDGES + VERTICES - 2), dtype=np.int16)
    sizes = canonical >> _SHIFT
    for v in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == v)
        bits, digits = np.divmod(canonical[chosen] & ((1 << _SHIFT) - 1), _BASE ** (v - 2))
        for y in range(1, v):
            for x in range(y):
                column = _POSITION[x, OUTPUT if y == v - 1 else y]
                rows[chosen, column] = bits >> _bit(x, y) & 1
        for x in range(1, v - 1):
            rows[chosen, N_EDGES + x - 1] = digits // _BASE ** (v - 2 - x) % _BASE
        for unused in range(v - 1, OUTPUT):
            rows[chosen, _POSITION[0, unused]] = 1
    return rows


@cache
def all_codes() -> npt.NDArray[np.int64]:
    """Codes of all 423,624 cells, ascending; read-only."""
    found = []
    for v in range(2, VERTICES + 1):
        n_labels = _BASE ** (v - 2)
        plain = (v << _SHIFT) + _connected(v) * n_labels
        # A labelled cell can only be canonical when its matrix is.
        plain = plain[codes(rows_of(plain)) == plain]
        labelled = (plain[:, None] + np.arange(n_labels)).ravel()
        found.append(labelled[codes(rows_of(labelled)) == labelled])
    result = np.concatenate(found)
    result.setflags(write=False)
    return result


def _pruned(matrices: Bools, used: Bools) -> Bools:
    return matrices & used[:, :, None] & used[:, None, :]


def _bit(x: int, y: int) -> int:
    return x + y * (y - 1) // 2


def _connected(v: int) -> npt.NDArray[np.int64]:
    """Bits of all upper triangular matrices on `v` vertices which leave nothing to prune."""
    bits = np.arange(2 ** _bit(0, v), dtype=np.int64)
    for x in range(v - 1):
        bits = bits[bits & sum(1 << _bit(x, y) for y in range(x + 1, v)) != 0]
    for y in range(1, v):
        bits = bits[bits & sum(1 << _bit(x, y) for x in range(y)) != 0]
    edges = sum((bits >> position & 1 for position in range(_bit(0, v))), np.zeros_like(bits))
    return bits[edges <= MAX_EDGES]


@cache
def _weights(v: int) -> npt.NDArray[np.float64]:
    """What each edge and operation adds to the code, per relabelling: `(26, (v-2)!)`."""
    columns = []
    for places in permutations(range(1, v - 1)):
        place = {0: 0, OUTPUT: v - 1, **dict(enumerate(places, start=1))}
        column = [_edge_weight(place, edge, v) for edge in EDGES]
        column += [float(_BASE ** (v - 2 - place[x])) if x in place else 0.0 for x in range(1, 6)]
        columns.append(column)
    weights: npt.NDArray[np.float64] = np.array(columns).T.copy()
    return weights


def _edge_weight(place: dict[int, int], edge: tuple[int, int], v: int) -> float:
    if edge[0] not in place or edge[1] not in place:
        return 0.0
    x, y = place[edge[0]], place[edge[1]]
    return _FORBIDDEN if x > y else float(2 ** _bit(x, y) * _BASE ** (v - 2))
