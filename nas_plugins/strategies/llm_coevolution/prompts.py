"""Prompts: templates in files, versioned, filled with what a search may show.

Every question can be asked of a capable model (JSON with rationales and rules), of a small one
(short genes, elites only, a grammar), and of the null model, which answers uniformly at random.
A template's name and version, e.g. ``generation@1``, are part of every request, so a recorded
run tells which words it was made with. A changed text gets a new version and a new file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import resources
from string import Template

import numpy as np

from nas_plugins._frozen import FrozenDict
from nas_plugins.llm import ChatRequest, Message
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, Key
from nas_plugins.strategies.llm_coevolution import operators, replies
from nas_plugins.strategies.llm_coevolution.knowledge import GLOBAL, POLARITIES, Rule
from nas_plugins.strategies.llm_coevolution.log import read
from nas_plugins.strategies.llm_coevolution.niches import Niche
from nas_plugins.strategies.llm_coevolution.notation import (
    Counted,
    Notation,
    clean,
    joined,
    named,
    number,
    quoted,
)
from nas_plugins.strategies.llm_coevolution.schedule import (
    NicheGeneration,
    NicheSchedule,
    RankedTrial,
)

VERSION = 1

Uniform = Callable[[np.random.Generator], str]

_MAX_ECHO = 4000
_KNOWN_LIMIT = 2500
_LIST_LIMIT = 6000
_NONE = "(none)"
_SOURCES = frozenset({"benchmark", "dataset", "device"})


def template_id(name: str) -> str:
    """E.g. ``"generation@1"``."""
    return f"{name}@{VERSION}"


@lru_cache(maxsize=64)
def template(name: str, version: int = VERSION) -> Template:
    """A template by name and version."""
    folder = resources.files("nas_plugins.strategies.llm_coevolution") / "templates"
    return Template((folder / f"{name}.{version}.txt").read_text(encoding="utf-8").rstrip("\n"))


def render(name: str, /, **values: object) -> str:
    """Fills a template; a text that is filled in is never looked at for further names."""
    return template(name).substitute({key: str(value) for key, value in values.items()})


@dataclass(frozen=True, eq=False)
class Prompts:
    """Writes the questions of one search.

    Attributes:
        schedule: Of the search: what is known, and its options.
        small: Whether the model is a small one.
    """

    schedule: NicheSchedule
    small: bool = False

    @property
    def notation(self) -> Notation:
        """Of genes."""
        return self.schedule.notation

    # -- questions -------------------------------------------------------------------------

    def knowledge(self, generation: NicheGeneration, rules: Sequence[Rule]) -> ChatRequest:
        """Asks for edits of the rules."""
        candidates, options = generation.candidates, self.schedule.options
        numbers = [one.trial.number for one in candidates]
        genes = (f"t{n} {self._gene(one)}" for n, one in zip(numbers, candidates, strict=True))
        if self.small:
            text = render("small-knowledge", candidates="\n".join(genes))
        else:
            text = render(
                "knowledge",
                task=self.task_line,
                objectives=self.objective_line,
                constraint=self.constraint(generation.niche),
                candidates=self.trial_lines(candidates, standing=True),
                rules=rule_lines(rules),
            )
        return ChatRequest(
            messages=(Message("system", self.system), Message("user", text)),
            schema=FrozenDict(replies.KNOWLEDGE_SCHEMA),
            grammar=replies.rule_grammar(self.notation, candidates) if self.small else None,
            temperature=options.knowledge_temperature,
            max_tokens=options.reply_tokens or replies.rule_tokens(small=self.small),
            seed=generation.seed,
            template=template_id("small-knowledge" if self.small else "knowledge"),
            tags=_tags("knowledge", generation),
            uniform=uniform_rule(self.notation, numbers, small=self.small),
        )

    def knowledge_again(self, request: ChatRequest, reply: str, reasons: str) -> ChatRequest:
        """Asks for edits once more."""
        text = render("repair-knowledge", reasons=reasons)
        return _again(request, reply, "repair-knowledge", text)

    def children(self, generation: NicheGeneration, rules: Sequence[Rule]) -> ChatRequest:
        """Asks for children."""
        options, n = self.schedule.options, generation.n
        if self.small:
            parents = "\n".join(map(self._gene, generation.parents))
            text = render("small-generation", parents=parents, n=n)
        else:
            known = joined(map(self.notation.format, generation.known), limit=_KNOWN_LIMIT)
            text = render(
                "generation",
                task=self.task_line,
                objectives=self.objective_line,
                constraint=self.constraint(generation.niche),
                rules=rule_lines(rules),
                parents=self.trial_lines(generation.parents),
                known=known or _NONE,
                instruction=render(generation.operator),
                n=n,
            )
        tokens = replies.children_tokens(self.notation, n, small=self.small)
        request = ChatRequest(
            messages=(Message("system", self.system), Message("user", text)),
            temperature=options.temperature,
            max_tokens=options.reply_tokens or tokens,
            seed=generation.seed,
            template=template_id("small-generation" if self.small else "generation"),
            tags=_tags(generation.operator, generation),
        )
        return self._for_children(request, generation, n, ())

    def children_again(
        self, generation: NicheGeneration, request: ChatRequest, reply: str, reasons: str
    ) -> ChatRequest:
        """Asks for the children that are missing.

        Args:
            generation: With the children that can be used.
            request: The first question.
            reply: What was answered.
            reasons: What is wrong with it.
        """
        found = [child.architecture for child in generation.found]
        missing = generation.n - len(found)
        name = "small-repair" if self.small else "repair"
        if self.small:
            text = render(name, n=missing)
        else:
            constraint = self.constraint(generation.niche)
            text = render(
                name, n=missing, usable=len(found), reasons=reasons, constraint=constraint
            )
        return self._for_children(_again(request, reply, name, text), generation, missing, found)

    def _for_children(
        self,
        request: ChatRequest,
        generation: NicheGeneration,
        n: int,
        found: Sequence[Architecture],
    ) -> ChatRequest:
        """A question with what a reply of `n` children must keep to."""
        schema = replies.children_schema(self.notation.pattern, n, rationale=not self.small)
        grammar = None
        if self.small:
            counted = self.schedule.partition.counted(generation.niche)
            rows = self.schedule.unseen_rows(generation.niche)
            grammar = self.notation.grammar(n=n, counted=counted, rows=rows)
        keys = frozenset(architecture.key for architecture in found)
        uniform = uniform_children(self.schedule, generation.niche, n, keys, small=self.small)
        return replace(request, schema=FrozenDict(schema), grammar=grammar, uniform=uniform)

    # -- pieces ----------------------------------------------------------------------------

    @cached_property
    def system(self) -> str:
        """What holds for every question."""
        if self.small:
            return render("small-system", length=self.notation.length)
        return render("system", length=self.notation.length, legend=self.notation.legend)

    @cached_property
    def task_line(self) -> str:
        """What is searched and on what, as far as it may be told."""
        options = self.schedule.options
        told = {"benchmark": self.notation.space.name, **options.task}
        parts = [
            f"{clean(name, 40)} {quoted(value, 80)}"
            for name, value in told.items()
            if name not in options.hidden
        ]
        return f"Task: {', '.join(parts)}." if parts else "Task: an architecture search."

    @cached_property
    def objective_names(self) -> tuple[str, ...]:
        """The objectives' names, or numbers in their stead.

        Of ``hw-nas-bench/cifar10/edgegpu.latency_ms`` it is ``latency_ms`` where that is hidden.
        """
        objectives, hide = self.schedule.history.objectives, self.schedule.options.hidden
        if "metrics" in hide:
            return tuple(f"objective {i}" for i in range(1, len(objectives) + 1))
        names = [o.name.rpartition(".")[2] if hide & _SOURCES else o.name for o in objectives]
        return tuple(map(named, names))

    @property
    def objective_line(self) -> str:
        """The objectives and which way is better."""
        if "metrics" in self.schedule.options.hidden:
            return ", ".join(f"{name} (0 is best, 1 is worst)" for name in self.objective_names)
        words = {"min": "lower is better", "max": "higher is better"}
        both = zip(self.objective_names, self.schedule.history.objectives, strict=True)
        return ", ".join(f"{name} ({words[o.direction]})" for name, o in both)

    def constraint(self, niche: Niche) -> str:
        """What every architecture of a niche has in common."""
        counted = self.schedule.partition.counted(niche)
        if counted is not None:
            tokens = " or ".join(map(str, self.notation.token_of(counted[0])))
            many = _many(counted, self.notation.length)
            plain = f"{many} of the {self.notation.length} numbers are {tokens}"
            return (
                plain if self.notation.hidden else f"{quoted(niche.label, 160)}, that is, {plain}"
            )
        if self.schedule.partition.kind != "axis":
            return quoted(niche.label, 160)
        if self.notation.hidden or self.schedule.options.hidden & {*_SOURCES, "metrics"}:
            return f"size {_between(niche.low, niche.high)}"
        return f"{quoted(niche.label, 160)} (the size shown below)"

    def off_niche(self, niche: Niche, architecture: Architecture) -> str | None:
        """Why an architecture cannot serve a niche; ``None`` where it lies in it."""
        partition = self.schedule.partition
        if int(partition.niche_of([architecture])[0]) == niche.index:
            return None
        if partition.axis is None:
            return "it is in another group"
        counted = partition.counted(niche)
        if counted is not None:
            found = int(partition.axis.measure([architecture])[0])
            return f"{_many(counted, self.notation.length)} wanted, got {found}"
        size = float(partition.values(architecture.row[None])[0])
        return f"size {number(size)} is not {_between(niche.low, niche.high)}"

    def trial_lines(self, trials: Sequence[RankedTrial], *, standing: bool = False) -> str:
        """Trials with genes and values, one a line."""
        lines = []
        for one, size in zip(trials, self._sizes(trials), strict=True):
            note = read(one.trial)
            parts = [f"trial {one.trial.number}: {self._gene(one)}", self._values(one)]
            parts += [f"size {number(size)}"] if size is not None else []
            parts += [f"standing {one.standing:.2f}"] if standing else []
            parts += [note.operator] if note is not None else []
            parts += [quoted(note.rationale, 200)] if note is not None and note.rationale else []
            lines.append(" | ".join(part for part in parts if part))
        return joined(lines, limit=_LIST_LIMIT) or _NONE

    def _gene(self, shown: RankedTrial) -> str:
        return self.notation.format(shown.trial.architecture)

    def _values(self, shown: RankedTrial) -> str:
        if not shown.trial.values:
            return shown.trial.state.value
        hidden = "metrics" in self.schedule.options.hidden
        values: Iterable[float] = shown.parts if hidden else shown.trial.values
        told = ", ".join(
            f"{name} {number(v)}" for name, v in zip(self.objective_names, values, strict=False)
        )
        return told if shown.trial.violation <= 0 else f"{told} (breaks a constraint)"

    def _sizes(self, trials: Sequence[RankedTrial]) -> Sequence[float | None]:
        """Values on the axis where the model has no other way to know them."""
        partition = self.schedule.partition
        if partition.axis is None or partition.counted(partition.niches[0]) or not trials:
            return [None] * len(trials)
        rows = partition.space.rows([one.trial.architecture for one in trials])
        found: list[float] = partition.values(rows).tolist()
        return found


def uniform_children(
    schedule: NicheSchedule, niche: Niche, n: int, found: Set[Key], *, small: bool
) -> Uniform:
    """Writes `n` new architectures of a niche, none of those `found`, drawn uniformly."""

    def write(rng: np.random.Generator) -> str:
        avoid = schedule.options.avoid_duplicates
        draws = FreshDraws(schedule.history, rng, avoid_duplicates=avoid)
        if avoid:
            draws.taken |= schedule.waiting | found
        drawn = (operators.sample_in(schedule.partition, niche, draws) for _ in range(n))
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


def rule_lines(rules: Sequence[Rule]) -> str:
    """Rules, one a line."""
    lines = []
    for rule in rules:
        scope = "global" if rule.scope == GLOBAL else "niche"
        trials = ", ".join(map(str, rule.evidence))
        lines.append(
            f"{rule.id} {rule.polarity} ({scope}) {quoted(rule.text, 200)} (trials {trials})"
        )
    return joined(lines, limit=_LIST_LIMIT) or _NONE


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


def _tags(role: str, generation: NicheGeneration) -> FrozenDict[str]:
    return FrozenDict(
        {"role": role, "niche": generation.niche.label, "generation": str(generation.number)}
    )


def _many(counted: Counted, most: int) -> str:
    low, high = counted[1].start, counted[1].stop - 1
    if low == high:
        return f"exactly {low}"
    return f"at least {low}" if high >= most else f"{low} to {high}"


def _between(low: float, high: float) -> str:
    if math.isinf(low):
        return "anything" if math.isinf(high) else f"below {number(high)}"
    return f"at least {number(low)}" + ("" if math.isinf(high) else f" and below {number(high)}")
