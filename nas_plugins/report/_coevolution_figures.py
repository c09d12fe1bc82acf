"""Where each niche of a co-evolution has looked, and how far its front reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nas_plugins._markup import Markup, element, plot_text
from nas_plugins.history import Trial
from nas_plugins.pareto import Floats
from nas_plugins.report._coevolution_notes import label_of
from nas_plugins.report._curves import drawable
from nas_plugins.report._figures import Figure, Spec, axis_titles, css
from nas_plugins.report._format import Column, columns, count
from nas_plugins.report._scatter import (
    coordinates,
    front_views,
    not_drawn,
    planar_axes,
    points,
    step,
    true_front,
)
from nas_plugins.results import SearchResult
from nas_plugins.strategies.llm_coevolution.log import CoEvolutionLog

MAX_NICHE_PAIRS = 3

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon")
_N_COLOURS = 8

# Below the plot: the labels are long, and above it they would meet the buttons.
_LEGEND: Spec = {"x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
_MIN_WIDTH = 620


def swatch(position: int) -> Markup:
    """The colour of a niche, beside its name."""
    style = f"background:var(--niche-{position % _N_COLOURS})"
    return element("i", class_="swatch", style=style, aria_hidden="true")


def niche_figures(result: SearchResult, log: CoEvolutionLog) -> list[Figure]:
    """The objectives with every trial in the colour of its niche; none without values.

    With one objective it is drawn over the trials, with more than two in the first pairs.
    """
    if not drawable(result):
        return []
    shown = columns(result)
    if len(shown) == 1:
        return [_over_trials(_Points.of(result, log))]
    if len(shown) == 2:
        return [_coverage(_Points.of(result, log), *planar_axes(shown), name="niches")]
    found = _Points.of(result, log)
    pairs = list(combinations(range(len(shown)), 2))[:MAX_NICHE_PAIRS]
    return [_coverage(found, a, b, name=f"niches-{a}-{b}") for a, b in pairs]


@dataclass(frozen=True, eq=False)
class _Points:
    """The trials that can be drawn.

    Attributes:
        result: The search.
        log: Its story.
        trials: That can be drawn.
        values: Of them, `(n, m)`.
        niches: Position in ``log.niches``, -1 for trials of no niche, `(n,)`.
        feasible: Whether all constraints are kept, `(n,)`.
    """

    result: SearchResult
    log: CoEvolutionLog
    trials: Sequence[Trial]
    values: Floats
    niches: npt.NDArray[np.int64]
    feasible: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, result: SearchResult, log: CoEvolutionLog) -> _Points:
        trials = drawable(result)
        position = {(niche.index, niche.label): i for i, niche in enumerate(log.niches)}
        niches = {number: position[note.niche, note.label] for number, note in log.entries}
        return cls(
            result,
            log,
            trials,
            np.array([t.values for t in trials]),
            np.array([niches.get(t.number, -1) for t in trials]),
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
    for position, niche in enumerate(found.log.niches):
        front = found.among(niche.front)
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
    parts = ["Every mark is a trial in the colour of the niche that it was made for; full marks "
             "are on the front of their niche."]  # fmt: skip
    if planar:
        parts.append("Thin lines join the front of a niche, the thick one that of all niches.")
    parts.append("A click on a niche in the legend hides it.")
    if outside:
        lie = "lies" if outside == 1 else "lie"
        parts.append(f"{count(outside, 'trial')} {lie} outside the view around the front.")
    return Figure(
        name,
        (*parts, *not_drawn(found.result)),
        {"data": [trace for trace in data if trace["x"]], "layout": layout},
        f"Scatter plot of {shown[y].name} against {shown[x].name} in "
        f"{count(len(found.log.niches), 'niche')}",
        views,
        min_width=_MIN_WIDTH,
    )


def _over_trials(found: _Points) -> Figure:
    """One objective over the trials."""
    column = found.columns[0]
    flat = np.column_stack([[t.number for t in found.trials], found.values[:, 0]])
    data = _others(found, flat, (0, 1))
    for position, niche in enumerate(found.log.niches):
        data.append(_marks(found, position, found.among(niche.front), flat, (0, 1)))
    return Figure(
        "niches",
        (
            "Every mark is a trial in the colour of the niche that it was made for; full marks "
            "are the best of their niche.",
            "A click on a niche in the legend hides it.",
            *not_drawn(found.result),
        ),
        {
            "data": [trace for trace in data if trace["x"]],
            "layout": {**axis_titles("Trial", column.title), "legend": _LEGEND},
        },
        f"{column.name} over the trials in {count(len(found.log.niches), 'niche')}",
        min_width=_MIN_WIDTH,
    )


def _others(found: _Points, values: Floats, axes: tuple[int, int]) -> list[Spec]:
    """Trials without a niche, and those that violate a constraint."""
    outside = (found.niches < 0) & found.feasible
    return [
        {**points(values, outside, axes, "Trials", found.trials), "name": "Of no niche"},
        points(values, ~found.feasible, axes, "Infeasible", found.trials),
    ]


def _marks(
    found: _Points,
    position: int,
    front: npt.NDArray[np.bool_],
    values: Floats,
    axes: tuple[int, int],
) -> Spec:
    """The trials of a niche, full where they are on its front."""
    chosen = np.flatnonzero((found.niches == position) & found.feasible)
    best = front[chosen]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plot_text(label_of(found.log.niches[position].label)),
        "legendgroup": f"niche {position}",
        **coordinates(values, chosen, axes, found.trials),
        "marker": {
            "color": css(f"niche-{position % _N_COLOURS}"),
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
        "legendgroup": f"niche {position}",
        "showlegend": False,
        "line": {
            "shape": step(found.result, axes[0]),
            "width": 1.3,
            "color": css(f"niche-{position % _N_COLOURS}"),
        },
    }


def _overall(found: _Points, front: npt.NDArray[np.bool_], axes: tuple[int, int]) -> Spec:
    return {
        **_stairs(found, front, axes),
        "name": "Front of all niches",
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


__all__ = ["MAX_NICHE_PAIRS", "niche_figures", "swatch"]
