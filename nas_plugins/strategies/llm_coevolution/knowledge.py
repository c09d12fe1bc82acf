"""The knowledge base: rules that a search has learned, and how edits make them.

Edits are only ever appended, as notes on trials; the rules follow from folding all edits in
the order of the trials' numbers. So workers that edit at the same time lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from nas_plugins.strategies.llm_coevolution.text import clean

ACTIONS = ("add", "revise", "drop")
POLARITIES = ("+", "-")
GLOBAL = "global"
"""Scope of a rule that holds in every niche; any other scope is the label of a niche."""

MAX_TEXT = 200
MAX_EVIDENCE = 8
MAX_EDITS = 8
"""Most edits that are taken from one reply."""


@dataclass(frozen=True)
class Rule:
    """Something learned about the space.

    Attributes:
        id: ``<trial>.<position>`` of the edit that added it.
        polarity: ``"+"`` for what helps, ``"-"`` for what harms.
        scope: `GLOBAL`, or the label of the niche that it is about.
        text: At most 200 characters.
        evidence: Numbers of the trials that it rests on, ascending.
        last_seen: Number of the trial whose edit last added, confirmed or revised it.
    """

    id: str
    polarity: str
    scope: str
    text: str
    evidence: tuple[int, ...]
    last_seen: int

    @property
    def support(self) -> int:
        """Number of trials that it rests on."""
        return len(self.evidence)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {
            "id": self.id,
            "polarity": self.polarity,
            "scope": self.scope,
            "text": self.text,
            "evidence": list(self.evidence),
            "support": self.support,
            "last_seen": self.last_seen,
        }


@dataclass(frozen=True)
class Edit:
    """One change of the knowledge base.

    Attributes:
        action: ``"add"``, ``"revise"`` or ``"drop"``.
        rule: Id of the rule that is revised or dropped; empty for a new one.
        polarity: Of the new or revised rule; empty for a drop.
        scope: `GLOBAL` or the label of a niche; empty for a drop.
        text: Of the new or revised rule; empty for a drop.
        evidence: Numbers of trials.
    """

    action: str
    rule: str = ""
    polarity: str = ""
    scope: str = ""
    text: str = ""
    evidence: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "evidence", tuple(sorted(set(self.evidence)))[:MAX_EVIDENCE])
        if self.action not in ACTIONS:
            raise ValueError(f"`action` must be one of {list(ACTIONS)}, got {self.action!r}")
        if self.action == "drop":
            return
        if self.polarity not in POLARITIES:
            raise ValueError(f"`polarity` must be '+' or '-', got {self.polarity!r}")
        if not self.text or not self.scope:
            raise ValueError("`text` and `scope` of a rule must not be empty")
        object.__setattr__(self, "text", clean(self.text, MAX_TEXT))

    def to_json(self) -> dict[str, Any]:
        """Returns plain data without what is empty."""
        data = {**vars(self), "evidence": list(self.evidence)}
        return {name: value for name, value in data.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Edit:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: It is not an edit.
            TypeError: A value has the wrong type.
        """
        texts = {n: data.get(n, "") for n in ("action", "rule", "polarity", "scope", "text")}
        evidence = data.get("evidence", [])
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("an edit holds texts")
        if not isinstance(evidence, list) or not all(type(n) is int for n in evidence):
            raise TypeError("`evidence` of an edit must be trial numbers")
        return cls(**texts, evidence=tuple(evidence))


@dataclass(frozen=True)
class Change:
    """What one edit did, for reports.

    Attributes:
        trial: Number of the trial whose note holds the edit.
        generation: Generation of that trial.
        action: ``"add"``, ``"confirm"`` (an equal rule was there), ``"revise"``, ``"drop"``,
            ``"evict"`` (it was dropped to make room) or ``"void"`` (the edit had no effect).
        rule: The rule after the change, or as it was dropped; ``None`` for a void edit.
    """

    trial: int
    generation: int
    action: str
    rule: Rule | None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        rule = None if self.rule is None else self.rule.to_json()
        return {**vars(self), "rule": rule}


Entry: TypeAlias = tuple[int, int, tuple[Edit, ...]]
"""Number of a trial, its generation, and the edits of its note in the order of the reply."""


