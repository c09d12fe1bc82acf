"""Primitives of the drawings: numbers, labels, colours, boxes and arrows.

Colours are CSS variables with a fallback that reads on light and dark ground, and text takes
the colour of its surroundings, so a drawing also works outside the report. Arrowheads are
paths, not markers: no ids, so any number of drawings can share a page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas_plugins._markup import Markup, element, join

FONT = 12.0
PADDING = 8.0
BOX_HEIGHT = 26.0

# Okabe and Ito (2008): told apart with every common colour vision.
COLOURS = {
    "conv": "#0072b2",
    "point": "#56b4e9",
    "skip": "#009e73",
    "avg": "#e69f00",
    "max": "#d55e00",
    "other": "#cc79a7",
    "none": "#8b949e",
    "plain": "#8b949e",
}
_FAMILIES = (
    (re.compile(r"none|zero"), "none"),
    (re.compile(r"skip|identity|residual"), "skip"),
    (re.compile(r"max_?-?pool"), "max"),
    (re.compile(r"pool"), "avg"),
    (re.compile(r"dil|^k5_"), "other"),
    (re.compile(r"conv.*1x1|1x1.*conv"), "point"),
    (re.compile(r"conv|^k3_"), "conv"),
)
_CYCLE = ("conv", "avg", "skip", "other", "point", "max")
_NARROW, _WIDE = frozenset("fijlrt1.,:;|!'()[] "), frozenset("mwMWABCDGHNOQU@%")

Point = tuple[float, float]


def number(value: float) -> str:
    """Writes a coordinate with at most one decimal, the same on every platform."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def colour(family: str) -> str:
    """CSS value of a family of operations."""
    return f"var(--nap-{family}, {COLOURS[family]})"


def family_of(operation: str, vocabulary: Sequence[str] = ()) -> str:
    """Family of an operation by its name; of unknown ones by position in a small vocabulary."""
    if operation in {"input", "output", ""}:
        return "plain"
    for pattern, family in _FAMILIES:
        if pattern.search(operation.lower()):
            return family
    known = [word for word in vocabulary if word not in {"input", "output"}]
    if operation in known and len(known) <= len(_CYCLE):
        return _CYCLE[known.index(operation)]
    return "plain"


def short(operation: str, limit: int = 18) -> str:
    """A readable label: ``nor_conv_3x3`` becomes ``conv 3×3``."""  # noqa: RUF002
    text = re.sub(r"^nor_|_connect$|-bn-relu$|^\"|\"$", "", operation)
    text = re.sub(r"(?<=\d)x(?=\d)", "\N{MULTIPLICATION SIGN}", text)
    text = re.sub(r"(?<=[a-z]{4})(?=\d+\N{MULTIPLICATION SIGN})", " ", text.replace("_", " "))
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def distinct(names: Sequence[str], limit: int = 18) -> list[str]:
    """`short` of each; where two would read alike, the middle is left out instead of the end.

    They are as long as it takes to tell them apart.

    >>> distinct(["normal/node_3/op_0", "normal/node_3/op_1", "lr"], 14)
    ['normal…3/op 0', 'normal…3/op 1', 'lr']
    """
    found = [short(name, limit) for name in names]
    if len(set(found)) == len(set(names)):
        return found
    whole = [short(name, 2 * len(name) + 1) for name in names]
    for length in range(limit, max(map(len, whole)) + 1):
        found = [name if len(name) <= length else _cut_out(name, length) for name in whole]
        if len(set(found)) == len(set(names)):
            return found
    return list(names)


def _cut_out(name: str, length: int) -> str:
    """The beginning and the end of a name, of whole words where it has several."""

    def splits_a_word(at: int) -> bool:
        return name[at - 1 : at + 1].isalnum()

    start = len(name) - length // 2
    tail = name[start:].lstrip(" /._-")
    if splits_a_word(start):
        tail = re.sub(r"^[^\W_]*[ /._-]+(?=\w)", "", tail)
    end = length - 1 - len(tail)
    head = name[:end].rstrip(" /._-")
    if splits_a_word(end):
        head = re.sub(r"(?<=\w)[ /._-]+[^\W_]*$", "", head)
    return f"{head}\N{HORIZONTAL ELLIPSIS}{tail}"


