"""The page: sections in order, style sheet, scripts and data in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from nas_plugins.report import _header, _tables
from nas_plugins.report._figures import Figure, shared_texts, template
from nas_plugins.report._format import columns, count
from nas_plugins.report._html import Markup, element, join, script_json
from nas_plugins.report._parallel import parallel_figure
from nas_plugins.report._progress import hypervolume_figure, progress_figure
from nas_plugins.report._scatter import MAX_PAIRS, front_figures
from nas_plugins.results import SearchResult


def write_report(result: SearchResult, path: Path, *, title: str | None = None) -> Path:
    """Writes the report of a search as one HTML file that loads nothing from anywhere.

    An older file is replaced only when the new one is complete. Missing folders are made.

    Args:
        result: The search.
        path: The file, e.g. ``Path("report.html")``.
        title: Heading of the page; by default what was searched.

    Returns:
        `path`.

    Raises:
        OSError: The file cannot be written.
    """
    page = render_report(result, title=title)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8", newline="\n")
    partial.replace(path)
    return path


def render_report(result: SearchResult, *, title: str | None = None) -> str:
    """Renders the report of a search; equal results give equal pages.

    Args:
        result: The search; it may be empty, interrupted, or have failed throughout.
        title: Heading of the page; by default what was searched.
    """
    heading = title or _header.default_title(result)
    _ = result.history.seen  # canonical keys in one batch, which is much faster than one by one
    sections, figures = _sections(result)
    links = [element("a", name, href=f"#{anchor}") for anchor, name, _ in sections]
    body = element(
        "main",
        _header.header(result, heading),
        element("nav", *links, aria_label="Sections"),
        *(
            element("section", element("h2", name), content, id=anchor)
            for anchor, name, content in sections
        ),
        element("footer", "Written by nas_plugins. This page loads nothing from the network."),
    )
    scripts = _scripts(result, figures)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", heading),
        element("style", Markup(_file("report.css"))),
    )
    data = _payload(result, figures)
    page = element(
        "html",
        head,
        element(
            "body",
            body,
            element("script", data, type="application/json", id="report-data"),
            *(element("script", script) for script in scripts),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _sections(result: SearchResult) -> tuple[list[tuple[str, str, Markup]], list[Figure]]:
    """Anchor, title and content of each section that has something to show."""
    sections: list[tuple[str, str, Markup]] = []
    figures: list[Figure] = []

    def plots(anchor: str, title: str, found: list[Figure]) -> None:
        if found:
            figures.extend(found)
            sections.append((anchor, title, _plots(found)))

    n_objectives = len(result.history.objectives)
    if n_objectives == 1:
        progress = progress_figure(result)
        plots("progress", "Best value so far", [progress] if progress else [])
    else:
        name = "Pareto front" if n_objectives == 2 else "Pareto front, by pairs of objectives"
        plots("front", name, front_figures(result))
        hypervolume = hypervolume_figure(result)
        plots("hypervolume", "Hypervolume", [hypervolume] if hypervolume else [])
    parallel = parallel_figure(result)
    plots("parallel", "Decisions and objectives", [parallel] if parallel else [])
    sections += [
        section for section in (_best(result), _failures(result), _notes(result)) if section
    ]
    sections.append(("settings", "Settings and versions", _header.settings(result)))
    return sections, figures


def _plots(figures: list[Figure]) -> Markup:
    captions = list(dict.fromkeys(sentence for figure in figures for sentence in figure.caption))
    if len(figures) == MAX_PAIRS:
        captions.append(f"At most {MAX_PAIRS} pairs of objectives are drawn.")
    return join(
        [
            element(
                "div",
                *(_plot(figure) for figure in figures),
                class_="plots many" if len(figures) > 1 else "plots",
            ),
            element("p", " ".join(captions), class_="caption"),
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
        element("div", *buttons, class_="views", role="group", aria_label="View")
        if buttons
        else None,
        element(
            "div",
            element(
                "div",
                element("noscript", "This plot needs JavaScript."),
                class_="plot",
                id=f"plot-{figure.name}",
                role="img",
                aria_label=figure.label,
                style=style,
            ),
            class_="scroll",
            tabindex="0" if figure.min_width else None,
        ),
    )


def _best(result: SearchResult) -> tuple[str, str, Markup] | None:
    history = result.history
    rows = _tables.best_rows(history)
    if not rows:
        return None
    single = len(history.objectives) == 1
    if not single:
        shown = sum(row.rank == 0 for row in rows)
        distinct = len({t.architecture.key for t in history.front})
        text = f"The found front has {count(distinct, 'architecture')}"
        text += f", of which {shown} are shown." if shown < distinct else "."
        if shown < len(rows):
            text += f" The next {len(rows) - shown} by rank follow."
    else:
        text = f"The best {count(len(rows), 'architecture')} by {history.objectives[0].name}."
    if all(t.violation > 0 for t in history.complete):
        text = "No trial satisfies all constraints; those of least violation come first."
    table = _tables.best_table(rows, columns(result))
    return "best", "Best architectures", join([element("p", text, class_="lead"), table])


def _failures(result: SearchResult) -> tuple[str, str, Markup] | None:
    counts = result.counts()
    if not counts["failed"] + counts["pruned"]:
        return None
    parts = []
    if counts["failed"]:
        parts.append(f"{count(counts['failed'], 'trial')} failed")
    if counts["pruned"]:
        verb = "was" if counts["pruned"] == 1 else "were"
        parts.append(f"{count(counts['pruned'], 'trial')} {verb} pruned")
    text = f"{' and '.join(parts)}."
    table = _tables.failures_table(result)
    return "failures", "Failures", join([element("p", text, class_="lead"), table])


def _notes(result: SearchResult) -> tuple[str, str, Markup] | None:
    trials = result.history.trials
    noted = sum(bool(t.notes or t.constraints) for t in trials)
    if not noted:
        return None
    entries, left_out = _tables.notes_list(trials, columns(result))
    text = f"{count(noted, 'trial')} of {len(trials):,} carry notes or constraints."
    if left_out:
        text += f" The last {left_out:,} of them are left out to keep this page small."
    return "notes", "Notes of the trials", join([element("p", text, class_="lead"), entries])


# -- scripts -------------------------------------------------------------------------------


def _scripts(result: SearchResult, figures: list[Figure]) -> list[Markup]:
    report = Markup(_file("report.js"))
    if not figures:
        return [report]
    from plotly.offline import get_plotlyjs

    return [Markup(get_plotlyjs()), report]


def _payload(result: SearchResult, figures: list[Figure]) -> Markup:
    data: Mapping[str, Any] = {
        "template": template(),
        "shared": {"hover": shared_texts(result)} if figures else {},
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


__all__ = ["render_report", "write_report"]
