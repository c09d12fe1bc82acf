"""The latent space that a search works in: draw, redraw in part, and describe architectures.

`LatentSpace` is what the search strategy needs of a model. There is one for a model of the same
space, one for DARTS cells on the model of one cell, one for further decisions beside a space that
has one of these, and one that does without a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import SpaceExhaustedError
from nas_plugins.sampling import new_rows
from nas_plugins.spaces.base import Key, Rows, SearchSpace
from nas_plugins.spaces.darts import GenotypeSpace
from nas_plugins.spaces.darts_cell import CELL_LENGTH, OPERATION_COLUMNS

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

Vectors = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_POOLS = 64
_MAX_CELLS = 128
_TRIES = 8


class LatentSpace(ABC):
    """Architectures as sequences of codes.

    Args:
        space: The space whose architectures are meant.
    """

    learned = True
    """Whether a model stands behind it."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    @property
    @abstractmethod
    def open_nodes(self) -> npt.NDArray[np.int64]:
        """Positions of the code sequence at which architectures differ."""

    @property
    @abstractmethod
    def n_nodes(self) -> int:
        """Length N of a code sequence."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Rows:
        """Draws about `n` architectures from the prior, as rows of choices `(m, D)`."""

    @abstractmethod
    def fill(
        self, rows: Rows, fixed: Bools, rng: np.random.Generator, *, temperature: float = 1.0
    ) -> tuple[Rows, Bools]:
        """Draws some nodes of architectures anew, given the others.

        Args:
            rows: One architecture per row `(B, D)`.
            fixed: `(B, N)`, which nodes keep their label and incoming edges.
            rng: Source of randomness.
            temperature: Divides the logits of the prior.

        Returns:
            `(V, D)`: those that could be completed, and which those are, `(B,)`.
        """

    def shared(self, first: Rows, second: Rows) -> Bools:
        """Masks `(B, N)` of the nodes with equal label and incoming edges in both."""
        (a, p), (b, q) = (self.space.graphs(rows) for rows in (first, second))
        same: Bools = (p == q) & (a == b).all(axis=1)
        return same

    @abstractmethod
    def vectors(self, rows: Rows) -> Vectors:
        """Code vectors of architectures side by side, `(B, D)` to `(B, F)`."""

    def distinct(
        self,
        n: int,
        rng: np.random.Generator,
        *,
        temperature: float = 1.0,
        exclude: Set[Key] = frozenset(),
    ) -> Rows:
        """Draws without replacement, as far as a few attempts go: `(m, D)` with m <= n."""
        found = np.empty((0, len(self.space.decisions)), dtype=np.int16)
        for _ in range(4):
            drawn = self.sample(2 * (n - len(found)), rng, temperature=temperature)
            found = new_rows(self.space, np.concatenate([found, drawn]), exclude)[:n]
            if len(found) == n:
                break
        return found

    def pool(self, block: int, n: int, temperature: float) -> Rows:
        """Distinct draws of the prior `(m, D)`, the same at every call with these arguments."""
        return _pool(self, block, n, temperature)


@lru_cache(maxsize=_POOLS)
def _pool(latent: LatentSpace, block: int, n: int, temperature: float) -> Rows:
    return latent.distinct(n, np.random.default_rng([0, block]), temperature=temperature)


class PlainLatent(LatentSpace):
    """Without a model: the prior is uniform and every choice is its own code."""

    learned = False

    @property
    def open_nodes(self) -> npt.NDArray[np.int64]:
        """The decisions that have a choice."""
        return np.flatnonzero(self.space.cardinalities > 1)

    @property
    def n_nodes(self) -> int:
        """Number of decisions."""
        return len(self.space.decisions)

    def sample(self, n: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Rows:
        """Uniform draws; the temperature changes nothing."""
        return self.space.random(n, rng)

    def fill(
        self, rows: Rows, fixed: Bools, rng: np.random.Generator, *, temperature: float = 1.0
    ) -> tuple[Rows, Bools]:
        """Draws the free decisions evenly and leaves out what is not valid."""
        other = rng.integers(self.space.cardinalities, size=rows.shape).astype(np.int16)
        mixed = np.where(fixed, rows, other)
        valid = self.space.valid(mixed)
        return mixed[valid], valid

    def shared(self, first: Rows, second: Rows) -> Bools:
        """The decisions with equal choices."""
        same: Bools = first == second
        return same

    def vectors(self, rows: Rows) -> Vectors:
        """One-hot choices."""
        starts = np.cumsum(self.space.cardinalities) - self.space.cardinalities
        result = np.zeros((len(rows), int(self.space.cardinalities.sum())), dtype=np.float32)
        np.put_along_axis(result, rows + starts, 1.0, axis=1)
        return result


class ModelLatent(LatentSpace):
    """On a model of the same space.

    Args:
        model: The model.
    """

    def __init__(self, model: ArchVQModel) -> None:
        super().__init__(model.space)
        self.model = model

    @cached_property
    def open_nodes(self) -> npt.NDArray[np.int64]:
        """Nodes whose label or incoming edges differ between some random architectures."""
        return varying_nodes(self.space)

    @property
    def n_nodes(self) -> int:
        """Nodes of a graph."""
        return self.model.prior.n_nodes

    def sample(self, n: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Rows:
        """Independent draws of the model, all of them valid."""
        return self.model.sample_rows(n, temperature=temperature, seed=rng, unique=False)

    def distinct(
        self,
        n: int,
        rng: np.random.Generator,
        *,
        temperature: float = 1.0,
        exclude: Set[Key] = frozenset(),
    ) -> Rows:
        """Draws without replacement: `(m, D)`, m = n or 0 where the model holds fewer."""
        try:
            return self.model.sample_rows(n, temperature=temperature, seed=rng, exclude=exclude)
        except SpaceExhaustedError:
            return np.empty((0, len(self.space.decisions)), dtype=np.int16)

    def fill(
        self, rows: Rows, fixed: Bools, rng: np.random.Generator, *, temperature: float = 1.0
    ) -> tuple[Rows, Bools]:
        """Draws with the model; see `ArchVQModel.fill`."""
        return self.model.fill(rows, fixed, temperature=temperature, seed=rng)

    def vectors(self, rows: Rows) -> Vectors:
        """The code vectors of all nodes."""
        codes = self.model.encode(rows)
        return self.model.vectors(codes).reshape(len(rows), -1)


class CellLatent(LatentSpace):
    """DARTS architectures, each cell on the model of one cell.

    The model's cells may have the operation ``none``; where the space has not, cells with it
    are left out.

    Args:
        space: ``darts`` or ``darts-cell``.
        model: A model of ``darts-cell`` with ``none``.
    """

    def __init__(self, space: GenotypeSpace, model: ArchVQModel) -> None:
        super().__init__(space)
        self.cell = ModelLatent(model)
        self.n_cells = len(space.decisions) // CELL_LENGTH
        self._shift = len(model.space.decisions[0].choices) - len(space.operations)

    @property
    def open_nodes(self) -> npt.NDArray[np.int64]:
        """The open nodes of each cell."""
        each = self.cell.open_nodes
        return np.concatenate([each + i * self.cell.n_nodes for i in range(self.n_cells)])

    @property
    def n_nodes(self) -> int:
        """Nodes of all cells."""
        return self.n_cells * self.cell.n_nodes

    def sample(self, n: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Rows:
        """Pairs cells drawn on their own; a cell comes in several pairs where `n` is large."""
        wanted = self.n_cells * min(n, _MAX_CELLS)
        cells = np.empty((0, CELL_LENGTH), dtype=np.int16)
        for _ in range(_TRIES):
            drawn = self.cell.sample(3 * wanted + 8, rng, temperature=temperature)
            found, possible = self._from_model(drawn)
            cells = np.concatenate([cells, found[possible]])
            if len(cells) >= wanted:
                break
        pairs = rng.integers(len(cells), size=(n, self.n_cells))
        fresh = np.arange(min(len(cells) // self.n_cells, n) * self.n_cells)
        pairs[: len(fresh) // self.n_cells] = fresh.reshape(-1, self.n_cells)
        return cells[pairs].reshape(n, -1)

    def fill(
        self, rows: Rows, fixed: Bools, rng: np.random.Generator, *, temperature: float = 1.0
    ) -> tuple[Rows, Bools]:
        """Redraws the free nodes of each cell."""
        cells = self._to_model(rows)
        masks = fixed.reshape(len(cells), -1)
        parts, ok = rows.reshape(len(cells), -1).copy(), np.ones(len(cells), dtype=bool)
        for i in range(self.n_cells):
            # One cell after the other, as a fill says which rows came to an end.
            some = np.flatnonzero(~masks.all(axis=1) & (np.arange(len(cells)) % self.n_cells == i))
            if not len(some):
                continue
            filled, alive = self.cell.model.fill(
                cells[some], masks[some], temperature=temperature, seed=rng
            )
            ok[some[~alive]] = False
            parts[some[alive]], possible = self._from_model(filled)
            ok[some[alive]] = possible
        whole: Bools = np.asarray(ok.reshape(len(rows), -1).all(axis=1))
        return parts.reshape(rows.shape)[whole], whole

    def vectors(self, rows: Rows) -> Vectors:
        """The code vectors of the cells, one cell after the other."""
        return self.cell.vectors(self._to_model(rows)).reshape(len(rows), -1)

    def _to_model(self, rows: Rows) -> Rows:
        """Cells as the model's rows, `(B, D)` to `(B * cells, 11)`."""
        cells: Rows = rows.reshape(-1, CELL_LENGTH).copy()
        cells[:, OPERATION_COLUMNS.ravel()] += self._shift
        return cells

    def _from_model(self, cells: Rows) -> tuple[Rows, Bools]:
        """Cells with the space's operations, and which of them it has."""
        found = cells.copy()
        columns = OPERATION_COLUMNS.ravel()
        found[:, columns] -= self._shift
        return found, (found[:, columns] >= 0).all(axis=1)


