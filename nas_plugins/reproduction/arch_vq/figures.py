"""Figure 2: what the temperature does to validity, uniqueness and novelty."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas_plugins.reproduction.arch_vq import paper
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest
from nas_plugins.reproduction.arch_vq.sampling import (
    COLUMNS,
    PAPER,
    SEEN,
    TrainedVQ,
    cells,
    counted,
)
from nas_plugins.reproduction.arch_vq.tables import settings, trained_as, trained_vq
from nas_plugins.reproduction.charts import Line, line_chart
from nas_plugins.reproduction.documents import Cell, Reproduction, ResultTable, Spread

TEMPERATURES = (0.5, 0.7, 1.0, 1.5, 2.0, 2.4, 2.9)
_PRESETS = ("paper", "default")
_NOTES = {
    PAPER: (
        "Percent, mean ± sd over sampling seeds; codes drawn as the paper draws them, decoded by "
        "threshold, whatever comes out.",
        "*Lenient* counts as arch2vec's functions do, *strict* asks for exactly the graph of an "
        "architecture.",
    ),
    SEEN: ("As above, but only codes that the training set has at the node in question.",),
}


def figure2(request: ArchVQRequest) -> Reproduction:
    """The temperature sweep, lenient and strict, for both presets."""
    space = request.space or "nasbench201"
    columns = ("T", *(f"{way} {name}" for way in ("lenient", "strict") for name in COLUMNS))
    tables: list[ResultTable] = []
    figures: dict[str, str] = {}
    remarks: list[str] = []
    temperatures = TEMPERATURES[1::2] if request.budget == "quick" else TEMPERATURES
    for preset in _PRESETS:
        known = trained_vq(request, space, preset)
        remarks += trained_as({preset: known}, ())
        for decoding in (PAPER, SEEN):
            rows = [(t, *_counts(request, known, decoding, t)) for t in temperatures]
            title = f"`{preset}` preset, {decoding}"
            tables.append(ResultTable(title, columns, tuple(rows), _NOTES[decoding]))
            if decoding == PAPER:
                name = f"arch-vq-figure2-{space}-{preset}"
                figures[name] = _chart(f"{space}, {title}", rows)
    reported = tuple(
        (row.temperature, *(row.cells.get(key) for key in ("validity", "uniqueness", "novelty")))
        for row in paper.GENERATION[space]
        if row.temperature is not None
    )
    if reported:
        heading = ("T", "valid", "unique", "novel")
        tables.append(ResultTable("As reported by the paper (lenient)", heading, reported))
    return Reproduction(
        "arch-vq-figure2",
        f"Figure 2: temperature on {space}",
        tuple(tables),
        figures,
        tuple(remarks),
        settings(request, space),
    )


def _counts(
    request: ArchVQRequest, known: Sequence[TrainedVQ], decoding: str, temperature: float
) -> tuple[Cell, ...]:
    found = []
    for seed in range(request.seeds):
        one = known[seed % len(known)]
        request.note(f"sampling {one.name}, {decoding}, T {temperature:g}, seed {seed}")
        draw = one.draw(decoding, temperature)
        found.append(counted(one, draw, request.samples, seed))
    return cells(found)


def _chart(title: str, rows: Sequence[tuple[Cell, ...]]) -> str:
    temperatures = [float(row[0]) for row in rows if isinstance(row[0], float)]
    lines = []
    for way, offset in (("lenient", 1), ("strict", 1 + len(COLUMNS))):
        for number, name in enumerate(COLUMNS[:3]):
            spreads = [row[offset + number] for row in rows]
            lines.append(
                Line(
                    f"{way} {name}",
                    temperatures,
                    [s.mean if isinstance(s, Spread) else math.nan for s in spreads],
                    [s.sd if isinstance(s, Spread) else 0.0 for s in spreads],
                    dashed=way == "strict",
                    colour=number,
                )
            )
    return line_chart(
        lines,
        title=title.replace("`", ""),
        x_label="temperature",
        y_label="percent",
        y_range=(0, 100),
    )
