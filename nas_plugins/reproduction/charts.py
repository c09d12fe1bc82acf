"""Line charts and panels of points as SVG text, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

# Okabe and Ito (2008): told apart with every common colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_WIDTH, _HEIGHT, _LEFT, _TOP, _LEGEND = 460, 280, 56, 34, 230
_TICKS = 5
_PANEL_WIDTH, _PANEL_HEIGHT, _GAP_X, _GAP_Y = 250, 180, 66, 62


@dataclass(frozen=True)
class Line:
    """One line; points with a value that is no number are left out.

    Attributes:
        name: In the legend.
        x: Positions.
        y: Values.
        sd: Half heights of the error bars, or empty.
        dashed: Whether the line is dashed.
        colour: Number of its colour; lines that belong together share one.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sd: Sequence[float] = ()
    dashed: bool = False
    colour: int = 0


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float],
    log_x: bool = False,
) -> str:
    """Draws lines over a common pair of axes.

    Args:
        lines: At least one, with a common range of x.
        title: Above the chart.
        x_label: Below it.
        y_label: Beside it.
        y_range: Lower and upper end of the vertical axis.
        log_x: Whether the horizontal axis is logarithmic.

    Raises:
        ValueError: There is no point to draw.
    """
    ticks = sorted({x for line in lines for x in line.x})
    if not ticks:
        raise ValueError("`lines` must hold at least one point, got none")
    scale = math.log if log_x else float
    low, high = scale(ticks[0]), scale(ticks[-1])

    def across(x: float) -> float:
        share = (scale(x) - low) / (high - low) if high > low else 0.5
        return _LEFT + 12 + share * (_WIDTH - 24)

    def down(y: float) -> float:
        share = (y - y_range[0]) / (y_range[1] - y_range[0])
        return _TOP + _HEIGHT * (1 - min(max(share, 0.0), 1.0))

    parts = [_text(_LEFT, 20, title, weight="bold")]
    bottom = _TOP + _HEIGHT
    for i in range(_TICKS + 1):
        value = y_range[0] + (y_range[1] - y_range[0]) * i / _TICKS
        parts.append(
            _stroke([(_LEFT, down(value)), (_LEFT + _WIDTH, down(value))], "#cccccc", 0.6)
        )
        parts.append(_text(_LEFT - 6, down(value) + 4, f"{value:g}", anchor="end"))
    for x in ticks:
        parts.append(_text(across(x), bottom + 16, f"{x:g}", anchor="middle"))
    parts.append(_text(_LEFT + _WIDTH / 2, bottom + 34, x_label, anchor="middle"))
    parts.append(
        f'<g transform="translate(14 {_TOP + _HEIGHT / 2}) rotate(-90)">'
        f"{_text(0, 0, y_label, anchor='middle')}</g>"
    )
    for number, line in enumerate(lines):
        parts += _line(line, number, across, down)
    return _svg(_LEFT + _WIDTH + _LEGEND, bottom + 44, parts)


Panel: TypeAlias = tuple[str, Sequence[float], Sequence[float]]
"""Points under a heading: the heading, positions and values."""


def scatter_panels(
    panels: Sequence[Panel],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    line: tuple[Sequence[float], Sequence[float]] = ((), ()),
    columns: int = 3,
) -> str:
    """Draws panels of points with the same axes, and the same line in each.

    Args:
        panels: One or more.
        title: Above all.
        x_label: Below each panel.
        y_label: Beside each panel.
        x_range: Ends of the horizontal axis; points beyond an axis are drawn at its end.
        y_range: Ends of the vertical axis.
        line: Positions and values of a line to compare with, e.g. a true front.
        columns: Panels beside one another.

    Raises:
        ValueError: There is no panel, or a range is empty.
    """
    if not panels:
        raise ValueError("`panels` must hold at least one panel, got none")
    for name, (low, high) in (("x_range", x_range), ("y_range", y_range)):
        if not low < high:
            raise ValueError(f"`{name}` must end above its beginning, got {(low, high)}")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    parts = [_text(_LEFT, 20, title, weight="bold")]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        left = _LEFT + column * (_PANEL_WIDTH + _GAP_X)
        top = _TOP + 22 + row * (_PANEL_HEIGHT + _GAP_Y)
        inside = _panel(panel, number, x_range, y_range, line)
        labels = [
            _text(_PANEL_WIDTH / 2, _PANEL_HEIGHT + 32, x_label, anchor="middle"),
            f'<g transform="translate(-42 {_PANEL_HEIGHT / 2}) rotate(-90)">'
            f"{_text(0, 0, y_label, anchor='middle')}</g>",
        ]
        parts.append(f'<g transform="translate({left} {top})">{"".join(inside + labels)}</g>')
    width = _LEFT + columns * (_PANEL_WIDTH + _GAP_X)
    return _svg(width, _TOP + 22 + rows * (_PANEL_HEIGHT + _GAP_Y), parts)


def _panel(
    panel: Panel,
    number: int,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    line: tuple[Sequence[float], Sequence[float]],
) -> list[str]:
    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        down = 1 - (y - y_range[0]) / (y_range[1] - y_range[0])
        return _PANEL_WIDTH * min(max(across, 0.0), 1.0), _PANEL_HEIGHT * min(max(down, 0.0), 1.0)

    name, positions, values = panel
    corners = [(0, 0), (0, _PANEL_HEIGHT), (_PANEL_WIDTH, _PANEL_HEIGHT)]
    parts = [_text(0, -6, name), _stroke(corners, "#999999", 0.8)]
    for i in range(3):
        x = x_range[0] + (x_range[1] - x_range[0]) * i / 2
        y = y_range[0] + (y_range[1] - y_range[0]) * i / 2
        across, down = place(x, y)
        parts.append(_text(across, _PANEL_HEIGHT + 15, f"{x:.3g}", anchor="middle"))
        parts.append(_text(-5, down + 4, f"{y:.3g}", anchor="end"))
    parts.append(_stroke([place(x, y) for x, y in zip(*line, strict=True)], "#222222", 1.0))
    colour = _COLOURS[number % len(_COLOURS)]
    for x, y in zip(positions, values, strict=True):
        across, down = place(x, y)
        parts.append(
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2.5" fill="{colour}" '
            'fill-opacity="0.45"/>'
        )
    return parts


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _line(
    line: Line, number: int, across: Callable[[float], float], down: Callable[[float], float]
) -> list[str]:
    colour = _COLOURS[line.colour % len(_COLOURS)]
    kept = [i for i, y in enumerate(line.y) if not math.isnan(y)]
    points = [(across(line.x[i]), down(line.y[i])) for i in kept]
    parts = [_stroke(points, colour, 2.0, dashed=line.dashed)]
    for (x, y), i in zip(points, kept, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        if line.sd and line.sd[i] > 0:
            ends = [down(line.y[i] - line.sd[i]), down(line.y[i] + line.sd[i])]
            parts.append(_stroke([(x, ends[0]), (x, ends[1])], colour, 1.2))
    y = _TOP + 10 + 18 * number
    begin = _LEFT + _WIDTH + 14
    parts.append(_stroke([(begin, y), (begin + 24, y)], colour, 2.0, dashed=line.dashed))
    parts.append(_text(begin + 30, y + 4, line.name))
    return parts


def _stroke(
    points: Sequence[tuple[float, float]], colour: str, width: float, *, dashed: bool = False
) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#222222">{escape(text)}</text>'
    )
