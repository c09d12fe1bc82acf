"""The report of a search: what it shows, in which order."""

from __future__ import annotations

from pathlib import Path

from nas_plugins._markup import Markup, element, join
from nas_plugins.report import _document, _header, _tables
from nas_plugins.report._document import PageSection
from nas_plugins.report._figures import Figure, shared_texts
from nas_plugins.report._format import columns, count, under
from nas_plugins.report._links import Links
from nas_plugins.report._parallel import parallel_figure
from nas_plugins.report._progress import hypervolume_figure, progress_figure
from nas_plugins.report._scatter import MAX_PAIRS, front_figures
from nas_plugins.report._sections import render_blocks
from nas_plugins.report._tables import FactsOf
from nas_plugins.results import REPORT_FILE, SearchResult
from nas_plugins.strategy_report import facts_of, sections_of

_SETTINGS = "settings"


def write_report(
    result: SearchResult, path: Path, *, title: str | None = None, single_file: bool = False
) -> Path:
    """Writes the report of a search as an HTML page that loads nothing from the network.

    An older file is replaced only when the new one is complete. Missing folders are made.

    Args:
        result: The search.
        path: The file, e.g. ``Path("report.html")``; or a folder, which gets ``report.html``.
        title: Heading of the page; by default what was searched.
        single_file: Whether the page is a single file, of 5 MB, as for mailing. Otherwise the
            script that draws its plots is written beside it, once for all pages of a folder.

    Returns:
        The file.

    Raises:
        OSError: The file cannot be written.
    """
    return _document.write(_document_of(result, title, single_file=single_file), path, REPORT_FILE)


def render_report(result: SearchResult, *, title: str | None = None) -> str:
    """Renders the report of a search as a single file; equal results give equal pages.

    Args:
        result: The search; it may be empty, interrupted, or have failed throughout.
        title: Heading of the page; by default what was searched.
    """
    return _document_of(result, title, single_file=True).html


def _document_of(
    result: SearchResult, title: str | None, *, single_file: bool
) -> _document.Document:
    heading = title or _header.default_title(result)
    _ = result.history.seen  # canonical keys in one batch, which is much faster than one by one
    sections, figures = _sections(result)
    header = _header.header(result, heading)
    shared = {"hover": shared_texts(result)} if figures else {}
    anchors = _tables.other_drawings(result, _tables.best_rows(result.history))[1]
    return _document.render(
        heading, header, sections, figures, shared, anchors=anchors, single_file=single_file
    )


def _sections(result: SearchResult) -> tuple[list[PageSection], list[Figure]]:
    """Each section that has something to show, and all plots."""
    sections: list[PageSection] = []
    figures: list[Figure] = []

    def plots(anchor: str, title: str, found: list[Figure]) -> None:
        if found:
            figures.extend(found)
            limit = f"At most {MAX_PAIRS} pairs of objectives are drawn."
            remarks = [limit] if len(found) == MAX_PAIRS else []
            sections.append(PageSection(anchor, title, _document.plots(found, remarks=remarks)))

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
    facts = facts_of(result.history, result.settings)
    noted, links = _notes(result, facts)
    own: Markup | None = None
    for told in sections_of(result.history, result.settings):
        content, drawn = render_blocks(told.blocks, result, links)
        figures += drawn
        if told.anchor == _SETTINGS:
            own = content
        else:
            sections.append(PageSection(told.anchor, told.title, content))
    best = _best(result, links, facts)
    sections += [section for section in (best, _failures(result), noted) if section]
    settings = _header.settings(result, own)
    sections.append(PageSection(_SETTINGS, "Settings and versions", settings))
    return sections, figures


def _best(result: SearchResult, links: Links, facts: FactsOf) -> PageSection | None:
    history = result.history
    rows = _tables.best_rows(history)
    if not rows:
        return None
    single = len(history.objectives) == 1
    if not single:
        shown = sum(row.rank == 0 for row in rows)
        distinct = len({t.architecture.key for t in history.front})
        text = f"The found front{under(result)} has {count(distinct, 'architecture')}"
        text += f", of which {shown} are shown." if shown < distinct else "."
        if shown < len(rows):
            text += f" The next {len(rows) - shown} by rank follow."
    else:
        text = f"The best {count(len(rows), 'architecture')} by {history.objectives[0].name}"
        text += f"{under(result)}."
        if any(row.trial.violation > 0 for row in rows):
            text += " What violates a constraint comes last, in grey."
    if all(t.violation > 0 for t in history.complete):
        text = "No trial satisfies all constraints; those of least violation come first."
    table = _tables.best_table(result, rows, links, facts)
    return PageSection(
        "best",
        "Best architectures",
        join([element("p", text, class_="lead"), table, _tables.other_drawings(result, rows)[0]]),
    )


def _failures(result: SearchResult) -> PageSection | None:
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
    return PageSection("failures", "Failures", join([element("p", text, class_="lead"), table]))


def _notes(result: SearchResult, facts: FactsOf) -> tuple[PageSection | None, Links]:
    """The notes of the trials, and where the page shows which trial."""
    trials = result.history.trials
    best = frozenset(row.trial.number for row in _tables.best_rows(result.history))
    noted = sum(bool(t.notes or t.constraints) for t in trials)
    if not noted:
        return None, Links(best)
    entries, links, left_out = _tables.notes_list(trials, columns(result), best, facts)
    text = f"{count(noted, 'trial')} of {len(trials):,} carry notes or constraints."
    if left_out:
        text += f" The last {left_out:,} of them are left out to keep this page small."
    lead = element("p", text, class_="lead")
    return PageSection("notes", "Notes of the trials", join([lead, entries])), links
