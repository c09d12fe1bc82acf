"""Drawing, mutating and crossing architectures inside one niche, always new ones.

What lands outside the niche is repaired: by single changes, each of which brings the value on the
axis nearer to the niche, as a compensating change does for a count.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from nas_plugins.errors import SpaceExhaustedError
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, Key, Rows
from nas_plugins.strategies.llm_coevolution.axes import CountAxis, Indices
from nas_plugins.strategies.llm_coevolution.niches import Niche, Partition

_TRIES = 16
_PROBES = 32
_BATCH = 256
_BATCHES = 16
_COMMON = 8
"""Members in the sample from which on a niche is common enough to be drawn by rejection."""
_MAX_REPAIRS = 8
_MAX_MENDED = 4
_MAX_CHANGES = 6


def exhausted(partition: Partition, niche: Niche, taken: Set[Key]) -> bool:
    """Whether a niche holds nothing that is not taken.

    Exact where the space can be listed; elsewhere False, and `sample_in` tells by ``None``.

    Args:
        partition: The partition.
        niche: One of its niches.
        taken: Canonical keys.
    """
    if not partition.listed or niche.size is None or len(taken) < niche.size:
        return False
    return all(key in taken for key in partition.members[niche.index][1])


def sample_in(partition: Partition, niche: Niche, draws: FreshDraws) -> Architecture | None:
    """Draws a new architecture of a niche.

    Uniformly over those that are left, where the space can be listed. Elsewhere uniformly over
    the choices by rejection; where the niche is rare, counts are constructed and other axes
    approached from the nearest draw.

    Returns:
        ``None`` when nothing new is left, or, in a space that cannot be listed, was found.
    """
    if partition.listed:
        found = _listed(partition, niche, draws)
    else:
        found = _rejected(partition, niche, draws)
    return _take(partition, found, draws)


def mutate_in(
    partition: Partition,
    niche: Niche,
    parent: Architecture,
    draws: FreshDraws,
) -> Architecture | None:
    """Changes one or two decisions of a parent, equally likely, and stays inside the niche.

    A change that leaves the niche is repaired. When 16 draws give nothing new, more decisions
    are changed, up to six and seven.

    Args:
        partition: The partition.
        niche: One of its niches.
        parent: May lie outside the niche.
        draws: What is taken, and the source of randomness.

    Returns:
        ``None`` when no new architecture of the niche was found; `sample_in` may find one.
    """
    most = int((partition.space.cardinalities > 1).sum())
    if exhausted(partition, niche, draws.taken):
        return None
    for least in range(1, min(most, _MAX_CHANGES) + 1):
        for _ in range(_TRIES if least == 1 else _MAX_MENDED):
            changes = min(least + int(draws.rng.integers(2)), most)
            try:
                child = partition.space.mutate(parent, draws.rng, n_changes=changes)
            except SpaceExhaustedError:
                continue
            found = _mended(partition, niche, child.row[None], draws)
            if found is not None:
                return _take(partition, found, draws)
    return None


def cross_in(
    partition: Partition,
    niche: Niche,
    parents: Sequence[Architecture],
    draws: FreshDraws,
) -> Architecture | None:
    """Takes each decision from a parent at random, and repairs the child into the niche.

    Of 16 mixtures the first that is new and inside the niche; else one of them repaired.

    Args:
        partition: The partition.
        niche: One of its niches.
        parents: Two or more; they may lie outside the niche.
        draws: What is taken, and the source of randomness.

    Returns:
        ``None`` when no new architecture of the niche was found.
    """
    if exhausted(partition, niche, draws.taken):
        return None
    space = partition.space
    own = space.rows(parents)
    picks = draws.rng.integers(len(own), size=(_TRIES, len(space.decisions)))
    rows = own[picks, np.arange(len(space.decisions))]
    return _take(partition, _mended(partition, niche, rows[space.valid(rows)], draws), draws)


# -- drawing -------------------------------------------------------------------------------


def _listed(partition: Partition, niche: Niche, draws: FreshDraws) -> Rows | None:
    """One row of a niche that is listed, uniformly over those that are left."""
    (rows, keys), rng = partition.members[niche.index], draws.rng
    left = [
        i for i in rng.integers(len(keys), size=_PROBES).tolist() if keys[i] not in draws.taken
    ]
    if left:
        chosen = left[0]
    else:
        left = [i for i, key in enumerate(keys) if key not in draws.taken]
        if not left:
            return None
        chosen = left[rng.integers(len(left))]
    row: Rows = rows[chosen]
    return row


def _rejected(partition: Partition, niche: Niche, draws: FreshDraws) -> Rows | None:
    """One row of a niche that is too large to list."""
    own, rng = partition.members[niche.index][0], draws.rng
    size = _TRIES
    for _ in range(_BATCHES if len(own) >= _COMMON else 1):
        found = _first_new(partition, niche, _candidates(partition, niche, size, rng), draws)
        if found is not None:
            return found
        size = min(2 * size, _BATCH)
    starts = own[rng.permutation(len(own))[:_TRIES]]
    return _mended(partition, niche, starts, draws)


def _candidates(partition: Partition, niche: Niche, n: int, rng: np.random.Generator) -> Rows:
    """Random rows, of which more or fewer lie in the niche."""
    space = partition.space
    counted = partition.counted(niche)
    if isinstance(partition.axis, CountAxis) and counted is not None and partition.independent:
        return _with_counts(partition.axis, counted[1], n, rng)
    return space.random_cells(n, rng)


def _with_counts(axis: CountAxis, counts: range, n: int, rng: np.random.Generator) -> Rows:
    """Rows in which as many decisions as `counts` allows take the choice, uniformly over those."""
    cardinalities = axis.space.cardinalities
    rows = rng.integers(cardinalities, size=(n, len(cardinalities))).astype(np.int16)
    positions = np.flatnonzero(axis.indices >= 0)
    # tails[i, k]: probability that k of the decisions from the i-th on take the choice.
    chances = 1 / cardinalities[positions]
    tails = np.zeros((len(positions) + 1, len(positions) + 2))
    tails[-1, 0] = 1
    for i in range(len(positions) - 1, -1, -1):
        tails[i] = (1 - chances[i]) * tails[i + 1]
        tails[i, 1:] += chances[i] * tails[i + 1, :-1]
    weights = tails[0, counts.start : counts.stop]
    missing = counts.start + rng.choice(len(counts), size=n, p=weights / weights.sum())
    for i, position in enumerate(positions.tolist()):
        total, with_it = tails[i, missing], chances[i] * tails[i + 1, np.maximum(missing - 1, 0)]
        takes = (missing > 0) & (rng.random(n) * total < with_it)
        index = axis.indices[position]
        others = rng.integers(max(cardinalities[position] - 1, 1), size=n)
        rows[:, position] = np.where(takes, index, others + (others >= index))
        missing = missing - takes
    return rows


# -- repairing -----------------------------------------------------------------------------


def _mended(
    partition: Partition,
    niche: Niche,
    rows: Indices,
    draws: FreshDraws,
) -> Rows | None:
    """The first of some rows that is new and inside a niche, else one of them repaired."""
    found = _first_new(partition, niche, rows, draws)
    for row in rows[:_MAX_MENDED]:
        if found is not None:
            break
        found = _repaired(partition, niche, row, draws)
    return found


def _repaired(
    partition: Partition,
    niche: Niche,
    row: Indices,
    draws: FreshDraws,
) -> Rows | None:
    """Single changes that each bring the value nearer to a niche, until one is new inside it."""
    nearest = np.inf
    for _ in range(_MAX_REPAIRS):
        rows = partition.space.neighbour_rows(row)
        if not len(rows):
            return None
        found = _first_new(partition, niche, rows[draws.rng.permutation(len(rows))], draws)
        if found is not None or partition.axis is None:
            return found
        values = partition.values(rows)
        gaps = np.maximum(np.maximum(niche.low - values, values - niche.high), 0.0)
        if gaps.min() >= nearest:
            return None
        nearest = gaps.min()
        best = np.flatnonzero(gaps == nearest)
        row = rows[best[draws.rng.integers(len(best))]]
    return None


def _first_new(
    partition: Partition,
    niche: Niche,
    rows: Indices,
    draws: FreshDraws,
) -> Rows | None:
    inside: Rows = rows[partition.niche_of_rows(rows) == niche.index]
    for i, key in enumerate(partition.space.keys(inside).tolist()):
        if key not in draws.taken:
            found: Rows = inside[i]
            return found
    return None


def _take(partition: Partition, row: Rows | None, draws: FreshDraws) -> Architecture | None:
    if row is None:
        return None
    found = Architecture.trusted(partition.space, tuple(row.tolist()))
    draws.take([found])
    return found
