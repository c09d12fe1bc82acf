"""What the report of an LLM co-evolution adds: niches, rules, and what the model did and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from nas_plugins._markup import Markup, element, join
from nas_plugins.report import _document
from nas_plugins.report._coevolution_figures import MAX_NICHE_PAIRS, niche_figures, swatch
from nas_plugins.report._coevolution_model import model
from nas_plugins.report._coevolution_notes import label_of
from nas_plugins.report._document import Section
from nas_plugins.report._figures import Figure
from nas_plugins.report._format import count
from nas_plugins.report._links import Links
from nas_plugins.report._tables import left_out, plain_table
from nas_plugins.results import SearchResult
from nas_plugins.strategies.llm_coevolution.knowledge import (
    GLOBAL,
    MAX_TEXT,
    Change,
    Rule,
)
from nas_plugins.strategies.llm_coevolution.log import (
    CoEvolutionLog,
    NicheLog,
    coevolution_log,
)
from nas_plugins.strategies.llm_coevolution.words import clean

MAX_CHANGES, MAX_RULES = 1000, 200
_MAX_LINKS = 8
_NONE = "\N{EN DASH}"
_NOTATION = (
    "Where a rule names a position, that is a decision of the space, counted from 1; the number "
    "behind it is the choice as prompts write it, with its name unless names are hidden."
)
_MINUS = "\N{MINUS SIGN}"

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


def log_of(result: SearchResult) -> CoEvolutionLog | None:
    """The story of the search; ``None`` where it was no LLM co-evolution."""
    options = result.settings.get("strategy_options") or {}
    most = options.get("max_rules", 20)
    return coevolution_log(result.history, max_rules=most if isinstance(most, int) else 20)


def sections(
    result: SearchResult, log: CoEvolutionLog, links: Links
) -> tuple[list[Section], list[Figure]]:
    """Niches, rules, model; and the plots among them."""
    figures = niche_figures(result, log)
    found = [
        Section("niches", "Niches", _niches(log, figures, links)),
        Section("rules", "Rules of the knowledge base", _rules(log, links)),
        Section("model", "Language model", model(log)),
    ]
    return found, figures


# -- niches --------------------------------------------------------------------------------


def _niches(log: CoEvolutionLog, figures: Sequence[Figure], links: Links) -> Markup:
    text = (
        f"{count(len(log.niches), 'niche')}, each with a Pareto archive of its own; the front of "
        "the search is what is not dominated in any of them."
    )
    if log.foreign:
        verb = "belongs" if log.foreign == 1 else "belong"
        text += f" {count(log.foreign, 'trial')} {verb} to none."
    limit = f"At most {MAX_NICHE_PAIRS} pairs of objectives are drawn."
    remarks = [limit] if len(figures) == MAX_NICHE_PAIRS else []
    kinds = [name for name in _ORIGIN_HEADS if log.origins[name]]
    head = ["Niche", "Trials", *(_ORIGIN_HEADS[k] for k in kinds), "Generations", "On its front"]
    rows = [_niche_row(i, niche, kinds, links) for i, niche in enumerate(log.niches)]
    return join(
        [
            element("p", text, class_="lead"),
            _document.plots(figures, remarks=remarks) if figures else None,
            plain_table(head, rows, numbers=range(1, len(head) - 1), class_="plain labelled"),
        ]
    )


def _niche_row(position: int, niche: NicheLog, kinds: Sequence[str], links: Links) -> list[object]:
    ended = f"{niche.trials:,}"
    if niche.complete != niche.trials:
        ended += f", {niche.complete:,} complete"
    return [
        join([swatch(position), label_of(niche.label)]),
        ended,
        *(f"{niche.origins[kind]:,}" for kind in kinds),
        f"{niche.generations:,}",
        links.listed(niche.front, most=_MAX_LINKS) if niche.front else _NONE,
    ]


# -- rules ---------------------------------------------------------------------------------


def _rules(log: CoEvolutionLog, links: Links) -> Markup:
    done = Counter(change.action for change in log.changes)
    if not log.changes:
        return element("p", "The knowledge base has stayed empty.", class_="lead")
    parts = [f"{done[name]:,} {word}" for name, word in _CHANGE_WORDS.items() if done[name]]
    text = (
        f"{count(len(log.rules), 'rule')} at the end; on the way {', '.join(parts)}. Rules are "
        "what whoever wrote them made of the trials given as evidence; nothing here has tested "
        "them."
    )
    return join(
        [
            element("p", text, class_="lead"),
            _rule_table(log, links) if log.rules else None,
            element("p", _NOTATION, class_="caption"),
            element("h3", "How they changed"),
            *_changes(log.changes, links),
        ]
    )


def _rule_table(log: CoEvolutionLog, links: Links) -> Markup:
    order = {GLOBAL: -1, **{niche.label: i for i, niche in enumerate(log.niches)}}
    last = len(order)
    rules = sorted(log.rules, key=lambda r: (order.get(r.scope, last), -r.support, r.last_seen))
    rows = [
        [
            clean(rule.text, MAX_TEXT),
            _polarity(rule),
            _scope(rule),
            f"{rule.support:,}",
            links.to(rule.last_seen),
            links.listed(rule.evidence),
        ]
        for rule in rules[:MAX_RULES]
    ]
    head = ["Rule", "Says it", "Where", "Support", "Last seen", "Evidence: trials"]
    return join(
        [plain_table(head, rows, numbers=(3,), class_="plain words"), left_out(rules, MAX_RULES)]
    )


def _polarity(rule: Rule) -> Markup:
    if rule.polarity == "+":
        return element("span", "+ helps", class_="badge good")
    return element("span", f"{_MINUS} harms", class_="badge warn")


def _scope(rule: Rule) -> str:
    return "everywhere" if rule.scope == GLOBAL else label_of(rule.scope)


def _changes(changes: Sequence[Change], links: Links) -> list[Markup]:
    """One collapsible table per generation."""
    shown = sorted(changes[:MAX_CHANGES], key=lambda change: change.generation)
    found = []
    for generation, group in groupby(shown, key=lambda change: change.generation):
        members = list(group)
        done = Counter(change.action for change in members)
        told = [f"{done[name]:,} {word}" for name, word in _CHANGE_WORDS.items() if done[name]]
        rows = [_change_row(change, links) for change in members]
        found.append(
            element(
                "details",
                element(
                    "summary",
                    element("b", f"Generation {generation:,}"),
                    element("span", ", ".join(told), class_="muted"),
                ),
                plain_table(["Rule", "Change", "Says it", "Where", "By trial"], rows),
                class_="trial",
            )
        )
    return [*found, join([left_out(changes, MAX_CHANGES)])]


def _change_row(change: Change, links: Links) -> list[object]:
    word = _CHANGE_WORDS.get(change.action, change.action)
    if change.rule is None:
        return [_NONE, word, _NONE, _NONE, links.to(change.trial)]
    rule = change.rule
    text = clean(rule.text, MAX_TEXT)
    return [text, word, _polarity(rule), _scope(rule), links.to(change.trial)]


__all__ = ["log_of", "sections"]
