"""Drawing from the models in every way that the tables compare, and counting what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

import numpy as np

from nas_plugins._torch import torch
from nas_plugins.errors import SpaceExhaustedError
from nas_plugins.reproduction.arch_vq.arch2vec import Arch2Vec
from nas_plugins.reproduction.documents import Cell, Spread
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.strategies.arch_vq.data import Split, split
from nas_plugins.strategies.arch_vq.metrics import (
    Generation,
    Graphs,
    Reconstruction,
    TrainKeys,
    lenient,
    reconstruction,
    strict,
)
from nas_plugins.strategies.arch_vq.model import ArchVQModel

Draw = Callable[[int, int], Graphs]
"""`(number, seed)` to that many graphs."""

_BATCH = 4096

PAPER, SEEN, INDEPENDENT, UNIQUE, NEW = (
    "as the paper",
    "codes seen at the node",
    "strict",
    "strict, unique",
    "strict, unique, none of train",
)
DECODINGS = (PAPER, SEEN, INDEPENDENT, UNIQUE, NEW)


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedModel:
    """A model together with its training set.

    Attributes:
        space: The space as it was encoded.
        rows: Training and held-out architectures.
        name: For progress.
    """

    space: SearchSpace
    rows: Split
    name: str = ""

    @cached_property
    def train_keys(self) -> TrainKeys:
        """For novelty."""
        return TrainKeys.of(self.space, self.rows.train)

    @cached_property
    def held_out(self) -> Graphs:
        """The held-out graphs."""
        return Graphs.of(self.space, self.rows.held_out)


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedVQ(TrainedModel):
    """An Arch-VQ model together with its training set."""

    model: ArchVQModel

    @classmethod
    def of(cls, model: ArchVQModel, name: str) -> TrainedVQ:
        """Draws the recorded training set again."""
        recipe = model.card.recipe
        rows = split(model.space, recipe.architectures, recipe.held_out, model.card.seed)
        return cls(space=model.space, rows=rows, name=name, model=model)

    def reconstruct(self) -> Reconstruction:
        """How the held-out graphs come back."""
        decoded = self.model.decode(self.model.encode(self.rows.held_out))
        found = Graphs.from_columns(decoded.labels, decoded.columns)
        return reconstruction(self.held_out, found, len(self.space.node_operations))

    def draw(self, decoding: str, temperature: float) -> Draw:
        """One of `DECODINGS` at a temperature."""
        if decoding == PAPER:
            return lambda n, seed: self._as_paper(n, seed, temperature)
        if decoding == SEEN:
            return lambda n, seed: draw_seen(self.model, n, seed, temperature)
        return lambda n, seed: Graphs.of(
            self.space, self._strict_rows(n, seed, decoding, temperature)
        )

    def _as_paper(self, n: int, seed: int, temperature: float) -> Graphs:
        drawn = self.model.draw(n, temperature=temperature, seed=seed)
        return Graphs.from_columns(drawn.labels, drawn.columns)

    def _strict_rows(self, n: int, seed: int, decoding: str, temperature: float) -> Rows:
        exclude = self.train_keys.canonical if decoding == NEW else np.empty(0, dtype=np.int64)
        try:
            return self.model.sample_rows(
                n,
                temperature=temperature,
                seed=seed,
                unique=decoding != INDEPENDENT,
                exclude=exclude,
            )
        except SpaceExhaustedError:
            # A poor model has fewer in reach; what is missing counts as invalid.
            n = 0 if decoding == INDEPENDENT else n
            found = self.model.stream(temperature=temperature, seed=seed, exclude=exclude)
            return self.space.rows(list(islice(found, n)))

    @property
    def left(self) -> int:
        """Architectures outside the training set: 1,562 cells on NAS-Bench-201."""
        return self.space.size - len(self.rows.train)


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedVAE(TrainedModel):
    """An arch2vec baseline together with its training set."""

    model: Arch2Vec

    @classmethod
    def of(cls, model: Arch2Vec, name: str) -> TrainedVAE:
        """The baseline knows its training set."""
        return cls(space=model.space, rows=model.rows, name=name, model=model)

    def reconstruct(self) -> Reconstruction:
        """How the held-out graphs come back."""
        found = self.model.decode(self.model.embed(self.rows.held_out))
        return reconstruction(self.held_out, found, len(self.space.node_operations))


@torch.no_grad()
def draw_seen(model: ArchVQModel, n: int, seed: int, temperature: float) -> Graphs:
    """As the paper draws, but only codes that the training set has at the node in question.

    What is left of the paper's failures when a prior never leaks to codes out of place.
    """
    rng = np.random.default_rng(seed)
    unseen = torch.from_numpy(~model.seen)
    parts = [np.empty((0, model.prior.n_nodes), dtype=np.int64)]
    for start in range(0, n, _BATCH):
        last, cache = torch.zeros(min(_BATCH, n - start), dtype=torch.long), None
        codes = []
        for position in range(model.prior.n_nodes):
            log_p, cache = model.prior.step(last, position, cache)
            noisy = log_p.double() / temperature + torch.from_numpy(rng.gumbel(size=log_p.shape))
            last = noisy.masked_fill(unseen[position], -torch.inf).argmax(1)
            codes.append(last.numpy())
        parts.append(np.stack(codes, axis=1))
    drawn = model.decode(np.concatenate(parts))
    return Graphs.from_columns(drawn.labels, drawn.columns)


GenerationCounts: TypeAlias = tuple[Generation, Generation]
"""One draw, counted leniently and strictly."""


def counted(known: TrainedModel, draw: Draw, n: int, seed: int) -> GenerationCounts:
    """Draws and counts; graphs that were asked for and did not come are invalid."""
    graphs = draw(n, seed)
    space, keys = known.space, known.train_keys
    return (lenient(space, graphs, keys, requested=n), strict(space, graphs, keys, requested=n))


SHOWN = ("validity", "uniqueness", "novelty", "absolute_uniqueness")
COLUMNS = ("valid", "unique", "novel", "valid·unique")


def cells(draws: Sequence[GenerationCounts]) -> tuple[Cell, ...]:
    """Eight cells: valid, unique, novel, valid·unique, leniently and then strictly."""
    return tuple(
        Spread.of(getattr(counts[way], share) for counts in draws)
        for way in range(2)
        for share in SHOWN
    )
