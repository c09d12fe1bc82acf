"""The tables of the report: the best architectures, notes and failures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nas_plugins import pareto
from nas_plugins._markup import Markup, element, join
from nas_plugins.drawing import draw
from nas_plugins.history import REASON_NOTE, History, Trial, TrialState
from nas_plugins.report._format import Column, count
from nas_plugins.report._links import Links
from nas_plugins.results import SearchResult
from nas_plugins.sections import Facts

MAX_FRONT, MIN_ROWS, TOP = 60, 10, 20
NOTE_LIMIT, NOTES_LIMIT = 20_000, 2_500_000
GROUP = 100
MAX_REASONS, REASON_LIMIT = 100, 600
_MAX_LISTED = 12

FactsOf: TypeAlias = Mapping[int, Mapping[str, Facts]]
"""What the notes of trials say in words: by the trial's number, then the note's name."""


@dataclass(frozen=True)
class Best:
    """A row of the table of best architectures.

    Attributes:
        trial: The first trial of this architecture with this rank.
        rank: 0 on the front (or for the best), then 1, 2, ...
        repeats: Numbers of later trials of the same architecture in the table's range.
    """

    trial: Trial
    rank: int
    repeats: tuple[int, ...] = ()


def best_rows(history: History) -> list[Best]:
    """The front, filled up with the next ranks; with one objective the best by value."""
    if not history.complete:
        return []
    ranks = pareto.constrained_ranks(history.losses, history.violations).tolist()
    losses = history.losses[:, 0].tolist()
    order = sorted(range(len(ranks)), key=lambda i: (ranks[i], losses[i], i))
    single = history.losses.shape[1] == 1
    least, most = (TOP, TOP) if single else (MIN_ROWS, MAX_FRONT)
    found: dict[object, Best] = {}
    for i in order:
        trial = history.complete[i]
        key = trial.architecture.key
        known = found.get(key)
        if known is not None:
            found[key] = Best(known.trial, known.rank, (*known.repeats, trial.number))
        elif len(found) < (most if ranks[i] == 0 else least):
            found[key] = Best(trial, ranks[i])
        elif ranks[i] > 0:
            break
    return list(found.values())


def best_table(
    rows: Sequence[Best], shown: Sequence[Column], links: Links, facts: FactsOf
) -> Markup:
    """Values, drawing, notation and notes per row."""
    single = len(shown) == 1
    head = [element("th", "Trial", scope="col")]
    for column in shown:
        arrow = (
            "\N{DOWNWARDS ARROW}" if column.objective.direction == "min" else "\N{UPWARDS ARROW}"
        )
        unit = element("small", f" {column.unit}") if column.unit else None
        title = f"{column.name}: {column.wish}"
        sign = element("span", f" {arrow}", class_="wish", title=title, aria_label=column.wish)
        head.append(element("th", column.name, unit, sign, scope="col", class_="number"))
    head.append(element("th", "Architecture", scope="col"))
    body = [_best_row(row, shown, single, links, facts) for row in rows]
    return _table(head, body, "best")


def _best_row(
    row: Best, shown: Sequence[Column], single: bool, links: Links, facts: FactsOf
) -> Markup:
    trial = row.trial
    badges = []
    if trial.violation > 0:
        badges.append(element("span", "infeasible", class_="badge warn"))
    elif row.rank == 0:
        badges.append(element("span", "best" if single else "front", class_="badge good"))
    else:
        badges.append(element("span", f"rank {row.rank + 1}", class_="badge"))
    repeats = (
        element("small", f"also {_numbers(row.repeats)}", class_="muted") if row.repeats else None
    )
    values = [
        element("td", column.plain(value), class_="number", data_label=_labelled(column))
        for column, value in zip(shown, trial.values, strict=True)
    ]
    return element(
        "tr",
        element("th", f"{trial.number}", *badges, repeats, scope="row", data_label="Trial"),
        *values,
        element(
            "td",
            element("div", Markup(draw(trial.architecture)), class_="cell"),
            element("div", _notation(trial), _details(trial, links, facts), class_="about"),
            class_="architecture",
        ),
        id=f"trial-{trial.number}",
    )


def _labelled(column: Column) -> str:
    return f"{column.name} ({column.unit})" if column.unit else column.name


def _notation(trial: Trial) -> Markup:
    label = f"Copy the architecture of trial {trial.number}"
    return copied(breakable(str(trial.architecture)), label, "notation")


def copied(code: object, label: str, class_: str) -> Markup:
    """Code with a button that copies it."""
    button = element("button", "Copy", type="button", class_="copy", aria_label=label)
    return element("div", element("code", code), button, class_=class_)


def breakable(text: str) -> Markup:
    """Text that may wrap behind ``|`` and ``,``, without a change to what is copied."""
    parts = re.split(r"(?<=[|,])(?=[^|, ])", text)
    return join(parts, element("wbr"))


def _details(trial: Trial, links: Links, facts: FactsOf) -> Markup | None:
    if not (trial.notes or trial.constraints):
        return None
    told, listed = facts.get(trial.number, {}), _facts(trial, links, facts)
    if sum(len(text) for name, text in trial.notes.items() if name not in told) <= 160:
        return listed
    return element("details", element("summary", count(len(trial.notes), "note")), listed)


def _facts(trial: Trial, links: Links, facts: FactsOf) -> Markup:
    """Constraints and notes of a trial as a list of terms."""
    told = facts.get(trial.number, {})
    items: list[Markup] = []
    for name, value in trial.constraints.items():
        state = "violated" if value > 0 else "kept"
        items += [element("dt", name), element("dd", f"{value:.6g} ({state}; must be at most 0)")]
    for name, note in trial.notes.items():
        if name in told:
            terms = [(term, links.line(text)) for term, text in told[name]]
        else:
            terms = [(name, note_text(note))]
        for term, text in terms:
            items += [element("dt", term), element("dd", text)]
    return element("dl", *items, class_="notes")


def note_text(note: str) -> Markup:
    """A note, cut where it is so long that it would swell the page."""
    if len(note) <= NOTE_LIMIT:
        return join([note])
    return join(
        [
            note[:NOTE_LIMIT],
            element("em", f" (cut here; {len(note) - NOTE_LIMIT:,} more characters)"),
        ]
    )


# -- all trials ----------------------------------------------------------------------------


def notes_list(
    trials: Sequence[Trial], shown: Sequence[Column], best: frozenset[int], facts: FactsOf
) -> tuple[Markup, Links, int]:
    """Collapsible notes of every trial that has any, in groups where there are many.

    Args:
        trials: All trials.
        shown: The objectives.
        best: Numbers of the trials that the table of the best shows.
        facts: What notes say in words.

    Returns:
        The list, where trials are found with it, and how many trials were left out because the
        page would grow too large.
    """
    noted = [t for t in trials if t.notes or t.constraints]
    # Parents come before their children: where a child is listed, they are.
    links = Links(best, frozenset(t.number for t in noted))
    entries: list[tuple[int, Markup]] = []
    size = 0
    for trial in noted:
        entry = _notes_entry(trial, shown, links, facts)
        size += len(entry)
        if size > NOTES_LIMIT and entries:
            break
        entries.append((trial.number, entry))
    left_out = len(noted) - len(entries)
    links = Links(best, frozenset(number for number, _ in entries))
    if len(entries) <= GROUP:
        return join(entry for _, entry in entries), links, left_out
    groups = [entries[i : i + GROUP] for i in range(0, len(entries), GROUP)]
    return (
        join(
            element(
                "details",
                element("summary", f"Trials {group[0][0]} to {group[-1][0]}"),
                *(entry for _, entry in group),
                class_="group",
            )
            for group in groups
        ),
        links,
        left_out,
    )


def _notes_entry(trial: Trial, shown: Sequence[Column], links: Links, facts: FactsOf) -> Markup:
    values = [column(v) for column, v in zip(shown, trial.values, strict=False)]
    state = [trial.state.value] if trial.state is not TrialState.COMPLETE else values
    if trial.violation > 0:
        state = [*state, "infeasible"]
    return element(
        "details",
        element(
            "summary",
            element("b", f"Trial {trial.number}"),
            element("span", " \N{MIDDLE DOT} ".join(state), class_="muted"),
        ),
        element("code", breakable(str(trial.architecture)), class_="block"),
        _facts(trial, links, facts),
        id=f"notes-{trial.number}",
        class_="trial",
    )


def failures_table(result: SearchResult) -> Markup:
    """Failed and pruned trials by state and reason, the most frequent first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for trial in result.history.trials:
        if trial.state in {TrialState.FAILED, TrialState.PRUNED}:
            reason = trial.notes.get(REASON_NOTE, "")
            groups.setdefault((trial.state.value, reason), []).append(trial.number)
    rows = [
        (len(numbers), state, reason, _numbers(numbers))
        for (state, reason), numbers in groups.items()
    ]
    rows += [
        (n, TrialState.FAILED.value, reason, "before there was an architecture")
        for reason, n in Counter(result.lost).items()
    ]
    rows.sort(key=lambda row: (-row[0], row[1:]))
    body = [
        element(
            "tr",
            element("td", f"{n:,}", class_="number", data_label="Trials"),
            element("td", state, data_label="State"),
            element("td", _reason(reason), class_="reason"),
            element("td", where, class_="muted"),
        )
        for n, state, reason, where in rows[:MAX_REASONS]
    ]
    titles = [("Count", "number"), ("State", None), ("Reason", None), ("Trials", None)]
    head = [element("th", title, scope="col", class_=kind) for title, kind in titles]
    table = _table(head, body, "failures")
    if len(rows) <= MAX_REASONS:
        return table
    rest = count(len(rows) - MAX_REASONS, "rarer reason")
    return join([table, element("p", f"{rest} are left out.", class_="caption")])


