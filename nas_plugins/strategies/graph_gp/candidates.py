"""Where the search looks: all of a small space; of a large one a reservoir and what is near.

The reservoir is drawn once and grows every 16 trials. Its random numbers follow from the first
trial, so that it is the same in every worker and after a resume, and another in another search.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nas_plugins.history import History
from nas_plugins.sampling import new_rows, new_to
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.spaces.graph import live_keys
from nas_plugins.strategies.graph_gp.features import Floats, KeptValues, scaled_features
from nas_plugins.training_set import Positions, complete_rows, elite

Singles = npt.NDArray[np.float32]

MAX_ENUMERATED = 50_000

_FIRST = 2000
_GROWTH = 500
_BLOCK = 16
_MAX_BLOCKS = 8
_ELITE = 8
_MUTANTS = 400
_MAX_CHANGES = 3
_MAX_KEPT = 1024


class CandidateBlock:
    """Architectures, and their distances to trials, which are kept.

    Args:
        space: The space.
        rows: `(M, D)` choice indices.
    """

    def __init__(self, space: SearchSpace, rows: Rows) -> None:
        self.rows = rows
        self._positions = {key: i for i, key in enumerate(space.keys(rows).tolist())}
        self._features = scaled_features(space)(rows).astype(np.float32)
        self._squares = (self._features**2).sum(axis=1)
        self._kept: dict[bytes, Singles] = {}

    def put_distances(
        self, features: Floats, names: Sequence[bytes], at: Positions, into: Singles
    ) -> None:
        """Writes the squared distances of trials to some of the architectures.

        Args:
            features: `(n, F)` of the trials.
            names: What tells the trials apart.
            at: Positions of the M architectures that are meant.
            into: `(n, M)`, what is written to.
        """
        kept = self._kept  # never changed but replaced, as another thread may be reading it
        new = {name: i for i, name in enumerate(names) if name not in kept}
        if new:
            z = features[list(new.values())].astype(np.float32)
            found = (z * z).sum(axis=1)[:, None] + self._squares - 2.0 * (z @ self._features.T)
            kept = kept | dict(zip(new, np.maximum(found, 0.0), strict=True))
            if len(kept) > _MAX_KEPT:
                kept = {name: kept[name] for name in names}
            self._kept = kept
        for line, name in zip(into, names, strict=True):
            np.take(kept[name], at, out=line, mode="clip")  # "raise" would copy

    def fresh(self, history: History) -> Positions:
        """Positions of those that are not seen and have what the engine has fixed."""
        fresh = np.ones(len(self.rows), dtype=bool)
        if history.seen.__class__ is frozenset:
            known = self._positions.keys() & history.seen
            fresh[[self._positions[key] for key in known]] = False
        else:  # partial architectures, too, each of which stands for many
            fresh[[i for key, i in self._positions.items() if key in history.seen]] = False
        for i, decision in enumerate(history.space.decisions):
            if decision.name in history.fixed:
                fresh &= self.rows[:, i] == decision.index(history.fixed[decision.name])
        return np.flatnonzero(fresh)


class Candidates:
    """What a proposal is chosen from: parts of blocks, one after the other.

    Args:
        parts: Blocks, and the positions in each that are meant; at least one.
    """

    def __init__(self, parts: Sequence[tuple[CandidateBlock, Positions]]) -> None:
        self._parts = parts
        self.rows: Rows = np.concatenate([block.rows[at] for block, at in parts])

    def __len__(self) -> int:
        return len(self.rows)

    def distances(self, features: Floats, names: Sequence[bytes]) -> Singles:
        """Squared distances to trials, `(n, M)`; see `CandidateBlock.put_distances`."""
        found = np.empty((len(names), len(self)), dtype=np.float32)
        start = 0
        for block, at in self._parts:
            block.put_distances(features, names, at, found[:, start : start + len(at)])
            start += len(at)
        return found


def candidates(
    history: History, rng: np.random.Generator, *, functional_duplicates: bool
) -> Candidates:
    """Architectures that are not seen; none when the space is exhausted, or seems to be.

    Args:
        history: With at least one complete trial.
        rng: Source of randomness, for what is near the best.
        functional_duplicates: Whether to take also what has the live graph of another.
    """
    space = history.space
    whole = enumerated(space)
    parts = [(whole, whole.fresh(history))] if whole is not None else _around(history, rng)
    if not functional_duplicates:
        seen = {t.architecture for t in history.trials if t.architecture.key in history.seen}
        parts = _without_duplicates(space, parts, space.rows(sorted(seen, key=str)))
    return Candidates(parts)


@lru_cache(maxsize=2)
def enumerated(space: SearchSpace) -> CandidateBlock | None:
    """All architectures of a space; ``None`` where it has more than 50,000 combinations."""
    if np.prod(space.cardinalities.astype(float)) > MAX_ENUMERATED:
        return None
    return CandidateBlock(space, new_rows(space, np.concatenate(list(space.enumerate()))))


def _around(history: History, rng: np.random.Generator) -> list[tuple[CandidateBlock, Positions]]:
    """What is near the best and, in every second proposal, the reservoir."""
    near = new_to(history, _near(history, rng))
    blocks = _reservoir(history) if history.fixed or len(history) % 2 == 0 or not len(near) else []
    if history.fixed:
        near = new_to(history, np.concatenate([near, *(block.rows for block in blocks)]))
        blocks = []
    parts = [(block, block.fresh(history)) for block in blocks]
    return [*parts, (CandidateBlock(history.space, near), np.arange(len(near)))]


def _near(history: History, rng: np.random.Generator) -> Rows:
    """All that differs from one of the best trials in one decision, and mutants of the best."""
    space = history.space
    best = complete_rows(history)[elite(history, _ELITE)]
    near = [space.neighbour_rows(row) for row in best]
    parents = np.resize(best, (_MUTANTS, best.shape[1]))
    return np.concatenate([*near, _mutants(space, parents, rng)])


def _mutants(space: SearchSpace, rows: Rows, rng: np.random.Generator) -> Rows:
    """The rows with two or three decisions changed, as far as the space has them."""
    positions = np.flatnonzero(space.cardinalities > 1)
    numbers = space.cardinalities[positions]
    changes = rng.integers(2, _MAX_CHANGES + 1, size=(len(rows), 1))
    order = rng.random((len(rows), len(positions))).argsort(axis=1).argsort(axis=1)
    moved = rng.integers(1, numbers, size=order.shape)
    mutants: Rows = rows.copy()
    mutants[:, positions] = (rows[:, positions] + np.where(order < changes, moved, 0)) % numbers
    return mutants


def _reservoir(history: History) -> list[CandidateBlock]:
    """Random architectures, more the longer the search is; the oldest are forgotten."""
    first = zlib.crc32(history.trials[0].architecture.row.tobytes())
    newest = len(history) // _BLOCK
    blocks = range(max(newest - _MAX_BLOCKS, 0), newest + 1)
    return [_block(history.space, first, i) for i in blocks]


@lru_cache(maxsize=32)
def _block(space: SearchSpace, seed: int, index: int) -> CandidateBlock:
    rng = np.random.default_rng([seed, index])
    n = _FIRST if index == 0 else _GROWTH
    rows = np.concatenate([space.random(n // 2, rng), space.random_cells(n // 2, rng)])
    return CandidateBlock(space, new_rows(space, rows))


def _without_duplicates(
    space: SearchSpace, parts: list[tuple[CandidateBlock, Positions]], seen: Rows
) -> list[tuple[CandidateBlock, Positions]]:
    """Of candidates with equal live graphs the first; none that has that of a trial."""
    live = _live(space)
    taken = set(live(seen))
    kept = []
    for block, at in parts:
        chosen = []
        for position, key in zip(at.tolist(), live(block.rows[at]), strict=True):
            if key not in taken:
                taken.add(key)
                chosen.append(position)
        kept.append((block, np.array(chosen, dtype=np.int64)))
    return kept


@lru_cache(maxsize=2)
def _live(space: SearchSpace) -> KeptValues[bytes]:
    """What tells the live graphs of architectures apart."""
    return KeptValues(lambda rows: live_keys(*space.graphs(rows), space.node_operations))
