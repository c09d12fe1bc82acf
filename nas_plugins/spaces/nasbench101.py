"""NAS-Bench-101: cells of up to 7 vertices and 9 edges with an operation per vertex.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins._frozen import FrozenDict
from nas_plugins._images import square_image_options
from nas_plugins._wording import excerpt
from nas_plugins.errors import InvalidArchitectureError, SpaceExhaustedError, unknown_name
from nas_plugins.spaces import nasbench101_cells as cells
from nas_plugins.spaces.base import Architecture, Complexity, Decision, Rows, SearchSpace
from nas_plugins.spaces.graph import ABSENT, Graph

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""Operations of the inner vertices, in the benchmark's order."""

NODE_OPERATIONS = ("input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output")
"""Node labels of the graph, in arch2vec's index order."""

PADDINGS = ("output_last", "end")

Matrix: TypeAlias = npt.NDArray[np.uint8]

_KERNEL = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}
_TO_NODE = np.array([NODE_OPERATIONS.index(name) for name in OPERATIONS], dtype=np.int16)
_MAX_TRIES = 1000


class NASBench101(SearchSpace):
    """The NAS-Bench-101 cell space: 423,624 cells of at most 7 vertices and 9 edges.

    The decisions are those of the benchmark's first encoding: ``edge_0`` .. ``edge_20``, the
    upper triangle of the 7x7 adjacency matrix row by row, and ``op_node_0`` .. ``op_node_4``.
    Vertices that lie on no path from input to output are pruned; the rest must be connected
    and keep at most 9 edges. Smaller cells arise by pruning, and many choices stand for the
    same cell: `keys` tells which, `canonical` picks one, `enumerate` yields that one.

    The notation is the benchmark's pair of matrix and operations, after pruning, as JSON:
    ``{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}``. The graph is arch2vec's, 7
    nodes with 5 labels; nodes that a small cell does not need are padding.

    Args:
        padding: Where the padding stands: ``"output_last"`` before the output, which thus is
            always node 6, or ``"end"`` after it, as in arch2vec.
    """

    default_axis = "n_conv3x3_bn_relu"
    decision_noun = "inner vertices"
    complexity_settings = (
        "stem_channels",
        "stacks",
        "modules_per_stack",
        "classes",
        "resolution",
        "in_channels",
    )
    network_sizes = FrozenDict(
        {
            "full": {"stem_channels": 128, "modules_per_stack": 3},
            "small": {"stem_channels": 32, "modules_per_stack": 3},
            "tiny": {"stem_channels": 8, "modules_per_stack": 1},
            "training": {"stem_channels": 16, "modules_per_stack": 1},
        }
    )
    network_width, network_depth = "stem_channels", "modules_per_stack"

    def __init__(self, *, padding: str = "output_last") -> None:
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be one of {PADDINGS}, got {padding!r}")
        self.padding = padding
        super().__init__(
            "nasbench101",
            [
                *(Decision(f"edge_{i}", (0, 1)) for i in range(cells.N_EDGES)),
                *(Decision(f"op_node_{i}", OPERATIONS) for i in range(cells.VERTICES - 2)),
            ],
            options={} if padding == "output_last" else {"padding": padding},
        )

    @property
    def size(self) -> int:
        """Number of distinct cells."""
        return 423_624

    # -- notation --------------------------------------------------------------------------

    def cell(self, architecture: Architecture) -> tuple[Matrix, tuple[str, ...]]:
        """The pruned cell: adjacency `(V, V)` and V operations, from input to output."""
        matrices, operations, vertices = cells.compact(architecture.row[None])
        kept = [*range(vertices[0] - 1), cells.OUTPUT]
        inner = [OPERATIONS[i] for i in operations[0, : vertices[0] - 2]]
        return matrices[0][np.ix_(kept, kept)].astype(np.uint8), ("input", *inner, "output")

    def format(self, architecture: Architecture) -> str:
        """Writes matrix and operations of the pruned cell as a JSON object on one line."""
        matrix, operations = self.cell(architecture)
        return json.dumps({"matrix": matrix.tolist(), "ops": operations})

    def parse(self, text: str) -> Architecture:
        """Reads a JSON object of matrix and operations, with 2 to 7 vertices.

        Vertices on no path from input to output are allowed, as in the benchmark.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidArchitectureError(
                f"expected a JSON object with 'matrix' and 'ops', got {excerpt(text)} ({error})"
            ) from error
        if not isinstance(data, dict) or set(data) != {"matrix", "ops"}:
            raise InvalidArchitectureError(
                f"expected a JSON object with 'matrix' and 'ops', got {excerpt(text)}"
            )
        operations = _checked_operations(data["ops"])
        return self._assemble(_checked_matrix(data["matrix"], len(operations)), operations)

    def _assemble(self, matrix: Matrix, operations: Sequence[str]) -> Architecture:
        """Builds the architecture of a well-formed matrix and its V operations."""
        inner = [OPERATIONS.index(name) for name in operations[1:-1]]
        row = _row(matrix, inner)
        reason = self._explain(row.tolist())
        if reason is not None:
            raise InvalidArchitectureError(f"`matrix`: {reason}")
        return Architecture(self, tuple(row.tolist()))

    # -- validity, canonical form ----------------------------------------------------------

    def valid(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Which rows are cells: input and output connected, at most 9 edges after pruning."""
        matrices = cells.adjacency(rows)
        used = cells.used_vertices(matrices)
        return used[:, 0] & (cells.edge_counts(matrices, used) <= cells.MAX_EDGES)

    def _explain(self, indices: Sequence[int]) -> str | None:
        matrices = cells.adjacency(np.asarray(indices)[None])
        used = cells.used_vertices(matrices)
        if not used[0, 0]:
            return "no path leads from the input to the output"
        edges = int(cells.edge_counts(matrices, used)[0])
        if edges > cells.MAX_EDGES:
            return f"a cell has at most {cells.MAX_EDGES} edges after pruning, got {edges}"
        return None

    def active(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """All decisions but those of vertices that are pruned."""
        return cells.used_decisions(rows)

    def keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Canonical keys of the pruned cells, `(B, 26)` to `(B,)`: 423,624 different ones.

        Equal exactly when the cells are isomorphic. A key is ``V * 2^32`` plus the least
        ``bits * 3^(V-2) + operations`` over the relabellings of the inner vertices.
        """
        return cells.codes(rows)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures with the same key.

        It has the matrix and operations that the benchmark's own files have.
        """
        row = cells.rows_of(cells.codes(architecture.row[None]))[0]
        return Architecture(self, tuple(row.tolist()))

    def enumerate(self, *, batch: int = 65536) -> Iterator[Rows]:
        """Yields all 423,624 cells as canonical rows, by ascending key, `batch` at a time."""
        for start in range(0, self.size, batch):
            yield cells.rows_of(cells.all_codes()[start : start + batch])

    def enumerate_cells(self) -> Rows:
        """All cells at once, `(423624, 26)`, as `enumerate` yields them; about a second."""
        return cells.rows_of(cells.all_codes())

    def random_cells(self, n: int, rng: np.random.Generator) -> Rows:
        """Draws `n` cells independently and uniformly over the 423,624, as canonical rows.

        `random` is uniform over the valid choices instead, like the benchmark's own
        ``random_spec``, and so prefers cells which many choices stand for: those are small,
        as dense choices break the limit of 9 edges unless most vertices are pruned. Of 10,000
        such draws 0.3 % have 7 vertices, against 84.8 % of all cells.
        """
        return cells.rows_of(cells.all_codes()[rng.integers(self.size, size=n)])

    # -- varying ---------------------------------------------------------------------------

    def neighbour_rows(self, row: npt.NDArray[np.integer[Any]]) -> Rows:
        """Rows one decision away, one for each different cell that can be reached so."""
        rows = super().neighbour_rows(row)
        keys = self.keys(rows)
        first = np.sort(np.unique(keys, return_index=True)[1])
        others: Rows = rows[first[keys[first] != self.keys(row[None])]]
        return others

    def mutate(
        self,
        architecture: Architecture,
        rng: np.random.Generator,
        *,
        n_changes: int = 1,
        reach: int = 1,
    ) -> Architecture:
        """Changes `n_changes` decisions uniformly at random, such that the cell changes.

        Raises:
            ValueError: `n_changes` is not between 1 and 26.
            SpaceExhaustedError: No different cell lies at this distance.
        """
        for _ in range(_MAX_TRIES):
            child = super().mutate(architecture, rng, n_changes=n_changes, reach=reach)
            if child.key != architecture.key:
                return child
        raise SpaceExhaustedError(
            f"no cell other than {architecture} differs from it in {n_changes} decisions"
        )

    # -- graph -----------------------------------------------------------------------------

    @property
    def node_operations(self) -> tuple[str, ...]:
        """Arch2vec's five labels."""
        return NODE_OPERATIONS

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Graphs of the pruned cells: `(B, 7, 7)` and `(B, 7)`, padding labelled `ABSENT`."""
        matrices, inner, vertices = cells.compact(rows)
        operations = np.zeros((len(matrices), cells.VERTICES), dtype=np.int16)
        places = np.arange(1, cells.OUTPUT)
        operations[:, 1:-1] = np.where(places < vertices[:, None] - 1, _TO_NODE[inner], ABSENT)
        operations[:, -1] = NODE_OPERATIONS.index("output")
        if self.padding == "end":
            # A stable sort that moves the padding behind the output.
            order = np.argsort(operations == ABSENT, axis=1, kind="stable")
            matrices = cells.reorder(matrices, order)
            operations = np.take_along_axis(operations, order, axis=1)
        return matrices.astype(np.uint8), operations

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads a graph back; it must be a pruned cell with its padding in place."""
        labels = graph.labels
        if len(labels) != cells.VERTICES:
            raise InvalidArchitectureError(
                f"`graph` must have {cells.VERTICES} nodes, got {len(labels)}"
            )
        kept = [i for i, label in enumerate(labels) if label]
        v = len(kept)
        last = v - 1 if self.padding == "end" else cells.OUTPUT
        if kept != [*range(v - 1), last]:
            raise InvalidArchitectureError(
                f"`graph` has its padding out of place for padding={self.padding!r}: "
                f"nodes {kept} are present"
            )
        operations = _checked_operations([labels[i] for i in kept])
        matrix = _checked_matrix(graph.adjacency[np.ix_(kept, kept)].tolist(), v)
        architecture = self._assemble(matrix, operations)
        if not np.array_equal(self.graph(architecture).adjacency, graph.adjacency):
            raise InvalidArchitectureError(
                "`graph` has nodes or edges on no path from input to output"
            )
        return architecture

    # -- network ---------------------------------------------------------------------------

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """The side and the channels of square images."""
        return square_image_options(shape)

    def complexity(
        self,
        architecture: Architecture,
        *,
        stem_channels: int = 128,
        stacks: int = 3,
        modules_per_stack: int = 3,
        classes: int = 10,
        resolution: int = 32,
        in_channels: int = 3,
        **options: Any,
    ) -> Complexity:
        """Parameters and FLOPs of the benchmark's network, built from the canonical cell.

        The parameters are the benchmark's ``trainable_parameters``. FLOPs are the
        multiply-accumulates of convolutions and the classifier, its bias included; batch
        normalisation, pooling and additions are not counted.

        Args:
            architecture: The cell.
            stem_channels: Width of the stem and the first stack; doubled at each later one.
            stacks: Stacks of cells, with a halving of the resolution between them.
            modules_per_stack: Cells per stack.
            classes: Outputs of the classifier.
            resolution: Input height and width in pixels.
            in_channels: Channels of the input.
            **options: None is known; raises ``TypeError``.

        Raises:
            ValueError: `stem_channels` is less than the number of vertices that feed the
                output, among which it is divided.
        """
        if options:
            raise TypeError(f"unknown options of complexity: {sorted(options)}")
        matrix, operations = self.cell(self.canonical(architecture))
        weights, outputs = 9 * in_channels * stem_channels, stem_channels
        flops = weights * resolution**2
        params, inputs, side = weights + 2 * outputs, stem_channels, resolution
        for stack in range(stacks):
            if stack:
                side, outputs = (side + 1) // 2, outputs * 2
            for _ in range(modules_per_stack):
                weights, widths = _module_size(matrix, operations, inputs, outputs)
                params += weights + 2 * widths
                flops += weights * side**2
                inputs = outputs
        classifier = (outputs + 1) * classes
        return Complexity(params + classifier, flops + classifier)


def vertex_channels(matrix: Matrix, inputs: int, outputs: int) -> tuple[int, ...]:
    """Output channels of every vertex of a pruned cell, section 2.2 of the paper.

    The vertices that feed the output share its channels equally, the first ones taking one
    more where that does not come out even; every other vertex is as wide as the widest inner
    vertex it feeds.

    Args:
        matrix: `(V, V)`.
        inputs: Channels of the cell's input.
        outputs: Channels of the cell's output.

    Raises:
        ValueError: More vertices feed the output than it has channels.
    """
    last = len(matrix) - 1
    feeding = [v for v in range(1, last) if matrix[v, last]]
    if len(feeding) > outputs:
        raise ValueError(
            "the cell's output, as wide as `stem_channels`, must have a channel for each of the "
            f"{len(feeding)} vertices that feed it, got {outputs}"
        )
    channels = [inputs, *[0] * (last - 1), outputs]
    for rank, v in enumerate(feeding):
        channels[v] = outputs // len(feeding) + (rank < outputs % len(feeding))
    for v in range(last - 1, 0, -1):
        if not matrix[v, last]:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v, w])
    return tuple(channels)


