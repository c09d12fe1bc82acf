"""The plots of the latent page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nas_plugins._markup import plot_text
from nas_plugins.drawing import family_of, short
from nas_plugins.report._figures import Figure, Spec, axis_titles, css
from nas_plugins.report._format import count
from nas_plugins.report._latent_data import Latent, Sweep
from nas_plugins.strategies.arch_vq.metrics import Generation

TOP = 16
_FAINTEST = 1e-4
_HATCHES = ("", "/", "x", ".")
_CURVES = (
    ("validity", "good", "circle", "solid"),
    ("uniqueness", "trial", "square", "solid"),
    ("novelty", "front", "diamond", "solid"),
)


def use_figures(latent: Latent) -> list[Figure]:
    """How many codes each position uses, and which."""
    return [_codes_per_position(latent), _heatmap(latent)]


def node_names(latent: Latent) -> list[str]:
    """Positions as they are called on the axes."""
    return [f"node {i}" for i in range(len(latent.train))]


def operation_order(latent: Latent) -> list[str]:
    """The operations that codes in use stand for, in the order of the space."""
    used = {latent.operations[k] for k in np.flatnonzero(latent.train.any(axis=0))}
    known = [*latent.model.space.node_operations, "padding"]
    return [name for name in known if name in used]


def _codes_per_position(latent: Latent) -> Figure:
    labels = np.array(latent.operations)
    names = operation_order(latent)
    vocabulary = latent.model.space.node_operations
    seen: dict[str, int] = {}
    data: list[Spec] = []
    for name in names:
        family = family_of(name, vocabulary)
        hatch = _HATCHES[seen.get(family, 0) % len(_HATCHES)]
        seen[family] = seen.get(family, 0) + 1
        stands = (labels == name) & (latent.train > 0)
        data.append(
            {
                "type": "bar",
                "name": plot_text(short(name)),
                "x": node_names(latent),
                "y": stands.sum(axis=1).tolist(),
                "marker": {
                    "color": css(f"nap-{family}"),
                    "line": {"color": css("paper"), "width": 1},
                    "pattern": _hatch(hatch, f"nap-{family}", 7),
                },
                "hovertemplate": f"%{{x}}: %{{y}} codes for {plot_text(short(name))}"
                "<extra></extra>",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "perplexity",
            "x": node_names(latent),
            "y": latent.perplexity.round(3).tolist(),
            "marker": {
                "symbol": "line-ew",
                "size": 26,
                "line": {"width": 3, "color": css("ink")},
                "color": css("ink"),
            },
            "hovertemplate": "%{x}: perplexity %{y:.1f}<extra></extra>",
        }
    )
    layout = axis_titles("Position", "Codes in use")
    layout |= {"barmode": "stack", "legend": {"traceorder": "normal"}}
    layout["yaxis"]["rangemode"] = "tozero"
    most = int(latent.codes_in_use.argmax())
    return Figure(
        "codes",
        (
            "Codes that training architectures use at each position, stacked by the operation "
            "that they decode to; the dash is the perplexity, the number of equally frequent "
            "codes that would be as hard to predict.",
        ),
        {"data": data, "layout": layout},
        f"Codes in use per position, most at node {most}: {latent.codes_in_use[most]}",
        title="How many codes stand at each position",
    )


def _heatmap(latent: Latent) -> Figure:
    """Positions by codes; only codes in use, by operation, then by how often they are used."""
    used = np.flatnonzero(latent.train.any(axis=0))
    order = {name: i for i, name in enumerate(operation_order(latent))}
    total = latent.train.sum(axis=0)
    codes = sorted(used.tolist(), key=lambda k: (order[latent.operations[k]], -total[k]))
    unused = latent.train.shape[1] - len(codes)
    return Figure(
        "usage",
        (
            f"Which of the {count(len(codes), 'code')} in use stand where, as a share of the "
            f"training architectures on a logarithmic scale; {count(unused, 'code')} of the "
            f"{latent.train.shape[1]:,} are not used.",
        ),
        {"data": [_shares(latent, codes)], "layout": _heatmap_layout(latent, codes)},
        f"Share of each of {len(codes)} codes at each of {len(latent.train)} positions",
        min_width=620,
        title="Which codes stand where",
    )


def _shares(latent: Latent, codes: list[int]) -> Spec:
    """The trace of the heat map: how often each code stands at each position."""
    shares = latent.train[:, codes] / latent.encoded
    logs = np.log10(np.maximum(shares, _FAINTEST))
    return {
        "type": "heatmap",
        "x": list(range(len(codes))),
        "y": node_names(latent),
        "z": [
            [round(float(z), 3) if share > 0 else None for z, share in zip(row, part, strict=True)]
            for row, part in zip(logs, shares, strict=True)
        ],
        "text": [
            [
                f"code {k}, {plot_text(short(latent.operations[k]))}: {share:.2%}"
                for k, share in zip(codes, part, strict=True)
            ]
            for part in shares
        ],
        "hovertemplate": "%{y}, %{text}<extra></extra>",
        "hoverongaps": False,
        "zmin": float(np.log10(_FAINTEST)),
        "zmax": 0,
        "colorscale": [[0, css("scale-0")], [0.5, css("scale-1")], [1, css("scale-2")]],
        "colorbar": {
            "title": {"text": "share", "side": "top"},
            "tickvals": [-4, -3, -2, -1, 0],
            "ticktext": ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"],
            "thickness": 12,
            "len": 0.9,
            "y": 0,
            "yanchor": "bottom",
            "outlinewidth": 0,
        },
    }


def _heatmap_layout(latent: Latent, codes: list[int]) -> Spec:
    """The axes of the heat map, with a line between the codes of two operations."""
    groups = [latent.operations[k] for k in codes]
    edges = [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
    starts, ends = [0, *edges], [*edges, len(groups)]
    layout = axis_titles("Code, by the operation that it decodes to", "")
    layout["xaxis"] |= {
        "tickvals": [(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)],
        "ticktext": [plot_text(short(groups[a])) for a in starts],
        "showgrid": False,
        "ticks": "",
    }
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "ticks": ""}
    layout["shapes"] = [
        {
            "type": "line",
            "x0": x - 0.5,
            "x1": x - 0.5,
            "y0": -0.5,
            "y1": len(latent.train) - 0.5,
            "line": {"color": css("axis"), "width": 1},
        }
        for x in edges
    ]
    return layout


def distribution_figures(latent: Latent) -> list[Figure]:
    """Training and generated codes, one plot per position that has a choice."""
    return [
        _distribution(latent, node)
        for node in range(len(latent.train))
        if ((latent.train[node] > 0) | (latent.generated[node] > 0)).sum() > 1
    ]


def _distribution(latent: Latent, node: int) -> Figure:
    train = latent.train[node] / latent.encoded
    generated = latent.generated[node] / latent.draws
    order = np.argsort(-train, kind="stable")
    shown = [k for k in order[:TOP].tolist() if train[k] > 0]
    rest = np.setdiff1d(np.arange(len(train)), shown)
    names = [f"code {k}" for k in shown]
    operations = [plot_text(short(latent.operations[k])) for k in shown]
    pairs = [(train[k], generated[k]) for k in shown]
    if train[rest].sum() + generated[rest].sum() > 0:
        names.append("others")
        operations.append("all other codes")
        pairs.append((train[rest].sum(), generated[rest].sum()))
    data = []
    for i, (name, colour, hatch) in enumerate(
        (("training", "trial", ""), ("generated", "front", "/"))
    ):
        data.append(
            {
                "type": "bar",
                "name": name,
                "x": names,
                "y": [round(100 * float(pair[i]), 4) for pair in pairs],
                "text": operations,
                "textposition": "none",
                "marker": {"color": css(colour), "pattern": _hatch(hatch, colour, 5)},
                "hovertemplate": f"%{{x}} (%{{text}}): %{{y:.2f}} % {name}<extra></extra>",
            }
        )
    layout = axis_titles("", "% of all")
    layout |= {"barmode": "group", "bargap": 0.25, "bargroupgap": 0.05, "showlegend": False}
    layout["xaxis"] |= {"showticklabels": False, "ticks": ""}
    layout["yaxis"]["rangemode"] = "tozero"
    return Figure(
        f"position-{node}",
        (
            f"At each position the {TOP} most frequent codes of the training set and all others "
            "together, from left to right. Solid: training architectures; hatched: independent "
            "draws at temperature 1, valid or not. Positions with one code are left out.",
        ),
        {"data": data, "layout": layout},
        f"Training and generated codes at node {node}; total-variation distance "
        f"{latent.distance[node]:.3f}",
        title=f"node {node} · distance {latent.distance[node]:.3f}",
    )


def temperature_figures(latent: Latent) -> list[Figure]:
    """Validity, uniqueness and novelty over temperature, strictly and as published."""
    figures = [_temperature(latent, "strict", "Strictly", [(s, s.strict) for s in latent.sweep])]
    published = [(s, s.lenient) for s in latent.sweep if s.lenient is not None]
    if published:
        figures.append(_temperature(latent, "lenient", "As the papers count", published))
    return figures


def _temperature(
    latent: Latent, name: str, title: str, points: Sequence[tuple[Sweep, Generation]]
) -> Figure:
    x = [sweep.temperature for sweep, _ in points]
    data: list[Spec] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": curve,
            "x": x,
            "y": [_finite(getattr(counts, curve)) for _, counts in points],
            "line": {"color": css(colour), "width": 2.2, "dash": dash},
            "marker": {"symbol": symbol, "size": 8, "color": css(colour)},
            "hovertemplate": f"{curve} at %{{x}}: %{{y:.2f}} %<extra></extra>",
        }
        for curve, colour, symbol, dash in _CURVES
    ]
    if latent.ceiling is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "ceiling",
                "x": [x[0], x[-1]],
                "y": [round(latent.ceiling, 3)] * 2,
                "line": {"dash": "dot", "width": 1.5, "color": css("true")},
                "hovertemplate": "largest expected uniqueness: %{y:.2f} %<extra></extra>",
            }
        )
    layout = axis_titles("Temperature", "%")
    layout["yaxis"]["range"] = [-3, 103]
    how = {
        "strict": "Strictly, a graph is valid when it is exactly that of an architecture, and "
        "two are the same when their canonical keys are.",
        "lenient": "The papers count with arch2vec\N{RIGHT SINGLE QUOTATION MARK}s functions, "
        "which accept more: on NAS-Bench-201 the adjacency is never looked at.",
    }
    return Figure(
        f"temperature-{name}",
        (
            f"{latent.draws:,} independent draws per temperature; validity is of all draws, "
            "uniqueness and novelty are of the valid ones.",
            how[name],
            *(
                (
                    f"The dotted line is the largest expected uniqueness of {latent.draws:,} "
                    "independent draws from this space, whatever draws them.",
                )
                if latent.ceiling is not None
                else ()
            ),
        ),
        {"data": data, "layout": layout},
        f"{title}: validity, uniqueness and novelty over temperature",
        title=title,
    )


def _hatch(shape: str, colour: str, size: int) -> Spec:
    """Light hatching on a colour, so that bars can be told apart without it."""
    return {"shape": shape, "bgcolor": css(colour), "fgcolor": css("paper"), "size": size}


def _finite(value: float) -> float | None:
    """Nothing is drawn where no draw was valid."""
    return None if math.isnan(value) else round(value, 3)