@dataclass
class KnowledgeBase:
    """The rules that follow from all edits so far; made by `fold`.

    Attributes:
        room: Most rules per scope.
        known: Numbers of the trials that count as evidence; ``None`` for all.
        by_id: The rules, oldest first.
        changes: What every edit did, in order.
    """

    room: int = 10
    known: frozenset[int] | None = None
    by_id: dict[str, Rule] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, oldest first."""
        return tuple(self.by_id.values())

    def seen_from(self, scope: str) -> tuple[Rule, ...]:
        """The global rules and those of one niche, the best supported first."""
        found = [rule for rule in self.rules if rule.scope in (GLOBAL, scope)]
        return tuple(sorted(found, key=lambda rule: (-rule.support, -rule.last_seen)))

    def apply(self, entry: Entry) -> None:
        """Applies the edits of a trial that follows all those applied so far."""
        trial, generation, edits = entry
        for position, edit in enumerate(edits):
            for action, rule in self._apply(edit, trial, position):
                done = action if rule is not None else "void"
                self.changes.append(Change(trial, generation, done, rule))

    def _apply(self, edit: Edit, trial: int, position: int) -> Iterator[tuple[str, Rule | None]]:
        """What an edit does, and to which rule."""
        evidence = [n for n in edit.evidence if self.known is None or n in self.known]
        old = self.by_id.get(edit.rule)
        if edit.action == "drop":
            yield "drop", self.by_id.pop(edit.rule, None)
        elif not evidence or (edit.action == "revise" and old is None):
            yield "void", None
        elif edit.action == "revise" and old is not None:
            if old.scope != edit.scope:
                del self.by_id[old.id]
                yield from self._make_room(edit.scope)
            new = replace(old, polarity=edit.polarity, scope=edit.scope, text=edit.text)
            yield "revise", self._put(new, evidence, trial)
        elif (twin := self._twin(edit)) is not None:
            yield "confirm", self._put(twin, evidence, trial)
        else:
            yield from self._make_room(edit.scope)
            name = f"{trial}.{position}"
            new = Rule(name, edit.polarity, edit.scope, edit.text, (), trial)
            yield "add", self._put(new, evidence, trial)

    def _twin(self, edit: Edit) -> Rule | None:
        wanted = (edit.polarity, edit.scope, edit.text.casefold())
        for rule in self.by_id.values():
            if (rule.polarity, rule.scope, rule.text.casefold()) == wanted:
                return rule
        return None

    def _put(self, rule: Rule, evidence: Sequence[int], trial: int) -> Rule:
        # The newest trials say most about where the search is now.
        joined = tuple(sorted({*rule.evidence, *evidence})[-MAX_EVIDENCE:])
        self.by_id[rule.id] = replace(rule, evidence=joined, last_seen=trial)
        return self.by_id[rule.id]

    def _make_room(self, scope: str) -> Iterator[tuple[str, Rule | None]]:
        """Drops the rule of least support where a scope is full, the longest unseen of several."""
        inside = [rule for rule in self.by_id.values() if rule.scope == scope]
        if len(inside) >= self.room:
            weakest = min(inside, key=lambda rule: (rule.support, rule.last_seen))
            yield "evict", self.by_id.pop(weakest.id)


def fold(
    entries: Iterable[Entry], *, max_rules: int = 20, known: Iterable[int] | None = None
) -> KnowledgeBase:
    """Applies edits in the order of the trials' numbers.

    A rule that is added again counts as confirmed: the evidence is joined. Where a scope is
    full, the rule with the least support goes, the longest unseen of several.

    Args:
        entries: Edits by trial, in any order.
        max_rules: Most rules that one niche sees: one half global, one half its own.
        known: Numbers of the trials that exist; other evidence does not count. If ``None``,
            all evidence counts.
    """
    trials = None if known is None else frozenset(known)
    base = KnowledgeBase(max(max_rules // 2, 1), trials)
    for entry in sorted(entries, key=lambda entry: entry[0]):
        base.apply(entry)
    return base


__all__ = [
    "ACTIONS",
    "GLOBAL",
    "MAX_EDITS",
    "MAX_EVIDENCE",
    "MAX_TEXT",
    "POLARITIES",
    "Change",
    "Edit",
    "Entry",
    "KnowledgeBase",
    "Rule",
    "fold",
]