def _reason(text: str) -> str:
    if not text:
        return "No reason was recorded."
    return text if len(text) <= REASON_LIMIT else f"{text[:REASON_LIMIT]} ..."


def _numbers(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_LISTED]))
    more = f" and {len(numbers) - _MAX_LISTED:,} more" if len(numbers) > _MAX_LISTED else ""
    return f"{'trial' if len(numbers) == 1 else 'trials'} {listed}{more}"


def pairs_table(pairs: Mapping[str, object], *, head: tuple[str, str]) -> Markup:
    """A table of names and values."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in pairs.items()
    ]
    titles = [element("th", title, scope="col") for title in head]
    return _table(titles, rows, "pairs")


def plain_table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numbers: Sequence[int] = (),
    class_: str = "plain",
) -> Markup:
    """A table; the first cell of a row names it, the columns `numbers` are set to the right."""

    def style(column: int) -> str | None:
        return "number" if column in numbers else None

    titles = [element("th", title, scope="col", class_=style(i)) for i, title in enumerate(head)]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, class_=style(i)) for i, cell in enumerate(row[1:], start=1)),
        )
        for row in rows
    ]
    return element("div", _table(titles, body, class_), class_="scroll", tabindex="0")


def _table(head: Sequence[Markup], rows: Sequence[Markup], class_: str) -> Markup:
    titles = element("thead", element("tr", *head))
    return element("table", titles, element("tbody", *rows), class_=class_)


def tile(name: str, value: str, note: str) -> Markup:
    """One headline figure of a page."""
    return element(
        "li",
        element("span", name, class_="name"),
        element("strong", value),
        element("span", note, class_="note"),
    )
