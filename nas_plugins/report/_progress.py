"""Plots over trials: hypervolume, and the best value so far."""

from __future__ import annotations

import numpy as np

from nas_plugins.report._curves import REFERENCE, Curve, best_curve, drawable, hypervolume_curve
from nas_plugins.report._figures import Figure, Spec, axis_titles, css
from nas_plugins.report._format import Column, columns, count, under
from nas_plugins.report._scatter import focus, lie_outside, not_drawn, padded, points
from nas_plugins.results import SearchResult


def hypervolume_figure(result: SearchResult) -> Figure | None:
    """Hypervolume over trials; ``None`` for one objective or nothing to show."""
    curve = hypervolume_curve(result) if len(result.history.objectives) > 1 else None
    if curve is None:
        return None
    last = curve.values[-1]
    data = [_line(curve, "Found so far", fill=True)]
    if curve.known_front:
        data.append(_level(result, 1.0, "True front"))
        title = "Hypervolume ratio"
        scale = (
            "the axes are scaled so that the true front runs from 0 to 1 in each objective (FN)"
        )
    else:
        title = "Scaled hypervolume"
        scale = (
            "no true front is known, so the axes are scaled by the best and the worst value of "
            "the feasible trials of this search (ideal and nadir); the numbers cannot be "
            "compared between searches"
        )
    layout = axis_titles("Trial", title)
    layout["yaxis"]["rangemode"] = "tozero"
    return Figure(
        "hypervolume",
        (
            f"Hypervolume of the feasible trials after every trial; {scale}, and the reference "
            f"point is {REFERENCE} in each.",
            f"Final value: {last:.4f}.",
        ),
        {"data": data, "layout": layout},
        f"Hypervolume over trials, from {curve.values[0]:.3f} to {last:.3f}",
    )


def progress_figure(result: SearchResult) -> Figure | None:
    """The first objective over trials; ``None`` when no feasible trial has finite values."""
    curve = best_curve(result)
    return None if curve is None else _progress(result, columns(result)[0], curve)


def _progress(result: SearchResult, column: Column, curve: Curve) -> Figure:
    trials = drawable(result)
    values = np.array([t.values for t in trials])
    feasible = np.array([t.violation <= 0 for t in trials])
    flat = np.column_stack([[t.number for t in trials], values[:, 0]])
    data = [
        points(flat, feasible, (0, 1), "Trials", trials),
        points(flat, ~feasible, (0, 1), "Infeasible", trials),
        _line(curve, "Best so far", fill=False),
    ]
    important = np.array(curve.values)
    layout = axis_titles("Trial", column.title)
    parts = ["Every dot is a trial; the line is the best feasible value so far."]
    if result.true_front:
        optimum = result.true_front[0][0]
        data.append(_level(result, optimum, f"Optimum{under(result)}"))
        important = np.append(important, optimum)
        parts.append(f"The optimum of the benchmark{under(result)} is {column(optimum)}.")
    # The first trials of a search are often far off: start the view at the later half.
    view = focus(values[:, 0], np.append(important, np.median(values[:, 0])), column)
    outside = int(((values[:, 0] < view[0]) | (values[:, 0] > view[1])).sum())
    views = {}
    if outside:
        layout["yaxis"]["range"] = view
        everything = padded(np.append(values[:, 0], important))
        views = {"Best values": {"yaxis.range": view}, "All trials": {"yaxis.range": everything}}
        parts.append(f"{lie_outside(outside)}.")
    return Figure(
        "progress",
        (*parts, *not_drawn(result)),
        {"data": [trace for trace in data if trace["x"]], "layout": layout},
        f"Best {column.name} so far over {count(len(trials), 'trial')}, "
        f"finally {column(curve.values[-1])}",
        views,
    )


def _line(curve: Curve, name: str, *, fill: bool) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines" if len(curve.trials) > 1 else "markers",
        "name": name,
        "x": list(curve.trials),
        "y": list(curve.values),
        "line": {"shape": "hv", "width": 2.2, "color": css("front")},
        "marker": {"color": css("front"), "size": 9},
        "hovertemplate": "after trial %{x}: %{y:.5g}<extra></extra>",
        **({"fill": "tozeroy", "fillcolor": css("front-wash")} if fill else {}),
    }


def _level(result: SearchResult, value: float, name: str) -> Spec:
    trials = result.history.trials
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [trials[0].number, max(trials[-1].number, trials[0].number + 1)],
        "y": [value, value],
        "line": {"dash": "dot", "width": 1.5, "color": css("true")},
        "hovertemplate": f"{name}: %{{y:.6g}}<extra></extra>",
    }
