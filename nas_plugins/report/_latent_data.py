"""What the latent page shows, measured on a trained Arch-VQ model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._doing import doing
from nas_plugins.errors import DataError
from nas_plugins.spaces.base import Architecture, Rows
from nas_plugins.strategies.arch_vq.data import digest, split
from nas_plugins.strategies.arch_vq.metrics import (
    Generation,
    Graphs,
    TrainKeys,
    has_published_test,
    iid_ceiling,
    lenient,
    strict,
)
from nas_plugins.strategies.arch_vq.model import ArchVQModel

TEMPERATURES = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.4, 2.9)
MAX_ENCODED = 20_000
_NEGLIGIBLE = 99.9
_REPEATS = 20

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sweep:
    """What independent draws at one temperature are like.

    Attributes:
        temperature: Divides the logits of the prior.
        strict: Counted strictly.
        lenient: Counted as published; ``None`` where nothing was published for the space.
    """

    temperature: float
    strict: Generation
    lenient: Generation | None


@dataclass(frozen=True)
class Cell:
    """One architecture drawn from the prior.

    Attributes:
        architecture: What was drawn.
        nats: Negative log-probability of its code sequence under the prior.
        novel: Whether it is outside the training set.
    """

    architecture: Architecture
    nats: float
    novel: bool


@dataclass(frozen=True, eq=False)
class Latent:
    """Codes of the training set, of independent draws, and what the draws are worth.

    Attributes:
        model: The model.
        name: What the model is called.
        seed: Of all draws.
        draws: Draws per temperature.
        n_train: Size of the training set.
        train: Uses of each code at each position by training architectures, `(N, K)`.
        encoded: How many of them were encoded for that.
        generated: The same for independent draws at temperature 1, valid or not, `(N, K)`.
        floor: Expected total-variation distance `(N,)` of draws from the training set's own
            distribution: what a perfect prior would have.
        sweep: By temperature.
        cells: Architectures drawn without replacement at temperature 1.
    """

    model: ArchVQModel
    name: str
    seed: int
    draws: int
    n_train: int
    train: Counts
    encoded: int
    generated: Counts
    floor: Floats
    sweep: tuple[Sweep, ...]
    cells: tuple[Cell, ...]

    @cached_property
    def codes_in_use(self) -> Counts:
        """Number of codes that training architectures use at each position, `(N,)`."""
        used: Counts = (self.train > 0).sum(axis=1)
        return used

    @cached_property
    def perplexity(self) -> Floats:
        """Perplexity of the training codes at each position, `(N,)`: 1 where there is one."""
        shares = self.train / self.encoded
        logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
        result: Floats = np.exp(-(shares * logs).sum(axis=1))
        return result

    @cached_property
    def distance(self) -> Floats:
        """Total-variation distance of generated and training codes at each position, `(N,)`."""
        return _distance(self.train / self.encoded, self.generated / self.draws)

    @cached_property
    def operations(self) -> list[str]:
        """What each code decodes to, `K` names."""
        names = [*self.model.space.node_operations, "padding"]
        return [names[i] for i in self.model.decoder.label]

    @property
    def ceiling(self) -> float | None:
        """Largest expected uniqueness of independent draws, in %; ``None`` if no limit."""
        size = self.model.space.size
        share = iid_ceiling(size, self.draws) if size < 10**9 else 100.0
        return share if share < _NEGLIGIBLE else None


def measure(
    model: ArchVQModel,
    *,
    name: str = "",
    draws: int = 10_000,
    temperatures: Sequence[float] = TEMPERATURES,
    cells: int = 6,
    seed: int = 0,
) -> Latent:
    """Draws and counts.

    Args:
        model: The model.
        name: What to call it.
        draws: Independent draws per temperature.
        temperatures: Of the sweep.
        cells: Architectures to show.
        seed: Seed of everything drawn here.

    Raises:
        DataError: The training set cannot be drawn again.
        ValueError: `draws` is less than 1.
    """
    if draws < 1:
        raise ValueError(f"`draws` must be >= 1, got {draws}")
    space, rng = model.space, np.random.default_rng(seed)
    # Far cheaper than drawing, unless the published way of counting needs a key per raw graph.
    published = has_published_test(space)
    with doing("drawing the training set again"):
        rows = _train_rows(model)
        keys = TrainKeys.of(space, rows) if published else _canonical_only(model, rows)
    encoded = rows[rng.permutation(len(rows))[:MAX_ENCODED]]
    with doing(f"encoding {len(encoded):,} of {len(rows):,} architectures"):
        train = _counts(model, model.encode(encoded))
    found: list[Sweep] = []
    generated: Counts | None = None
    for temperature in temperatures:
        with doing(f"drawing {draws:,} at temperature {temperature:g} and counting them"):
            drawn = model.draw(draws, temperature=temperature, seed=seed)
            if temperature == 1.0:
                generated = _counts(model, drawn.codes)
            graphs = Graphs.from_columns(drawn.labels, drawn.columns)
            how = lenient(space, graphs, keys) if published else None
            found.append(Sweep(temperature, strict(space, graphs, keys), how))
    if generated is None:
        generated = _counts(model, model.draw(draws, seed=seed).codes)
    return Latent(
        model=model,
        name=name or space.name,
        seed=seed,
        draws=draws,
        n_train=len(rows),
        train=train,
        encoded=len(encoded),
        generated=generated,
        floor=_floor(train, len(encoded), len(rows), draws, rng),
        sweep=tuple(found),
        cells=_cells(model, cells, keys.canonical, seed),
    )


def _train_rows(model: ArchVQModel) -> Rows:
    """The training architectures, drawn again."""
    recipe, space = model.card.recipe, model.space
    rows = split(space, recipe.architectures, recipe.held_out, model.card.seed).train
    if digest(space.keys(rows)) != model.card.train_digest:
        raise DataError(
            f"the training set of the {space.name!r} checkpoint cannot be drawn again: its "
            "digest is not the one on the card"
        )
    return rows


def _canonical_only(model: ArchVQModel, rows: Rows) -> TrainKeys:
    return TrainKeys(np.empty(0, dtype=np.uint64), model.space.keys(rows))


def _counts(model: ArchVQModel, codes: npt.NDArray[np.integer[Any]]) -> Counts:
    """Uses of each code at each position, `(B, N)` to `(N, K)`."""
    size = len(model.decoder.label)
    return np.stack([np.bincount(column, minlength=size) for column in codes.T])


def _distance(p: Floats, q: Floats) -> Floats:
    result: Floats = np.abs(p - q).sum(axis=1) / 2
    return result


def _floor(
    train: Counts, encoded: int, n_train: int, draws: int, rng: np.random.Generator
) -> Floats:
    """Mean distance that the sizes of the samples alone bring about."""
    shares = train / encoded
    total = np.zeros(len(train))
    for _ in range(_REPEATS):
        # Where all of the training set was encoded its distribution is known exactly.
        known = shares if encoded == n_train else rng.multinomial(encoded, shares) / encoded
        total += _distance(known, rng.multinomial(draws, shares) / draws)
    return total / _REPEATS


def _cells(
    model: ArchVQModel, n: int, train_keys: npt.NDArray[Any], seed: int
) -> tuple[Cell, ...]:
    wanted = min(n, model.space.size)
    rows = model.sample_rows(wanted, seed=seed)
    nats = -model.log_probability(model.encode(rows))
    novel = ~np.isin(model.space.keys(rows), train_keys)
    return tuple(
        Cell(architecture, float(nats[i]), bool(novel[i]))
        for i, architecture in enumerate(model.space.architectures(rows))
    )
