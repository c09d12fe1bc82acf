"""NAS-Bench-201: a cell of four nodes and six operation-labelled edges.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
ICLR 2020; the topology space of NATS-Bench.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._frozen import FrozenDict
from nas_plugins._images import square_image_options
from nas_plugins._wording import excerpt
from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.spaces.base import Architecture, Complexity, Decision, SearchSpace
from nas_plugins.spaces.graph import Graph

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Edges (source, target) in the order of the architecture string."""

NODE_OPERATIONS = (
    "input",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "none",
    "output",
)
"""Node labels of the line graph, in arch2vec's index order."""

_NONE, _SKIP, _CONV1, _CONV3, _POOL = range(5)
_KERNEL_AREA = {_CONV1: 1, _CONV3: 9}
_TO_NODE = np.array([NODE_OPERATIONS.index(name) for name in OPERATIONS], dtype=np.int16)
_TOKEN = re.compile(r"([A-Za-z0-9_]+)~(\d+)")


def _line_graph() -> npt.NDArray[np.uint8]:
    """Adjacency shared by all cells: edges become nodes 1..6 between input 0 and output 7."""
    adjacency = np.zeros((8, 8), dtype=np.uint8)
    for i, (source, target) in enumerate(EDGES, start=1):
        if source == 0:
            adjacency[0, i] = 1
        if target == 3:
            adjacency[i, 7] = 1
        for j, (other, _) in enumerate(EDGES, start=1):
            if target == other:
                adjacency[i, j] = 1
    return adjacency


_ADJACENCY = _line_graph()


