"""Which few architectures to measure: a random sample in which every choice occurs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nas_plugins._doing import doing
from nas_plugins.errors import DataError, MetricUnavailableError
from nas_plugins.protocols import Evaluator
from nas_plugins.spaces.base import Architecture, Key, Rows, SearchSpace

_TRIES = 50
_POOL = 2048
_MORE = 10


def balanced(
    space: SearchSpace, n: int, rng: np.random.Generator, *, among: Rows | None = None
) -> list[Architecture]:
    """Draws `n` distinct architectures that show every choice of every decision about equally.

    Where any combination is valid, each decision takes each of its k choices n/k times,
    rounded, in a random order (a Latin hypercube). Elsewhere architectures are picked one by
    one from a random pool, the one with the rarest choices first.

    Args:
        space: The space to sample.
        n: At least the largest number of choices of one decision.
        rng: Source of randomness.
        among: Choice indices `(m, D)` of the only architectures to draw from.

    Raises:
        ValueError: `n` is too small for every choice to occur, or the space is.
    """
    most = int(space.cardinalities.max())
    if n < most:
        raise ValueError(
            f"`n` must be >= {most}, so that each of the {most} choices of a decision of "
            f"{space.name!r} occurs, got {n}"
        )
    rows = _latin(space, n, rng) if among is None else None
    if rows is None:
        rows = _greedy(space, n, _pool(space, n, rng, among))
    return space.architectures(rows)


def measured_sample(
    source: Evaluator, space: SearchSpace, n: int, *, seed: int, metric: str
) -> tuple[list[Architecture], list[float]]:
    """Draws a `balanced` sample and has it measured.

    Architectures that the source cannot measure are replaced by random ones, where
    needed with choices that are still missing. A source with `measured_rows`, as a table
    of few architectures has, is asked for these alone.

    Returns:
        `n` architectures and their values, or a few more where a choice that the source often
        cannot measure would be missing.

    Raises:
        ValueError: `n` is too small for every choice to occur.
        DataError: The source measured none of `n`, or fewer than `n` of 10 `n`; says why.
    """
    rng = np.random.default_rng(seed)
    among = source.measured_rows
    waiting, tried, reason = balanced(space, n, rng, among=among), 0, ""
    found: dict[Key, Architecture] = {}
    values: list[float] = []
    asked: set[Key] = set()
    missing: list[str] = []
    # A source that measures none of the first n is broken, not picky.
    while (len(found) < n or missing) and tried < (_MORE * n if found else n):
        asked.update(architecture.key for architecture in waiting)
        with doing(f"measuring {len(waiting)} architectures for the latency model", once=True):
            rows = source.evaluate(waiting)
        for architecture, result in zip(waiting, rows, strict=True):
            try:
                values.append(result[metric])
            except (KeyError, MetricUnavailableError) as error:
                reason = str(error)
            else:
                found[architecture.key] = architecture
        tried += max(len(waiting), 1)
        pool = _pool(space, n, rng, among)
        new = [key not in asked for key in space.keys(pool).tolist()]
        known = space.rows(list(found.values()))
        missing = unseen(space, known)
        more = max(n - len(found), 1)
        waiting = space.architectures(_helpful(space, more, pool[new], known, rng))
    if len(found) < n:
        raise DataError(
            f"the source measured {metric!r} for {len(found)} of {tried} architectures, and "
            f"`n` asks for {n}; the last reason: {reason or 'none was given'}"
        )
    return list(found.values()), values


def unseen(
    space: SearchSpace, rows: npt.NDArray[np.integer], among: npt.NDArray[np.integer] | None = None
) -> list[str]:
    """Choices, written ``decision=choice``, that occur in no row of `rows`.

    Args:
        space: The space of the rows.
        rows: `(n, D)` choice indices.
        among: `(m, D)`: choices that do not occur here either are not counted.
    """
    missing = []
    for position, decision in enumerate(space.decisions):
        present = set(rows[:, position].tolist())
        wanted = range(len(decision.choices)) if among is None else among[:, position].tolist()
        for index in sorted(set(wanted) - present):
            missing.append(f"{decision.name}={decision.choices[index]}")
    return missing


def _latin(space: SearchSpace, n: int, rng: np.random.Generator) -> Rows | None:
    for _ in range(_TRIES):
        columns = [_column(k, n, rng) for k in space.cardinalities.tolist()]
        rows = np.stack(columns, axis=1).astype(np.int16)
        if space.valid(rows).all() and len(np.unique(space.keys(rows))) == n:
            return rows
    return None


def _column(choices: int, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`n` choice indices, each of which occurs floor(n/k) or ceil(n/k) times."""
    order = rng.permutation(choices)
    return rng.permutation(np.resize(order, n))


def _pool(space: SearchSpace, n: int, rng: np.random.Generator, among: Rows | None) -> Rows:
    """Random rows, different by key: more than `n` where there are as many."""
    size = max(_POOL, 8 * n)
    some = rng.permutation(0 if among is None else len(among))[:size]
    rows = space.random(size, rng) if among is None else among[some]
    _, first = np.unique(space.keys(rows), return_index=True)
    return rows[np.sort(first)]


def _greedy(space: SearchSpace, n: int, pool: Rows) -> Rows:
    if len(pool) < n:
        raise ValueError(
            f"`n` must be <= {len(pool)}, the different architectures found in {space.name!r}, "
            f"got {n}"
        )
    rows = _pick(space, n, pool)
    missing = unseen(space, rows, among=pool)
    if missing:
        raise ValueError(
            f"`n` = {n} is too small for every choice of {space.name!r} to occur; "
            f"{some_of(missing)} are missing"
        )
    return rows


def _pick(space: SearchSpace, n: int, pool: Rows) -> Rows:
    """Takes `n` rows of `pool` one by one, those first whose choices are rare so far."""
    seen = [np.zeros(k) for k in space.cardinalities.tolist()]
    free = np.ones(len(pool), dtype=bool)
    chosen: list[int] = []
    for _ in range(n):
        # A choice not seen yet is worth more than many that were seen once.
        worth = sum(1.0 / (1.0 + 4.0 * s[pool[:, d]] ** 2) for d, s in enumerate(seen))
        best = int(np.argmax(np.where(free, worth, -np.inf)))
        free[best] = False
        chosen.append(best)
        for d, s in enumerate(seen):
            s[pool[best, d]] += 1
    return pool[chosen]


def _helpful(
    space: SearchSpace, n: int, pool: Rows, known: Rows, rng: np.random.Generator
) -> Rows:
    """Takes `n` random rows, each with one choice that no known row has, if there is one.

    Not with as many as possible: those may be just the rows that cannot be measured.
    """
    absent = [
        (position, choice)
        for position, size in enumerate(space.cardinalities.tolist())
        for choice in np.flatnonzero(np.bincount(known[:, position], minlength=size) == 0)
    ]
    free = np.ones(len(pool), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(n, len(pool))):
        best = int(np.argmax(free))
        if absent:
            position, choice = absent[rng.integers(len(absent))]
            with_it = free & (pool[:, position] == choice)
            best = int(np.argmax(with_it)) if with_it.any() else best
        free[best] = False
        chosen.append(best)
    return pool[chosen]


def some_of(names: Sequence[str], most: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
