"""Scatter plots of the objectives, with the found front and the true one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from nas_plugins import pareto
from nas_plugins.history import Trial
from nas_plugins.report._curves import drawable
from nas_plugins.report._figures import Figure, Spec, axis_titles, css
from nas_plugins.report._format import Column, columns, count, under
from nas_plugins.results import SearchResult

MAX_PAIRS = 6
LOG_FROM = 5.0
"""An axis is offered logarithmic where the fronts' largest value is so many times the smallest."""


def front_figures(result: SearchResult) -> list[Figure]:
    """One scatter plot for two objectives, one per pair for more; none without values."""
    if not drawable(result):
        return []
    shown = columns(result)
    if len(shown) == 2:
        return [_scatter(result, *planar_axes(shown), name="front")]
    pairs = list(combinations(range(len(shown)), 2))[:MAX_PAIRS]
    return [_scatter(result, a, b, name=f"front-{a}-{b}") for a, b in pairs]


def planar_axes(shown: Sequence[Column]) -> tuple[int, int]:
    """Cost on x and merit on y where the directions differ."""
    if shown[0].objective.direction == "max" and shown[1].objective.direction == "min":
        return 1, 0
    return 0, 1


def _scatter(result: SearchResult, x: int, y: int, *, name: str) -> Figure:
    trials, shown = drawable(result), columns(result)
    values = np.array([t.values for t in trials])
    feasible = np.array([t.violation <= 0 for t in trials])
    numbers = {trial.number for trial in result.history.front}
    front = np.array([t.number in numbers for t in trials]) & feasible
    data = [
        points(values, ~front & feasible, (x, y), "Trials", trials),
        points(values, ~feasible, (x, y), "Infeasible", trials),
        *true_front(result, x, y),
        _found_front(values, front, (x, y), trials, result),
    ]
    true = np.array(result.true_front).reshape(-1, len(shown))
    layout = axis_titles(shown[x].title, shown[y].title)
    views, outside = front_views(
        values[:, (x, y)],
        values[front][:, (x, y)],
        true[:, (x, y)],
        (shown[x], shown[y]),
        layout,
    )
    return Figure(
        name,
        _scatter_caption(result, outside, len(shown)),
        {"data": [trace for trace in data if trace["x"]], "layout": layout},
        f"Scatter plot of {shown[y].name} against {shown[x].name}: "
        f"{count(len(trials), 'trial')}, {count(int(front.sum()), 'point')} on the found front",
        views,
    )


def front_views(
    values: pareto.Floats,
    found: pareto.Floats,
    true: pareto.Floats,
    shown: tuple[Column, Column],
    layout: Spec,
) -> tuple[dict[str, Spec], int]:
    """Starts a plot around the front where other trials are far off.

    Every point of the found front is in the first view, however far it lies from the others.
    Where none is found, or the fronts are one point, there is nothing to look at closely, and the
    first view shows all trials.

    Args:
        values: Of the trials on the axes, `(n, 2)`.
        found: The found front, `(k, 2)`.
        true: The true front, `(l, 2)`; its far points may lie outside.
        shown: What the axes show.
        layout: Of the plot; is given the ranges.

    Returns:
        Axes for buttons, and how many trials lie outside the first of them.
    """
    everything = np.concatenate([values, true])
    whole = [padded(everything[:, i]) for i in range(2)]

    front = np.concatenate([found, true])
    core = _core(front)

    def around(points: pareto.Floats) -> list[list[float]]:
        if bool((points == points[:1]).all()):  # none, or one and the same
            return whole
        return [focus(values[:, i], points[:, i], shown[i]) for i in range(2)]

    ranges = around(np.concatenate([found, core])) if len(found) else whole
    inside = [(values[:, i] >= r[0]) & (values[:, i] <= r[1]) for i, r in enumerate(ranges)]
    outside = int((~(inside[0] & inside[1])).sum())
    views = {"Around the front": _axes(ranges)} if outside else {}
    views["All trials"] = _axes(whole)
    if around(core) != ranges:
        views["Most of the front" if len(found) else "Around the true front"] = _axes(around(core))
    views |= _logarithmic(everything, front, shown, whole)
    if len(views) == 1:
        return {}, 0
    if outside:
        layout["xaxis"]["range"], layout["yaxis"]["range"] = ranges
    return views, outside


def _logarithmic(
    everything: pareto.Floats,
    front: pareto.Floats,
    shown: tuple[Column, Column],
    whole: list[list[float]],
) -> dict[str, Spec]:
    """All trials with logarithmic axes, where the front is skewed; none where it is not."""
    skewed = [
        bool(len(front)) and everything[:, i].min() > 0 and _spread(front[:, i]) >= LOG_FROM
        for i in range(2)
    ]
    if not any(skewed):
        return {}
    ranges = [
        padded(np.log10(everything[:, i])) if log else whole[i] for i, log in enumerate(skewed)
    ]
    names = " and ".join(c.name for c, log in zip(shown, skewed, strict=True) if log)
    return {f"Logarithmic {names}": _axes(ranges, skewed)}


