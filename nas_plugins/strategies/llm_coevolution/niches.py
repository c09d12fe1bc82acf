"""Cutting a space into niches along an axis, and the controls ``random`` and ``none``.

Everything here follows from the space and the arguments, in any process: samples are drawn with
seeds of their own, and hashes are written out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import unknown_name
from nas_plugins.spaces.base import Architecture, Key, Rows, SearchSpace
from nas_plugins.spaces.graph import mix64
from nas_plugins.spaces.values import sortable
from nas_plugins.strategies.llm_coevolution.axes import (
    Axis,
    CountAxis,
    Floats,
    Indices,
    Measure,
)
from nas_plugins.strategies.llm_coevolution.axes import axis as build_axis

Integers: TypeAlias = npt.NDArray[np.int64]

KINDS = ("axis", "random", "none")

_ENUMERABLE = 2**16
_COSTLY = 512
_SAMPLE = 2048
_SEED = 2510_01472
_CHUNK = 512
_MAX_WALK = 256
_LEAST_SHARE = 0.2


@dataclass(frozen=True)
class Niche:
    """One part of a space.

    Attributes:
        index: Position in the partition, from 0.
        low: Least value on the axis, inclusive; ``-inf`` in the first niche.
        high: Where the next niche begins, exclusive; ``inf`` in the last one.
        label: What its architectures have in common, as a prompt says it.
        size: Number of distinct architectures where that is known exactly.
    """

    index: int
    low: float
    high: float
    label: str
    size: int | None = None


@dataclass(frozen=True, eq=False)
class Partition:
    """A space cut into niches that do not overlap and leave nothing out; made by `partition`.

    Attributes:
        space: The space.
        kind: One of `KINDS`.
        axis: What is measured; ``None`` for ``random`` and ``none``.
        niches: One or more.
        sample: `(S, D)` distinct architectures, at least one of every niche; all of them where
            the space is small enough to list.
        keys: `(S,)` their canonical keys.
        places: `(S,)` index of the niche of each.
        values_known: `(S,)` their values on the axis, gaps filled; empty without an axis.
        listed: Whether the sample is the whole space.
        notes: What did not come out as asked, in plain words.
    """

    space: SearchSpace
    kind: str
    axis: Axis | None
    niches: tuple[Niche, ...]
    sample: Rows = field(repr=False)
    keys: npt.NDArray[Any] = field(repr=False)
    places: Integers = field(repr=False)
    values_known: Floats = field(repr=False)
    listed: bool
    notes: tuple[str, ...] = ()

    def niche_of(self, architectures: Sequence[Architecture]) -> Integers:
        """Index of each architecture's niche, `(n,)`."""
        return self.niche_of_rows(self.space.rows(architectures))

    def niche_of_rows(self, rows: Indices) -> Integers:
        """`niche_of` for valid rows of choice indices, `(B, D)` to `(B,)`."""
        if self.listed:
            return self.places[self._positions(rows)]
        if self.kind == "none":
            return np.zeros(len(rows), dtype=np.int64)
        if self.kind == "random":
            return (_hashes(self.space.keys(rows)) % len(self.niches)).astype(np.int64)
        cuts = np.array([niche.low for niche in self.niches[1:]])
        return np.searchsorted(cuts, self.values(rows), side="right").astype(np.int64)

    def values(self, rows: Indices) -> Floats:
        """Values on the axis, `(B, D)` to `(B,)`.

        Where an architecture has none, the mean over the architectures of the sample that have
        one and differ from it in the fewest decisions.

        Raises:
            ValueError: The partition has no axis.
        """
        if self.axis is None:
            raise ValueError(f"a partition of kind {self.kind!r} has no values")
        if self.listed:
            return self.values_known[self._positions(rows)]
        values = self.axis.measure_rows(rows)
        return _filled(np.asarray(rows), values, self.sample, self.values_known)

    @cached_property
    def members(self) -> list[tuple[Rows, list[Key]]]:
        """Rows and keys of the members of each niche that are in the sample."""
        chosen = [np.flatnonzero(self.places == niche.index) for niche in self.niches]
        return [(self.sample[c], self.keys[c].tolist()) for c in chosen]

    def counted(self, niche: Niche) -> tuple[str, range] | None:
        """A choice, and how many decisions take it, where that makes the niche."""
        if not isinstance(self.axis, CountAxis):
            return None
        return str(self.axis.choice), self.axis.counts(niche.low, niche.high)

    @property
    def independent(self) -> bool:
        """Whether every combination of choices is an architecture of its own."""
        return _independent(self.space)

    def _positions(self, rows: Indices) -> Integers:
        """Positions in the sample, for valid rows of a space that is listed."""
        table, weights = self._table
        positions: Integers = table[np.asarray(rows, dtype=np.int64) @ weights]
        return positions

    @cached_property
    def _table(self) -> tuple[Integers, Integers]:
        """The position in the sample of every combination of choices, and the digits' weights."""
        cardinalities = self.space.cardinalities
        weights = np.append(np.cumprod(cardinalities[:0:-1])[::-1], 1).astype(np.int64)
        table = np.full(math.prod(cardinalities.tolist()), -1, dtype=np.int64)
        order = np.argsort(sortable(self.keys), kind="stable")
        ascending = sortable(self.keys)[order]
        for rows in self.space.enumerate():
            keys = sortable(self.space.keys(rows))
            table[rows.astype(np.int64) @ weights] = order[np.searchsorted(ascending, keys)]
        return table, weights


