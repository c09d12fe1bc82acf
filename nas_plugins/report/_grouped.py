"""Where each group of trials has looked, and how far its front reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nas_plugins._markup import plot_text
from nas_plugins._wording import count
from nas_plugins.history import Trial
from nas_plugins.pareto import Floats
from nas_plugins.report._curves import drawable
from nas_plugins.report._figures import Spec, axis_titles, css
from nas_plugins.report._format import Column, columns
from nas_plugins.report._links import group_colour
from nas_plugins.report._scatter import (
    coordinates,
    front_views,
    lie_outside,
    not_drawn,
    planar_axes,
    points,
    step,
    true_front,
)
from nas_plugins.results import SearchResult
from nas_plugins.sections import Figure, GroupedTrials

MAX_GROUPED_PAIRS = 3

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon")

# Below the plot: the labels are long, and above it they would meet the buttons.
_LEGEND: Spec = {"x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
_MIN_WIDTH = 620


def grouped_figures(result: SearchResult, groups: GroupedTrials) -> list[Figure]:
    """The objectives with every trial in the colour of its group; none without values.

    With one objective it is drawn over the trials, with more than two in the first pairs.
    """
    if not drawable(result):
        return []
    shown, found, name = columns(result), _Points.of(result, groups), f"{groups.noun}s"
    if len(shown) == 1:
        return [_over_trials(found)]
    if len(shown) == 2:
        return [_coverage(found, *planar_axes(shown), name=name)]
    pairs = list(combinations(range(len(shown)), 2))[:MAX_GROUPED_PAIRS]
    return [_coverage(found, a, b, name=f"{name}-{a}-{b}") for a, b in pairs]


@dataclass(frozen=True, eq=False)
class _Points:
    """The trials that can be drawn.

    Attributes:
        result: The search.
        groups: Of its trials.
        trials: That can be drawn.
        values: Of them, `(n, m)`.
        places: Position of the group, -1 for trials of none, `(n,)`.
        feasible: Whether all constraints are kept, `(n,)`.
    """

    result: SearchResult
    groups: GroupedTrials
    trials: Sequence[Trial]
    values: Floats
    places: npt.NDArray[np.int64]
    feasible: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, result: SearchResult, groups: GroupedTrials) -> _Points:
        trials = drawable(result)
        places = {number: i for i, group in enumerate(groups.members) for number in group}
        return cls(
            result,
            groups,
            trials,
            np.array([t.values for t in trials]),
            np.array([places.get(t.number, -1) for t in trials]),
            np.array([t.violation <= 0 for t in trials]),
        )

    @property
    def columns(self) -> list[Column]:
        return columns(self.result)

    def among(self, numbers: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Which of the feasible trials have these numbers, `(n,)`."""
        wanted = frozenset(numbers)
        return np.array([t.number in wanted for t in self.trials], dtype=bool) & self.feasible


def _coverage(found: _Points, x: int, y: int, *, name: str) -> Figure:
    """Two objectives; the fronts are those of all objectives."""
    shown, planar = found.columns, found.values.shape[1] == 2
    data = _others(found, found.values, (x, y))
    for position, numbers in enumerate(found.groups.fronts):
        front = found.among(numbers)
        data.append(_marks(found, position, front, found.values, (x, y)))
        if planar and front.sum() > 1:
            data.append(_line(found, position, front, (x, y)))
    overall = found.among([trial.number for trial in found.result.history.front])
    if planar and overall.sum() > 1:
        data.append(_overall(found, overall, (x, y)))
    data += true_front(found.result, x, y)
    true = np.array(found.result.true_front).reshape(-1, len(shown))
    important = np.concatenate([found.values[overall], true])[:, (x, y)]
    layout = {**axis_titles(shown[x].title, shown[y].title), "legend": _LEGEND}
    views, outside = front_views(found.values[:, (x, y)], important, (shown[x], shown[y]), layout)
    noun = found.groups.noun
    parts = [f"Every mark is a trial in the colour of the {noun} that it was made for; full marks "
             f"are on the front of their {noun}."]  # fmt: skip
    if planar:
        parts.append(f"Thin lines join the front of a {noun}, the thick one that of all {noun}s.")
    parts.append(f"A click on a {noun} in the legend hides it.")
    if outside:
        parts.append(f"{lie_outside(outside)} around the front.")
    return Figure(
        name,
        (*parts, *not_drawn(found.result)),
        {"data": [trace for trace in data if trace["x"]], "layout": layout},
        f"Scatter plot of {shown[y].name} against {shown[x].name} in "
        f"{count(len(found.groups.labels), noun)}",
        views,
        min_width=_MIN_WIDTH,
        tall=True,
    )


