"""Architectures as inline SVG: cells, genotypes and chains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas_plugins._markup import Markup, element, join
from nas_plugins.drawing import layout
from nas_plugins.drawing.svg import (
    BOX_HEIGHT,
    FONT,
    PADDING,
    Box,
    Point,
    arrow,
    colour,
    curve,
    distinct,
    family_of,
    number,
    picture,
    short,
    text,
    text_width,
)
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.graph import Graph

MAX_NODES = 160
_LINE = 680.0  # a chain wraps beyond this width
_COLUMN_GAP, _ROW_GAP = 30.0, 14.0
_MARGIN = 6.0
_INDENT = 16.0  # room for the arrows that enter a line of a chain
_STATES = ("c\N{LATIN SUBSCRIPT SMALL LETTER K}\u208b\u2082", "c\u2096\u208b\u2081")
_WRITTEN = ("c_{k-2}", "c_{k-1}")


def draw(architecture: Architecture) -> str:
    """Draws an architecture as one inline ``<svg>`` element.

    Cells whose operations stand on edges (``space.edge_cells``) are drawn as such: up to four
    nodes in a row with labelled edges, larger cells with one box per operation. Everything else
    is drawn from ``space.graph``: a chain wraps over lines, or is a table of choices where
    nothing follows anything (``space.in_sequence``); any other graph is laid out in layers from
    left to right.

    The result depends on the architecture alone, needs no style sheet, and takes its text
    colour from where it stands; the report's style sheet sets the ``--nap-*`` colours.

    Args:
        architecture: An architecture of any space.

    Returns:
        SVG markup with a title and an ``aria-label``; all text is escaped.
    """
    label = f"{architecture.space.name}: {architecture}"
    cells = {
        name: tuple(cell) for name, cell in architecture.space.edge_cells(architecture).items()
    }
    if cells:
        if len(cells) > 1 and len(set(cells.values())) == 1:
            cells = {" and ".join(cells): next(iter(cells.values()))}
        first = next(iter(cells.values()))
        if len(cells) == 1 and _fits_a_row(first):
            return _row_of_nodes(first, label)
        return _stacked([(name, _edge_part(cell)) for name, cell in cells.items()], label)
    graph = architecture.space.graph(architecture)
    nodes = [node for node, name in enumerate(graph.labels) if name]
    if _is_chain(nodes, graph.edges):
        if not architecture.space.in_sequence:
            return _table(architecture, label)
        return _chain(architecture, graph, nodes, label)
    if len(nodes) > MAX_NODES:
        note = f"{len(nodes):,} nodes and {len(graph.edges):,} edges: too large to draw"
        return picture(360, 40, label, text((180, 24), note))
    parts = [
        ("", _layered_part(_boxes(graph, part), [e for e in graph.edges if e[0] in set(part)]))
        for part in layout.components(nodes, graph.edges)
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


def _layered_part(nodes: Mapping[int, _Node], edges: Sequence[layout.Edge]) -> _Part:
    plan = layout.layered(list(nodes), edges)
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


# -- cells with operations on edges --------------------------------------------------------

LabelledEdge = tuple[int, int, str]


def _edge_part(cell: Sequence[LabelledEdge]) -> _Part:
    """A cell with a node per sum and a box per operation; two inputs mean a cell of DARTS."""
    sums = sorted({target for _, target, _ in cell})
    inputs = sorted({source for source, _, _ in cell} - set(sums))
    two = len(inputs) == len(_STATES)
    nodes: dict[int, _Node] = {}
    edges: list[layout.Edge] = []
    for i, node in enumerate(inputs):
        name, full = (_STATES[i], _WRITTEN[i]) if two else (str(node), f"input {node}")
        nodes[node] = _Node(name, "plain", full)
    free = max(sums) + 1
    for number_, target in enumerate(sums):
        for source, _, operation in (edge for edge in cell if edge[1] == target):
            nodes[free] = _Node(short(operation), family_of(operation), operation)
            edges += [(source, free), (free, target)]
            free += 1
        name = str(number_ if two else target)
        nodes[target] = _Node(name, "plain", f"sum {name}")
    if two:
        nodes[free] = _Node("c\u2096", "plain", "c_{k}: all sums concatenated")
        edges += [(target, free) for target in sums]
    return _layered_part(nodes, edges)


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
    captions = distinct(captions[: len(names)], 16)
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


# -- choices -------------------------------------------------------------------------------

_ROW, _COLUMNS_GAP = 22.0, 36.0
_BOLD = 1.2  # how much wider a semi-bold text is


def _table(architecture: Architecture, label: str) -> Markup:
    """Decisions and their choices as a table, in as many columns as fit beside each other."""
    pairs = [
        (name, choice if isinstance(choice, str) else str(choice))
        for name, choice in architecture.choices.items()
    ]
    if len(pairs) > MAX_NODES:
        pairs = [*pairs[:MAX_NODES], ("", f"and {len(pairs) - MAX_NODES:,} more")]
    names = distinct([name for name, _ in pairs], 28)
    choices = [short(choice, 28) for _, choice in pairs]
    first = max(map(text_width, names)) + 2 * PADDING
    width = first + max(text_width(choice, FONT * _BOLD) for choice in choices) + PADDING
    columns = max(1, min(math.ceil(len(pairs) / 4), int(_LINE // (width + _COLUMNS_GAP))))
    rows = math.ceil(len(pairs) / columns)
    parts = []
    for i, (name, choice) in enumerate(pairs):
        column, row = divmod(i, rows)
        x, y = _MARGIN + column * (width + _COLUMNS_GAP), _MARGIN + row * _ROW
        line = {"width": number(width), "height": "1", "style": f"fill:{colour('none')}"}
        parts.append(
            element(
                "g",
                element("title", f"{name}: {choice}"),
                _cell(names[i], x, y + 15, faint=True),
                _cell(choices[i], x + first, y + 15),
                element("rect", x=number(x), y=number(y + _ROW - 1), fill_opacity=".4", **line),
            )
        )
    size = columns * (width + _COLUMNS_GAP) - _COLUMNS_GAP + 2 * _MARGIN
    return picture(size, rows * _ROW + 2 * _MARGIN, label, join(parts))


def _cell(content: str, x: float, y: float, *, faint: bool = False) -> Markup:
    face = "opacity:.7" if faint else "font-weight:600"
    style = f"font-size:{number(FONT)}px;fill:currentColor;{face}"
    return element("text", content, x=number(x), y=number(y), style=style)


# -- small cells with operations on edges --------------------------------------------------

_NODE_X = (52.0, 194.0, 336.0, 478.0)
_BASE = 122.0
_RISE = {(0, 2): -54.0, (1, 3): 54.0, (0, 3): -100.0}
_RADIUS = 13.0


def _fits_a_row(cell: Sequence[LabelledEdge]) -> bool:
    """Whether it has up to four nodes, one of them an input, and an edge at most per pair."""
    pairs = [(source, target) for source, target, _ in cell]
    return (
        len(set(pairs)) == len(pairs)
        and max(target for _, target in pairs) < len(_NODE_X)
        and {source for source, _ in pairs} - {target for _, target in pairs} == {0}
    )


def _row_of_nodes(cell: Sequence[LabelledEdge], label: str) -> Markup:
    """Up to four nodes in a row; longer edges arch above and below."""
    lines, pills = [], []
    for source, target, operation in cell:
        rise = _RISE.get((source, target), 0.0)
        line, middle = _arch(_NODE_X[source], _NODE_X[target], rise, family_of(operation))
        lines.append(line)
        name = short(operation)
        width = text_width(name) + 2 * PADDING
        pills.append(Box(middle, width, name, family_of(operation), operation).svg())
    last = max(target for _, target, _ in cell)
    nodes = [
        join([_disc((x, _BASE)), text((x, _BASE + 4.2), str(i))])
        for i, x in enumerate(_NODE_X[: last + 1])
    ]
    ends = [
        text((_NODE_X[0] - 32, _BASE + 4), "input", size=10, faint=True),
        text((_NODE_X[last] + 34, _BASE + 4), "output", size=10, faint=True),
    ]
    body = join([*lines, *nodes, *ends, *pills])
    return picture(_NODE_X[last] + 58, _BASE + 72, label, body)


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