def partition(
    space: SearchSpace,
    *,
    kind: str = "axis",
    axis: str | Measure | Axis = "auto",
    n_niches: int = 6,
    bounds: Sequence[float] | None = None,
) -> Partition:
    """Cuts a space into niches.

    Args:
        space: The space.
        kind: ``"axis"``; or, for comparison, ``"random"``: equal parts by a hash of the canonical
            key, or ``"none"``: one niche.
        axis: What to cut along; see `nas_plugins.strategies.llm_coevolution.axes.axis`. A
            function or benchmark is asked once for every architecture of a space of up to 65,536
            combinations, another evaluator for 512 at first.
        n_niches: Number of niches, if the axis has as many different values.
        bounds: Where the second, third, ... niche begins, ascending; `n_niches` is then one more
            than their number. If ``None``, see `automatic_bounds`.

    Raises:
        UnknownNameError: `kind` or `axis` is not known; suggests the nearest.
        ValueError: A number is out of range.
        TypeError: `axis` is no axis, or the space does not count its size.
    """
    if kind not in KINDS:
        raise unknown_name("`kind` of partition", kind, KINDS)
    if isinstance(n_niches, bool) or not isinstance(n_niches, int) or n_niches < 1:
        raise ValueError(f"`n_niches` must be a whole number >= 1, got {n_niches!r}")
    if kind != "axis" and bounds is not None:
        raise ValueError(f"`bounds` must be None for a partition of kind {kind!r}, got {bounds}")
    cuts = _checked_bounds(bounds)
    if kind != "axis":
        return _without_axis(space, kind, n_niches)
    return _along(space, build_axis(axis, space), n_niches, cuts)


def _along(space: SearchSpace, axis: Axis, n_niches: int, bounds: list[float] | None) -> Partition:
    rows, keys, listed = _sampled(space, axis)
    values = axis.measure_rows(rows)
    if not np.isfinite(values).any():
        raise ValueError(
            f"`axis` {axis.name!r} has no finite value for any of {len(rows)} samples"
        )
    values = _filled(rows, values, rows, values)
    cuts = _chosen_bounds(axis, values, n_niches) if bounds is None else bounds
    if bounds is not None and not listed:
        rows, values = _completed(space, axis, rows, values, bounds)
        keys = space.keys(rows)
    # A niche without a member falls to the one below, at the bottom to the one above.
    full = np.unique(np.searchsorted(cuts, values, side="right"))
    kept = [cuts[i - 1] for i in full.tolist()[1:]]
    places = np.searchsorted(kept, values, side="right").astype(np.int64)
    wanted = n_niches if bounds is None else len(bounds) + 1
    notes = () if len(kept) + 1 == wanted else (_fewer(axis, len(kept) + 1, wanted),)
    edges = [-math.inf, *kept, math.inf]
    sizes = _sizes(space, axis, edges, places, listed=listed)
    niches = tuple(
        Niche(i, low, high, axis.phrase(low, high), size)
        for i, (low, high, size) in enumerate(zip(edges[:-1], edges[1:], sizes, strict=True))
    )
    return Partition(space, "axis", axis, niches, rows, keys, places, values, listed, notes)


def _completed(
    space: SearchSpace, axis: Axis, rows: Rows, values: Floats, bounds: list[float]
) -> tuple[Rows, Floats]:
    """A sample with an architecture of each niche between given bounds that it can walk to."""
    edges = [-math.inf, *bounds, math.inf]
    for low, high in pairwise(edges):
        if not ((low <= values) & (values < high)).any():
            start = rows[np.abs(values - (low if math.isfinite(low) else high)).argmin()]
            found = _reached(space, axis, start, low, high)
            if found is not None:
                rows = np.concatenate([rows, found[None]])
                values = np.append(values, axis.measure_rows(found[None]))
    return rows, values


