"""The knowledge base: rules that a search has learned, and how edits make them.

Edits are only ever appended, as notes on trials; the rules follow from folding all edits in
the order of the trials' numbers. So workers that edit at the same time lose nothing.

Without a model, rules are mined from the ranks of what has been evaluated: for every choice of
every decision the trials that take it are compared with those that do not, by the ranks of a
Mann-Whitney test (Mann and Whitney, 1947) on the non-dominated rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.history import Trial
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.strategies.llm_coevolution.notation import Notation, clean

ACTIONS = ("add", "revise", "drop")
POLARITIES = ("+", "-")
GLOBAL = "global"
"""Scope of a rule that holds in every niche; any other scope is the label of a niche."""

MAX_TEXT = 200
MAX_EVIDENCE = 8
MAX_EDITS = 8
"""Most edits that are taken from one reply."""

Floats: TypeAlias = npt.NDArray[np.float64]


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
        generation: NicheGeneration of that trial.
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


# -- rules without a model -----------------------------------------------------------------

MIN_TRIALS = 8
"""Fewest complete trials to mine."""

MIN_GROUP = 3
"""Fewest trials on either side of a comparison."""

LEAST_Z = 1.64
"""Least standardised difference: one chance in twenty, one-sided, were there no effect."""

MAX_MINED = 6


@dataclass(frozen=True)
class Finding:
    """One choice that goes with better or worse ranks.

    Attributes:
        position: Of the decision.
        index: Of the choice.
        z: Standardised rank difference; negative where the choice goes with better ranks.
        trials: Numbers of the trials that show it most clearly.
    """

    position: int
    index: int
    z: float
    trials: tuple[int, ...]


def standing(losses: Floats, violations: Floats) -> Floats:
    """How good each trial is among these, 0 best to 1 worst, `(n,)`.

    By constrained non-dominated rank; within a rank the mean of the objectives' ranks decides.
    """
    if len(losses) < 2:
        return np.zeros(len(losses))
    fronts = mid_ranks(pareto.constrained_ranks(losses, violations))
    means = np.stack([mid_ranks(column) for column in losses.T]).mean(axis=0)
    order = mid_ranks(fronts + means / (2.0 * len(losses)))
    return (order - 1.0) / (len(losses) - 1.0)


def mine(trials: Sequence[Trial], standings: Floats) -> list[Finding]:
    """The choices with the clearest effect, clearest first.

    Args:
        trials: Complete trials.
        standings: How good each is, 0 best, `(n,)`.
    """
    n = len(trials)
    if n < MIN_TRIALS:
        return []
    rows = np.array([trial.architecture.indices for trial in trials])
    ranks = mid_ranks(standings)
    found = []
    for position in range(rows.shape[1]):
        for index in np.unique(rows[:, position]).tolist():
            having = rows[:, position] == index
            z = _z(ranks, having)
            if abs(z) >= LEAST_Z:
                found.append(Finding(position, index, z, _clearest(trials, ranks, having, z)))
    return sorted(found, key=lambda f: (-abs(f.z), f.position, f.index))[:MAX_MINED]


def mined_edits(
    notation: Notation, findings: Sequence[Finding], base: KnowledgeBase, scope: str
) -> tuple[Edit, ...]:
    """The edits that make the rules of a scope say what the findings say now.

    Args:
        notation: How prompts call decisions and choices.
        findings: What `mine` found among the trials of the scope.
        base: The rules so far.
        scope: `GLOBAL` or the label of the niche.
    """
    wanted = {}
    for finding in findings:
        polarity = "+" if finding.z < 0 else "-"
        effect = "better" if finding.z < 0 else "worse"
        name = notation.name(finding.position, finding.index)
        text = f"{name} goes with {effect} ranks"
        wanted[polarity, text] = Edit("add", "", polarity, scope, text, finding.trials)
    old = [rule for rule in base.rules if rule.scope == scope]
    drops = [Edit("drop", rule.id) for rule in old if (rule.polarity, rule.text) not in wanted]
    known = {(rule.polarity, rule.text): set(rule.evidence) for rule in old}
    adds = [e for key, e in wanted.items() if not set(e.evidence) <= known.get(key, set())]
    return (*drops, *adds)


def _z(ranks: Floats, having: npt.NDArray[np.bool_]) -> float:
    """Standardised rank sum of those that have a choice; 0 where a group is too small.

    Of n ranks with mean m and variance s^2, k drawn without replacement add up to k m on average,
    with variance ``s^2 k (n - k) / (n - 1)``.
    """
    n, k = len(ranks), int(having.sum())
    if min(k, n - k) < MIN_GROUP:
        return 0.0
    # The variance of the ranks themselves takes ties into account.
    spread = float(ranks.var() * k * (n - k) / (n - 1))
    if spread <= 0:
        return 0.0
    return float(ranks[having].sum() - k * ranks.mean()) / math.sqrt(spread)


def _clearest(
    trials: Sequence[Trial], ranks: Floats, having: npt.NDArray[np.bool_], z: float
) -> tuple[int, ...]:
    members = np.flatnonzero(having)
    order = members[np.argsort(ranks[members] * (1 if z < 0 else -1), kind="stable")]
    return tuple(sorted(trials[i].number for i in order[:MAX_EVIDENCE].tolist()))
