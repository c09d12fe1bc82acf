"""Drawing architectures at random and varying them: how the methods of `SearchSpace` do it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import InvalidArchitectureError, SpaceExhaustedError
from nas_plugins.spaces.values import Architecture, Choice, Rows

if TYPE_CHECKING:
    from nas_plugins.spaces.base import SearchSpace

_MAX_TRIES = 1000
_MAX_LISTED = 2**20
_TRIES_PER_REACH = 64


def drawn(space: SearchSpace, n: int, rng: np.random.Generator, given: Mapping[int, int]) -> Rows:
    """Draws architectures until enough are valid, `(n, D)`.

    Args:
        space: The space.
        n: How many.
        rng: Source of randomness.
        given: Choice indices that must hold, by position.

    Raises:
        InvalidArchitectureError: None was found.
    """
    found: list[Rows] = []
    missing = n
    for _ in range(_MAX_TRIES):
        if missing <= 0:
            break
        shape = (max(2 * missing, 16), len(space.decisions))
        batch = rng.integers(space.cardinalities, size=shape).astype(space.row_type)
        for position, index in given.items():
            batch[:, position] = index
        batch = batch[space.valid(batch)][:missing]
        found.append(batch)
        missing -= len(batch)
    if missing > 0 and (left := _listed(space, given)) is not None and len(left):
        rows: Rows = left[rng.integers(len(left), size=n)]
        return rows
    if missing > 0:
        names = {space.decisions[i].name: c for i, c in given.items()}
        raise InvalidArchitectureError(
            f"no valid architecture of {space.name!r} found in {_MAX_TRIES} batches "
            f"with choice indices {names}"
        )
    return np.concatenate([np.empty((0, len(space.decisions)), dtype=space.row_type), *found])


def _listed(space: SearchSpace, given: Mapping[int, int]) -> Rows | None:
    """All architectures with these choices, for what chance does not find.

    ``None`` where they are many combinations.
    """
    if math.prod(space.cardinalities.tolist()) > _MAX_LISTED:
        return None
    at, wanted = list(given), list(given.values())
    return np.concatenate(
        [rows[(rows[:, at] == wanted).all(axis=1)] for rows in space.enumerate()]
    )


def completed(
    space: SearchSpace, fixed: Mapping[str, Choice], rng: np.random.Generator
) -> Architecture:
    """What `SearchSpace.complete` returns."""
    positions = {d.name: i for i, d in enumerate(space.decisions)}
    given = {
        positions[name]: space.decisions[positions[name]].index(choice)
        for name, choice in fixed.items()
        if name in positions
    }
    return Architecture(space, tuple(drawn(space, 1, rng, given)[0].tolist()))


def neighbour_rows(space: SearchSpace, row: npt.NDArray[np.integer[Any]]) -> Rows:
    """What `SearchSpace.neighbour_rows` returns."""
    own = np.asarray(row, dtype=space.row_type)
    if space.has_order:
        steps = [sorted(d.steps(i)) for d, i in zip(space.decisions, own.tolist(), strict=True)]
        positions = np.repeat(np.arange(len(steps)), [len(found) for found in steps])
        taken = np.array([i for found in steps for i in found], dtype=space.row_type)
    else:
        positions, others = space.single_changes
        taken = others + (others >= own[positions])
    rows = np.repeat(own[None], len(positions), axis=0)
    rows[np.arange(len(positions)), positions] = taken
    return rows[space.valid(rows)]


def mutated(
    space: SearchSpace,
    architecture: Architecture,
    rng: np.random.Generator,
    *,
    n_changes: int,
    reach: int,
) -> Architecture:
    """What `SearchSpace.mutate` returns."""
    positions, cardinalities = space.open_decisions
    if not 1 <= n_changes <= len(positions):
        raise ValueError(
            f"`n_changes` must be in 1..{len(positions)}, the decisions with more than "
            f"one choice, got {n_changes}"
        )
    all_valid = space.all_valid
    for attempt in range(_MAX_TRIES):
        indices = list(architecture.indices)
        for i in different(len(positions), n_changes, rng):
            at, n = positions[i], cardinalities[i]
            if space.decisions[at].ordered:
                far = reach << (attempt // _TRIES_PER_REACH)
                low, high = max(indices[at] - far, 0), min(indices[at] + far, n - 1)
                moved = low + int(rng.integers(high - low))
                indices[at] = moved + (moved >= indices[at])
            else:
                indices[at] = (indices[at] + int(rng.integers(1, n))) % n
        if all_valid or space.valid(np.array([indices], dtype=space.row_type))[0]:
            return Architecture.trusted(space, tuple(indices))
    raise SpaceExhaustedError(
        f"no valid architecture of {space.name!r} differs from {architecture} "
        f"in {n_changes} decisions"
    )


def crossed(
    space: SearchSpace, first: Architecture, second: Architecture, rng: np.random.Generator
) -> Architecture:
    """What `SearchSpace.crossover` returns."""
    pair = np.stack([first.row, second.row])
    for _ in range(_MAX_TRIES):
        row = pair[rng.integers(2, size=len(space.decisions)), np.arange(len(space.decisions))]
        if space.valid(row[None])[0]:
            return Architecture(space, tuple(row.tolist()))
    return (first, second)[rng.integers(2)]


def different(n: int, k: int, rng: np.random.Generator) -> list[int]:
    """Draws `k` different numbers below `n`, in random order.

    The numbers that ``rng.choice(n, size=k, replace=False)`` draws, at a third of its cost:
    Floyd's algorithm (Bentley and Floyd, CACM 30, 1987) and a shuffle.
    """
    drawn: list[int] = []
    for last in range(n - k, n):
        i = int(rng.integers(last + 1))
        drawn.append(last if i in drawn else i)
    for last in range(k - 1, 0, -1):
        i = int(rng.integers(last + 1))
        drawn[i], drawn[last] = drawn[last], drawn[i]
    return drawn
