"""What a co-evolution adds to the result and the report of a search: niches, rules, the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from nas_plugins._wording import count, duration
from nas_plugins.history import History, Trial
from nas_plugins.llm import CallRecord
from nas_plugins.sections import (
    Badge,
    Block,
    DataTable,
    Details,
    Facts,
    GroupedTrials,
    Inline,
    Line,
    Section,
    StrategySummary,
    Swatch,
    Text,
    Trials,
)
from nas_plugins.strategies.llm_coevolution.knowledge import GLOBAL, MAX_TEXT, Change, Rule
from nas_plugins.strategies.llm_coevolution.log import (
    MAX_RATIONALE,
    MAX_REASON,
    NOTE,
    BatchRecord,
    CoEvolutionLog,
    NicheLog,
    Note,
    Totals,
    coevolution_log,
    read,
)
from nas_plugins.strategies.llm_coevolution.notation import clean

BLOCK = "llm_coevolution"
"""Name of the block in ``result.json`` and in the document of ``--json``."""

MAX_CHANGES, MAX_RULES = 1000, 200
MAX_CALLS, MAX_REASONS = 1000, 30
MAX_LABEL = 80
"""Longest name or label of a niche that is shown."""

_MAX_LINKS = 8
_NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_WRITTEN = ("legal", "malformed", "illegal", "duplicate", "off-niche")
_NOTATION = (
    "Where a rule names a position, that is a decision of the space, counted from 1; the number "
    "behind it is the choice as prompts write it, with its name unless names are hidden."
)
_COUNT_WORDS = {
    "asked": "asked for",
    "legal": "usable",
    "malformed": "malformed",
    "illegal": "not in the space",
    "duplicate": "known already",
    "off-niche": "outside the niche",
    "surplus": "more than asked for",
}
_ORIGINS = {
    "initial": "a uniform draw in the niche",
    "llm": "the language model",
    "repair": "the language model, asked once more",
    "classical": "a classical operator in the model\N{RIGHT SINGLE QUOTATION MARK}s place",
    "hybrid": "archive evolution on the front of all niches",
}
_ORIGIN_HEADS = {
    "initial": "Initial",
    "llm": "Model",
    "repair": "Model, asked again",
    "classical": "In its place",
    "hybrid": "Archive evolution",
}
_CHANGE_WORDS = {
    "add": "added",
    "confirm": "confirmed",
    "revise": "revised",
    "drop": "dropped",
    "evict": "dropped for want of room",
    "void": "without effect",
}


def log_of(history: History, settings: Mapping[str, Any]) -> CoEvolutionLog | None:
    """The log of a search with these settings; ``None`` where it was no LLM co-evolution."""
    most = (settings.get("strategy_options") or {}).get("max_rules", 20)
    return coevolution_log(history, max_rules=most if isinstance(most, int) else 20)


# -- the result ----------------------------------------------------------------------------


def summary(log: CoEvolutionLog) -> StrategySummary:
    """Niches, rules, counts, rates, costs; not the calls one by one, which the notes have."""
    told = log.to_json()
    del told["changes"], told["calls"]
    told["models"] = sorted({call.model or call.asked for call in log.calls})
    told["not_made"] = sum(not (call.attempts or call.cached) for call in log.calls)
    told["by_role"] = _by_role(log.calls)
    return StrategySummary(BLOCK, told, tuple(_lines(told)))


def _by_role(calls: Sequence[CallRecord]) -> dict[str, Any]:
    roles = sorted({call.role for call in calls})
    return {role: vars(Totals.of([c for c in calls if c.role == role])) for role in roles}


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    """What the model did and cost."""
    totals, counts, rates = block["totals"], block["counts"], block["rates"]
    found = f"{count(len(block['rules']), 'rule')}, {count(len(block['niches']), 'niche')}"
    if not totals["calls"]:
        yield f"no language model was asked; {found}"
    else:
        models = ", ".join(block["models"])
        yield f"language model {models}: {_costs(totals, block['not_made'])}; {found}"
        written = sum(counts[kind] for kind in _WRITTEN)
        share = f" ({counts['legal'] / written:.1%})" if written else ""
        yield (
            f"{counts['legal']} of {written} children usable{share} · "
            f"second questions {counts['repairs']} · fallback {block['origins']['classical']} "
            f"trials ({rates.get('fallback', 0.0):.1%})"
        )
    if block["fallbacks"]:
        reason, number = next(iter(block["fallbacks"].items()))
        yield f"most frequent reason of fallback ({number}x): {reason}"


def _costs(totals: Mapping[str, Any], not_made: int) -> str:
    paid = totals["calls"] - totals["cached"]
    parts = [count(totals["calls"] - not_made, "call")]
    told = {"cached": totals["cached"], "failed": totals["failed"] - not_made}
    parts += [f"{number} {word}" for word, number in told.items() if number]
    parts += [f"{not_made} not made for want of budget"] if not_made else []
    parts.append(count(totals["prompt_tokens"] + totals["completion_tokens"], "token"))
    parts.append(f"{totals['seconds']:.1f} s")
    if paid and totals["unpriced"] == paid:
        parts.append("unpriced")
    else:
        parts.append(f"{totals['usd']:.4g} USD")
        parts += [f"{count(totals['unpriced'], 'call')} unpriced"] if totals["unpriced"] else []
    return ", ".join(parts)


# -- the report ----------------------------------------------------------------------------


def sections(log: CoEvolutionLog) -> tuple[Section, ...]:
    """Niches, rules, model."""
    return (
        Section("niches", "Niches", _niches(log)),
        Section("rules", "Rules of the knowledge base", _rules(log)),
        Section("model", "Language model", _model(log)),
    )


def _niches(log: CoEvolutionLog) -> tuple[Block, ...]:
    text = (
        f"{count(len(log.niches), 'niche')}, each with a Pareto archive of its own; the front of "
        "the search is what is not dominated in any of them."
    )
    if log.foreign:
        verb = "belongs" if log.foreign == 1 else "belong"
        text += f" {count(log.foreign, 'trial')} {verb} to none."
    members: dict[tuple[int, str], list[int]] = {(n.index, n.label): [] for n in log.niches}
    for number, note in log.entries:
        members[note.niche, note.label].append(number)
    plot = GroupedTrials(
        "niche",
        labels=tuple(_label(niche.label) for niche in log.niches),
        members=tuple(map(tuple, members.values())),
        fronts=tuple(niche.front for niche in log.niches),
    )
    kinds = [name for name in _ORIGIN_HEADS if log.origins[name]]
    head = ("Niche", "Trials", *(_ORIGIN_HEADS[k] for k in kinds), "Generations", "On its front")
    rows = tuple(_niche_row(i, niche, kinds) for i, niche in enumerate(log.niches))
    table = DataTable(head, rows, tuple(range(1, len(head) - 1)), "labelled")
    return Text(text, "lead"), plot, table


def _niche_row(position: int, niche: NicheLog, kinds: Sequence[str]) -> tuple[Line, ...]:
    ended = f"{niche.trials:,}"
    if niche.complete != niche.trials:
        ended += f", {niche.complete:,} complete"
    return (
        (Swatch(position), _label(niche.label)),
        ended,
        *(f"{niche.origins[kind]:,}" for kind in kinds),
        f"{niche.generations:,}",
        Trials(niche.front, _MAX_LINKS) if niche.front else _NONE,
    )


def _rules(log: CoEvolutionLog) -> tuple[Block, ...]:
    if not log.changes:
        return (Text("The knowledge base has stayed empty.", "lead"),)
    text = (
        f"{count(len(log.rules), 'rule')} at the end; on the way {_done(log.changes)}. Rules are "
        "what whoever wrote them made of the trials given as evidence; nothing here has tested "
        "them."
    )
    return (
        Text(text, "lead"),
        *(_rule_table(log) if log.rules else ()),
        Text(_NOTATION, "caption"),
        Text("How they changed", "heading"),
        *_changes(log.changes),
    )


def _done(changes: Sequence[Change]) -> str:
    done = Counter(change.action for change in changes)
    return ", ".join(
        f"{done[name]:,} {word}" for name, word in _CHANGE_WORDS.items() if done[name]
    )


def _rule_table(log: CoEvolutionLog) -> tuple[Block, ...]:
    order = {GLOBAL: -1, **{niche.label: i for i, niche in enumerate(log.niches)}}
    last = len(order)
    rules = sorted(log.rules, key=lambda r: (order.get(r.scope, last), -r.support, r.last_seen))
    rows = tuple(
        (
            clean(rule.text, MAX_TEXT),
            _polarity(rule),
            _scope(rule),
            f"{rule.support:,}",
            Trials((rule.last_seen,)),
            Trials(rule.evidence),
        )
        for rule in rules[:MAX_RULES]
    )
    head = ("Rule", "Says it", "Where", "Support", "Last seen", "Evidence: trials")
    return DataTable(head, rows, (3,), "words"), *_left_out(rules, MAX_RULES)


def _polarity(rule: Rule) -> Badge:
    return Badge("+ helps", "good") if rule.polarity == "+" else Badge(f"{_MINUS} harms", "warn")


def _scope(rule: Rule) -> str:
    return "everywhere" if rule.scope == GLOBAL else _label(rule.scope)


def _changes(changes: Sequence[Change]) -> Iterator[Block]:
    """One collapsible table per generation."""
    shown = sorted(changes[:MAX_CHANGES], key=lambda change: change.generation)
    head = ("Rule", "Change", "Says it", "Where", "By trial")
    for generation, group in groupby(shown, key=lambda change: change.generation):
        members = list(group)
        table = DataTable(head, tuple(map(_change_row, members)))
        yield Details(f"Generation {generation:,}", _done(members), (table,))
    yield from _left_out(changes, MAX_CHANGES)


def _change_row(change: Change) -> tuple[Line, ...]:
    word, by = _CHANGE_WORDS.get(change.action, change.action), Trials((change.trial,))
    if change.rule is None:
        return _NONE, word, _NONE, _NONE, by
    rule = change.rule
    return clean(rule.text, MAX_TEXT), word, _polarity(rule), _scope(rule), by


# -- the language model: its replies, its calls, its cost ----------------------------------


def _model(log: CoEvolutionLog) -> tuple[Block, ...]:
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
        _spending("Niche", in_order, lambda call: _label(call.niche)),
        _ledger(log.calls),
    )


def _label(text: str) -> str:
    """The label of a niche on one line."""
    return clean(text, MAX_LABEL)


def _left_out(items: Sequence[object], most: int) -> tuple[Text, ...]:
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
    return sum(log.counts[kind] for kind in _WRITTEN)


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
    return Text(title, "heading"), table, *_left_out(list(counts), MAX_REASONS)


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
    return Details("All calls", f"{len(calls):,}", (table, *_left_out(calls, MAX_CALLS)))


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
        _label(call.niche) or _NONE,
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


# -- the note of a trial -------------------------------------------------------------------


def facts(trial: Trial) -> dict[str, Facts]:
    """What the note of a trial tells; nothing where it has none, or one that cannot be read.

    Whatever the model or another program wrote is cut to the lengths that the strategy keeps to.
    """
    note = read(trial)
    if note is None:
        return {}
    when = f"generation {note.generation:,}" if note.generation else "initial architectures"
    told: list[tuple[str, Line]] = [
        ("origin", (_ORIGINS[note.origin], *_ancestry(note))),
        ("niche", f"{_label(note.label)}, {when}"),
    ]
    if note.reason:
        told.append(("reason", clean(note.reason, MAX_REASON)))
    if note.rationale:
        told.append(("rationale", clean(note.rationale, MAX_RATIONALE)))
    if note.batch is not None:
        told.append(("asked here", _asked(note.batch)))
    return {NOTE: tuple(told)}


def _ancestry(note: Note) -> tuple[Inline, ...]:
    if not note.operator and not note.parents:
        return ()
    operator = clean(note.operator, MAX_LABEL) or "made"
    if not note.parents:
        return (f", {operator}",)
    kind = "trial" if len(note.parents) == 1 else "trials"
    verb = "from" if operator == "made" else "of"
    return f", {operator} {verb} {kind} ", Trials(note.parents)


def _asked(batch: BatchRecord) -> str:
    """What the leader of a batch got from the model for all of it."""
    parts = [count(len(batch.calls), "call")]
    if batch.counts.get("asked"):
        usable = batch.counts.get("legal", 0)
        parts.append(f"{usable:,} of {count(batch.counts['asked'], 'child', 'children')} usable")
    if batch.edits:
        parts.append(f"{count(len(batch.edits), 'change')} of the rules")
    return ", ".join(parts)
