"""The latent page: what an Arch-VQ model has learned, as an HTML page."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas_plugins._markup import Markup, element, join
from nas_plugins.drawing import draw, short
from nas_plugins.report import _document
from nas_plugins.report._document import PageSection
from nas_plugins.report._figures import Figure
from nas_plugins.report._format import count, duration
from nas_plugins.report._latent_data import MAX_ENCODED, Latent, Sweep
from nas_plugins.report._latent_figures import (
    distribution_figures,
    operation_order,
    temperature_figures,
    use_figures,
)
from nas_plugins.report._tables import breakable, copied, pairs_table, plain_table, tile


def write_latent_report(
    latent: Latent, path: Path, *, title: str | None = None, single_file: bool = False
) -> Path:
    """Writes the latent page of a model, which loads nothing from the network.

    Args:
        latent: What `measure` found.
        path: The file; or a folder, which gets ``latent.html``. Missing folders are made.
        title: Heading of the page; by default which model it is.
        single_file: As of `write_report`.

    Returns:
        The file.

    Raises:
        OSError: The file cannot be written.
    """
    page = _document_of(latent, title, single_file=single_file)
    return _document.write(page, path, _document.LATENT_FILE)


def render_latent_report(latent: Latent, *, title: str | None = None) -> str:
    """Renders the latent page as a single file; equal measurements give equal pages."""
    return _document_of(latent, title, single_file=True).html


def _document_of(latent: Latent, title: str | None, *, single_file: bool) -> _document.Document:
    heading = title or f"Latent space: {latent.name}"
    use, parts, curves = (
        use_figures(latent),
        distribution_figures(latent),
        temperature_figures(latent),
    )
    sections = [
        PageSection(
            "use",
            "Codebook use",
            join([*(_document.plots([figure]) for figure in use), _positions_table(latent)]),
        ),
        PageSection("distribution", "Generated and training codes", _distribution(latent, parts)),
        PageSection("temperature", "Temperature", _temperature(latent, curves)),
        PageSection("cells", "Drawn from the prior", _cells(latent)),
        PageSection("model", "Model and versions", _model(latent)),
    ]
    figures = [*use, *parts, *curves]
    header = _header(latent, heading)
    return _document.render(heading, header, sections, figures, single_file=single_file)


# -- head ----------------------------------------------------------------------------------


def _header(latent: Latent, heading: str) -> Markup:
    return element(
        "header",
        element("h1", heading),
        element("p", _sentence(latent), class_="lead"),
        element("ul", *_tiles(latent), class_="tiles"),
    )


def _sentence(latent: Latent) -> str:
    card = latent.model.card
    return (
        f"An Arch-VQ model of the space {latent.model.space.name}: "
        f"{count(card.n_nodes, 'code')} per architecture from a book of "
        f"{card.recipe.vqvae.codes:,}, learned from {count(latent.n_train, 'architecture')}."
    )


def _tiles(latent: Latent) -> list[Markup]:
    metrics = latent.model.card.metrics
    tiles = []
    if "held_out_exact" in metrics:
        note = f"of {metrics['held_out_architectures']:,.0f} held-out architectures"
        tiles.append(tile("Exact reconstruction", _percent(100 * metrics["held_out_exact"]), note))
    used, size = int(latent.train.any(axis=0).sum()), latent.train.shape[1]
    tiles.append(tile("Codes in use", f"{used:,}", f"of {size:,}"))
    if "held_out_nll" in metrics:
        note = "nats per code, held out"
        tiles.append(tile("Prior", f"{metrics['held_out_nll']:.3f}", note))
    plain = next((s for s in latent.sweep if s.temperature == 1.0), None)
    if plain is not None:
        note = "of independent draws at temperature 1"
        tiles.append(tile("Strictly valid", _percent(plain.strict.validity), note))
    worst = int(latent.distance.argmax())
    note = f"largest distance of generated and training codes, at node {worst}"
    tiles.append(tile("Total variation", f"{latent.distance[worst]:.3f}", note))
    return tiles


def _percent(value: float) -> str:
    text = f"{value:.2f}".removesuffix(".00")
    if text == "100" and value < 100:  # not quite all should not read as all
        text = f"{np.floor(value * 1000) / 1000:.3f}"
    return f"{text}\N{NARROW NO-BREAK SPACE}%"


# -- sections ------------------------------------------------------------------------------


def _positions_table(latent: Latent) -> Markup:
    """Per position: codes, perplexity, what they decode to."""
    labels = np.array(latent.operations)
    names = operation_order(latent)
    rows = []
    for node in range(len(latent.train)):
        shares = [
            (name, 100 * float(latent.train[node, labels == name].sum()) / latent.encoded)
            for name in names
        ]
        told = [f"{short(name)} {share:.1f}" for name, share in shares if share > 0]
        rows.append(
            [
                str(node),
                f"{latent.codes_in_use[node]:,}",
                f"{latent.perplexity[node]:.1f}",
                ", ".join(told),
            ]
        )
    head = ["Node", "Codes in use", "Perplexity", "Training architectures by operation, %"]
    return plain_table(head, rows, numbers=(1, 2))


def _distribution(latent: Latent, figures: Sequence[Figure]) -> Markup:
    text = (
        "A prior that has learned the training set draws each code at each position as often as "
        "the training set does. The total-variation distance is the share of draws that would "
        "have to change; even draws from the training set itself would show the expected "
        "distance on the right, because samples are finite."
    )
    rows = [
        [str(i), f"{distance:.4f}", f"{floor:.4f}"]
        for i, (distance, floor) in enumerate(zip(latent.distance, latent.floor, strict=True))
    ]
    table = plain_table(["Node", "Distance", "Expected of a perfect prior"], rows, numbers=(1, 2))
    remarks = []
    if latent.encoded < latent.n_train:
        remarks.append(
            f"{MAX_ENCODED:,} of the {latent.n_train:,} training architectures were encoded."
        )
    plots = _document.plots(figures, remarks=remarks, small=True) if figures else None
    return join([element("p", text), _KEY if figures else None, plots, table])


_KEY = element(
    "p",
    element("i", class_="solid"),
    " training ",
    element("i", class_="hatched"),
    " generated",
    class_="key",
    aria_hidden="true",
)


def _temperature(latent: Latent, figures: Sequence[Figure]) -> Markup:
    shares = ("validity", "uniqueness", "novelty")
    ways = ["strict", "as published"] if len(figures) > 1 else ["strict"]
    head = ["Temperature", *(f"{share}, {way}, %" for way in ways for share in shares)]

    def row(sweep: Sweep) -> list[str]:
        counts = [sweep.strict, *([sweep.lenient] if sweep.lenient is not None else [])]
        values = [_share(getattr(c, share)) for c in counts for share in shares]
        return [f"{sweep.temperature:g}", *values]

    rows = [row(sweep) for sweep in latent.sweep]
    table = plain_table(head, rows, numbers=range(1, len(head)))
    text = (
        "These are independent draws as in the paper. `nas-plugins sample` decodes strictly "
        "instead: whatever the temperature, every draw is valid and no two are the same."
    )
    return join([_document.plots(figures), table, element("p", _code(text), class_="caption")])


def _share(value: float) -> str:
    """Two decimals, or a dash where nothing was valid."""
    return "\N{EN DASH}" if math.isnan(value) else f"{value:.2f}"


def _cells(latent: Latent) -> Markup:
    text = (
        f"{count(len(latent.cells), 'architecture')} drawn without replacement at temperature 1, "
        f"seed {latent.seed}, with their information content under the prior."
    )
    items = []
    for cell in latent.cells:
        new = element("span", "not in the training set", class_="badge good")
        old = element("span", "in the training set", class_="badge")
        items.append(
            element(
                "li",
                element("div", Markup(draw(cell.architecture)), class_="cell"),
                element("p", f"{cell.nats:.2f} nats ", new if cell.novel else old),
                element("code", breakable(str(cell.architecture))),
            )
        )
    return join([element("p", text, class_="lead"), element("ul", *items, class_="cards")])


def _model(latent: Latent) -> Markup:
    card = latent.model.card
    vqvae, prior, metrics = card.recipe.vqvae, card.recipe.prior, card.metrics
    facts = {
        "Space": latent.model.space.name,
        "Encoder": f"{vqvae.layers} graph layers of width {vqvae.hidden}, "
        f"{'directed' if vqvae.directed else 'undirected'}, "
        f"{'with' if vqvae.positions else 'without'} positions",
        "Codebook": f"{vqvae.codes:,} codes of dimension {vqvae.latent}",
        "Edge decoder": "bilinear" if vqvae.bilinear else "inner product",
        "Prior": f"{prior.layers} transformer blocks of width {prior.width}, {prior.heads} heads",
        "Seed of the training": str(card.seed),
        "Training set": f"{count(latent.n_train, 'architecture')}, digest "
        f"{card.train_digest[:16]}\N{HORIZONTAL ELLIPSIS}",
        "Draws here": f"{latent.draws:,} per temperature, seed {latent.seed}",
    }
    if "vqvae_seconds" in metrics:
        facts["Time of the training"] = (
            f"{duration(metrics['vqvae_seconds'])} and {duration(metrics['prior_seconds'])}"
        )
    again = ["nas-plugins", "report", "--latent", latent.name, "--draws", str(latent.draws)]
    commands = [
        ("Train this model", card.command),
        (
            "Repeat this page",
            shlex.join([*again, "--seed", str(latent.seed), "--out", "latent.html"]),
        ),
    ]
    boxes = [
        join([element("h3", title), copied(command, "Copy command", "notation command")])
        for title, command in commands
        if command
    ]
    versions = pairs_table(dict(card.versions), head=("Package", "Version"))
    return join(
        [
            *boxes,
            element(
                "div",
                element("div", element("h3", "Model"), pairs_table(facts, head=("What", "Value"))),
                element("div", element("h3", "Versions of the training"), versions),
                class_="pair",
            ),
        ]
    )


def _code(text: str) -> Markup:
    """Text whose parts in backticks are set as code."""
    return join(element("code", part) if i % 2 else part for i, part in enumerate(text.split("`")))
