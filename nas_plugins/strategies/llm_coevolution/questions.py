"""The questions of one batch: prompt, constraint on the reply, sampling, and a uniform reply.

Every question can be asked of a capable model (JSON with rationales and rules), of a small one
(short genes, elites only, a grammar), and of the null model, which answers uniformly at random.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History
from nas_plugins.llm import CallRecord, ChatRequest, Message
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, Key, Rows
from nas_plugins.strategies.llm_coevolution import operators
from nas_plugins.strategies.llm_coevolution.knowledge import (
    ACTIONS,
    GLOBAL,
    POLARITIES,
    Edit,
    Entry,
    Rule,
)
from nas_plugins.strategies.llm_coevolution.partition import Niche
from nas_plugins.strategies.llm_coevolution.prompts import Prompts, Shown, render, template_id

_MAX_ECHO = 4000
_RATIONALE_TOKENS = 120
_KNOWLEDGE_TOKENS = 1200
_SMALL_KNOWLEDGE_TOKENS = 160
_MAX_ASKED_EDITS = 3

Uniform = Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Manner:
    """How a search asks.

    Attributes:
        temperature: Of generation.
        knowledge_temperature: Of edits of the knowledge base.
        repairs: Second questions per reply that cannot be used, 0 or 1.
        reply_tokens: Most tokens of a reply; ``None`` reckons with what is asked for.
        max_rules: Most rules that a niche sees.
        asks_rules: Whether the model edits the knowledge base.
        avoid_duplicates: Whether a child that is known cannot be used.
    """

    temperature: float = 0.7
    knowledge_temperature: float = 0.2
    repairs: int = 1
    reply_tokens: int | None = None
    max_rules: int = 20
    asks_rules: bool = True
    avoid_duplicates: bool = True


@dataclass(frozen=True, eq=False)
class Order:
    """One batch to be made.

    Attributes:
        niche: Where.
        generation: Which, from 1.
        n: Children wanted.
        seed: Source of all randomness, so that the order of threads does not matter.
        crossover: Whether parents are combined; else one or two are mutated.
        parents: What the model sees as such.
        candidates: The last trials of the niche, best first.
        known: Architectures of the niche, the latest first.
        pending: Keys that wait in other batches.
        entries: All edits of the knowledge base so far.
        edits: Those that the statistics make now.
        trials: Numbers of all trials.
        calls: All calls so far.
    """

    niche: Niche
    generation: int
    n: int
    seed: int
    crossover: bool
    parents: tuple[Shown, ...]
    candidates: tuple[Shown, ...]
    known: tuple[Architecture, ...]
    pending: frozenset[Key] = frozenset()
    entries: tuple[Entry, ...] = ()
    edits: tuple[Edit, ...] = ()
    trials: tuple[int, ...] = ()
    calls: tuple[CallRecord, ...] = ()


@dataclass(frozen=True, eq=False)
class Questions:
    """Writes the questions of a search.

    Attributes:
        history: The history.
        prompts: Writes the texts.
        manner: How is asked.
        small: Whether the model is a small one.
    """

    history: History
    prompts: Prompts
    manner: Manner
    small: bool = False

    def knowledge(self, order: Order, rules: Sequence[Rule]) -> ChatRequest:
        """Asks for edits of the rules."""
        candidates = order.candidates
        numbers = [shown.trial.number for shown in candidates]
        if self.small:
            text = self.prompts.small_knowledge(candidates=candidates)
        else:
            text = self.prompts.knowledge(order.niche, candidates=candidates, rules=rules)
        return ChatRequest(
            messages=self._messages(text),
            schema=FrozenDict(KNOWLEDGE_SCHEMA),
            grammar=self._rule_grammar(candidates) if self.small else None,
            temperature=self.manner.knowledge_temperature,
            max_tokens=self.manner.reply_tokens
            or (_SMALL_KNOWLEDGE_TOKENS if self.small else _KNOWLEDGE_TOKENS),
            seed=order.seed,
            template=template_id("small-knowledge" if self.small else "knowledge"),
            tags=_tags("knowledge", order),
            uniform=self._uniform_rule(numbers),
        )

    def knowledge_again(self, request: ChatRequest, reply: str, reasons: str) -> ChatRequest:
        """Asks for edits once more."""
        text = render("repair-knowledge", reasons=reasons)
        return _again(request, reply, "repair-knowledge", text)

    def children(self, order: Order, rules: Sequence[Rule]) -> ChatRequest:
        """Asks for children."""
        if self.small:
            text = self.prompts.small_generation(n=order.n, parents=order.parents)
        else:
            text = self.prompts.generation(
                order.niche,
                n=order.n,
                crossover=order.crossover,
                parents=order.parents,
                rules=rules,
                known=order.known,
            )
        return ChatRequest(
            messages=self._messages(text),
            schema=self._schema(order.n),
            grammar=self._grammar(order, order.n),
            temperature=self.manner.temperature,
            max_tokens=self.manner.reply_tokens or self._tokens(order.n),
            seed=order.seed,
            template=template_id("small-generation" if self.small else "generation"),
            tags=_tags("crossover" if order.crossover else "mutation", order),
            uniform=self._uniform_children(order, order.n, frozenset()),
        )

    def children_again(
        self,
        order: Order,
        request: ChatRequest,
        reply: str,
        *,
        reasons: str,
        found: Sequence[Architecture],
    ) -> ChatRequest:
        """Asks for the children that are missing.

        Args:
            order: The batch.
            request: The first question.
            reply: What was answered.
            reasons: What is wrong with it.
            found: Children that can be used.
        """
        missing = order.n - len(found)
        name = "small-repair" if self.small else "repair"
        if self.small:
            text = render(name, n=missing)
        else:
            constraint = self.prompts.constraint(order.niche)
            text = render(
                name, n=missing, usable=len(found), reasons=reasons, constraint=constraint
            )
        return replace(
            _again(request, reply, name, text),
            schema=self._schema(missing),
            grammar=self._grammar(order, missing),
            uniform=self._uniform_children(order, missing, frozenset(a.key for a in found)),
        )

    # -- pieces ----------------------------------------------------------------------------

    def _messages(self, text: str) -> tuple[Message, Message]:
        system = self.prompts.small_system if self.small else self.prompts.system
        return Message("system", system), Message("user", text)

    def _schema(self, n: int) -> FrozenDict[Any]:
        pattern = self.prompts.genes.pattern
        return FrozenDict(children_schema(pattern, n, rationale=not self.small))

    def _grammar(self, order: Order, n: int) -> str | None:
        if not self.small:
            return None
        genes, count = self.prompts.genes, self.prompts.count(order.niche)
        return genes.grammar(n=n, count=count, rows=self._left(order))

    def _left(self, order: Order) -> Rows | None:
        """What a niche still holds, where the space is small enough to list."""
        members = self.prompts.partition.members
        if members is None:
            return None
        rows, keys = members.by_niche[order.niche.index]
        if not self.manner.avoid_duplicates:
            return rows
        taken = self.history.seen | order.pending
        return rows[[key not in taken for key in keys]]

    def _tokens(self, n: int) -> int:
        """Most tokens that `n` children take: a digit and a space are a token each."""
        genes = self.prompts.genes
        digits = len(str(max(map(max, genes.tokens))))
        rows = n * (genes.length * (digits + 1) + 8) + 16
        return rows if self.small else rows + n * _RATIONALE_TOKENS + 200

    def _rule_grammar(self, candidates: Sequence[Shown]) -> str:
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
                f'"{self.prompts.genes.fact(i, index)} (t{one.trial.number})"'
                for one in shown
                for i, index in enumerate(one.trial.architecture.indices)
            ]
            rules.append(f"{name} ::= {' | '.join(facts)}")
        return "\n".join(rules) + "\n"

    # -- what the null model answers -------------------------------------------------------

    def _uniform_children(self, order: Order, n: int, found: frozenset[Key]) -> Uniform:
        def write(rng: np.random.Generator) -> str:
            avoid = self.manner.avoid_duplicates
            draws = FreshDraws(self.history, rng, avoid_duplicates=avoid)
            if avoid:
                draws.taken |= order.pending | found
            partition = self.prompts.partition
            drawn = (operators.draw_in(partition, order.niche, draws, rng) for _ in range(n))
            genes = [self.prompts.genes.format(a) for a in drawn if a is not None]
            if self.small:
                return "\n".join(genes)
            children = [{"rationale": "drawn uniformly", "gene": gene} for gene in genes]
            return json.dumps({"children": children})

        return write

    def _uniform_rule(self, numbers: Sequence[int]) -> Uniform:
        genes = self.prompts.genes

        def write(rng: np.random.Generator) -> str:
            position = int(rng.integers(genes.length))
            name = genes.name(position, int(rng.integers(len(genes.tokens[position]))))
            polarity = POLARITIES[int(rng.integers(2))]
            scope = ("niche", GLOBAL)[int(rng.integers(2))]
            number = numbers[int(rng.integers(len(numbers)))]
            if self.small:
                return f"{polarity} {name} (t{number})"
            edit = {"action": "add", "id": "", "polarity": polarity, "scope": scope}
            edit["text"] = f"{name} (drawn uniformly)"
            return json.dumps({"edits": [{**edit, "evidence": [number]}]})

        return write


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


def _again(request: ChatRequest, reply: str, name: str, text: str) -> ChatRequest:
    """The same question, the reply, and what is to be done about it."""
    echo = reply[:_MAX_ECHO] or "(no answer)"
    return replace(
        request,
        messages=(*request.messages, Message("assistant", echo), Message("user", text)),
        sample=request.sample + 1,
        template=template_id(name),
        tags=FrozenDict({**request.tags, "role": "repair"}),
    )


def _tags(role: str, order: Order) -> FrozenDict[str]:
    return FrozenDict(
        {"role": role, "niche": order.niche.label, "generation": str(order.generation)}
    )


__all__ = ["KNOWLEDGE_SCHEMA", "Manner", "Order", "Questions", "children_schema"]