def _over_trials(found: _Points) -> Figure:
    """One objective over the trials."""
    column = found.columns[0]
    flat = np.column_stack([[t.number for t in found.trials], found.values[:, 0]])
    data = _others(found, flat, (0, 1))
    for position, numbers in enumerate(found.groups.fronts):
        data.append(_marks(found, position, found.among(numbers), flat, (0, 1)))
    noun = found.groups.noun
    return Figure(
        f"{noun}s",
        (
            f"Every mark is a trial in the colour of the {noun} that it was made for; full marks "
            f"are the best of their {noun}.",
            f"A click on a {noun} in the legend hides it.",
            *not_drawn(found.result),
        ),
        {
            "data": [trace for trace in data if trace["x"]],
            "layout": {**axis_titles("Trial", column.title), "legend": _LEGEND},
        },
        f"{column.name} over the trials in {count(len(found.groups.labels), noun)}",
        min_width=_MIN_WIDTH,
        tall=True,
    )


def _others(found: _Points, values: Floats, axes: tuple[int, int]) -> list[Spec]:
    """Trials without a group, and those that violate a constraint."""
    outside = (found.places < 0) & found.feasible
    return [
        {
            **points(values, outside, axes, "Trials", found.trials),
            "name": f"Of no {found.groups.noun}",
        },
        points(values, ~found.feasible, axes, "Infeasible", found.trials),
    ]


def _marks(
    found: _Points,
    position: int,
    front: npt.NDArray[np.bool_],
    values: Floats,
    axes: tuple[int, int],
) -> Spec:
    """The trials of a group, full where they are on its front."""
    chosen = np.flatnonzero((found.places == position) & found.feasible)
    best = front[chosen]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plot_text(found.groups.labels[position]),
        "legendgroup": f"group {position}",
        **coordinates(values, chosen, axes, found.trials),
        "marker": {
            "color": css(group_colour(position)),
            "symbol": _SYMBOLS[position % len(_SYMBOLS)],
            "size": np.where(best, 9.5, 6.5).tolist(),
            "opacity": np.where(best, 1.0, 0.45).tolist(),
            "line": {"width": np.where(best, 1.0, 0.0).tolist(), "color": css("paper")},
        },
    }


def _line(
    found: _Points, position: int, front: npt.NDArray[np.bool_], axes: tuple[int, int]
) -> Spec:
    return {
        **_stairs(found, front, axes),
        "legendgroup": f"group {position}",
        "showlegend": False,
        "line": {
            "shape": step(found.result, axes[0]),
            "width": 1.3,
            "color": css(group_colour(position)),
        },
    }


def _overall(found: _Points, front: npt.NDArray[np.bool_], axes: tuple[int, int]) -> Spec:
    return {
        **_stairs(found, front, axes),
        "name": f"Front of all {found.groups.noun}s",
        "line": {"shape": step(found.result, axes[0]), "width": 2.4, "color": css("ink")},
    }


def _stairs(found: _Points, front: npt.NDArray[np.bool_], axes: tuple[int, int]) -> Spec:
    members = found.values[front][:, axes]
    members = members[np.argsort(members[:, 0], kind="stable")]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": members[:, 0].tolist(),
        "y": members[:, 1].tolist(),
        "hoverinfo": "skip",
    }
