"""Drawing architectures that are new: what the search strategies share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from nas_plugins.errors import InvalidArchitectureError, SpaceExhaustedError
from nas_plugins.history import History, TrialState
from nas_plugins.spaces.base import Architecture, Key, Rows, SearchSpace

_MAX_BATCH = 4096
_MAX_DRAWS = 16384
_MAX_ENUMERATED = 2**22
_MAX_COMPLETIONS = 256


class Known(frozenset[Key]):
    """Keys to avoid, and partial architectures of which every completion is to be avoided.

    An objective in which some decisions switch others off does not ask for all of them: what it
    asked for decides what is the same. Small groups of completions are listed as keys.

    Args:
        keys: Keys to avoid.
        space: A space with the keys of `SearchSpace`.
        partial: By positions of decisions, the indices chosen there.
    """

    space: SearchSpace
    partial: dict[tuple[int, ...], set[tuple[int, ...]]]

    def __new__(
        cls,
        keys: Set[Key],
        space: SearchSpace,
        partial: Mapping[tuple[int, ...], set[tuple[int, ...]]],
    ) -> Known:
        listed: set[Key] = set(keys)
        large: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for positions, found in partial.items():
            completions = _completions(space, positions)
            if completions is None:
                large[positions] = found
                continue
            rows = np.repeat(completions[None], len(found), axis=0)
            rows[:, :, list(positions)] = np.array(list(found))[:, None]
            listed.update(space.keys(rows.reshape(-1, rows.shape[-1])).tolist())
        known = super().__new__(cls, listed)
        known.space, known.partial = space, large
        return known

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (bool(self.partial) and self._completes(key))

    def __or__(self, other: Set[Any]) -> Known:
        return Known(frozenset.union(self, other), self.space, self.partial)

    def _completes(self, key: Any) -> bool:
        if isinstance(key, int):
            row = np.unravel_index(key, self.space.cardinalities)
        else:
            row = tuple(np.frombuffer(key, dtype=self.space.row_type))
        indices = [int(i) for i in row]
        return any(tuple(indices[p] for p in at) in found for at, found in self.partial.items())


def _completions(space: SearchSpace, positions: Sequence[int]) -> Rows | None:
    """Rows with all choices of the other decisions; ``None`` where they are many."""
    sizes = space.cardinalities.copy()
    sizes[list(positions)] = 1
    if math.prod(sizes.tolist()) > _MAX_COMPLETIONS:
        return None
    return np.stack(np.unravel_index(np.arange(math.prod(sizes.tolist())), sizes), axis=1).astype(
        space.row_type
    )


def unseen(
    space: SearchSpace, n: int, rng: np.random.Generator, *, taken: Set[Key] = frozenset()
) -> list[Architecture]:
    """Draws up to `n` architectures whose keys differ and are not in `taken`.

    Draws as `SearchSpace.random` does and drops what is taken. When that finds too few, the
    rest is drawn uniformly from an enumeration of what is left.

    Args:
        space: The space to draw from.
        n: How many.
        rng: Source of randomness.
        taken: Canonical keys to avoid.

    Returns:
        Fewer than `n` when the space holds no more, or when it is too large to enumerate
        (over 4 million combinations) and 16,384 draws found nothing else.
    """
    found: dict[Key, tuple[int, ...]] = {}
    combinations = math.prod(space.cardinalities.tolist())
    # Beyond this many draws, looking at every combination is cheaper.
    limit = min(_MAX_DRAWS, 2 * max(combinations, n))
    batch, drawn = n, 0
    while len(found) < n and drawn < limit:
        rows = space.random(batch, rng)
        _keep(found, space, rows, taken, n)
        drawn += batch
        batch = min(2 * batch, _MAX_BATCH)
    if len(found) < n and combinations <= _MAX_ENUMERATED:
        rest = _remaining(space, taken | found.keys())
        _keep(found, space, rest[rng.permutation(len(rest))], taken, n)
    return [Architecture(space, indices) for indices in found.values()]


def _keep(
    found: dict[Key, tuple[int, ...]], space: SearchSpace, rows: Rows, taken: Set[Key], n: int
) -> None:
    """Adds new rows to `found` until it holds `n`."""
    for key, indices in zip(space.keys(rows).tolist(), rows.tolist(), strict=True):
        if len(found) >= n:
            return
        if key not in taken and key not in found:
            found[key] = tuple(indices)


def _remaining(space: SearchSpace, taken: Set[Key]) -> Rows:
    """One row for every architecture whose key is not taken, `(R, D)`."""
    rest: dict[Key, list[int]] = {}
    for rows in space.enumerate():
        for key, indices in zip(space.keys(rows).tolist(), rows.tolist(), strict=True):
            if key not in taken:
                rest.setdefault(key, indices)
    shape = (len(rest), len(space.decisions))
    return np.array(list(rest.values()), dtype=space.row_type).reshape(shape)


def started(history: History, *, up_to: int) -> int:
    """Counts the trials that have or may still get values, stopping at `up_to`."""
    if len(history.complete) >= up_to:
        return up_to
    running = sum(trial.state is TrialState.RUNNING for trial in history.trials)
    return min(len(history.complete) + running, up_to)


def new_rows(space: SearchSpace, rows: Rows, taken: Set[Key] = frozenset()) -> Rows:
    """The first row of every canonical key that is not taken, in order."""
    keys = space.keys(rows)
    first = np.sort(np.unique(keys, return_index=True)[1])
    if taken:
        first = first[[key not in taken for key in keys[first].tolist()]]
    return rows[first]


def new_to(history: History, rows: Rows) -> Rows:
    """Rows with the engine's fixed choices put in: those that are valid, distinct and not seen."""
    space, fixed = history.space, history.fixed
    for position, decision in enumerate(space.decisions):
        if decision.name in fixed:
            try:
                index = decision.index(fixed[decision.name])
            except InvalidArchitectureError:
                continue
            rows = rows.copy()
            rows[:, position] = index
    # What drew them may know the graphs of a space, but not what else forbids a combination.
    return new_rows(space, rows[space.valid(rows)], history.seen)


