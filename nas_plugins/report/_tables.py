"""The parts of the report that are text and tables."""

from __future__ import annotations

from collections.abc import Mapping

from nas_plugins import pareto
from nas_plugins.history import Trial
from nas_plugins.report._drawing import draw
from nas_plugins.report._figures import axis_title
from nas_plugins.report._html import Markup, element, join
from nas_plugins.results import SearchResult
from nas_plugins.spaces.base import Key

MAX_BEST = 30
MAX_NOTES = 2000
_QUALITY = {
    "hv_ratio": "of the true front's hypervolume",
    "igd_plus": "IGD+ to the true front",
    "regret": "from the optimum",
}


def headline(result: SearchResult) -> Markup:
    """The figures that say in one look how the search went."""
    counts, history = result.counts(), result.history
    tiles = []
    for name, meaning in _QUALITY.items():
        value = result.quality().get(name)
        if value is not None:
            tiles.append(_tile(f"{value:.1%}" if name == "hv_ratio" else f"{value:.3g}", meaning))
    if len(history.objectives) > 1:
        tiles.insert(0, _tile(str(len(history.front)), "architectures on the front"))
    elif history.best is not None:
        title = axis_title(result, history.objectives[0].name)
        tiles.insert(0, _tile(f"{history.best.values[0]:.6g}", f"best {title}"))
    tiles.append(_tile(f"{counts['complete']:,}", f"complete trials of {counts['trials']:,}"))
    tiles.append(_tile(f"{counts['distinct']:,}", "distinct architectures"))
    for state in ("failed", "pruned", "running", "infeasible"):
        if counts[state]:
            tiles.append(_tile(f"{counts[state]:,}", f"{state} trials"))
    if result.seconds:
        tiles.append(_tile(_duration(result.seconds), "wall time"))
    return element("section", element("h2", "At a glance"), element("dl", *tiles, class_="tiles"))


def _tile(value: str, meaning: str) -> Markup:
    return element("div", element("dt", meaning), element("dd", value), class_="tile")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes / 60:.1f} h"


def best_trials(result: SearchResult) -> list[Trial]:
    """The front, or with one objective the best twenty, best first; one per architecture."""
    history = result.history
    if len(history.objectives) > 1:
        ordered = sorted(history.front, key=lambda t: result.losses([t.values]).tolist())
    else:
        ranks = pareto.constrained_ranks(history.losses, history.violations)
        ordered = [history.complete[i] for i in ranks.argsort(kind="stable")][:20]
    seen: dict[Key, Trial] = {}
    for trial in ordered:
        seen.setdefault(trial.architecture.key, trial)
    return list(seen.values())


def best_table(result: SearchResult) -> Markup:
    """The best architectures with their values, drawn."""
    trials = best_trials(result)
    shown, several = trials[:MAX_BEST], len(result.history.objectives) > 1
    cards = [_card(result, trial) for trial in shown]
    title = "Architectures on the front" if several else "Best architectures"
    more = f" The first {MAX_BEST} of {len(trials)}." if len(trials) > MAX_BEST else ""
    best_first = result.history.objectives[0].name
    caption = f"Sorted by {best_first}, best first.{more}"
    return element(
        "section",
        element("h2", title),
        element("p", caption, class_="caption"),
        element("div", *cards, class_="cards"),
    )


def _card(result: SearchResult, trial: Trial) -> Markup:
    objectives = result.history.objectives
    values = [
        element("div", element("dt", axis_title(result, o.name)), element("dd", f"{v:.6g}"))
        for o, v in zip(objectives, trial.values, strict=True)
    ]
    values += [
        element(
            "div", element("dt", name), element("dd", "met" if v <= 0 else f"missed by {v:.4g}")
        )
        for name, v in trial.constraints.items()
    ]
    notes = [element("li", f"{name}: {text}") for name, text in trial.notes.items()]
    return element(
        "article",
        element("h3", f"Trial {trial.number}"),
        element("dl", *values, class_="values"),
        element("div", Markup(draw(trial.architecture)), class_="drawing"),
        element("code", str(trial.architecture), class_="architecture", tabindex="0"),
        element("ul", *notes, class_="notes") if notes else None,
        class_="card" + (" infeasible" if trial.violation > 0 else ""),
    )


def _met(value: float) -> str:
    return "met" if value <= 0 else f"missed by {value:.4g}"


def failure_section(result: SearchResult) -> Markup | None:
    """Why trials failed or were pruned, with counts."""
    failures = result.failures()
    if not failures:
        return None
    rows = [
        element("tr", element("td", reason or "no reason was recorded"), element("td", count))
        for reason, count in sorted(failures.items(), key=lambda item: -item[1])
    ]
    return element(
        "section",
        element("h2", "Failed and pruned trials"),
        _table(("reason", "trials"), rows),
    )


def notes_section(result: SearchResult) -> Markup | None:
    """What strategies and evaluators noted on the trials, folded away."""
    noted = [t for t in result.history.trials if t.notes]
    if not noted:
        return None
    rows = [
        element("tr", element("td", t.number), element("td", name), element("td", text))
        for t in noted[:MAX_NOTES]
        for name, text in t.notes.items()
    ]
    count = f"{len(noted):,} trials with notes"
    if len(noted) > MAX_NOTES:
        count += f", the first {MAX_NOTES:,} shown"
    return element(
        "section",
        element("h2", "Notes"),
        element("details", element("summary", count), _table(("trial", "note", "text"), rows)),
    )


def pairs(caption: str, values: Mapping[str, object]) -> Markup:
    """A two-column table of names and values."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in values.items()
    ]
    return element("table", element("caption", caption), element("tbody", *rows))


def _table(headings: tuple[str, ...], rows: list[Markup]) -> Markup:
    cells = join(element("th", heading, scope="col") for heading in headings)
    return element(
        "div",
        element("table", element("thead", element("tr", cells)), element("tbody", *rows)),
        class_="scroll",
    )


__all__ = [
    "MAX_BEST",
    "best_table",
    "best_trials",
    "failure_section",
    "headline",
    "notes_section",
    "pairs",
]
