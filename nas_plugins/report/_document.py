"""A page of any kind: sections in order, style sheet, scripts and data in one file."""

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
from nas_plugins.results import PAGE_MARK


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


def render(
    title: str,
    header: Markup,
    sections: Sequence[PageSection],
    figures: Sequence[Figure] = (),
    shared: Mapping[str, Sequence[str]] = FrozenDict(),
    *,
    anchors: Mapping[str, str] = FrozenDict(),
) -> str:
    """Writes a page as HTML that loads nothing; equal contents give equal pages.

    Args:
        title: Of the window.
        header: Heading and headline figures.
        sections: In order.
        figures: All plots of all sections.
        shared: Lists of texts that plots refer to by name.
        anchors: Where the page draws a trial's architecture, by the trial's number.
    """
    links = [element("a", s.title, href=f"#{s.anchor}") for s in sections]
    body = element(
        "main",
        header,
        element("nav", *links, aria_label="Sections"),
        *(element("section", element("h2", s.title), s.content, id=s.anchor) for s in sections),
        element("footer", f"{PAGE_MARK} This page loads nothing from the network."),
    )
    scripts = _scripts(figures)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(_file("report.css"))),
    )
    page = element(
        "html",
        head,
        element(
            "body",
            body,
            element(
                "script",
                _payload(figures, shared, anchors),
                type="application/json",
                id="report-data",
            ),
            *(element("script", script) for script in scripts),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def write(page: str, path: Path) -> Path:
    """Writes a page; an older file is replaced only when the new one is complete.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
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


def _scripts(figures: Sequence[Figure]) -> list[Markup]:
    report = Markup(_file("report.js"))
    if not figures:
        return [report]
    from plotly.offline import get_plotlyjs

    return [Markup(get_plotlyjs()), report]


def _payload(
    figures: Sequence[Figure], shared: Mapping[str, Sequence[str]], anchors: Mapping[str, str]
) -> Markup:
    data: Mapping[str, Any] = {
        "template": template(),
        "shared": {name: list(texts) for name, texts in shared.items()},
        "anchors": dict(anchors),
        "figures": {f.name: {**f.spec, "views": f.views} for f in figures},
    }
    return script_json(data)


def _policy(scripts: list[Markup]) -> str:
    """Nothing may be loaded, and no script may run but those of this page.

    Plotly needs ``unsafe-eval`` for the plots that it compiles for WebGL.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    # A browser reads the page with its line ends turned to line feeds, and hashes those.
    plain = script.replace("\r\n", "\n").replace("\r", "\n")
    return base64.b64encode(hashlib.sha256(plain.encode()).digest()).decode()


def _file(name: str) -> str:
    return resources.files("nas_plugins.report").joinpath(name).read_text(encoding="utf-8")
