"""Training data: the graphs of a space as tensors, without duplicates, split by seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import Tensor, torch
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.spaces.graph import ABSENT

_TOO_FEW = 20


@dataclass(frozen=True, eq=False)
class GraphSet:
    """Graphs of one space as tensors.

    Attributes:
        adjacency: `(B, N, N)` uint8.
        operations: `(B, N)` int64; padding has the index after the last operation.
    """

    adjacency: Tensor
    operations: Tensor

    @classmethod
    def of(cls, space: SearchSpace, rows: Rows) -> GraphSet:
        """The graphs of rows of choice indices `(B, D)`."""
        adjacency, operations = space.graphs(rows)
        labels = operations.astype(np.int64)
        labels[labels == ABSENT] = len(space.node_operations)
        return cls(torch.from_numpy(adjacency), torch.from_numpy(labels))

    def __len__(self) -> int:
        return len(self.operations)

    def __getitem__(self, index: Tensor | slice) -> GraphSet:
        return GraphSet(self.adjacency[index], self.operations[index])

    def to(self, device: torch.device) -> GraphSet:
        """The same graphs on a device."""
        return GraphSet(self.adjacency.to(device), self.operations.to(device))


@dataclass(frozen=True, eq=False)
class Split:
    """Distinct architectures, as rows of choice indices `(B, D)`.

    Attributes:
        train: What is learned from.
        held_out: What reconstruction and likelihood are measured on.
    """

    train: Rows
    held_out: Rows


def n_labels(space: SearchSpace) -> int:
    """Number of node labels, padding included."""
    return len(space.node_operations) + 1


def distinct_rows(space: SearchSpace, limit: int, rng: np.random.Generator) -> Rows:
    """Up to `limit` distinct architectures `(B, D)`, in random order.

    All architectures of a space that has no more than `limit`, otherwise random ones. A few
    draws of a large space coincide and are dropped.
    """
    if space.size <= limit:
        rows = np.concatenate(list(space.enumerate()))
    else:
        rows = space.random_cells(limit, rng)
    _, first = np.unique(space.keys(rows), return_index=True)
    kept: Rows = rows[rng.permutation(first)]
    return kept


def split(space: SearchSpace, limit: int, held_out: float, seed: int) -> Split:
    """The training and held-out architectures of a seed.

    Fewer than 20 architectures are too few to keep some back: then both parts are all of them.
    """
    rows = distinct_rows(space, limit, np.random.default_rng([seed, 1]))
    if len(rows) < _TOO_FEW:
        return Split(rows, rows)
    cut = len(rows) - max(1, round(len(rows) * held_out))
    return Split(rows[:cut], rows[cut:])


def digest(keys: npt.NDArray[np.generic]) -> str:
    """SHA-256 over sorted canonical keys: names a set of architectures."""
    return hashlib.sha256(np.sort(keys).tobytes()).hexdigest()