def _without_axis(space: SearchSpace, kind: str, n_niches: int) -> Partition:
    rows, keys, listed = _sampled(space, None)
    n = min(n_niches, len(rows)) if kind == "random" else 1
    notes = (
        ()
        if n == n_niches or kind == "none"
        else (f"{n} niches instead of {n_niches}: the space holds {len(rows)} architectures",)
    )
    places = np.zeros(len(rows), dtype=np.int64)
    if kind == "random" and listed:
        # Ranks deal the architectures out evenly, where there is a list of them.
        places[np.argsort(_hashes(keys), kind="stable")] = np.arange(len(rows)) % n
    elif kind == "random":
        places = (_hashes(keys) % n).astype(np.int64)
    sizes = np.bincount(places, minlength=n).tolist() if listed else [None] * n
    niches = tuple(
        Niche(i, -math.inf, math.inf, _group(kind, i, n), size) for i, size in enumerate(sizes)
    )
    none = np.empty(0)
    return Partition(space, kind, None, niches, rows, keys, places, none, listed, notes)


def _group(kind: str, index: int, n: int) -> str:
    if kind == "none":
        return "the whole space"
    return f"group {index + 1} of {n}, drawn at random: its members have nothing in common"


def _fewer(axis: Axis, got: int, wanted: int) -> str:
    return (
        f"{got} niche{'s' if got > 1 else ''} instead of {wanted}: no architecture was found for "
        f"others on the axis {axis.name!r}"
    )


def _sizes(
    space: SearchSpace, axis: Axis, edges: list[float], places: Integers, *, listed: bool
) -> list[int | None]:
    n = len(edges) - 1
    if listed:
        return [int(c) for c in np.bincount(places, minlength=n)]
    if not isinstance(axis, CountAxis) or not _independent(space):
        return [None] * n
    ways = _ways(axis)
    return [sum(w for k, w in enumerate(ways) if low <= k < high) for low, high in pairwise(edges)]


def _ways(axis: CountAxis) -> list[int]:
    """How many architectures have 0, 1, ... decisions that take the choice."""
    ways = [1]
    for cardinality, index in zip(
        axis.space.cardinalities.tolist(), axis.indices.tolist(), strict=True
    ):
        has = index >= 0
        without = [w * (cardinality - has) for w in ways]
        ways = [a + b for a, b in zip([*without, 0], [0, *ways], strict=True)] if has else without
    return ways


def _independent(space: SearchSpace) -> bool:
    own = type(space)
    return own.keys is SearchSpace.keys and space.all_valid


# -- where niches begin, when nobody says so ----------------------------------------------


def _checked_bounds(bounds: Sequence[float] | None) -> list[float] | None:
    """The bounds as given.

    Raises:
        ValueError: They are not ascending finite numbers.
    """
    if bounds is None:
        return None
    cuts = [float(bound) for bound in bounds]
    if not cuts or not all(map(math.isfinite, cuts)) or sorted(set(cuts)) != cuts:
        raise ValueError(f"`bounds` must be finite, ascending and different, got {list(bounds)}")
    return cuts


def _chosen_bounds(axis: Axis, values: Floats, n: int) -> list[float]:
    """Bounds that are not given: one niche per value where they are few, the top ones merged."""
    whole = axis.whole
    if whole is not None and len(whole) <= 2 * n:
        return [float(v) for v in sorted(set(values.tolist()) & set(map(float, whole)))][1:n]
    cuts = automatic_bounds(values, n)
    return cuts if whole is None else [float(math.ceil(cut)) for cut in cuts]


def automatic_bounds(values: Floats, n: int) -> list[float]:
    """Where the second, third, ... of `n` niches begins, for a sample of values.

    Each bound is the mean of the one that gives niches of equal mass in the sample and the one
    that gives niches of equal ratio between their ends (equal width, where a value is not
    positive). It is moved into the nearest gap between two different values that leaves every
    niche a fifth of an equal share of the sample, if one is left, and there to a short number.
    Fewer bounds where there are fewer different values.

    Which architectures are on a front is not known beforehand; it reaches over orders of
    magnitude of size and latency, but most architectures crowd within one. On HW-NAS-Bench
    (CIFAR-10, six devices, accuracy against latency) the entropy of the true front's points over
    six niches of FLOPs, as a share of the greatest, is on average 0.91 with this rule, 0.90 with
    equal mass, 0.90 with equal ratio and 0.63 with equal width; over niches of the latency
    itself 0.79, 0.64, 0.74 and 0.57.

    Args:
        values: `(S,)`, finite.
        n: Number of niches.
    """
    steps = np.arange(1, n) / n
    low, high = float(values.min()), float(values.max())
    even = low * (high / low) ** steps if low > 0 else low + (high - low) * steps
    return _between(values, (np.quantile(values, steps) + even) / 2)


