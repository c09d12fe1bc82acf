"""Parallel coordinates of decisions and objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins._markup import plot_text
from nas_plugins.drawing import distinct
from nas_plugins.drawing.svg import text_width
from nas_plugins.report._curves import drawable
from nas_plugins.report._figures import Figure, Spec, css
from nas_plugins.report._format import Column, columns, count
from nas_plugins.results import SearchResult
from nas_plugins.spaces.base import Decision

MAX_DECISIONS = 12
_MAX_CHOICES = 14  # more tick labels than this overlap
_SCATTER = 0.33  # how far lines spread around a choice
_TAIL = 0.1
_LABEL = 14  # characters of a name above an axis
_LEFT, _RIGHT = 84, 62  # margins in px, for what the outer axes say


def parallel_figure(result: SearchResult) -> Figure | None:
    """One line per trial through its choices and values; ``None`` with fewer than two trials.

    Where a space has more than `MAX_DECISIONS` decisions that vary, those are shown which
    explain most of the first objective's ranks (correlation ratio).
    """
    trials, shown = drawable(result), columns(result)
    if len(trials) < 2:
        return None
    losses = result.losses([t.values for t in trials])
    feasible = np.array([t.violation <= 0 for t in trials])
    ranks = np.ones(len(trials))
    if feasible.any():
        ranks[feasible] = _ranks(losses[feasible, 0])
    rows = result.history.space.rows([t.architecture for t in trials])
    chosen, n_varying = important_decisions(rows, ranks)
    decisions = result.history.space.decisions
    # Worst first, so that the best lines lie on top.
    order = np.argsort(-ranks, kind="stable")
    dimensions = [_decision(decisions[i], rows[order, i], ranks[order]) for i in chosen]
    clipped = []
    numbers = {trial.number for trial in result.history.front}
    front = np.array([trials[j].number in numbers for j in order])
    for i, column in enumerate(shown):
        dimension, cut = _objective(column, np.array([trials[j].values[i] for j in order]), front)
        dimensions.append(dimension)
        if cut:
            clipped.append(column.name)
    labels = _labels(decisions, shown)
    for dimension, i in zip(dimensions, [*chosen, *range(-len(shown), 0)], strict=True):
        dimension["label"] = plot_text(labels[i])
    trace = _trace(dimensions, 1 - ranks[order])
    gap = max(92, *(text_width(d["label"], 12) + 10 for d in dimensions))  # titles stay apart
    return Figure(
        "parallel",
        (
            *_caption(shown, n_varying, len(chosen), len(decisions), clipped),
            *(["What violates a constraint is grey."] if not feasible.all() else []),
        ),
        {
            "data": [trace],
            "layout": {
                "margin": {"l": _LEFT, "r": _RIGHT, "t": 44, "b": 20},
                "paper_bgcolor": css("paper"),
            },
        },
        f"Parallel coordinates of {count(len(chosen), 'decision')} and "
        f"{count(len(shown), 'objective')} of {count(len(trials), 'trial')}",
        min_width=round(_LEFT + _RIGHT + gap * (len(dimensions) - 1)),
    )


def _trace(dimensions: list[Spec], goodness: npt.NDArray[np.float64]) -> Spec:
    """The lines; `goodness` `(n,)` from 0, the worst, to 1 decides their colours."""
    return {
        "type": "parcoords",
        "line": {
            "color": goodness.round(4).tolist(),
            "cmin": 0,
            "cmax": 1,
            "colorscale": [[0, css("scale-0")], [0.6, css("scale-1")], [1, css("scale-2")]],
        },
        "dimensions": dimensions,
        "labelfont": {"size": 12, "color": css("ink")},
        "tickfont": {"size": 11, "color": css("ink")},
        "rangefont": {"size": 1, "color": "rgba(0,0,0,0)"},
        "labelside": "top",
    }


def _labels(decisions: Sequence[Decision], shown: Sequence[Column]) -> list[str]:
    """What stands above the axes of all decisions and objectives; no two of them are alike."""
    names = [*(d.name for d in decisions), *(c.name for c in shown)]
    labels = distinct(names, _LABEL)
    for i, column in enumerate(shown, len(decisions)):
        name = column.name if len(column.name) <= _LABEL else labels[i]
        labels[i] = f"{name} ({column.unit})" if column.unit else name
    return labels


def important_decisions(
    rows: npt.NDArray[np.int16], ranks: pareto.Floats
) -> tuple[list[int], int]:
    """Positions of the decisions to show, in canonical order, and how many vary at all.

    Importance is the correlation ratio: the share of the variance of `ranks` that lies
    between the groups which a decision makes.
    """
    varying = [i for i in range(rows.shape[1]) if (rows[:, i] != rows[0, i]).any()]
    ratios = {i: _correlation_ratio(rows[:, i], ranks) for i in varying}
    best = sorted(varying, key=lambda i: (-ratios[i], i))[:MAX_DECISIONS]
    return sorted(best), len(varying)


def _correlation_ratio(groups: npt.NDArray[np.int16], values: pareto.Floats) -> float:
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    sizes = np.bincount(groups)
    means = np.bincount(groups, weights=values) / np.maximum(sizes, 1)
    return float((sizes * (means - values.mean()) ** 2).sum()) / total


def _ranks(losses: pareto.Floats) -> pareto.Floats:
    """0 for the best to 1 for the worst; equal values share a rank."""
    _, inverse = np.unique(losses, return_inverse=True)
    scaled: pareto.Floats = inverse / max(int(inverse.max()), 1)
    return scaled


def _decision(decision: Decision, indices: npt.NDArray[np.int16], ranks: pareto.Floats) -> Spec:
    """An axis of choices; lines spread around a choice, better trials above worse ones."""
    n = len(decision.choices)
    ticks = list(range(0, n, -(-n // _MAX_CHOICES)))
    texts = distinct([str(text) for text in decision.labels], _LABEL)
    return {
        "values": (indices + _SCATTER * (1 - 2 * ranks)).round(3).tolist(),
        "range": [-0.5, n - 0.5],
        "tickvals": ticks,
        "ticktext": [plot_text(texts[i]) for i in ticks],
    }


def _objective(
    column: Column, values: pareto.Floats, front: npt.NDArray[np.bool_]
) -> tuple[Spec, bool]:
    """An axis with the better end on top; a long tail of bad values off the front is cut off."""
    sign = column.objective.sign
    losses = values * sign
    best, worst = float(losses.min()), float(losses.max())
    limit = float(max([np.quantile(losses, 1 - _TAIL), *losses[front]]))
    cut = worst - best > 2.5 * (limit - best) > 0
    end = limit if cut else worst
    span = [end * sign, best * sign] if end != best else [values[0] - 0.5, values[0] + 0.5]
    ticks = np.linspace(span[0], span[1], 5).tolist() if end != best else [float(values[0])]
    texts = [column.plain(tick) for tick in ticks]
    if cut:
        texts[0] = (
            "\N{GREATER-THAN OR EQUAL TO}" if sign > 0 else "\N{LESS-THAN OR EQUAL TO}"
        ) + texts[0]
    return {
        "values": (np.minimum(losses, end) * sign).tolist(),
        "range": span,
        "tickvals": ticks,
        "ticktext": list(map(plot_text, texts)),
    }, cut


def _caption(
    shown: Sequence[Column], n_varying: int, n_shown: int, n_decisions: int, clipped: list[str]
) -> tuple[str, ...]:
    parts = [
        f"One line per trial, coloured by its rank in {shown[0].name}: the strongest colour is "
        "the best. Around each choice better trials run higher; each objective has its better "
        "end on top. Drag along an axis to select trials."
    ]
    if n_varying > n_shown:
        parts.append(
            f"Of {n_decisions} decisions the {n_shown} are shown that explain most of the ranks "
            f"in {shown[0].name} (correlation ratio)."
        )
    elif n_shown < n_decisions:
        parts.append(
            f"{count(n_decisions - n_shown, 'decision')} took the same choice throughout."
        )
    for name in clipped:
        parts.append(
            f"The worst values of {name}, a tenth at most and none of the front, are drawn at the "
            "lower end of its axis."
        )
    return tuple(parts)
