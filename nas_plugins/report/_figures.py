"""The figures of the report as Plotly figures that take their colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.history import Trial
from nas_plugins.results import SearchResult
from nas_plugins.spaces.base import Decision

# Okabe and Ito's palette, legible on light and dark ground and to the colour-blind.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8F98"
_MAX_AXES = 12
_MAX_LABEL = 24
_MIN_FOCUS = 8  # fewer trials are all shown


def axis_title(result: SearchResult, name: str) -> str:
    """Name of a metric with its unit."""
    unit = next((metric.unit for metric in result.metrics if metric.name == name), "")
    return f"{name} [{unit}]" if unit else name


def finite(trials: Sequence[Trial]) -> list[Trial]:
    """The trials whose values can be drawn."""
    return [t for t in trials if all(map(math.isfinite, t.values))]


def objective_figure(result: SearchResult) -> Any:
    """One objective: best value so far. Two: scatter with fronts. More: scatter matrix."""
    m = len(result.history.objectives)
    return (_progress, _scatter)[m - 1](result) if m <= 2 else _matrix(result)


def _progress(result: SearchResult) -> Any:
    import plotly.graph_objects as go

    objective = result.history.objectives[0]
    trials = finite(result.history.complete)
    feasible = [t for t in trials if t.violation <= 0]
    best = np.minimum.accumulate([objective.sign * t.values[0] for t in feasible] or [math.nan])
    figure = go.Figure(
        [
            go.Scatter(
                x=[t.number for t in trials],
                y=[t.values[0] for t in trials],
                mode="markers",
                name="trial",
                text=[str(t.architecture) for t in trials],
                hovertemplate="trial %{x}: %{y}<br>%{text}<extra></extra>",
                marker={"color": GREY, "size": 6, "opacity": 0.6},
            ),
            go.Scatter(
                x=[t.number for t in feasible],
                y=best[: len(feasible)] * objective.sign,
                mode="lines",
                name="best so far",
                line={"color": BLUE, "width": 2.5, "shape": "hv"},
            ),
        ]
    )
    if result.true_front:
        figure.add_hline(
            y=result.true_front[0][0],
            line={"color": GREEN, "dash": "dot"},
            annotation={"text": "optimum"},
        )
    figure.update_layout(
        xaxis_title="trial", yaxis_title=axis_title(result, objective.name), legend_y=-0.2
    )
    return figure


def _scatter(result: SearchResult) -> Any:
    import plotly.graph_objects as go

    history = result.history
    front = sorted(finite(history.front), key=lambda t: t.values)
    on_front = {t.number for t in front}
    rest = [t for t in finite(history.complete) if t.number not in on_front]
    figure = go.Figure(
        [
            _points([t for t in rest if t.violation <= 0], "trial", GREY, "circle", 6),
            _points([t for t in rest if t.violation > 0], "infeasible trial", GREY, "x-thin", 6),
            _points(front, "front found", BLUE, "circle", 10),
        ]
    )
    figure.data[-1].update(mode="lines+markers", line={"color": BLUE, "shape": _step(result)})
    if result.true_front:
        x, y = zip(*sorted(result.true_front), strict=True)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name="true front",
            line={"color": ORANGE, "dash": "dot", "shape": _step(result)},
            marker={"symbol": "diamond-open", "size": 7},
        )
    names = [objective.name for objective in history.objectives]
    figure.update_layout(
        xaxis_title=axis_title(result, names[0]),
        yaxis_title=axis_title(result, names[1]),
        legend_y=-0.2,
    )
    x_range, y_range = _focus(result)
    figure.update_xaxes(range=x_range)
    figure.update_yaxes(range=y_range)
    return figure


def _step(result: SearchResult) -> str:
    """Which way the steps of a dominated region go, with the first objective to the right."""
    return "hv" if result.history.objectives[0].direction == "min" else "vh"


def _focus(result: SearchResult) -> list[list[float] | None]:
    """Axis ranges around the better nine tenths of the trials, where the fronts are."""
    trials = finite(result.history.complete)
    if len(trials) < _MIN_FOCUS:
        return [None, None]
    losses = result.losses([t.values for t in trials])
    front = result.losses([t.values for t in finite(result.history.front)])
    good = losses[(losses <= np.quantile(losses, 0.9, axis=0)).all(axis=1)]
    shown = np.concatenate([good, front])
    if result.true_front:
        # Its ends belong into the picture, far tails do not.
        known = result.losses(result.true_front)
        slack = 0.25 * (shown.max(axis=0) - shown.min(axis=0))
        near = known[(known <= shown.max(axis=0) + slack).all(axis=1)]
        shown = np.concatenate([shown, near])
    signs = [objective.sign for objective in result.history.objectives]
    ends = np.sort(np.stack([shown.min(axis=0), shown.max(axis=0)]) * signs, axis=0)
    pad = np.where(ends[1] > ends[0], 0.05 * (ends[1] - ends[0]), 1.0)
    ranges = np.stack([ends[0] - pad, ends[1] + pad], axis=1)
    return [row.tolist() for row in ranges]


def _points(trials: Sequence[Trial], name: str, colour: str, symbol: str, size: int) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        x=[t.values[0] for t in trials],
        y=[t.values[1] for t in trials],
        mode="markers",
        name=name,
        text=[f"trial {t.number}<br>{t.architecture}" for t in trials],
        hovertemplate="%{x}, %{y}<br>%{text}<extra></extra>",
        marker={"color": colour, "symbol": symbol, "size": size, "line": {"width": 1}},
    )


def _matrix(result: SearchResult) -> Any:
    import plotly.graph_objects as go

    trials = finite(result.history.complete)
    on_front = {t.number for t in result.history.front}
    return go.Figure(
        go.Splom(
            dimensions=[
                {"label": axis_title(result, o.name), "values": [t.values[i] for t in trials]}
                for i, o in enumerate(result.history.objectives)
            ],
            text=[f"trial {t.number}<br>{t.architecture}" for t in trials],
            diagonal_visible=False,
            marker={
                "color": [BLUE if t.number in on_front else GREY for t in trials],
                "size": [8 if t.number in on_front else 5 for t in trials],
            },
        )
    )


def hypervolume_figure(result: SearchResult) -> Any:
    """Hypervolume after each trial, as a share of the true front's where it is known."""
    import plotly.graph_objects as go

    numbers, volumes = hypervolume_curve(result)
    figure = go.Figure(
        go.Scatter(
            x=numbers,
            y=volumes,
            mode="lines",
            line={"color": BLUE, "width": 2.5, "shape": "hv"},
            hovertemplate="trial %{x}: %{y:.4f}<extra></extra>",
        )
    )
    title = "share of the true front's" if result.true_front else "normalised hypervolume"
    figure.update_layout(xaxis_title="trial", yaxis_title=title, showlegend=False)
    return figure


