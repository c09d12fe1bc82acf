"""The report: one HTML page that needs nothing but itself."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from nas_plugins.report import _figures
from nas_plugins.report._html import Markup, element, join, script_json
from nas_plugins.report._tables import (
    best_table,
    failure_section,
    headline,
    notes_section,
    pairs,
)
from nas_plugins.results import SearchResult


def write_report(result: SearchResult, path: Path, *, title: str | None = None) -> Path:
    """Writes the report of a search as one self-contained HTML file.

    Args:
        result: The search.
        path: The file; an old one is replaced only when the new one is complete.
        title: Heading of the page; by default names what was searched.

    Returns:
        `path`.
    """
    page = render_report(result, title=title)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def render_report(result: SearchResult, *, title: str | None = None) -> str:
    """Returns the report of a search as one HTML page.

    The page loads nothing: script, style, figures and drawings are inside. It follows the
    reader's light or dark colour scheme.
    """
    heading = title or _title(result)
    body = join(
        [
            element("header", element("h1", heading), _subtitle(result)),
            element("main", *_sections(result)),
            _scripts(result),
        ]
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", heading),
        element("style", Markup(_asset("report.css"))),
    )
    page = element("html", head, element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _title(result: SearchResult) -> str:
    what = result.settings.get("benchmark") or result.history.space.name
    strategy = result.settings.get("strategy")
    return f"{what}: {strategy}" if strategy else str(what)


def _subtitle(result: SearchResult) -> Markup:
    history = result.history
    arrows = {"max": "↑", "min": "↓"}
    goals = " and ".join(f"{o.name} {arrows[o.direction]}" for o in history.objectives)
    size = f"{history.space.size:,}" if history.space.size < 10**9 else f"{history.space.size:.1e}"
    source = f" Values: {result.source}." if result.source else ""
    return element(
        "p",
        f"Search for {goals} in {history.space.name}, {size} architectures.{source}",
        class_="subtitle",
    )


def _sections(result: SearchResult) -> list[Markup | None]:
    several = len(result.history.objectives) > 1
    drawable = bool(_figures.finite(result.history.complete))
    sections: list[Markup | None] = [headline(result)]
    if not drawable:
        sections.append(
            element("p", "No trial is complete, so there is nothing to draw yet.", class_="empty")
        )
    else:
        sections.append(_figure("Pareto front" if several else "Best value", "objective"))
        if several:
            sections.append(_figure("Hypervolume", "hypervolume", _hypervolume_caption(result)))
        sections.append(best_table(result))
        sections.append(_figure("Decisions", "parallel", _parallel_caption(result)))
    sections += [failure_section(result), notes_section(result), _settings_section(result)]
    return sections


def _figure(title: str, name: str, caption: str | None = None) -> Markup:
    return element(
        "section",
        element("h2", title),
        element("div", class_=f"figure figure-{name}", id=f"figure-{name}"),
        element("p", caption, class_="caption") if caption else None,
    )


def _hypervolume_caption(result: SearchResult) -> str:
    if result.true_front:
        return (
            "Hypervolume of the front found so far, divided by that of the true front. Both axes "
            "run from the ideal to the nadir of the true front; the reference is 1.1."
        )
    return (
        "The true front is not known: both axes run from the ideal to the nadir of the front "
        "that was found in the end; the reference is 1.1."
    )


def _parallel_caption(result: SearchResult) -> str:
    shown, total = len(_figures.shown_decisions(result)), len(result.history.space.decisions)
    which = (
        f"The {shown} decisions of {total} that vary most" if shown < total else "All decisions"
    )
    return f"{which}, and the objectives. Drag along an axis to select trials."


def _settings_section(result: SearchResult) -> Markup:
    empty: tuple[Any, ...] = (None, [], {}, ())
    settings = {k: _written(v) for k, v in result.settings.items() if v not in empty}
    tables = [pairs("Settings", settings), pairs("Versions", result.versions)]
    return element(
        "section",
        element("h2", "Settings and versions"),
        element("pre", command, class_="command") if (command := _command(result)) else None,
        element("div", *tables, class_="columns"),
    )


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _command(result: SearchResult) -> str | None:
    """The command that repeats the search, where the command line ran it."""
    settings = result.settings
    if "strategy" not in settings or "trials" not in settings:
        return str(settings["command"]) if "command" in settings else None
    words = ["nas-plugins", "search", "--space", result.history.space.name]
    if settings.get("benchmark"):
        words += ["--benchmark", str(settings["benchmark"])]
    for name in settings.get("evaluators") or ():
        words += ["--evaluator", str(name)]
    words += ["--strategy", str(settings["strategy"])]
    for objective in result.history.objectives:
        words += ["--objective", str(objective)]
    for constraint in settings.get("constraints") or ():
        words += ["--constraint", str(constraint)]
    for kind in ("space", "benchmark", "evaluator", "strategy"):
        for key, value in (settings.get(f"{kind}_options") or {}).items():
            words += [f"--{kind}-option", f"{key}={value}"]
    words += ["--trials", str(settings["trials"])]
    if settings.get("seed") is not None:
        words += ["--seed", str(settings["seed"])]
    return shlex.join(words)


def _scripts(result: SearchResult) -> Markup | None:
    if not _figures.finite(result.history.complete):
        return None
    from plotly.offline import get_plotlyjs

    figures = {"objective": _figures.objective_figure, "parallel": _figures.parallel_figure}
    if len(result.history.objectives) > 1:
        figures["hypervolume"] = _figures.hypervolume_figure
    drawn = {f"figure-{name}": make(result).to_plotly_json() for name, make in figures.items()}
    data = {key: {"data": f["data"], "layout": _layout(f["layout"])} for key, f in drawn.items()}
    return join(
        [
            element("script", Markup(get_plotlyjs())),
            element("script", script_json(_listed(data)), type="application/json", id="figures"),
            element("script", Markup(_asset("report.js"))),
        ]
    )


def _layout(layout: Mapping[str, Any]) -> dict[str, Any]:
    """The layout without Plotly's template, whose colours would hide the page's."""
    return {key: value for key, value in layout.items() if key != "template"}


def _listed(value: Any) -> Any:
    """Arrays and tuples as lists, for JSON."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _listed(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _asset(name: str) -> str:
    return (files("nas_plugins.report") / name).read_text(encoding="utf-8")


__all__ = ["render_report", "write_report"]
