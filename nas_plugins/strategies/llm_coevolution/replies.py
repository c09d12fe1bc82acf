"""Replies: what they may look like, and reading them.

A capable model writes JSON with rationales, a small one short genes under a grammar. Reading
never raises, but says what is wrong and how often.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.spaces.base import Architecture, Key
from nas_plugins.strategies.llm_coevolution.knowledge import (
    ACTIONS,
    GLOBAL,
    MAX_EDITS,
    MAX_TEXT,
    POLARITIES,
    Edit,
    KnowledgeBase,
)
from nas_plugins.strategies.llm_coevolution.log import MAX_RATIONALE
from nas_plugins.strategies.llm_coevolution.notation import Notation, clean, quoted
from nas_plugins.strategies.llm_coevolution.schedule import RankedTrial

MAX_REPLY = 100_000
"""Characters of a reply that are read."""

MAX_CHILDREN = 64
"""Most children that are looked at in one reply."""

FAULTS = ("malformed", "illegal", "duplicate", "off-niche", "surplus", "bad-edit")

_RATIONALE_TOKENS = 120
_KNOWLEDGE_TOKENS = 1200
_SMALL_KNOWLEDGE_TOKENS = 160
_MAX_ASKED_EDITS = 3
_BRACES = 16
_LINE = re.compile(r"^\s*(?:[-*]\s+|\d+[.)]\s+|gene\s*[:=]\s*)?(.*?)\s*$", re.IGNORECASE)
_COMPACT = re.compile(r"^([+-])\s*(.+?)\s*\((?:trials?\s*)?t?(\d+)\)\s*$")
_COMPACT_DROP = re.compile(r"^drop\s+(\d+\.\d+)\s*$")


@dataclass(frozen=True)
class Fault:
    """Something in a reply that cannot be used.

    Attributes:
        kind: One of `FAULTS`.
        reason: Short, and fit to be shown to the model.
    """

    kind: str
    reason: str


def read_children(
    text: str,
    notation: Notation,
    *,
    wanted: int,
    seen: Set[Key],
    off_niche: Callable[[Architecture], str | None],
    before: Iterable[Architecture] = (),
) -> tuple[list[tuple[Architecture, str]], list[Fault]]:
    """Reads children that the search can use.

    Args:
        text: The reply.
        notation: Of the genes.
        wanted: Children asked for; more are surplus.
        seen: Canonical keys that were evaluated or are waiting; none where the search may
            repeat itself.
        off_niche: Says why an architecture is not in the niche, or returns ``None``.
        before: Children of earlier replies for the same batch.

    Returns:
        Those that are legal, new and inside the niche, each with what the model said of it, and
        what was wrong with the others; both in the order of the reply.
    """
    found: list[tuple[Architecture, str]] = []
    taken = {architecture.key for architecture in before}
    written, fault = _written(text, notation)
    faults = [] if fault is None else [fault]
    for gene, rationale in written:
        child = _child(gene, notation, taken, seen, off_niche)
        if isinstance(child, Fault):
            faults.append(child)
        elif len(found) >= wanted:
            faults.append(Fault("surplus", f"only {wanted} were asked for"))
        else:
            taken.add(child.key)
            found.append((child, clean(rationale, MAX_RATIONALE)))
    return found, faults


def _child(
    gene: str,
    notation: Notation,
    taken: Set[Key],
    seen: Set[Key],
    off_niche: Callable[[Architecture], str | None],
) -> Architecture | Fault:
    shown = quoted(gene)
    try:
        architecture = notation.parse(gene)
    except InvalidArchitectureError as error:
        return Fault("illegal", f"{shown}: {clean(str(error), 160)}")
    if architecture.key in taken:
        return Fault("duplicate", f"{shown} comes twice in the reply")
    if architecture.key in seen:
        return Fault("duplicate", f"{shown} is known already")
    reason = off_niche(architecture)
    return architecture if reason is None else Fault("off-niche", f"{shown}: {reason}")


def read_edits(
    text: str, notation: Notation, base: KnowledgeBase, *, scope: str, shown: Set[int]
) -> tuple[tuple[Edit, ...], tuple[Fault, ...]]:
    """Reads edits of the knowledge base.

    Args:
        text: The reply.
        notation: Of facts in rules.
        base: The rules as they are.
        scope: Label of the niche that the model was asked about.
        shown: Numbers of the trials that a rule may rest on.

    Returns:
        The valid edits, and what was wrong with the others.
    """
    data = _json(text)
    items = _items(data, "edits")
    if data is None:
        items = list(_compact_edits(text)) or None
    if items is None:
        return (), (Fault("malformed", "the reply holds no list `edits`"),)
    known = {rule.id for rule in base.seen_from(scope)}
    read = [_edit(item, notation, known, scope, shown) for item in items[:MAX_EDITS]]
    edits = tuple(one for one in read if isinstance(one, Edit))
    faults = [one for one in read if isinstance(one, Fault)]
    if len(items) > MAX_EDITS:
        faults.append(Fault("surplus", f"more than {MAX_EDITS} edits"))
    return edits, tuple(faults)


def _edit(
    item: Any, notation: Notation, known: Set[str], scope: str, shown: Set[int]
) -> Edit | Fault:
    if not isinstance(item, Mapping):
        return Fault("bad-edit", "an edit is an object")
    action, rule = item.get("action"), item.get("id", "")
    if not isinstance(action, str) or action not in ACTIONS:
        return Fault("bad-edit", f"`action` is one of {', '.join(ACTIONS)}")
    if action != "add" and (not isinstance(rule, str) or rule not in known):
        return Fault("bad-edit", f"there is no rule {quoted(rule, 12)}")
    return Edit("drop", rule) if action == "drop" else _rule(item, notation, scope, shown)


def _rule(
    item: Mapping[str, Any], notation: Notation, scope: str, shown: Set[int]
) -> Edit | Fault:
    """The edit that adds or revises a rule."""
    polarity, text = item.get("polarity"), clean(item.get("text"), MAX_TEXT)
    text = notation.explain(text)
    if polarity not in POLARITIES or not text:
        return Fault("bad-edit", "a rule has a `polarity`, + or -, and a `text`")
    numbers = item.get("evidence")
    numbers = numbers if isinstance(numbers, list) else []
    evidence = {n for n in numbers if type(n) is int and n in shown}
    if not evidence:
        return Fault("bad-edit", "`evidence` names no trial that was shown")
    where = GLOBAL if item.get("scope") == GLOBAL else scope
    rule = "" if item["action"] == "add" else item.get("id", "")
    return Edit(item["action"], rule, polarity, where, text, tuple(evidence))


def _written(text: str, notation: Notation) -> tuple[list[tuple[str, str]], Fault | None]:
    """Genes and rationales of a reply, in JSON or one gene a line; and why there are none."""
    if not text.strip():
        return [], Fault("malformed", "the reply is empty")
    data = _json(text)
    if data is not None:
        items = _items(data, "children", "genes")
        if items is None:
            return [], Fault("malformed", "the reply holds no list `children`")
        read = [_item(item) for item in items[:MAX_CHILDREN]]
        good = [one for one in read if one is not None]
        bad = None if len(good) == len(read) else Fault("malformed", "a child has no `gene`")
        return good, bad
    lines = [_LINE.sub(r"\1", line) for line in text[:MAX_REPLY].splitlines()]
    looking = [line for line in lines if _looks_like_gene(line, notation)][:MAX_CHILDREN]
    if not looking:
        return [], Fault("malformed", f"the reply is not the JSON asked for: {quoted(text, 80)}")
    return [(line, "") for line in looking], None


def _looks_like_gene(line: str, notation: Notation) -> bool:
    digits = sum(character.isdigit() for character in line)
    return digits >= notation.length and not any(character.isalpha() for character in line)


def _item(item: Any) -> tuple[str, str] | None:
    if isinstance(item, str):
        return item, ""
    if isinstance(item, list) and all(type(n) is int for n in item) and len(item) < 1000:
        return " ".join(str(n)[:12] for n in item if abs(n) < 10**6), ""
    if not isinstance(item, Mapping):
        return None
    gene = next((item[name] for name in ("gene", "arch", "architecture") if name in item), None)
    found = None if isinstance(gene, Mapping) else _item(gene)
    rationale = item.get("rationale")
    told = rationale if isinstance(rationale, str) else ""
    return None if found is None else (found[0], told)


def _compact_edits(text: str) -> Iterator[dict[str, Any]]:
    """Edits one a line, e.g. ``+ more convolutions (t12)`` or ``drop 7.0``."""
    for line in text[:MAX_REPLY].splitlines()[:1000]:
        stripped = line.strip()[:400]
        rule, drop = _COMPACT.match(stripped), _COMPACT_DROP.match(stripped)
        if rule:
            evidence = [int(rule[3][:9])]
            yield {"action": "add", "polarity": rule[1], "text": rule[2], "evidence": evidence}
        elif drop:
            yield {"action": "drop", "id": drop[1]}


def _items(data: Any, *names: str) -> list[Any] | None:
    """The list under one of the names, or `data` itself where it is a list."""
    if isinstance(data, list):
        return data
    for name in names:
        if isinstance(data, Mapping) and isinstance(data.get(name), list):
            items: list[Any] = data[name]
            return items
    return None


def _json(text: str) -> Any:
    """The JSON object or array in a reply, alone, fenced or in prose; ``None`` without one."""
    body = text[:MAX_REPLY].strip()
    if body[:1] in "{[":
        whole = _loads(body)
        if isinstance(whole, (dict, list)):
            return whole
    starts = [m.start() for m in re.finditer(r"\{", body)][:_BRACES]
    decoder = json.JSONDecoder()
    for start in starts:
        try:
            found, _ = decoder.raw_decode(body, start)
        except (ValueError, RecursionError):
            continue
        if found:
            return found
    return None


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def reasons(faults: Sequence[Fault], *, limit: int = 8) -> str:
    """What was wrong, one line per fault, for a second question."""
    lines = dict.fromkeys(f"- {fault.kind}: {fault.reason}" for fault in faults)
    return "\n".join(list(lines)[:limit])


# -- the form asked for ------------------------------------------------------------------------


def children_schema(pattern: str, n: int, *, rationale: bool) -> dict[str, Any]:
    """JSON schema of `n` children; the rationale comes first, so that it is thought before."""
    gene = {"type": "string", "pattern": pattern}
    fields: dict[str, Any] = {"rationale": {"type": "string"}} if rationale else {}
    return _object({"children": _list(_object({**fields, "gene": gene}), n, n)})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _words(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


KNOWLEDGE_SCHEMA: dict[str, Any] = _object(
    {
        "edits": _list(
            _object(
                {
                    "action": _words(*ACTIONS),
                    "id": {"type": "string"},
                    "polarity": _words(*POLARITIES),
                    "scope": _words("niche", GLOBAL),
                    "text": {"type": "string"},
                    "evidence": {"type": "array", "items": {"type": "integer"}},
                }
            ),
            0,
            _MAX_ASKED_EDITS,
        )
    }
)
"""JSON schema of a reply that edits the knowledge base."""


def rule_grammar(notation: Notation, candidates: Sequence[RankedTrial]) -> str:
    """GBNF of one or two rules: a number that a good row has, one that a bad row has.

    Prose of a small model is not worth reading; so its rules name a number, a position and
    the trial that shows it, and it has but to choose.
    """
    half = (len(candidates) + 1) // 2
    parts = {"good": candidates[:half], "bad": candidates[half:]}
    second = ' ("\\n- " bad)?' if parts["bad"] else ""
    rules = [f'root ::= "+ " good{second}']
    for name, shown in parts.items():
        if not shown:
            continue
        facts = [
            f'"{notation.fact(i, index)} (t{one.trial.number})"'
            for one in shown
            for i, index in enumerate(one.trial.architecture.indices)
        ]
        rules.append(f"{name} ::= {' | '.join(facts)}")
    return "\n".join(rules) + "\n"


def rule_tokens(*, small: bool) -> int:
    """Most tokens that edits of the rules take."""
    return _SMALL_KNOWLEDGE_TOKENS if small else _KNOWLEDGE_TOKENS


def children_tokens(notation: Notation, n: int, *, small: bool) -> int:
    """Most tokens that `n` children take: a digit and a space are a token each."""
    digits = len(str(max(map(max, notation.tokens))))
    rows = n * (notation.length * (digits + 1) + 8) + 16
    return rows if small else rows + n * _RATIONALE_TOKENS + 200
