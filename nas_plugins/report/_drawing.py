"""Architectures as inline SVG: cells, genotypes and chains."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas_plugins._markup import Markup, element, join
from nas_plugins.report import _layout
from nas_plugins.report._svg import (
    BOX_HEIGHT,
    PADDING,
    Box,
    Point,
    arrow,
    colour,
    curve,
    family_of,
    number,
    picture,
    short,
    text,
    text_width,
)
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.graph import Graph
from nas_plugins.spaces.nasbench201 import EDGES, OPERATIONS

MAX_NODES = 160
_LINE = 680.0  # a chain wraps beyond this width
_COLUMN_GAP, _ROW_GAP = 30.0, 14.0
_MARGIN = 6.0
_INDENT = 16.0  # room for the arrows that enter a line of a chain
_CELL = re.compile(r"\b(normal|reduce|cell)\s*=\s*(\[[^\[\]]*\])")
_STATES = ("c_{k-2}", "c_{k-1}")


def draw(architecture: Architecture) -> str:
    """Draws an architecture as one inline ``<svg>`` element.

    NAS-Bench-201 is drawn as its cell of four nodes with labelled edges, a DARTS genotype as
    its cells with one box per operation, and everything else from ``space.graph``: a chain
    wraps over lines, any other graph is laid out in layers from left to right.

    The result depends on the architecture alone, needs no style sheet, and takes its text
    colour from where it stands; the report's style sheet sets the ``--nap-*`` colours.

    Args:
        architecture: An architecture of any space.

    Returns:
        SVG markup with a title and an ``aria-label``; all text is escaped.
    """
    label = f"{architecture.space.name}: {architecture}"
    if architecture.space.name == "nasbench201":
        return _edge_cell([OPERATIONS[i] for i in architecture.indices], label)
    cells = _genotype_cells(str(architecture))
    if cells:
        if len(cells) > 1 and len({tuple(ops) for ops in cells.values()}) == 1:
            cells = {" and ".join(cells): next(iter(cells.values()))}
        return _stacked([(name, _genotype_part(ops)) for name, ops in cells.items()], label)
    graph = architecture.space.graph(architecture)
    nodes = [node for node, name in enumerate(graph.labels) if name]
    if _is_chain(nodes, graph.edges):
        return _chain(architecture, graph, nodes, label)
    if len(nodes) > MAX_NODES:
        note = f"{len(nodes):,} nodes and {len(graph.edges):,} edges: too large to draw"
        return picture(360, 40, label, text((180, 24), note))
    parts = [
        ("", _layered_part(_boxes(graph, part), [e for e in graph.edges if e[0] in set(part)]))
        for part in _layout.components(nodes, graph.edges)
    ]
    return _stacked(parts, label)


@dataclass(frozen=True)
class _Part:
    """A finished piece of a drawing with its size."""

    body: Markup
    width: float
    height: float


@dataclass(frozen=True)
class _Node:
    label: str
    family: str
    full: str

    @property
    def width(self) -> float:
        return max(text_width(self.label) + 2 * PADDING, BOX_HEIGHT)


def _stacked(parts: Sequence[tuple[str, _Part]], label: str) -> Markup:
    """Parts one below the other, each under its name."""
    pieces, top, width = [], _MARGIN, 0.0
    for name, part in parts:
        if name:
            pieces.append(_heading(name, top + 12))
            top += 22
        pieces.append(
            element("g", part.body, transform=f"translate({number(_MARGIN)} {number(top)})")
        )
        top += part.height + 2 * _MARGIN
        width = max(width, part.width)
    return picture(width + 2 * _MARGIN, top, label, join(pieces))


def _heading(name: str, y: float) -> Markup:
    style = "font-size:11px;font-weight:600;fill:currentColor;opacity:.75"
    return element("text", name, x=number(_MARGIN), y=number(y), style=style)


# -- any graph -----------------------------------------------------------------------------


def _boxes(graph: Graph, nodes: Sequence[int]) -> dict[int, _Node]:
    labels = graph.labels
    return {
        node: _Node(short(labels[node]), family_of(labels[node], graph.vocabulary), labels[node])
        for node in nodes
    }


def _layered_part(nodes: Mapping[int, _Node], edges: Sequence[_layout.Edge]) -> _Part:
    plan = _layout.layered(list(nodes), edges)
    columns = [0.0] * plan.n_layers
    for node, box in nodes.items():
        columns[plan.layer[node]] = max(columns[plan.layer[node]], box.width)
    left = [sum(columns[:i]) + i * _COLUMN_GAP for i in range(plan.n_layers)]
    pitch = BOX_HEIGHT + _ROW_GAP

    def y(height: float) -> float:
        return height * pitch + BOX_HEIGHT / 2

    lines = []
    for (source, target), route in plan.routes.items():
        first, last = plan.layer[source], plan.layer[target]
        half = nodes[source].width / 2, nodes[target].width / 2
        start = left[first] + columns[first] / 2 + half[0]
        points: list[Point] = [(start, y(route[0])), (left[first] + columns[first], y(route[0]))]
        for level in range(first + 1, last):
            height = y(route[level - first])
            points += [(left[level], height), (left[level] + columns[level], height)]
        tip = (left[last] + columns[last] / 2 - half[1], y(route[-1]))
        points += [(left[last], tip[1]), (tip[0] - 5, tip[1])]
        lines.append(arrow(curve(points), tip, 0.0, "plain"))
    boxes = [
        Box(
            (left[plan.layer[node]] + columns[plan.layer[node]] / 2, y(plan.height[node])),
            box.width,
            box.label,
            box.family,
            box.full,
        ).svg()
        for node, box in nodes.items()
    ]
    width = sum(columns) + max(plan.n_layers - 1, 0) * _COLUMN_GAP
    return _Part(join([*lines, *boxes]), width, plan.span * pitch + BOX_HEIGHT)


# -- DARTS ---------------------------------------------------------------------------------


def _genotype_cells(written: str) -> dict[str, list[tuple[str, int]]]:
    """Cells of a text such as ``Genotype(normal=[('skip_connect', 0), ...], ...)``."""
    cells = {}
    for name, items in _CELL.findall(written):
        try:
            operations = ast.literal_eval(items)
        except (ValueError, SyntaxError):
            return {}
        if not operations or not all(_is_operation(item, i) for i, item in enumerate(operations)):
            return {}
        cells[name] = operations
    return cells


def _is_operation(item: object, position: int) -> bool:
    """An operation and a source that exists: two inputs and the nodes before this one."""
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], int)
        and 0 <= item[1] < 2 + position // 2
    )


def _genotype_part(operations: Sequence[tuple[str, int]]) -> _Part:
    """A cell with a node per sum and a box per operation; two operations enter each sum."""
    blocks = (len(operations) + 1) // 2
    names = ["c\N{LATIN SUBSCRIPT SMALL LETTER K}\u208b\u2082", "c\u2096\u208b\u2081"]
    names += map(str, range(blocks))
    nodes: dict[int, _Node] = {}
    edges: list[_layout.Edge] = []
    first_operation = 2 + blocks
    for state in range(2):
        nodes[state] = _Node(names[state], "plain", _STATES[state])
    for i, (operation, source) in enumerate(operations):
        target, node = 2 + i // 2, first_operation + i
        nodes[node] = _Node(short(operation), family_of(operation), operation)
        edges += [(source, node), (node, target)]
        if i % 2 or i == len(operations) - 1:
            nodes[target] = _Node(names[target], "plain", f"sum {names[target]}")
    output = first_operation + len(operations)
    nodes[output] = _Node("c\u2096", "plain", "c_{k}: all sums concatenated")
    edges += [(2 + block, output) for block in range(blocks)]
    used = {source for source, _ in edges} | {target for _, target in edges}
    return _layered_part({node: box for node, box in nodes.items() if node in used}, edges)


# -- chains --------------------------------------------------------------------------------


def _is_chain(nodes: Sequence[int], edges: Sequence[tuple[int, int]]) -> bool:
    return list(edges) == list(pairwise(nodes))


def _chain(architecture: Architecture, graph: Graph, nodes: Sequence[int], label: str) -> Markup:
    names = [graph.labels[node] for node in nodes]
    decisions = [decision.name for decision in architecture.space.decisions]
    captions = ["", *decisions, ""] if len(names) == len(decisions) + 2 else [""] * len(names)
    if len(names) > MAX_NODES:
        left_out = len(names) - MAX_NODES
        names = [*names[:MAX_NODES], f"and {left_out:,} more"]
    captions = [short(caption, 16) for caption in captions[: len(names)]]
    labels = [short(name, 16) for name in names]
    width = max(
        *(text_width(text_) + 2 * PADDING for text_ in labels),
        *(text_width(caption, 9.5) + 4 for caption in captions),
    )
    gap = 24.0
    per_line = max(1, min(len(names), int((_LINE + gap) // (width + gap))))
    pitch = BOX_HEIGHT + (34.0 if any(captions) else 22.0)
    top = 14.0 if any(captions) else 0.0
    rows = math.ceil(len(names) / per_line)
    left = _MARGIN + (_INDENT if rows > 1 else 0.0)

    def centre(i: int) -> Point:
        line, column = divmod(i, per_line)
        return (
            left + width / 2 + column * (width + gap),
            _MARGIN + top + BOX_HEIGHT / 2 + line * pitch,
        )

    lines = [_chain_link(centre(i), centre(i + 1), width) for i in range(len(names) - 1)]
    boxes = [
        Box(
            centre(i),
            width,
            labels[i],
            family_of(names[i], graph.vocabulary),
            names[i],
            captions[i],
        ).svg()
        for i in range(len(names))
    ]
    return picture(
        left + _MARGIN + per_line * (width + gap) - gap,
        2 * _MARGIN + top + BOX_HEIGHT + (rows - 1) * pitch,
        label,
        join([*lines, *boxes]),
    )


def _chain_link(start: Point, end: Point, width: float) -> Markup:
    if start[1] == end[1]:
        tip = (end[0] - width / 2, end[1])
        return arrow(
            curve([(start[0] + width / 2, start[1]), (tip[0] - 5, tip[1])]), tip, 0, "plain"
        )
    # Over to the next line: down, back between the lines, and into the first box from the left.
    tip = (end[0] - width / 2, end[1])
    low = start[1] + BOX_HEIGHT / 2 + 7
    path = (
        f"M{number(start[0])} {number(start[1] + BOX_HEIGHT / 2)}V{number(low)}"
        f"H{number(tip[0] - _INDENT + 4)}V{number(tip[1])}H{number(tip[0] - 5)}"
    )
    return arrow(path, tip, 0.0, "plain")


# -- NAS-Bench-201 -------------------------------------------------------------------------

_NODE_X = (52.0, 194.0, 336.0, 478.0)
_BASE = 122.0
_RISE = {(0, 2): -54.0, (1, 3): 54.0, (0, 3): -100.0}
_RADIUS = 13.0


def _edge_cell(operations: Sequence[str], label: str) -> Markup:
    """Four nodes in a row; longer edges arch above and below."""
    lines, pills = [], []
    for operation, (source, target) in zip(operations, EDGES, strict=True):
        rise = _RISE.get((source, target), 0.0)
        line, middle = _arch(_NODE_X[source], _NODE_X[target], rise, family_of(operation))
        lines.append(line)
        name = short(operation)
        width = text_width(name) + 2 * PADDING
        pills.append(Box(middle, width, name, family_of(operation), operation).svg())
    nodes = [
        join(
            [
                _disc((x, _BASE)),
                text((x, _BASE + 4.2), name),
            ]
        )
        for x, name in zip(_NODE_X, ("0", "1", "2", "3"), strict=True)
    ]
    ends = [
        text((_NODE_X[0] - 32, _BASE + 4), "input", size=10, faint=True),
        text((_NODE_X[3] + 34, _BASE + 4), "output", size=10, faint=True),
    ]
    return picture(_NODE_X[3] + 58, _BASE + 72, label, join([*lines, *nodes, *ends, *pills]))


def _disc(at: Point) -> Markup:
    return join(
        element("circle", cx=number(at[0]), cy=number(at[1]), r=number(_RADIUS), style=style)
        for style in (
            "fill:var(--nap-paper, Canvas)",
            f"fill:none;stroke:{colour('plain')};stroke-width:1.4",
        )
    )


def _arch(x0: float, x1: float, rise: float, family: str) -> tuple[Markup, Point]:
    """An edge between two discs with its middle; `rise` is the height of the arch."""
    faint = family == "none"
    if rise == 0.0:
        tip = (x1 - _RADIUS - 1, _BASE)
        path = f"M{number(x0 + _RADIUS)} {number(_BASE)}H{number(tip[0] - 5)}"
        return arrow(path, tip, 0.0, family, faint=faint), ((x0 + x1) / 2, _BASE)
    # Leaves and enters the discs at 60 degrees; three quarters of the handles' height is
    # where a cubic curve culminates.
    slope = math.copysign(math.pi / 3, rise)
    reach = (_RADIUS + 1) * math.cos(slope), (_RADIUS + 1) * math.sin(slope)
    start, tip = (x0 + reach[0], _BASE + reach[1]), (x1 - reach[0], _BASE + reach[1])
    handle = _BASE + reach[1] + (rise - reach[1]) / 0.75
    lean = (handle - start[1]) / math.tan(slope)
    path = (
        f"M{number(start[0])} {number(start[1])}"
        f"C{number(start[0] + lean)} {number(handle)} {number(tip[0] - lean)} {number(handle)} "
        f"{number(tip[0])} {number(tip[1])}"
    )
    return arrow(path, tip, -slope, family, faint=faint), ((x0 + x1) / 2, _BASE + rise)


__all__ = ["MAX_NODES", "draw"]
