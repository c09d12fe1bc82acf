"""What a report says of the language model: its replies, its calls, its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from nas_plugins._wording import count, duration
from nas_plugins.llm import CallRecord
from nas_plugins.sections import Block, DataTable, Details, Text
from nas_plugins.strategies.llm_coevolution.log import CoEvolutionLog, Totals
from nas_plugins.strategies.llm_coevolution.notation import clean
from nas_plugins.strategies.llm_coevolution.notes import MAX_REASON

MAX_CALLS, MAX_REASONS = 1000, 30
MAX_LABEL = 80
"""Longest name or label of a niche that is shown."""

_NONE = "\N{EN DASH}"

_COUNT_WORDS = {
    "asked": "asked for",
    "legal": "usable",
    "malformed": "malformed",
    "illegal": "not in the space",
    "duplicate": "known already",
    "off-niche": "outside the niche",
    "surplus": "more than asked for",
}


def model_blocks(log: CoEvolutionLog) -> tuple[Block, ...]:
    """What was asked, what came back, what stood in, and every call."""
    replacements = _reasons("Why a classical operator stood in", "Reason", log.fallbacks)
    if not log.calls:
        return (Text("No language model was asked.", "lead"), *replacements)
    places = {niche.label: i for i, niche in enumerate(log.niches)}
    in_order = sorted(log.calls, key=lambda call: places.get(call.niche, len(places)))
    return (
        Text(_lead(log), "lead"),
        DataTable(("Name", "Value", "Note"), tuple(_tiles(log)), style="tiles"),
        Text("What the replies were worth", "heading"),
        *_quality(log),
        *replacements,
        *_reasons("Calls without a reply", "What went wrong", log.failures),
        Text("Calls by role", "heading"),
        _spending("Role", log.calls, lambda call: clean(call.role, MAX_LABEL)),
        Text("Calls by niche", "heading"),
        _spending("Niche", in_order, lambda call: label_of(call.niche)),
        _ledger(log.calls),
    )


def label_of(text: str) -> str:
    """The label of a niche on one line."""
    return clean(text, MAX_LABEL)


def left_out(items: Sequence[object], most: int) -> tuple[Text, ...]:
    """How many of a list are not shown; nothing where all are."""
    if len(items) <= most:
        return ()
    return (Text(f"{len(items) - most:,} more are left out.", "caption"),)


def _lead(log: CoEvolutionLog) -> str:
    names = Counter(clean(call.model or call.asked, MAX_LABEL) for call in log.calls)
    listed = [name for name, _ in names.most_common(3)]
    made = [call for call in log.calls if call.attempts or call.cached]
    text = f"{count(len(made), 'call')} to {', '.join(listed)}"
    text += f" and {count(len(names) - 3, 'other')}." if len(names) > 3 else "."
    if log.totals.cached:
        text += f" {log.totals.cached:,} of them were replayed from a recording, at no cost."
    if len(made) < len(log.calls):
        verb = "was" if len(log.calls) - len(made) == 1 else "were"
        text += f" {len(log.calls) - len(made):,} more {verb} not made, as the budget was used up."
    return text


def _tiles(log: CoEvolutionLog) -> Iterator[tuple[str, str, str]]:
    totals, written = log.totals, _written(log)
    made = [call for call in log.calls if call.attempts or call.cached]
    failed = sum(not call.ok for call in made)
    yield "Calls", f"{len(made):,}", f"{failed:,} without a reply" if failed else "all answered"
    if totals.attempts > sum(call.attempts > 0 for call in made):
        yield "Attempts", f"{totals.attempts:,}", "retries included"
    tokens = totals.prompt_tokens + totals.completion_tokens
    note = f"{totals.prompt_tokens:,} in, {totals.completion_tokens:,} out"
    yield "Tokens", f"{tokens:,}", note
    yield "Time", duration(totals.seconds), "sum over the calls"
    yield "Cost", _usd(totals), _priced(totals)
    if written:
        yield "Usable children", _percent(log.counts["legal"] / written), "of those that it wrote"
    if "fallback" in log.rates:
        yield "Fallback", _percent(log.rates["fallback"]), "of its trials were made without it"


def _written(log: CoEvolutionLog) -> int:
    """Children that the model wrote, those that could not be read included."""
    kinds = ("legal", "malformed", "illegal", "duplicate", "off-niche")
    return sum(log.counts[kind] for kind in kinds)


def _usd(totals: Totals) -> str:
    paid = totals.calls - totals.cached
    if paid and totals.unpriced == paid:
        return "unpriced"
    return f"{totals.usd:,.4f} USD" if totals.usd else "0 USD"


def _priced(totals: Totals) -> str:
    paid = totals.calls - totals.cached
    if totals.unpriced == paid and paid:
        return "no price was given"
    return f"{count(totals.unpriced, 'call')} unpriced" if totals.unpriced else "all calls priced"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NARROW NO-BREAK SPACE}%"


def _quality(log: CoEvolutionLog) -> tuple[Block, ...]:
    written = _written(log)
    rows = [("Children asked for", f"{log.counts['asked']:,}", "")]
    for kind, words in _COUNT_WORDS.items():
        number = log.counts[kind]
        counted = kind not in ("asked", "surplus")
        if kind != "asked" and (number or kind == "legal"):
            share = _percent(number / written) if counted and written else ""
            rows.append((f"Children written: {words}", f"{number:,}", share))
    rest = {
        "Second questions": "repairs",
        "Changes of rules that could not be used": "bad-edit",
        "Questions without a reply": "failed",
    }
    rows += [(text, f"{log.counts[kind]:,}", "") for text, kind in rest.items()]
    for text, rate, origin in (
        ("Trials of the model when asked again", "repair", "repair"),
        ("Trials of a classical operator in its place", "fallback", "classical"),
    ):
        if rate in log.rates:
            rows.append((text, f"{log.origins[origin]:,}", _percent(log.rates[rate])))
    note = (
        "Shares of children are of all that the model wrote, a reply that could not be read "
        "counting once; shares of trials are of all in which the model was to have its turn."
    )
    return DataTable(("What", "Number", "Share"), tuple(rows), (1, 2)), Text(note, "caption")


def _reasons(title: str, head: str, counts: Mapping[str, int]) -> tuple[Block, ...]:
    if not counts:
        return ()
    rows = tuple(
        (clean(reason, MAX_REASON) or "no reason was noted", f"{number:,}")
        for reason, number in list(counts.items())[:MAX_REASONS]
    )
    table = DataTable((head, "Number"), rows, (1,))
    return Text(title, "heading"), table, *left_out(list(counts), MAX_REASONS)


def _spending(
    head: str, calls: Sequence[CallRecord], key: Callable[[CallRecord], str]
) -> DataTable:
    """Calls and costs by what `key` says, in order of first occurrence."""
    groups: dict[str, list[CallRecord]] = {}
    for call in calls:
        groups.setdefault(key(call) or _NONE, []).append(call)
    rows = []
    for name, members in groups.items():
        totals = Totals.of(members)
        rows.append(
            (
                name,
                f"{totals.calls:,}",
                f"{totals.attempts:,}",
                f"{totals.failed:,}",
                f"{totals.prompt_tokens:,}",
                f"{totals.completion_tokens:,}",
                f"{totals.seconds:,.1f}",
                _usd(totals),
            )
        )
    titles = (head, "Calls", "Attempts", "Failed", "Tokens in", "Tokens out", "Seconds", "Cost")
    return DataTable(titles, tuple(rows), tuple(range(1, len(titles))))


def _ledger(calls: Sequence[CallRecord]) -> Details:
    head = (
        "Call", "Role", "Niche", "Generation", "Model", "Prompt", "Attempts", "Tokens in",
        "Tokens out", "Seconds", "USD", "Outcome",
    )  # fmt: skip
    rows = tuple(_call_row(i, call) for i, call in enumerate(calls[:MAX_CALLS], start=1))
    table = DataTable(head, rows, (3, 6, 7, 8, 9, 10), "dense")
    return Details("All calls", f"{len(calls):,}", (table, *left_out(calls, MAX_CALLS)))


def _call_row(number: int, call: CallRecord) -> tuple[str, ...]:
    outcome = clean(call.outcome, MAX_REASON)
    if call.ok and call.finish_reason not in ("", "stop"):
        outcome = f"{outcome}, ended by {clean(call.finish_reason, MAX_LABEL)}"
    if call.cached:
        outcome = f"{outcome}, replayed"
    about = "~" if call.estimated else ""
    return (
        f"{number:,}",
        clean(call.role, MAX_LABEL) or _NONE,
        label_of(call.niche) or _NONE,
        clean(call.generation, MAX_LABEL) or _NONE,
        clean(call.model or call.asked, MAX_LABEL),
        clean(call.template, MAX_LABEL),
        f"{call.attempts:,}",
        f"{about}{call.prompt_tokens:,}",
        f"{about}{call.completion_tokens:,}",
        f"{call.seconds:,.2f}",
        "unpriced" if call.usd is None else f"{call.usd:.5f}" if call.usd else "0",
        outcome,
    )