def hypervolume_curve(result: SearchResult) -> tuple[list[int], list[float]]:
    """Trial numbers, and the hypervolume that all trials up to each have reached.

    Normalised by the true front (FN, reference 1.1) or, where it is not known, by the front
    that was found. Computed anew only where the front changes.
    """
    trials = [t for t in finite(result.history.complete) if t.violation <= 0]
    if not trials:
        return [], []
    losses = result.losses([t.values for t in trials])
    known = result.losses(result.true_front) if result.true_front else None
    basis = losses[pareto.front_mask(losses)] if known is None else known
    scaled = pareto.Normalisation.front(basis)(losses)
    reference = np.full(losses.shape[1], 1.1)
    whole = 1.0
    if known is not None:
        whole = pareto.hypervolume(pareto.Normalisation.front(basis)(known), reference)
    volumes: list[float] = []
    front: npt.NDArray[np.float64] = np.empty((0, losses.shape[1]))
    for point in scaled:
        if (front <= point).all(axis=1).any():
            volumes.append(volumes[-1])
            continue
        front = np.vstack([front[~(point <= front).all(axis=1)], point])
        volumes.append(pareto.hypervolume(front, reference) / whole)
    return [t.number for t in trials], volumes


def shown_decisions(result: SearchResult) -> list[Decision]:
    """The decisions on the parallel axes: at most twelve, those that vary most."""
    decisions = result.history.space.decisions
    rows = np.array([t.architecture.indices for t in result.history.complete])
    if len(decisions) <= _MAX_AXES or len(rows) == 0:
        return list(decisions[:_MAX_AXES])
    entropy = []
    for column in rows.T:
        share = np.unique(column, return_counts=True)[1] / len(column)
        entropy.append(float(-(share * np.log(share)).sum()))
    chosen = sorted(np.argsort(entropy, kind="stable")[::-1][:_MAX_AXES].tolist())
    return [decisions[i] for i in chosen]


def parallel_figure(result: SearchResult) -> Any:
    """Parallel coordinates of decisions and objectives, coloured by the first objective."""
    import plotly.graph_objects as go

    trials = finite(result.history.complete)
    positions = {d.name: i for i, d in enumerate(result.history.space.decisions)}
    dimensions: list[dict[str, Any]] = [
        {
            "label": decision.name,
            "values": [t.architecture.indices[positions[decision.name]] for t in trials],
            "range": [0, max(len(decision.choices) - 1, 1)],
            "tickvals": list(range(len(decision.choices))),
            "ticktext": [_shortened(str(choice)) for choice in decision.choices],
        }
        for decision in shown_decisions(result)
    ]
    dimensions += [
        {"label": axis_title(result, o.name), "values": [t.values[i] for t in trials]}
        for i, o in enumerate(result.history.objectives)
    ]
    first = result.history.objectives[0]
    values = [t.values[0] for t in trials]
    # A few bad trials must not use up the colours of the good ones.
    clipped = np.quantile(values, [0.1, 1.0] if first.direction == "max" else [0.0, 0.9])
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": values,
                "cmin": float(clipped[0]),
                "cmax": float(clipped[1]),
                "colorscale": "Viridis",
                "reversescale": first.direction == "min",
                "showscale": True,
                "colorbar": {"title": {"text": first.name}, "thickness": 12},
            },
        )
    )
    figure.update_layout(margin={"l": 110, "r": 40, "t": 60, "b": 30})
    return figure


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


__all__ = [
    "axis_title",
    "finite",
    "hypervolume_curve",
    "hypervolume_figure",
    "objective_figure",
    "parallel_figure",
    "shown_decisions",
]