def points(
    values: pareto.Floats, mask: Any, axes: tuple[int, int], name: str, trials: Sequence[Trial]
) -> Spec:
    chosen = np.flatnonzero(mask)
    infeasible = name == "Infeasible"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        **coordinates(values, chosen, axes, trials),
        "marker": {
            "size": 7,
            "symbol": "x-thin-open" if infeasible else "circle",
            "color": css("muted" if infeasible else "trial"),
            "opacity": 0.75 if infeasible else 0.5,
            "line": {"width": 1.4 if infeasible else 0},
        },
    }


def _found_front(
    values: pareto.Floats,
    front: Any,
    axes: tuple[int, int],
    trials: Sequence[Trial],
    result: SearchResult,
) -> Spec:
    chosen = np.flatnonzero(front)
    chosen = chosen[np.argsort(values[chosen, axes[0]], kind="stable")]
    planar = values.shape[1] == 2
    return {
        "type": "scatter",
        "mode": "lines+markers" if planar else "markers",
        "name": "Found front",
        **coordinates(values, chosen, axes, trials),
        "line": {"shape": step(result, axes[0]), "width": 2, "color": css("front")},
        "marker": {"size": 9, "color": css("front"), "line": {"width": 1, "color": css("paper")}},
    }


def true_front(result: SearchResult, x: int, y: int) -> list[Spec]:
    if not result.true_front:
        return []
    planar = len(result.history.objectives) == 2
    points = sorted(result.true_front, key=lambda point: point[x])
    return [
        {
            "type": "scatter",
            "mode": "lines+markers" if planar else "markers",
            "name": "True front",
            "x": [point[x] for point in points],
            "y": [point[y] for point in points],
            "hovertemplate": "True front<br>%{x}, %{y}<extra></extra>",
            "line": {"shape": step(result, x), "width": 1.3, "dash": "dot", "color": css("true")},
            "marker": {"size": 8, "symbol": "diamond-open", "color": css("true")},
        }
    ]


def coordinates(
    values: pareto.Floats, chosen: Any, axes: tuple[int, int], trials: Sequence[Trial]
) -> Spec:
    return {
        "x": values[chosen, axes[0]].tolist(),
        "y": values[chosen, axes[1]].tolist(),
        "customdata": [trials[i].number for i in chosen.tolist()],
        "text": {"$ref": "hover", "take": chosen.tolist()},
        "hovertemplate": "%{text}<extra></extra>",
    }


def step(result: SearchResult, x: int) -> str:
    """The corner of the staircase lies on the side of the dominated region."""
    return "hv" if result.history.objectives[x].direction == "min" else "vh"


def _core(points: pareto.Floats) -> pareto.Floats:
    """The points that are not far out: within three times the quartile range on every axis.

    A disconnected cell is fast and useless, so it lies on many a true front and far from the rest.
    """
    if not len(points):
        return points
    low, high = np.quantile(points, [0.25, 0.75], axis=0)
    reach = 3 * (high - low)
    near = ((points >= low - reach) & (points <= high + reach)).all(axis=1)
    return points[near] if near.any() else points


def _spread(values: pareto.Floats) -> float:
    """The largest of positive values in units of the smallest."""
    return float(values.max() / values.min())


def focus(values: pareto.Floats, important: pareto.Floats, column: Column) -> list[float]:
    """A range around the fronts, with some room on the worse side for the other trials."""
    low, high = float(important.min()), float(important.max())
    span = (high - low) or abs(high) * 0.05 or 1.0
    worse, better = 0.45 * span, 0.07 * span
    minimise = column.objective.direction == "min"
    whole = padded(np.concatenate([values, important]))
    around = [low - (better if minimise else worse), high + (worse if minimise else better)]
    return [max(around[0], whole[0]), min(around[1], whole[1])]


def padded(values: pareto.Floats) -> list[float]:
    low, high = float(values.min()), float(values.max())
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    return [low - room, high + room]


def _axes(ranges: Sequence[list[float]], log: Sequence[bool] = (False, False)) -> Spec:
    axes: Spec = {}
    for axis, span, logarithmic in zip(("xaxis", "yaxis"), ranges, log, strict=True):
        axes |= {f"{axis}.type": "log" if logarithmic else "linear", f"{axis}.range": span}
    return axes


def _scatter_caption(result: SearchResult, outside: int, n_objectives: int) -> tuple[str, ...]:
    history = result.history
    parts = ["Every dot is a trial; hover over it for its architecture, click for a drawing."]
    if n_objectives > 2:
        parts.append("The front is that of all objectives together, seen in one pair of them.")
    if any(t.violation > 0 for t in history.complete):
        parts.append(f"The fronts are those{under(result)}." if result.limits else "")
        parts.append("Grey crosses violate a constraint and cannot be on the front.")
    if outside and n_objectives > 2:
        parts.append("Where there are buttons, some trials lie outside the view around the front.")
    elif outside:
        parts.append(f"{lie_outside(outside)} around the front.")
    return (*filter(None, parts), *not_drawn(result))


def lie_outside(n: int) -> str:
    """``2 trials lie outside the view``."""
    return f"{count(n, 'trial')} {'lies' if n == 1 else 'lie'} outside the view"


def not_drawn(result: SearchResult) -> list[str]:
    infinite = len(result.history.complete) - len(drawable(result))
    if not infinite:
        return []
    verb = "has an infinite value and is" if infinite == 1 else "have infinite values and are"
    return [f"{count(infinite, 'trial')} {verb} not drawn."]