def _module_size(
    matrix: Matrix, operations: Sequence[str], inputs: int, outputs: int
) -> tuple[int, int]:
    """Convolution weights of one cell, and channels that are batch-normalised in it."""
    channels = vertex_channels(matrix, inputs, outputs)
    weights = widths = 0
    for v in range(1, len(matrix)):
        if matrix[0, v]:
            weights, widths = weights + inputs * channels[v], widths + channels[v]
        kernel = _KERNEL.get(operations[v])
        if kernel is not None:
            weights, widths = weights + kernel**2 * channels[v] ** 2, widths + channels[v]
    return weights, widths


def _row(matrix: Matrix, inner: Sequence[int]) -> Rows:
    """Choice indices of a cell of V vertices; unused ones as `cells.rows_of` leaves them."""
    v = len(matrix)
    place = [*range(v - 1), cells.OUTPUT]
    full = np.zeros((cells.VERTICES, cells.VERTICES), dtype=np.int16)
    full[np.ix_(place, place)] = matrix
    full[0, v - 1 : cells.OUTPUT] = 1
    edges = [full[edge] for edge in cells.EDGES]
    return np.array([*edges, *inner, *[0] * (cells.VERTICES - v)], dtype=np.int16)


def _checked_operations(operations: Any) -> list[str]:
    if not isinstance(operations, list) or not 2 <= len(operations) <= cells.VERTICES:
        raise InvalidArchitectureError(
            f"`ops` must be a list of 2 to {cells.VERTICES} operations, got {operations!r}"
        )
    if operations[0] != "input" or operations[-1] != "output":
        raise InvalidArchitectureError(
            "`ops` must begin with 'input' and end with 'output', "
            f"got {operations[0]!r} and {operations[-1]!r}"
        )
    for vertex, name in enumerate(operations[1:-1], start=1):
        if name not in OPERATIONS:
            hint = unknown_name("operation", str(name), OPERATIONS)
            raise InvalidArchitectureError(f"vertex {vertex} of `ops`: {hint}")
    return operations


def _checked_matrix(matrix: Any, v: int) -> Matrix:
    if not isinstance(matrix, list) or [_length(row) for row in matrix] != [v] * v:
        raise InvalidArchitectureError(
            f"`matrix` must be {v} lists of {v} numbers, for {v} operations in `ops`, "
            f"got {matrix!r}"
        )
    for i, row in enumerate(matrix):
        for j, entry in enumerate(row):
            if isinstance(entry, (bool, float)) or entry not in (0, 1):
                raise InvalidArchitectureError(
                    f"`matrix` must hold 0 and 1, got {entry!r} in row {i}, column {j}"
                )
            if entry and j <= i:
                raise InvalidArchitectureError(
                    f"`matrix` must be strictly upper triangular, got 1 in row {i}, column {j}"
                )
    return np.array(matrix, dtype=np.uint8)


def _length(row: Any) -> int:
    return len(row) if isinstance(row, list) else -1
