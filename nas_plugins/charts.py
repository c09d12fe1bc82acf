"""A line chart as SVG text, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

# Okabe and Ito (2008): told apart with every common colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_WIDTH, _HEIGHT, _LEFT, _TOP, _LEGEND = 460, 280, 56, 34, 230
_TICKS = 5


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
    width, height = _LEFT + _WIDTH + _LEGEND, bottom + 44
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


__all__ = ["Line", "line_chart"]