def text_width(text: str, size: float = FONT) -> float:
    """Estimated width of a text in a sans-serif face, rather too wide than too narrow."""
    ems = sum(0.34 if c in _NARROW else 0.84 if c in _WIDE else 0.62 for c in text)
    return ems * size


@dataclass(frozen=True)
class Box:
    """A labelled rounded rectangle around its centre.

    Attributes:
        centre: x and y.
        width: Width; the height is `BOX_HEIGHT`.
        label: Text inside, shortened already.
        family: Colour family.
        full: The whole text, shown on hover where the label is shortened.
        caption: Small text above.
    """

    centre: Point
    width: float
    label: str
    family: str
    full: str = ""
    caption: str = ""

    def svg(self) -> Markup:
        """The box on an opaque ground, so that edges behind it do not show."""
        x, y = self.centre
        frame = {
            "x": number(x - self.width / 2),
            "y": number(y - BOX_HEIGHT / 2),
            "width": number(self.width),
            "height": number(BOX_HEIGHT),
            "rx": "6",
        }
        tone = colour(self.family)
        dash = ";stroke-dasharray:3 3" if self.family == "none" else ""
        return element(
            "g",
            element("title", self.full) if self.full and self.full != self.label else None,
            text((x, y - BOX_HEIGHT / 2 - 5), self.caption, size=9.5, faint=True)
            if self.caption
            else None,
            element("rect", **frame, style="fill:var(--nap-paper, Canvas)"),
            element(
                "rect",
                **frame,
                style=f"fill:{tone};fill-opacity:.17;stroke:{tone};stroke-width:1.4{dash}",
            ),
            text((x, y + 4.2), self.label),
        )


def text(at: Point, content: str, *, size: float = FONT, faint: bool = False) -> Markup:
    """Centred text in the colour of the surroundings."""
    return element(
        "text",
        content,
        x=number(at[0]),
        y=number(at[1]),
        text_anchor="middle",
        style=f"font-size:{number(size)}px;fill:currentColor" + (";opacity:.7" if faint else ""),
    )


def curve(points: Sequence[Point]) -> str:
    """Path data through points from left to right, level at each of them."""
    parts = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(y0 - y1) < 0.05:
            parts.append(f"H{number(x1)}")
        else:
            middle = number((x0 + x1) / 2)
            parts.append(f"C{middle} {number(y0)} {middle} {number(y1)} {number(x1)} {number(y1)}")
    return "".join(parts)


def arrow(path: str, tip: Point, angle: float, family: str, *, faint: bool = False) -> Markup:
    """A line along `path` with an arrowhead at `tip` that points along `angle` (radians)."""
    tone = colour(family)
    head = [
        (tip[0] - 8 * math.cos(angle + turn), tip[1] - 8 * math.sin(angle + turn))
        for turn in (0.4, -0.4)
    ]
    corners = " ".join(f"{number(x)},{number(y)}" for x, y in (tip, *head))
    dash = ";stroke-dasharray:3 4" if faint else ""
    return join(
        [
            element("path", d=path, style=f"fill:none;stroke:{tone};stroke-width:1.5{dash}"),
            element("polygon", points=corners, style=f"fill:{tone}"),
        ]
    )


def picture(width: float, height: float, label: str, body: object) -> Markup:
    """The outer ``<svg>``: scales down to its container, keeps its size otherwise."""
    return element(
        "svg",
        element("title", label),
        body,
        xmlns="http://www.w3.org/2000/svg",
        class_="nap-drawing",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=number(width),
        height=number(height),
        # Narrower than this the text is too small: the report scrolls sideways instead.
        style=f"--nap-legible:{number(0.55 * width)}px;font:{number(FONT)}px system-ui,sans-serif;"
        "max-width:100%;height:auto",
    )