class FreshDraws:
    """Draws for one call of ``propose``: each draw is new, and taken from then on.

    Args:
        history: What has been seen.
        rng: Source of randomness.
        avoid_duplicates: When False, nothing is ever taken and every draw is accepted.
    """

    def __init__(
        self, history: History, rng: np.random.Generator, *, avoid_duplicates: bool = True
    ) -> None:
        self.space = history.space
        self.rng = rng
        self.avoid_duplicates = avoid_duplicates
        self.taken: set[Key] = set(history.seen) if avoid_duplicates else set()
        self._open = int((self.space.cardinalities > 1).sum())

    def take(self, architectures: Iterable[Architecture]) -> None:
        """Marks architectures as taken."""
        if self.avoid_duplicates:
            self.taken.update(a.key for a in architectures)

    def random(self, n: int = 1) -> list[Architecture]:
        """Draws up to `n` random architectures; fewer when the space is exhausted."""
        if not self.avoid_duplicates:
            return self.space.architectures(self.space.random(n, self.rng))
        drawn = unseen(self.space, n, self.rng, taken=self.taken)
        self.take(drawn)
        return drawn

    def mutation(
        self, parent: Architecture, *, n_changes: int = 1, tries: int = 1
    ) -> Architecture | None:
        """Draws a mutation of `parent`, or returns ``None`` when `tries` draws were all taken.

        `n_changes` is cut to the number of decisions that have a choice. Ordered decisions go to
        neighbours first: further away in the second half of the draws.
        """
        changes = min(n_changes, self._open)
        if changes < 1:
            return None
        for attempt in range(tries):
            far = self.space.has_order and attempt > tries // 2
            further = {"reach": 1 << (attempt - tries // 2)} if far else {}
            try:
                child = self.space.mutate(parent, self.rng, n_changes=changes, **further)
            except SpaceExhaustedError:
                return None
            if child.key not in self.taken:
                self.take([child])
                return child
        return None

    def widening(
        self, parent: Architecture, *, n_changes: int = 1, tries: int = 16
    ) -> Architecture | None:
        """As `mutation`, with one more change each time that `tries` draws were all taken."""
        for changes in range(n_changes, max(self._open, n_changes) + 1):
            child = self.mutation(parent, n_changes=changes, tries=tries)
            if child is not None:
                return child
        return None