class ExtendedLatent(LatentSpace):
    """A core that has a latent space of its own, and further decisions, whose prior is uniform.

    A further decision is a node that is its own code.

    Args:
        space: The core's decisions, then the others.
        inner: Of the core, by a model.
    """

    def __init__(self, space: SearchSpace, inner: LatentSpace) -> None:
        super().__init__(space)
        self._inner = inner
        self._n_core = len(inner.space.decisions)

    @property
    def open_nodes(self) -> npt.NDArray[np.int64]:
        """The open nodes of the core, and the other decisions that have a choice."""
        others = np.flatnonzero(self.space.cardinalities[self._n_core :] > 1)
        return np.concatenate([self._inner.open_nodes, others + self._inner.n_nodes])

    @property
    def n_nodes(self) -> int:
        """Those of the core and one per other decision."""
        return self._inner.n_nodes + len(self.space.decisions) - self._n_core

    def sample(self, n: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Rows:
        """Draws of the core beside uniform ones of the others, as far as these are valid."""
        cores = self._inner.sample(n, rng, temperature=temperature)
        others = self.space.random(len(cores), rng)[:, self._n_core :]
        rows = np.concatenate([cores, others], axis=1)
        return rows[self.space.valid(rows)]

    def fill(
        self, rows: Rows, fixed: Bools, rng: np.random.Generator, *, temperature: float = 1.0
    ) -> tuple[Rows, Bools]:
        """Redraws the free nodes of the core by its model, the other decisions evenly."""
        n = self._n_core
        of_core, of_others = np.split(fixed, [self._inner.n_nodes], axis=1)
        cores, done = self._inner.fill(rows[:, :n], of_core, rng, temperature=temperature)
        drawn = rng.integers(self.space.cardinalities[n:], size=of_others.shape).astype(np.int16)
        others = np.where(of_others, rows[:, n:], drawn)[done]
        filled = np.concatenate([cores, others], axis=1)
        valid = self.space.valid(filled)
        done[done] = valid
        return filled[valid], done

    def vectors(self, rows: Rows) -> Vectors:
        """The code vectors of the core, then one-hot choices, filled up to equal lengths."""
        n = self._n_core
        codes = self._inner.vectors(rows[:, :n]).reshape(len(rows), self._inner.n_nodes, -1)
        length = max(codes.shape[2], int(self.space.cardinalities[n:].max()))
        result = np.zeros((len(rows), self.n_nodes, length), dtype=np.float32)
        result[:, : codes.shape[1], : codes.shape[2]] = codes
        np.put_along_axis(result[:, codes.shape[1] :], rows[:, n:, None], 1.0, axis=2)
        return result.reshape(len(rows), -1)

    def shared(self, first: Rows, second: Rows) -> Bools:
        """The nodes that the cores share, and the decisions with equal choices."""
        n = self._n_core
        cores = self._inner.shared(first[:, :n], second[:, :n])
        return np.concatenate([cores, first[:, n:] == second[:, n:]], axis=1)


def typical_rows(space: SearchSpace, n: int) -> Rows:
    """Some random architectures `(n, D)`, the same at every call; uniform over cells if it can."""
    return space.random_cells(n, np.random.default_rng(0))


def varying_nodes(space: SearchSpace) -> npt.NDArray[np.int64]:
    """Nodes whose label or incoming edges are not the same in all architectures."""
    adjacency, operations = space.graphs(typical_rows(space, 64))
    columns = np.concatenate([adjacency.astype(np.int16), operations[:, None]], axis=1)
    return np.flatnonzero((columns != columns[0]).any(axis=(0, 1)))