class NASBench201(SearchSpace):
    """The NAS-Bench-201 cell space: 6 edges with one of 5 operations, 15,625 cells.

    Decisions are named ``"target<-source"`` as in NATS-Bench. The notation is NATS-Bench's,
    e.g. ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``. The graph is arch2vec's line graph:
    node 0 input, nodes 1-6 the edges, node 7 output, the same adjacency for every cell.
    """

    default_axis = "n_nor_conv_3x3"
    decision_noun = "edges"
    network_sizes = FrozenDict(
        {
            "full": {"channels": 16, "cells": 5},
            "small": {"channels": 16, "cells": 5},
            "tiny": {"channels": 4, "cells": 1},
            "training": {"channels": 8, "cells": 1},
        }
    )
    latency_table = "hw-nas-bench/{dataset}/{device}"
    complexity_settings = ("channels", "cells", "classes", "resolution", "in_channels")
    latency_datasets = ("cifar10", "cifar100", "imagenet16")
    proxy_table = "nas-bench-suite-zero/cifar10"

    def __init__(self) -> None:
        decisions = [Decision(f"{target}<-{source}", OPERATIONS) for source, target in EDGES]
        super().__init__("nasbench201", decisions)

    def format(self, architecture: Architecture) -> str:
        """Writes the NATS-Bench architecture string."""
        names = [OPERATIONS[i] for i in architecture.indices]
        nodes: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for name, (source, target) in zip(names, EDGES, strict=True):
            nodes[target].append(f"{name}~{source}")
        return "+".join(f"|{'|'.join(tokens)}|" for tokens in nodes.values())

    def parse(self, text: str) -> Architecture:
        """Reads a NATS-Bench architecture string."""
        nodes = text.strip().split("+")
        if len(nodes) != 3:
            raise InvalidArchitectureError(
                f"a NAS-Bench-201 string has 3 nodes joined by '+', got {len(nodes)} in "
                f"{excerpt(text)}"
            )
        found: dict[tuple[int, int], int] = {}
        for target, node in enumerate(nodes, start=1):
            for token in node.strip("|").split("|"):
                match = _TOKEN.fullmatch(token)
                if match is None:
                    raise InvalidArchitectureError(
                        f"expected 'operation~source' in node {target} of {excerpt(text)}, "
                        f"got {excerpt(token)}"
                    )
                operation, edge = match[1], (int(match[2]), target)
                if operation not in OPERATIONS:
                    hint = unknown_name("operation", operation, OPERATIONS)
                    raise InvalidArchitectureError(f"{hint} (in {excerpt(text)})")
                if edge not in EDGES or edge in found:
                    raise InvalidArchitectureError(
                        f"node {target} takes each source 0..{target - 1} once, "
                        f"got {excerpt(token)} in {excerpt(text)}"
                    )
                found[edge] = OPERATIONS.index(operation)
        missing = [edge for edge in EDGES if edge not in found]
        if missing:
            raise InvalidArchitectureError(f"edges {missing} are missing in {excerpt(text)}")
        return Architecture(self, tuple(found[edge] for edge in EDGES))

    def class_keys(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.str_]:
        """Keys of functional equivalence, `(B, 6)` to `(B,)`: 6,466 classes in all.

        The strings of NATS-Bench's ``to_unique_str(True)``: ``none`` is zero and written
        ``#``, ``skip_connect`` is the identity, and the terms of a sum are sorted.
        """
        return np.array([_class_string(row) for row in np.asarray(rows).tolist()], dtype=np.str_)

    def edge_cells(
        self, architecture: Architecture
    ) -> dict[str, tuple[tuple[int, int, str], ...]]:
        """The cell of four nodes."""
        taken = (OPERATIONS[i] for i in architecture.indices)
        return {"": tuple((*edge, op) for edge, op in zip(EDGES, taken, strict=True))}

    @property
    def node_operations(self) -> tuple[str, ...]:
        """Arch2vec's seven labels."""
        return NODE_OPERATIONS

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Line graphs of a batch: `(B, 8, 8)` and `(B, 8)`."""
        n = len(rows)
        operations = np.zeros((n, 8), dtype=np.int16)
        operations[:, 1:7] = _TO_NODE[np.asarray(rows, dtype=np.intp)]
        operations[:, 7] = NODE_OPERATIONS.index("output")
        return np.broadcast_to(_ADJACENCY, (n, 8, 8)).copy(), operations

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads a line graph back; the adjacency must be exactly the shared one."""
        labels = graph.labels
        if len(labels) != 8 or not np.array_equal(graph.adjacency, _ADJACENCY):
            raise InvalidArchitectureError("`graph` has not the adjacency of a NAS-Bench-201 cell")
        if labels[0] != "input" or labels[7] != "output":
            raise InvalidArchitectureError(
                f"node 0 must be 'input' and node 7 'output', got {labels[0]!r} and {labels[7]!r}"
            )
        for node, label in enumerate(labels[1:7], start=1):
            if label not in OPERATIONS:
                raise InvalidArchitectureError(f"node {node} must be an operation, got {label!r}")
        return Architecture(self, tuple(OPERATIONS.index(label) for label in labels[1:7]))

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """The side and the channels of square images."""
        return square_image_options(shape)

    def complexity(
        self,
        architecture: Architecture,
        *,
        channels: int = 16,
        cells: int = 5,
        classes: int = 10,
        resolution: int = 32,
        in_channels: int = 3,
        **options: Any,
    ) -> Complexity:
        """Parameters and FLOPs of the benchmark's network, as its tables count them.

        FLOPs are the multiply-accumulates of convolutions and the classifier; batch
        normalisation and pooling are not counted.

        Args:
            architecture: The cell.
            channels: Width of the first stage; doubled twice.
            cells: Cells per stage.
            classes: Outputs of the classifier.
            resolution: Input height and width in pixels.
            in_channels: Channels of the input.
            **options: None is known; raises ``TypeError``.
        """
        if options:
            raise TypeError(f"unknown options of complexity: {sorted(options)}")
        return _complexity(
            architecture.indices, channels, cells, classes, resolution, in_channels=in_channels
        )


def _class_string(indices: Sequence[int]) -> str:
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for operation, (source, end) in zip(indices, EDGES, strict=True):
            if end != target:
                continue
            if operation == _NONE or nodes[source] == "#":
                terms.append("#")
            elif operation == _SKIP:
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{OPERATIONS[operation]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def _complexity(
    indices: Sequence[int],
    channels: int,
    cells: int,
    classes: int,
    resolution: int,
    *,
    in_channels: int,
) -> Complexity:
    area = resolution**2
    stem = 9 * in_channels * channels
    params, flops = stem + 2 * channels, stem * area
    for stage in range(3):
        width = channels * 2**stage
        if stage:
            area = _halved(area)
            weights = _reduction_weights(width)
            params, flops = params + weights + 4 * width, flops + weights * area
        for operation in indices:
            weights = _KERNEL_AREA.get(operation, 0) * width**2
            if weights:
                params += cells * (weights + 2 * width)
                flops += cells * weights * area
    width = channels * 4
    classifier = (width + 1) * classes
    return Complexity(params + 2 * width + classifier, flops + classifier)


def _halved(area: int) -> int:
    side = int(area**0.5)
    return ((side + 1) // 2) ** 2


def _reduction_weights(width: int) -> int:
    """Convolution weights of the residual block that halves the resolution, to `width`."""
    half = width // 2
    return 9 * half * width + 9 * width * width + half * width
