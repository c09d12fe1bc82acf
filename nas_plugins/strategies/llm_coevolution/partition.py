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
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import unknown_name
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace
from nas_plugins.strategies.llm_coevolution.axes import Axis, CountAxis, Floats, Measure
from nas_plugins.strategies.llm_coevolution.axes import axis as build_axis
from nas_plugins.strategies.llm_coevolution.listing import (
    Integers,
    Members,
    drawn,
    filled,
    hashes,
    listed,
    reached,
    sortable,
)

KINDS = ("axis", "random", "none")

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
        notes: What did not come out as asked, in plain words.
        members: The architectures and their niches, where the space is small enough to list.
        sample: `(S, D)` some distinct architectures, at least one of every niche.
        sample_values: `(S,)` their values on the axis, gaps filled; empty without an axis.
    """

    space: SearchSpace
    kind: str
    axis: Axis | None
    niches: tuple[Niche, ...]
    notes: tuple[str, ...] = ()
    members: Members | None = field(default=None, repr=False)
    sample: Rows = field(default_factory=lambda: np.empty((0, 0), np.int16), repr=False)
    sample_values: Floats = field(default_factory=lambda: np.empty(0), repr=False)

    def niche_of(self, architectures: Sequence[Architecture]) -> Integers:
        """Index of each architecture's niche, `(n,)`."""
        return self.niche_of_rows(self.space.rows(architectures))

    def niche_of_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Integers:
        """`niche_of` for valid rows of choice indices, `(B, D)` to `(B,)`."""
        if self.members is not None:
            return self.members.niches[self._places(rows)]
        if self.kind == "none":
            return np.zeros(len(rows), dtype=np.int64)
        if self.kind == "random":
            return (hashes(self.space.keys(rows)) % len(self.niches)).astype(np.int64)
        return self._placed(self.values(rows))

    def values(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Values on the axis, `(B, D)` to `(B,)`.

        Where an architecture has none, the mean over the architectures of the sample that have
        one and differ from it in the fewest decisions.

        Raises:
            ValueError: The partition has no axis.
        """
        if self.axis is None:
            raise ValueError(f"a partition of kind {self.kind!r} has no values")
        if self.members is not None:
            return self.sample_values[self._places(rows)]
        values = self.axis.measure_rows(rows)
        return filled(np.asarray(rows), values, self.sample, self.sample_values)

    @cached_property
    def sample_niches(self) -> Integers:
        """Index of the niche of each architecture of the sample, `(S,)`."""
        if self.axis is None:
            return self.niche_of_rows(self.sample)
        return self._placed(self.sample_values)

    def counts(self, niche: Niche) -> range:
        """How many decisions may take ``axis.count_of`` in a niche.

        Raises:
            ValueError: The axis counts no choice.
        """
        if not isinstance(self.axis, CountAxis):
            raise ValueError("the axis of the partition counts no choice")
        return self.axis.counts(niche.low, niche.high)

    def _placed(self, values: Floats) -> Integers:
        cuts = np.array([niche.low for niche in self.niches[1:]])
        return np.searchsorted(cuts, values, side="right").astype(np.int64)

    def _places(self, rows: npt.NDArray[np.integer[Any]]) -> Integers:
        """Positions in `members`, for valid rows."""
        table, weights = self._table
        places: Integers = table[np.asarray(rows, dtype=np.int64) @ weights]
        return places

    @cached_property
    def _table(self) -> tuple[Integers, Integers]:
        """The position in `members` of every combination of choices, and the digits' weights."""
        if self.members is None:
            raise ValueError("the space is too large to list")
        cardinalities = self.space.cardinalities
        weights = np.append(np.cumprod(cardinalities[:0:-1])[::-1], 1).astype(np.int64)
        table = np.full(math.prod(cardinalities.tolist()), -1, dtype=np.int64)
        order = np.argsort(sortable(self.members.keys), kind="stable")
        ascending = sortable(self.members.keys)[order]
        for rows in self.space.enumerate():
            keys = sortable(self.space.keys(rows))
            table[rows.astype(np.int64) @ weights] = order[np.searchsorted(ascending, keys)]
        return table, weights

    @property
    def independent(self) -> bool:
        """Whether every combination of choices is an architecture of its own."""
        return _independent(self.space)


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


def _checked_bounds(bounds: Sequence[float] | None) -> list[float] | None:
    if bounds is None:
        return None
    cuts = [float(bound) for bound in bounds]
    if not cuts or not all(map(math.isfinite, cuts)) or sorted(set(cuts)) != cuts:
        raise ValueError(f"`bounds` must be finite, ascending and different, got {list(bounds)}")
    return cuts


def _along(space: SearchSpace, axis: Axis, n_niches: int, bounds: list[float] | None) -> Partition:
    whole = listed(space, axis)
    rows, keys = whole if whole is not None else drawn(space, axis)
    values = axis.measure_rows(rows)
    if not np.isfinite(values).any():
        raise ValueError(
            f"`axis` {axis.name!r} has no finite value for any of {len(rows)} samples"
        )
    values = filled(rows, values, rows, values)
    cuts = _cuts(axis, values, n_niches) if bounds is None else bounds
    if bounds is not None and whole is None:
        rows, values = _completed(space, axis, rows, values, bounds)
    # A niche without a member falls to the one below, at the bottom to the one above.
    full = np.unique(np.searchsorted(cuts, values, side="right"))
    kept = [cuts[i - 1] for i in full.tolist()[1:]]
    places = np.searchsorted(kept, values, side="right").astype(np.int64)
    wanted = n_niches if bounds is None else len(bounds) + 1
    notes = () if len(kept) + 1 == wanted else (_fewer(axis, len(kept) + 1, wanted),)
    members = None if whole is None else Members(rows, keys, places)
    edges = [-math.inf, *kept, math.inf]
    sizes = _sizes(space, axis, edges, members)
    niches = tuple(
        Niche(i, low, high, axis.phrase(low, high), size)
        for i, (low, high, size) in enumerate(zip(edges[:-1], edges[1:], sizes, strict=True))
    )
    return Partition(space, "axis", axis, niches, notes, members, rows, values)


def _completed(
    space: SearchSpace, axis: Axis, rows: Rows, values: Floats, bounds: list[float]
) -> tuple[Rows, Floats]:
    """A sample with an architecture of each niche between given bounds that it can walk to."""
    edges = [-math.inf, *bounds, math.inf]
    for low, high in pairwise(edges):
        if not ((low <= values) & (values < high)).any():
            start = rows[np.abs(values - (low if math.isfinite(low) else high)).argmin()]
            found = reached(space, axis, start, low, high)
            if found is not None:
                rows = np.concatenate([rows, found[None]])
                values = np.append(values, axis.measure_rows(found[None]))
    return rows, values


def _without_axis(space: SearchSpace, kind: str, n_niches: int) -> Partition:
    whole = listed(space, None)
    rows, keys = whole if whole is not None else drawn(space, None)
    n = min(n_niches, len(rows)) if kind == "random" else 1
    notes = (
        ()
        if n == n_niches or kind == "none"
        else (f"{n} niches instead of {n_niches}: the space holds {len(rows)} architectures",)
    )
    places = np.zeros(len(rows), dtype=np.int64)
    if kind == "random":
        # Ranks deal the architectures out evenly, where there is a list of them.
        places[np.argsort(hashes(keys), kind="stable")] = np.arange(len(rows)) % n
    members = None if whole is None else Members(rows, keys, places)
    sizes = [None] * n if members is None else np.bincount(places, minlength=n).tolist()
    niches = tuple(
        Niche(i, -math.inf, math.inf, _group(kind, i, n), size) for i, size in enumerate(sizes)
    )
    return Partition(space, kind, None, niches, notes, members, rows)


def _group(kind: str, index: int, n: int) -> str:
    if kind == "none":
        return "the whole space"
    return f"group {index + 1} of {n}, drawn at random: its members have nothing in common"


def _fewer(axis: Axis, got: int, wanted: int) -> str:
    return (
        f"{got} niche{'s' if got > 1 else ''} instead of {wanted}: no architecture was found for "
        f"others on the axis {axis.name!r}"
    )


def _cuts(axis: Axis, values: Floats, n: int) -> list[float]:
    """Bounds that are not given: one niche per value where they are few, the top ones merged."""
    whole = axis.whole
    if whole is not None and len(whole) <= 2 * n:
        return [float(v) for v in sorted(set(values.tolist()) & set(map(float, whole)))][1:n]
    cuts = automatic_bounds(values, n)
    return cuts if whole is None else [float(math.ceil(cut)) for cut in cuts]


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


def _sizes(
    space: SearchSpace, axis: Axis, edges: list[float], members: Members | None
) -> list[int | None]:
    n = len(edges) - 1
    if members is not None:
        return [int(c) for c in np.bincount(members.niches, minlength=n)]
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
    return own.keys is SearchSpace.keys and own.valid is SearchSpace.valid


__all__ = ["KINDS", "Members", "Niche", "Partition", "automatic_bounds", "partition"]
