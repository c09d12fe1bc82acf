"""How a search progressed: hypervolume, or the best value so far, after every trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas_plugins import pareto
from nas_plugins.history import Trial
from nas_plugins.results import SearchResult

REFERENCE = 1.1


@dataclass(frozen=True)
class Curve:
    """A quantity that changes at some trials and stays between them.

    Attributes:
        trials: Trial numbers at which the value changes, and the last one.
        values: The value from each of these trials on.
        known_front: Whether the scale comes from the true front: 1 is that front's value.
    """

    trials: tuple[int, ...]
    values: tuple[float, ...]
    known_front: bool


def drawable(result: SearchResult) -> list[Trial]:
    """The complete trials whose values are all finite, in order."""
    return [t for t in result.history.complete if np.isfinite(t.values).all()]


def hypervolume_curve(result: SearchResult) -> Curve | None:
    """Hypervolume of the feasible trials so far, in FN axes with reference 1.1.

    With a known true front the values are shares of its hypervolume. Otherwise the axes run
    over the ideal and nadir of the finite feasible trials. The hypervolume is computed anew
    only when a trial enters the front.

    Returns:
        ``None`` when no feasible trial has finite values.
    """
    trials = [t for t in drawable(result) if t.violation <= 0]
    if not trials:
        return None
    losses = result.losses([t.values for t in trials])
    known = bool(result.true_front)
    box = result.losses(result.true_front) if known else losses
    scale = pareto.Normalisation.front(box)
    corner = np.full(losses.shape[1], REFERENCE)
    whole = pareto.hypervolume(scale(box), corner) if known else 1.0
    points = scale(losses)
    front = np.empty((0, losses.shape[1]))
    numbers: list[int] = []
    values: list[float] = []
    for trial, point in zip(trials, points, strict=True):
        if (front <= point).all(axis=1).any():
            continue
        front = np.vstack([front[~(point <= front).all(axis=1)], point])
        volume = pareto.hypervolume(front, corner) / whole
        if not values or volume != values[-1]:
            numbers.append(trial.number)
            values.append(volume)
    return _to_the_end(result, numbers, values, known)


def best_curve(result: SearchResult) -> Curve | None:
    """Best feasible value of the first objective so far.

    Returns:
        ``None`` when no feasible trial has finite values.
    """
    sign = result.history.objectives[0].sign
    numbers: list[int] = []
    values: list[float] = []
    for trial in drawable(result):
        value = trial.values[0]
        if trial.violation <= 0 and (not values or value * sign < values[-1] * sign):
            numbers.append(trial.number)
            values.append(value)
    return _to_the_end(result, numbers, values, bool(result.true_front)) if values else None


def _to_the_end(
    result: SearchResult, numbers: list[int], values: list[float], known: bool
) -> Curve:
    last = result.history.trials[-1].number
    if last > numbers[-1]:
        return Curve((*numbers, last), (*values, values[-1]), known)
    return Curve(tuple(numbers), tuple(values), known)
