"""What a predictor sees of an architecture: live operations, their neighbourhoods, code vectors.

The operations are counted on the live part of the graph: nodes labelled ``none`` pass nothing
on, so they and all nodes that they cut off from the inputs or the outputs are one label, "dead".
Neighbourhoods are those of Weisfeiler and Lehman after one round, in- and out-neighbours apart
(Shervashidze et al., JMLR 2011; Ru et al., "Interpretable NAS via Bayesian Optimisation with
Weisfeiler-Lehman Kernels", ICLR 2021), hashed to a fixed number of signed columns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.base import Rows
from nas_plugins.spaces.graph import live_nodes, mix64
from nas_plugins.strategies.arch_vq.latent import LatentSpace, Vectors, typical_rows

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_HASHED = 512
_KEPT = 2**14


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a batch of architectures.

    Attributes:
        counts: `(B, L)` live nodes per label; the last column counts the dead ones.
        neighbourhoods: `(B, W)` hashed neighbourhoods, rows of length 1.
        codes: `(B, F)` code vectors side by side.
    """

    counts: Vectors
    neighbourhoods: Vectors
    codes: Vectors

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: npt.NDArray[Any] | slice) -> Features:
        return Features(*(getattr(self, f.name)[index] for f in fields(self)))

    def distances(self, other: Features, scale: float) -> Floats:
        """Three distances of all pairs, `(3, B, B')`, each of the order of 1.

        Args:
            other: B' architectures.
            scale: Squared distance of code vectors that counts as 1.
        """
        changed = np.abs(self.counts[:, None] - other.counts).sum(axis=2, dtype=np.float64)
        alike = self.neighbourhoods @ other.neighbourhoods.T
        squares = [(f.codes.astype(np.float64) ** 2).sum(axis=1) for f in (self, other)]
        apart = squares[0][:, None] + squares[1] - 2.0 * (self.codes @ other.codes.T)
        half = float(2 * self.counts[:1].sum()) or 1.0
        return np.stack([changed / half, 1.0 - alike, np.maximum(apart, 0.0) / scale])


class Describer:
    """Computes features, and keeps those of architectures it met.

    Args:
        latent: The latent space whose code vectors are among the features.
    """

    def __init__(self, latent: LatentSpace) -> None:
        self.latent = latent
        self._kept: dict[bytes, tuple[Vectors, ...]] = {}
        vectors = self(typical_rows(latent.space, 256)).codes.astype(np.float64)
        # Mean squared distance of two random architectures.
        self.scale = float(2 * vectors.var(axis=0).sum()) or 1.0

    def __call__(self, rows: Rows) -> Features:
        """Features of architectures given as rows of choices `(B, D)`."""
        if not len(rows):
            return self(self.latent.space.random(1, np.random.default_rng(0)))[:0]
        # Never emptied but replaced, as another thread may be reading it.
        kept = self._kept = self._kept if len(self._kept) < _KEPT else {}
        names = [row.tobytes() for row in rows]
        new = {name: i for i, name in enumerate(names) if name not in kept}
        if new:
            found = self._describe(rows[list(new.values())])
            parts = (found.counts, found.neighbourhoods, found.codes)
            kept.update(zip(new, zip(*parts, strict=True), strict=True))
        columns = zip(*(kept[name] for name in names), strict=True)
        return Features(*map(np.stack, columns))

    def _describe(self, rows: Rows) -> Features:
        space = self.latent.space
        adjacency, operations = space.graphs(rows)
        dead = len(space.node_operations)
        labels = operations.astype(np.int64)
        live = live_nodes(adjacency, labels, space.node_operations)
        labels[~live] = dead
        counts = np.zeros((len(rows), dead + 1), dtype=np.float32)
        for node in range(labels.shape[1]):
            counts[np.arange(len(rows)), labels[:, node]] += 1
        return Features(counts, neighbourhoods(adjacency, labels, live), self.latent.vectors(rows))


@lru_cache(maxsize=8)
def describer(latent: LatentSpace) -> Describer:
    """The describer of a latent space, one per process."""
    return Describer(latent)


def neighbourhoods(
    adjacency: npt.NDArray[np.uint8], labels: Labels, live: npt.NDArray[np.bool_]
) -> Vectors:
    """Hashed labels of live nodes with those of their live neighbours, `(B, W)`."""
    links = (adjacency.astype(bool) & live[:, :, None] & live[:, None, :]).astype(np.uint64)
    own, into, out = (mix64(labels.astype(np.uint64) + np.uint64(1000 * i)) for i in (1, 2, 3))
    codes = own
    codes = codes + (links * into[:, :, None]).sum(axis=1, dtype=np.uint64)
    codes = codes + (links * out[:, None, :]).sum(axis=2, dtype=np.uint64)
    codes = mix64(codes)
    columns = (codes % np.uint64(_HASHED)).astype(np.int64)
    signs = np.where(codes >> np.uint64(63), 1.0, -1.0) * live
    result = np.zeros((len(labels), _HASHED), dtype=np.float32)
    for node in range(labels.shape[1]):
        result[np.arange(len(labels)), columns[:, node]] += signs[:, node]
    lengths = np.sqrt((result**2).sum(axis=1, keepdims=True))
    scaled: Vectors = result / np.maximum(lengths, 1e-6)
    return scaled
