"""A page of any kind: sections in order, style sheet, scripts and data in one file.

Plotly alone, which is ten times as long as all the rest, may stand in a file beside the page.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nas_plugins._files import write_text
from nas_plugins._frozen import FrozenDict
from nas_plugins._markup import Markup, element, join, script_json
from nas_plugins.report._figures import Figure, template
from nas_plugins.report._plotly import file_name, put_into, source
from nas_plugins.results import PAGE_MARK

LATENT_FILE = "latent.html"
"""The latent page of a model in a folder, as `results.REPORT_FILE` is a search's."""


@dataclass(frozen=True)
class PageSection:
    """A part of a page.

    Attributes:
        anchor: Unique in the page.
        title: Heading.
        content: What stands under it.
    """

    anchor: str
    title: str
    content: Markup


@dataclass(frozen=True)
class Document:
    """A page.

    Attributes:
        html: All of it.
        script: Name of the file with Plotly that must lie beside it, if any.
    """

    html: str
    script: str | None


def render(
    title: str,
    header: Markup,
    sections: Sequence[PageSection],
    figures: Sequence[Figure] = (),
    shared: Mapping[str, Sequence[str]] = FrozenDict(),
    *,
    anchors: Mapping[str, str] = FrozenDict(),
    single_file: bool = True,
) -> Document:
    """Writes a page as HTML; equal contents give equal pages.

    It loads nothing from the network.

    Args:
        title: Of the window.
        header: Heading and headline figures.
        sections: In order.
        figures: All plots of all sections.
        shared: Lists of texts that plots refer to by name.
        anchors: Where the page draws a trial's architecture, by the trial's number.
        single_file: Whether Plotly is in the page, rather than in a file beside it.
    """
    script = file_name() if figures and not single_file else None
    scripts = [Markup(_file("report.js"))]
    if figures and single_file:
        scripts.insert(0, Markup(source()))
    links = [element("a", s.title, href=f"#{s.anchor}") for s in sections]
    body = element(
        "main",
        header,
        element("nav", *links, aria_label="Sections"),
        *(element("section", element("h2", s.title), s.content, id=s.anchor) for s in sections),
        element("footer", _footer(script)),
    )
    page = element(
        "html",
        _head(title, _policy(scripts, shared=bool(script))),
        element(
            "body",
            body,
            element(
                "script",
                _payload(figures, shared, anchors, script),
                type="application/json",
                id="report-data",
            ),
            element("script", src=script, charset="utf-8") if script else None,
            *(element("script", script) for script in scripts),
        ),
        lang="en",
    )
    return Document(f"<!DOCTYPE html>\n{page}\n", script)


def page_file(path: str | Path, name: str) -> Path:
    """The file of a page: `name` in a folder, one that exists or is named without a dot."""
    path = Path(path)
    new_folder = not path.suffix and not path.exists()
    return path / name if path.is_dir() or new_folder else path


def write(page: Document, path: Path, name: str) -> Path:
    """Writes a page, and what it needs beside it where that is not there.

    An older file is replaced only when the new one is complete.

    Args:
        page: What to write.
        path: The file or a folder, as `page_file` tells them apart.
        name: Of the file in a folder.

    Returns:
        The file.

    Raises:
        OSError: The file cannot be written.
    """
    path = page_file(path, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if page.script:
        put_into(path.parent)
    write_text(path, page.html)
    return path


def plots(
    figures: Sequence[Figure], *, remarks: Sequence[str] = (), small: bool = False
) -> Markup:
    """Plots side by side where there is room, with their captions under them.

    Args:
        figures: What to show.
        remarks: Further sentences of the caption.
        small: Lower plots, more of them in a row.
    """
    captions = list(dict.fromkeys(sentence for figure in figures for sentence in figure.caption))
    classes = ["plots", *(["many"] if len(figures) > 1 else []), *(["small"] if small else [])]
    return join(
        [
            element("div", *(_plot(figure) for figure in figures), class_=" ".join(classes)),
            element("p", " ".join([*captions, *remarks]), class_="caption"),
        ]
    )


def _head(title: str, policy: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(_file("report.css"))),
    )


def _footer(script: str | None) -> str:
    text = f"{PAGE_MARK} This page loads nothing from the network."
    return text if script is None else f"{text} Its plots need the file {script} beside it."


def _plot(figure: Figure) -> Markup:
    buttons = [
        element(
            "button",
            name,
            type="button",
            data_plot=figure.name,
            data_view=name,
            aria_pressed="true" if i == 0 else "false",
        )
        for i, name in enumerate(figure.views)
    ]
    style = f"min-width:{figure.min_width}px" if figure.min_width else None
    return element(
        "figure",
        element("figcaption", figure.title) if figure.title else None,
        element("div", *buttons, class_="views", role="group", aria_label="View")
        if buttons
        else None,
        element(
            "div",
            element(
                "div",
                element("noscript", "This plot needs JavaScript."),
                class_="plot tall" if figure.tall else "plot",
                id=f"plot-{figure.name}",
                role="img",
                aria_label=figure.label,
                style=style,
            ),
            class_="scroll",
            tabindex="0" if figure.min_width else None,
        ),
    )


def _payload(
    figures: Sequence[Figure],
    shared: Mapping[str, Sequence[str]],
    anchors: Mapping[str, str],
    script: str | None,
) -> Markup:
    data: Mapping[str, Any] = {
        "template": template(),
        "shared": {name: list(texts) for name, texts in shared.items()},
        "anchors": dict(anchors),
        "script": script,
        "figures": {f.name: {**f.spec, "views": f.views} for f in figures},
    }
    return script_json(data)


def _policy(scripts: list[Markup], *, shared: bool) -> str:
    """Nothing may be loaded, and no script may run but those of this page.

    Plotly needs ``unsafe-eval`` for the plots that it compiles for WebGL. Where it is shared, what
    lies on the same server or, for a page that is opened as a file, on this machine may run too.
    """
    allowed = [f"'sha256-{_digest(script)}'" for script in scripts]
    allowed += ["'self'", "file:"] if shared else []
    return (
        f"default-src 'none'; script-src {' '.join(allowed)} 'unsafe-eval'; "
        "style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    # A browser reads the page with its line ends turned to line feeds, and hashes those.
    plain = script.replace("\r\n", "\n").replace("\r", "\n")
    return base64.b64encode(hashlib.sha256(plain.encode()).digest()).decode()


def _file(name: str) -> str:
    return resources.files("nas_plugins.report").joinpath(name).read_text(encoding="utf-8")
