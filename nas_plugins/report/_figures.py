"""The plots as plotly figures, written as plain data so that plotly need not be imported.

Two kinds of placeholder are resolved in the browser, see `nas_plugins.sections.Figure`: values
of CSS variables, and shared lists, so that several plots can show the same texts without
repeating them. Text is never a placeholder, because placeholders are objects and text is a
string.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from nas_plugins._markup import plot_text
from nas_plugins.history import Trial
from nas_plugins.report._curves import drawable
from nas_plugins.report._format import Column, columns, limited_columns, table_values
from nas_plugins.results import SearchResult
from nas_plugins.sections import Figure

Spec = dict[str, Any]
HOVER_LINES, MANY = 8, 2000  # of many trials a hover text shows fewer lines


_TITLE = 30  # characters of a line


def css(name: str) -> Spec:
    """The value of a CSS variable."""
    return {"$css": f"--{name}"}


def shared_texts(result: SearchResult) -> list[str]:
    """Hover text of every trial of `drawable`, in plotly's subset of HTML."""
    shown = [*columns(result), *limited_columns(result)]
    trials = drawable(result)
    lines = HOVER_LINES if len(trials) <= MANY else 4
    return [_hover(trial, table_values(result, trial), shown, lines) for trial in trials]


def axis_titles(x: str, y: str) -> Spec:
    """A layout with titled axes; long lines of a title are broken, as a phone is narrow."""
    texts = []
    for title in (x, y):
        lines = [part for line in title.split("\n") for part in textwrap.wrap(line, _TITLE)]
        texts.append("<br>".join(map(plot_text, lines)))
    return {"xaxis": {"title": {"text": texts[0]}}, "yaxis": {"title": {"text": texts[1]}}}


def template() -> Spec:
    """Layout shared by all plots: transparent ground, colours of the page."""
    axis = {
        "gridcolor": css("rule"),
        "linecolor": css("axis"),
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "tickcolor": css("axis"),
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": css("ink")},
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "xaxis": axis,
        "yaxis": axis,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": css("paper"),
            "bordercolor": css("axis"),
            "font": {"color": css("ink"), "size": 12},
            "align": "left",
        },
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": css("muted"), "activecolor": css("ink")},
    }


def _hover(
    trial: Trial, values: Sequence[float | None], shown: Sequence[Column], most: int
) -> str:
    told = "<br>".join(
        f"{plot_text(c.name)}: <b>{plot_text(c(v))}</b>"
        for c, v in zip(shown, values, strict=True)
        if v is not None
    )
    lines = textwrap.wrap(str(trial.architecture), 56, break_on_hyphens=False) or [""]
    if len(lines) > most:
        lines = [*lines[:most], "\N{HORIZONTAL ELLIPSIS}"]
    architecture = "<br>".join(map(plot_text, lines))
    extra = " (infeasible)" if trial.violation > 0 else ""
    return f"<b>Trial {trial.number}</b>{extra}<br>{told}<br>{architecture}"


__all__ = ["Figure", "Spec", "axis_titles", "css", "shared_texts", "template"]
