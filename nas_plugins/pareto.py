"""Pareto fronts and their quality: hypervolume, its ratio to a known front, IGD and IGD+.

Everything here works on losses: less is better in every column. `moocore` computes the
indicators and is imported when first needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def front_mask(losses: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which rows are not dominated; equal rows are all kept.

    Args:
        losses: `(n, m)`, less is better. Infinite values are allowed, NaN is not.

    Returns:
        `(n,)` bool.
    """
    points = _points(losses)
    if len(points) == 0:
        return np.zeros(0, dtype=bool)
    if points.shape[1] == 1:
        column: npt.NDArray[np.bool_] = points[:, 0] == points[:, 0].min()
        return column
    import moocore

    mask: npt.NDArray[np.bool_] = moocore.is_nondominated(_finite(points), keep_weakly=True)
    return mask


def constrained_front(losses: npt.ArrayLike, violations: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """`front_mask` among the feasible rows; the least violating rows while none is feasible.

    Args:
        losses: `(n, m)`, less is better.
        violations: `(n,)`, 0 where feasible, positive otherwise.
    """
    points, violation = _points(losses), np.asarray(violations, dtype=np.float64)
    if len(points) == 0:
        return np.zeros(0, dtype=bool)
    eligible = violation <= max(float(violation.min()), 0.0)
    mask = np.zeros(len(points), dtype=bool)
    mask[np.flatnonzero(eligible)] = front_mask(points[eligible])
    return mask


def constrained_ranks(losses: npt.ArrayLike, violations: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Rank of every row, 0 best: successive fronts of the feasible, then by violation.

    Args:
        losses: `(n, m)`, less is better.
        violations: `(n,)`, 0 where feasible.

    Returns:
        `(n,)` int; rows with equal rank are incomparable or equal.
    """
    points, violation = _points(losses), np.asarray(violations, dtype=np.float64)
    ranks = np.zeros(len(points), dtype=np.int64)
    feasible = np.flatnonzero(violation <= 0)
    level = 0
    if points.shape[1] == 1:
        order, inverse = np.unique(points[feasible, 0], return_inverse=True)
        ranks[feasible] = inverse
        level = len(order)
    elif len(feasible):
        import moocore

        ranks[feasible] = moocore.pareto_rank(_finite(points[feasible]))
        level = int(ranks[feasible].max()) + 1
    infeasible = np.flatnonzero(violation > 0)
    _, inverse = np.unique(violation[infeasible], return_inverse=True)
    ranks[infeasible] = level + inverse
    return ranks


def crowding_distance(losses: npt.ArrayLike) -> Floats:
    """Crowding distance of NSGA-II (Deb et al., 2002) within one front, `(n, m)` to `(n,)`."""
    points = _finite(_points(losses))
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def hypervolume(losses: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Volume that the rows dominate up to the reference point.

    Args:
        losses: `(n, m)`, less is better. Rows beyond the reference add nothing.
        reference: `(m,)`, worse than every point of interest.
    """
    points, corner = _points(losses), np.asarray(reference, dtype=np.float64)
    points = points[(points < corner).all(axis=1)]
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(corner[0] - points.min())
    import moocore

    return float(moocore.hypervolume(points, ref=corner))


@dataclass(frozen=True)
class Normalisation:
    """Maps losses to a unit box, so that indicators do not depend on units.

    Attributes:
        ideal: Loss per objective that maps to 0.
        nadir: Loss per objective that maps to 1.
    """

    ideal: tuple[float, ...]
    nadir: tuple[float, ...]

    @classmethod
    def front(cls, front: npt.ArrayLike) -> Normalisation:
        """ "FN": ideal and nadir of the true front, losses `(n, m)`."""
        points = _points(front)
        return cls(tuple(points.min(axis=0).tolist()), tuple(points.max(axis=0).tolist()))

    @classmethod
    def space(cls, losses: npt.ArrayLike) -> Normalisation:
        """ "SN": minimum and maximum over the whole space, losses `(n, m)`."""
        return cls.front(losses)

    def __call__(self, losses: npt.ArrayLike) -> Floats:
        """Returns the losses in units of the box, `(n, m)`."""
        ideal, nadir = np.array(self.ideal), np.array(self.nadir)
        span = np.where(nadir > ideal, nadir - ideal, 1.0)
        scaled: Floats = (_points(losses) - ideal) / span
        return scaled


def hv_ratio(
    losses: npt.ArrayLike,
    front: npt.ArrayLike,
    *,
    normalisation: Normalisation | None = None,
    reference: float = 1.1,
) -> float:
    """Hypervolume as a share of the known front's: 1 means the front is reached.

    Args:
        losses: `(n, m)` found points.
        front: `(k, m)` the true front.
        normalisation: Default `Normalisation.front` of `front` ("FN").
        reference: Reference point in units of the box, the same in every objective. The
            project reports FN with 1.1, and FN or SN with 1.0 where a table says so.
    """
    scale = normalisation or Normalisation.front(front)
    corner = np.full(len(scale.ideal), reference)
    whole = hypervolume(scale(front), corner)
    if whole == 0.0:
        raise ValueError(f"`reference` {reference} leaves the true front no hypervolume")
    return hypervolume(scale(losses), corner) / whole


def igd(
    losses: npt.ArrayLike, front: npt.ArrayLike, *, normalisation: Normalisation | None = None
) -> float:
    """Inverted generational distance to the known front; 0 is best.

    Args:
        losses: `(n, m)` found points, at least one.
        front: `(k, m)` the true front.
        normalisation: Default `Normalisation.front` of `front`.
    """
    import moocore

    scale = normalisation or Normalisation.front(front)
    return float(moocore.igd(scale(losses), ref=scale(front)))


def igd_plus(
    losses: npt.ArrayLike, front: npt.ArrayLike, *, normalisation: Normalisation | None = None
) -> float:
    """IGD+ (Ishibuchi et al., 2015): as `igd`, counting only the shortfall."""
    import moocore

    scale = normalisation or Normalisation.front(front)
    return float(moocore.igd_plus(scale(losses), ref=scale(front)))


def _points(losses: npt.ArrayLike) -> Floats:
    points = np.asarray(losses, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f"`losses` must have shape (n, m), got {points.shape}")
    if np.isnan(points).any():
        raise ValueError("`losses` must not hold NaN")
    return points


def _finite(points: Floats) -> Floats:
    """Replaces infinities by the largest floats: moocore compares and subtracts finite ones."""
    limit = np.finfo(np.float64).max / 4
    return np.clip(points, -limit, limit)
