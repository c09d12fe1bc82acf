"""What a reply may look like: JSON schemas, a grammar of rules, lengths, and a uniform reply.

A capable model writes JSON with rationales, a small one short genes under a grammar; the null
model answers uniformly at random in the same form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Key
from nas_plugins.strategies.llm_coevolution import operators
from nas_plugins.strategies.llm_coevolution.generation import RankedTrial
from nas_plugins.strategies.llm_coevolution.knowledge import ACTIONS, GLOBAL, POLARITIES
from nas_plugins.strategies.llm_coevolution.niches import Niche
from nas_plugins.strategies.llm_coevolution.notation import Notation
from nas_plugins.strategies.llm_coevolution.schedule import Schedule

_RATIONALE_TOKENS = 120
_KNOWLEDGE_TOKENS = 1200
_SMALL_KNOWLEDGE_TOKENS = 160
_MAX_ASKED_EDITS = 3

Uniform = Callable[[np.random.Generator], str]


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


def uniform_children(
    schedule: Schedule, niche: Niche, n: int, found: Set[Key], *, small: bool
) -> Uniform:
    """Writes `n` new architectures of a niche, none of those `found`, drawn uniformly."""

    def write(rng: np.random.Generator) -> str:
        avoid = schedule.options.avoid_duplicates
        draws = FreshDraws(schedule.history, rng, avoid_duplicates=avoid)
        if avoid:
            draws.taken |= schedule.waiting | found
        drawn = (operators.draw_in(schedule.partition, niche, draws) for _ in range(n))
        genes = [schedule.notation.format(a) for a in drawn if a is not None]
        if small:
            return "\n".join(genes)
        children = [{"rationale": "drawn uniformly", "gene": gene} for gene in genes]
        return json.dumps({"children": children})

    return write


def uniform_rule(notation: Notation, numbers: Sequence[int], *, small: bool) -> Uniform:
    """Writes a rule about a random choice, with one of the trials as evidence."""

    def write(rng: np.random.Generator) -> str:
        position = int(rng.integers(notation.length))
        name = notation.name(position, int(rng.integers(len(notation.tokens[position]))))
        polarity = POLARITIES[int(rng.integers(2))]
        scope = ("niche", GLOBAL)[int(rng.integers(2))]
        number = numbers[int(rng.integers(len(numbers)))]
        if small:
            return f"{polarity} {name} (t{number})"
        edit = {"action": "add", "id": "", "polarity": polarity, "scope": scope}
        edit["text"] = f"{name} (drawn uniformly)"
        return json.dumps({"edits": [{**edit, "evidence": [number]}]})

    return write


__all__ = [
    "KNOWLEDGE_SCHEMA",
    "children_schema",
    "children_tokens",
    "rule_grammar",
    "rule_tokens",
    "uniform_children",
    "uniform_rule",
]