def _between(values: Floats, wanted: Floats) -> list[float]:
    """For each wanted bound, a short number in the nearest gap between values that is free."""
    distinct, counts = np.unique(values, return_counts=True)
    middles = (distinct[:-1] + distinct[1:]) / 2
    below = np.cumsum(counts)[:-1] / len(values)
    least = _LEAST_SHARE / (len(wanted) + 1)
    chosen: list[int] = []
    free = np.ones(len(middles), dtype=bool)
    fair = (below >= least) & (below <= 1 - least)
    for bound in wanted[: len(middles)].tolist():
        near = np.where(fair if fair.any() else free, np.abs(middles - bound), np.inf)
        chosen.append(int(near.argmin()))
        free[chosen[-1]] = False
        fair &= free & (np.abs(below - below[chosen[-1]]) >= least)
    return [_short(float(distinct[i]), float(distinct[i + 1])) for i in sorted(chosen)]


def _short(low: float, high: float) -> float:
    """The number of fewest digits near the middle of ``low < number <= high``."""
    middle = (low + high) / 2
    for digits in range(3, 17):
        number = float(f"{middle:.{digits}g}")
        if low < number <= high:
            return number
    return high


# -- samples -------------------------------------------------------------------------------


def _sampled(space: SearchSpace, axis: Axis | None) -> tuple[Rows, npt.NDArray[Any], bool]:
    """Different architectures, their keys, and whether they are all that there are.

    A space is listed where that is not too much to measure; else the sample is always the same.
    """
    cheap = axis is None or axis.cheap
    listed = math.prod(space.cardinalities.tolist()) <= (_ENUMERABLE if cheap else _COSTLY)
    if listed:
        rows = np.concatenate(list(space.enumerate()))
    else:
        n = _SAMPLE if cheap else _COSTLY
        rows = space.random_cells(n, np.random.default_rng(_SEED))
    keys = space.keys(rows)
    first = np.sort(np.unique(keys, return_index=True)[1])
    return rows[first], keys[first], listed


def _reached(space: SearchSpace, axis: Axis, row: Indices, low: float, high: float) -> Rows | None:
    """Walks from a row to one with ``low <= value < high``, always to the nearest neighbour.

    Returns:
        A row `(D,)`, or ``None`` where the walk ends before.
    """
    nearest = np.inf
    for _ in range(_MAX_WALK):
        rows = space.neighbour_rows(row)
        if not len(rows):
            return None
        values = axis.measure_rows(rows)
        gaps = np.where(np.isfinite(values), np.maximum(low - values, values - high), np.inf)
        gaps = np.where((low <= values) & (values < high), -1.0, np.maximum(gaps, 0.0))
        best: Rows = rows[gaps.argmin()]
        if gaps.min() < 0:
            return best
        if gaps.min() >= nearest:
            return None
        row, nearest = best, gaps.min()
    return None


def _filled(rows: Indices, values: Floats, sample: Rows, sample_values: Floats) -> Floats:
    """Values with each gap filled by the mean of those of a sample that differ the least."""
    gaps = np.flatnonzero(~np.isfinite(values))
    if not len(gaps):
        return values
    known = np.isfinite(sample_values)
    n_choices = 1 + max(int(sample.max()), int(np.asarray(rows).max()))
    known_values, known_flags = sample_values[known], _flags(sample[known], n_choices)
    result: Floats = values.copy()
    for start in range(0, len(gaps), _CHUNK):
        chosen = gaps[start : start + _CHUNK]
        equal = _flags(np.asarray(rows)[chosen], n_choices) @ known_flags.T
        nearest = equal == equal.max(axis=1, keepdims=True)
        result[chosen] = (nearest @ known_values) / nearest.sum(axis=1)
    return result


def _flags(rows: Indices, n_choices: int) -> npt.NDArray[np.float32]:
    """One flag per decision and choice, `(B, D)` to `(B, D * C)`."""
    equal = rows[:, :, None] == np.arange(n_choices)
    flags: npt.NDArray[np.float32] = equal.reshape(len(rows), -1).astype(np.float32)
    return flags


def _hashes(keys: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """64-bit hashes of canonical keys, `(B,)`, the same in every process (splitmix64)."""
    if keys.dtype.kind != "V":
        return mix64(keys.astype(np.int64).view(np.uint64))
    raw = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), -1)
    raw = np.pad(raw, ((0, 0), (0, -raw.shape[1] % 8)))
    state = np.zeros(len(keys), dtype=np.uint64)
    for word in raw.view("<u8").T:
        state = mix64(state ^ word)
    return state
