"""What the report of an LLM co-evolution says of the model: its replies, its calls, its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from nas_plugins._markup import Markup, element, join
from nas_plugins.llm import CallRecord
from nas_plugins.report._coevolution_notes import label_of
from nas_plugins.report._format import count, duration
from nas_plugins.report._tables import left_out, plain_table, tile
from nas_plugins.strategies.llm_coevolution.log import CoEvolutionLog, Totals
from nas_plugins.strategies.llm_coevolution.notes import MAX_REASON
from nas_plugins.strategies.llm_coevolution.words import clean

MAX_CALLS, MAX_REASONS = 1000, 30
_MAX_NAME = 80
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


def model(log: CoEvolutionLog) -> Markup:
    """What was asked, what came back, what stood in, and every call."""
    if not log.calls:
        text = "No language model was asked."
        return join([element("p", text, class_="lead"), *_replacements(log)])
    names = Counter(clean(call.model or call.asked, _MAX_NAME) for call in log.calls)
    listed = [name for name, _ in names.most_common(3)]
    made = [call for call in log.calls if call.attempts or call.cached]
    text = f"{count(len(made), 'call')} to {', '.join(listed)}"
    text += f" and {count(len(names) - 3, 'other')}." if len(names) > 3 else "."
    if log.totals.cached:
        text += f" {log.totals.cached:,} of them were replayed from a recording, at no cost."
    if len(made) < len(log.calls):
        verb = "was" if len(log.calls) - len(made) == 1 else "were"
        text += f" {len(log.calls) - len(made):,} more {verb} not made, as the budget was used up."
    roles = _spending("Role", log.calls, lambda call: clean(call.role, _MAX_NAME))
    places = {niche.label: i for i, niche in enumerate(log.niches)}
    in_order = sorted(log.calls, key=lambda call: places.get(call.niche, len(places)))
    niches = _spending("Niche", in_order, lambda call: label_of(call.niche))
    return join(
        [
            element("p", text, class_="lead"),
            element("ul", *_tiles(log), class_="tiles"),
            element("h3", "What the replies were worth"),
            _quality(log),
            *_replacements(log),
            *_reasons("Calls without a reply", "What went wrong", log.failures),
            element("h3", "Calls by role"),
            roles,
            element("h3", "Calls by niche"),
            niches,
            _ledger(log.calls),
        ]
    )


def _tiles(log: CoEvolutionLog) -> list[Markup]:
    totals, rates = log.totals, log.rates
    made = [call for call in log.calls if call.attempts or call.cached]
    failed = sum(not call.ok for call in made)
    note = f"{failed:,} without a reply" if failed else "all answered"
    tiles = [tile("Calls", f"{len(made):,}", note)]
    if totals.attempts > sum(call.attempts > 0 for call in made):
        tiles.append(tile("Attempts", f"{totals.attempts:,}", "retries included"))
    tokens = totals.prompt_tokens + totals.completion_tokens
    note = f"{totals.prompt_tokens:,} in, {totals.completion_tokens:,} out"
    tiles.append(tile("Tokens", f"{tokens:,}", note))
    tiles.append(tile("Time", duration(totals.seconds), "sum over the calls"))
    tiles.append(tile("Cost", _usd(totals), _priced(totals)))
    share = _legal_share(log)
    if share is not None:
        tiles.append(tile("Usable children", share, "of those that it wrote"))
    if "fallback" in rates:
        note = "of its trials were made without it"
        tiles.append(tile("Fallback", _percent(rates["fallback"]), note))
    return tiles


def _legal_share(log: CoEvolutionLog) -> str | None:
    written = _written(log)
    return _percent(log.counts["legal"] / written) if written else None


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


def _quality(log: CoEvolutionLog) -> Markup:
    written = _written(log)
    rows: list[list[object]] = [["Children asked for", f"{log.counts['asked']:,}", ""]]
    for kind, words in _COUNT_WORDS.items():
        number = log.counts[kind]
        counted = kind not in ("asked", "surplus")
        if kind != "asked" and (number or kind == "legal"):
            share = _percent(number / written) if counted and written else ""
            rows.append([f"Children written: {words}", f"{number:,}", share])
    rest = {
        "Second questions": "repairs",
        "Changes of rules that could not be used": "bad-edit",
        "Questions without a reply": "failed",
    }
    rows += [[text, f"{log.counts[kind]:,}", ""] for text, kind in rest.items()]
    for text, kind in (
        ("Trials of the model when asked again", "repair"),
        ("Trials of a classical operator in its place", "fallback"),
    ):
        if kind in log.rates:
            number = log.origins["repair" if kind == "repair" else "classical"]
            rows.append([text, f"{number:,}", _percent(log.rates[kind])])
    table = plain_table(["What", "Number", "Share"], rows, numbers=(1, 2))
    note = (
        "Shares of children are of all that the model wrote, a reply that could not be read "
        "counting once; shares of trials are of all in which the model was to have its turn."
    )
    return join([table, element("p", note, class_="caption")])


def _replacements(log: CoEvolutionLog) -> list[Markup]:
    title = "Why a classical operator stood in"
    return _reasons(title, "Reason", log.fallbacks)


def _reasons(title: str, head: str, counts: Mapping[str, int]) -> list[Markup]:
    if not counts:
        return []
    rows = [
        [clean(reason, MAX_REASON) or "no reason was noted", f"{number:,}"]
        for reason, number in list(counts.items())[:MAX_REASONS]
    ]
    table = plain_table([head, "Number"], rows, numbers=(1,))
    return [element("h3", title), join([table, left_out(list(counts), MAX_REASONS)])]


def _spending(head: str, calls: Sequence[CallRecord], key: Callable[[CallRecord], str]) -> Markup:
    """Calls and costs by what `key` says, in order of first occurrence."""
    groups: dict[str, list[CallRecord]] = {}
    for call in calls:
        groups.setdefault(key(call) or _NONE, []).append(call)
    rows = []
    for name, members in groups.items():
        totals = Totals.of(members)
        rows.append(
            [
                name,
                f"{totals.calls:,}",
                f"{totals.attempts:,}",
                f"{totals.failed:,}",
                f"{totals.prompt_tokens:,}",
                f"{totals.completion_tokens:,}",
                f"{totals.seconds:,.1f}",
                _usd(totals),
            ]
        )
    titles = [head, "Calls", "Attempts", "Failed", "Tokens in", "Tokens out", "Seconds", "Cost"]
    return plain_table(titles, rows, numbers=range(1, len(titles)))


def _ledger(calls: Sequence[CallRecord]) -> Markup:
    head = [
        "Call", "Role", "Niche", "Generation", "Model", "Prompt", "Attempts", "Tokens in",
        "Tokens out", "Seconds", "USD", "Outcome",
    ]  # fmt: skip
    rows = [_call_row(i, call) for i, call in enumerate(calls[:MAX_CALLS], start=1)]
    return element(
        "details",
        element("summary", element("b", "All calls"), element("span", f"{len(calls):,}")),
        plain_table(head, rows, numbers=(3, 6, 7, 8, 9, 10), class_="plain dense"),
        left_out(calls, MAX_CALLS),
        class_="trial",
    )


def _call_row(number: int, call: CallRecord) -> list[object]:
    outcome = clean(call.outcome, MAX_REASON)
    if call.ok and call.finish_reason not in ("", "stop"):
        outcome = f"{outcome}, ended by {clean(call.finish_reason, _MAX_NAME)}"
    if call.cached:
        outcome = f"{outcome}, replayed"
    about = "~" if call.estimated else ""
    return [
        f"{number:,}",
        clean(call.role, _MAX_NAME) or _NONE,
        label_of(call.niche) or _NONE,
        clean(call.generation, _MAX_NAME) or _NONE,
        clean(call.model or call.asked, _MAX_NAME),
        clean(call.template, _MAX_NAME),
        f"{call.attempts:,}",
        f"{about}{call.prompt_tokens:,}",
        f"{about}{call.completion_tokens:,}",
        f"{call.seconds:,.2f}",
        "unpriced" if call.usd is None else f"{call.usd:.5f}" if call.usd else "0",
        outcome,
    ]


__all__ = ["model"]
