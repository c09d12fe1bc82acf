"""What the strategy leaves on its trials, and the story that all notes tell together.

One JSON note per trial, named `NOTE`. The first trial of a batch, its leader, also keeps what
the language model answered: all children, the edits of the knowledge base and the calls.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import CallRecord
from nas_plugins.strategies.llm_coevolution.knowledge import (
    Change,
    Edit,
    KnowledgeBase,
    Rule,
    fold,
)
from nas_plugins.strategies.llm_coevolution.notation import clean

NOTE = "llm-coevolution"
"""Name of the note."""

ORIGINS = ("initial", "llm", "repair", "classical", "hybrid")
"""Who made an architecture: a uniform draw in the niche, the model, the model when asked again,
a classical operator in the niche in its stead, or archive evolution on the global front."""

COUNTS = (
    "asked",
    "legal",
    "malformed",
    "illegal",
    "duplicate",
    "off-niche",
    "surplus",
    "repairs",
    "bad-edit",
    "failed",
)
"""What is counted about replies; see `CoEvolutionLog.counts`."""

MAX_RATIONALE = 200
MAX_REASON = 300

_VERSION = 1


@dataclass(frozen=True)
class Child:
    """An architecture that the model wrote and that was found legal, new and in the niche.

    Attributes:
        architecture: In the space's notation.
        origin: ``"llm"`` or ``"repair"``.
        rationale: What the model said of it.
    """

    architecture: str
    origin: str = "llm"
    rationale: str = ""


@dataclass(frozen=True)
class BatchRecord:
    """What the leader of a batch keeps for the whole batch.

    Attributes:
        children: All usable children of the reply, those not yet evaluated included.
        edits: Changes of the knowledge base.
        calls: Records of all calls made for the batch, the failed ones included.
        counts: What became of the reply: ``asked`` children, ``legal`` ones, and those that
            were ``malformed``, ``illegal``, ``duplicate``, ``off-niche`` or ``surplus``;
            ``repairs`` (second questions), ``bad-edits``, ``failed`` (questions without a
            usable reply).
    """

    children: tuple[Child, ...] = ()
    edits: tuple[Edit, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    counts: FrozenDict[int] = field(default_factory=FrozenDict)


@dataclass(frozen=True)
class Note:
    """The note of one trial.

    Attributes:
        niche: Index of the niche that the trial serves.
        label: What the niche is, e.g. ``"n_nor_conv_3x3 = 2"``.
        generation: 0 for the initial architectures, then from 1.
        origin: One of `ORIGINS`.
        reason: Why it is not the model's, where it should have been.
        rationale: What the model said of it.
        operator: ``"crossover"`` or ``"mutation"``, where parents were varied.
        parents: Numbers of the parents' trials.
        batch: What the leader of a batch keeps; ``None`` on other trials.
    """

    niche: int
    label: str
    generation: int
    origin: str
    reason: str = ""
    rationale: str = ""
    operator: str = ""
    parents: tuple[int, ...] = ()
    batch: BatchRecord | None = None

    def write(self) -> str:
        """The note as JSON text."""
        data: dict[str, Any] = {"v": _VERSION, **vars(self), "parents": list(self.parents)}
        data["reason"] = clean(self.reason, MAX_REASON)
        data["rationale"] = clean(self.rationale, MAX_RATIONALE)
        if self.batch is not None:
            data["batch"] = {
                "children": [vars(child) for child in self.batch.children],
                "edits": [edit.to_json() for edit in self.batch.edits],
                "calls": [call.to_json() for call in self.batch.calls],
                "counts": dict(self.batch.counts),
            }
        kept = {name: value for name, value in data.items() if value not in ("", [], None)}
        return json.dumps(kept, separators=(",", ":"))


def read(trial: Trial) -> Note | None:
    """The note of a trial; ``None`` where it has none, or one that is torn or foreign."""
    text = trial.notes.get(NOTE)
    return None if text is None else _parse(text)


def proposal_notes(note: Note) -> FrozenDict[str]:
    """The notes of a proposal."""
    return FrozenDict({NOTE: note.write()})


def read_all(history: History) -> tuple[list[tuple[Trial, Note]], int]:
    """All trials with a readable note, in order, and how many notes could not be read."""
    found, ignored = [], 0
    for trial in history.trials:
        note = read(trial)
        if note is not None:
            found.append((trial, note))
        ignored += note is None and NOTE in trial.notes
    return found, ignored


@lru_cache(maxsize=8192)
def _parse(text: str) -> Note | None:
    """Reads a note; a pure function of the text, which a search reads at every proposal."""
    try:
        data = json.loads(text)
        return _note(data) if data["v"] == _VERSION else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _note(data: Mapping[str, Any]) -> Note:
    origin = _text(data, "origin")
    if origin not in ORIGINS:
        raise ValueError(f"`origin` must be one of {list(ORIGINS)}, got {origin!r}")
    batch = data.get("batch")
    return Note(
        niche=_whole(data["niche"]),
        label=_text(data, "label"),
        generation=_whole(data["generation"]),
        origin=origin,
        reason=_text(data, "reason"),
        rationale=_text(data, "rationale"),
        operator=_text(data, "operator"),
        parents=tuple(map(_whole, _list(data, "parents"))),
        batch=None if batch is None else _batch(batch),
    )


def _batch(data: Mapping[str, Any]) -> BatchRecord:
    counts = data.get("counts", {})
    return BatchRecord(
        children=tuple(map(_child, _list(data, "children"))),
        edits=tuple(Edit.from_json(edit) for edit in _list(data, "edits")),
        calls=tuple(CallRecord.from_json(call) for call in _list(data, "calls")),
        counts=FrozenDict({str(name): _whole(value) for name, value in counts.items()}),
    )


def _child(data: Mapping[str, Any]) -> Child:
    origin = _text(data, "origin")
    if origin not in ORIGINS:
        raise ValueError(f"`origin` of a child is unknown: {origin!r}")
    return Child(_text(data, "architecture"), origin, _text(data, "rationale"))


def _list(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = data.get(name, [])
    if not isinstance(value, list):
        raise TypeError(f"`{name}` must be a list")
    return value


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"expected a whole number >= 0, got {value!r}")
    return value


@dataclass(frozen=True)
class NicheLog:
    """One niche in a search.

    Attributes:
        index: Position in the partition.
        label: What its architectures have in common.
        trials: Trials that it was given, in any state.
        complete: Those with values.
        generations: Number of the last generation, 0 while there is none.
        origins: Trials by origin; see `ORIGINS`.
        front: Numbers of the Pareto-optimal ones among its complete trials; with one objective
            the best.
    """

    index: int
    label: str
    trials: int
    complete: int
    generations: int
    origins: FrozenDict[int]
    front: tuple[int, ...]


@dataclass(frozen=True)
class Totals:
    """What the calls cost.

    Attributes:
        calls: Calls, failed and cached ones included.
        attempts: How often a model was asked, retries included.
        cached: Calls answered from a recording.
        failed: Calls without a reply.
        prompt_tokens: Of all replies, cached ones not included.
        completion_tokens: Likewise.
        seconds: Sum over the calls, so more than the wall clock where they overlap.
        usd: US dollars of the priced calls.
        unpriced: Calls without a known price.
    """

    calls: int = 0
    attempts: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    unpriced: int = 0

    @classmethod
    def of(cls, calls: Sequence[CallRecord]) -> Totals:
        """Adds calls up, e.g. those of one role."""
        paid = [call for call in calls if not call.cached]
        return cls(
            calls=len(calls),
            attempts=sum(call.attempts for call in calls),
            cached=len(calls) - len(paid),
            failed=sum(not call.ok for call in calls),
            prompt_tokens=sum(call.prompt_tokens for call in paid),
            completion_tokens=sum(call.completion_tokens for call in paid),
            seconds=sum(call.seconds for call in paid),
            usd=sum(call.usd or 0.0 for call in paid),
            unpriced=sum(call.usd is None for call in paid),
        )


@dataclass(frozen=True)
class CoEvolutionLog:
    """All that the notes of a search tell; made by `coevolution_log`.

    Attributes:
        niches: By index.
        rules: The knowledge base at the end, oldest rule first.
        changes: What every edit did, in order of trials; each has its generation.
        calls: All calls, each once, in order of trials.
        counts: Of `COUNTS`: children ``asked`` for and ``legal`` ones; children that were
            ``malformed``, ``illegal``, ``duplicate``, ``off-niche`` or ``surplus`` (replies
            that are malformed as a whole count once); ``repairs``, that is second questions;
            ``bad-edit``, edits of rules that could not be used; ``failed``, questions without
            a reply.
        origins: Trials by origin.
        fallbacks: Trials of the classical operator in the model's place, by reason.
        failures: Calls without a reply, by what went wrong.
        totals: What the calls cost.
        entries: Number and note of every trial, in order.
        foreign: Trials without a note: another sampler's, enqueued ones.
        ignored: Notes that could not be read: torn, or of another version.
    """

    niches: tuple[NicheLog, ...]
    rules: tuple[Rule, ...]
    changes: tuple[Change, ...]
    calls: tuple[CallRecord, ...]
    counts: FrozenDict[int]
    origins: FrozenDict[int]
    fallbacks: FrozenDict[int]
    failures: FrozenDict[int]
    totals: Totals
    entries: tuple[tuple[int, Note], ...] = field(default=(), repr=False)
    foreign: int = 0
    ignored: int = 0

    @property
    def rates(self) -> FrozenDict[float]:
        """Shares of the children written: ``malformed``, ``illegal``, ``duplicate``,
        ``off-niche``; and of those asked for: ``repair`` and ``fallback`` trials per trial that
        was to be the model's. Empty where nothing was asked."""
        kinds = ("malformed", "illegal", "duplicate", "off-niche")
        written = self.counts["legal"] + sum(self.counts[kind] for kind in kinds)
        rates = {kind: self.counts[kind] / written for kind in kinds} if written else {}
        meant = sum(self.origins[name] for name in ("llm", "repair", "classical"))
        if meant:
            rates["repair"] = self.origins["repair"] / meant
            rates["fallback"] = self.origins["classical"] / meant
        return FrozenDict(rates)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data, without the entries."""
        return {
            "niches": [
                {**vars(n), "origins": dict(n.origins), "front": list(n.front)}
                for n in self.niches
            ],
            "rules": [rule.to_json() for rule in self.rules],
            "changes": [change.to_json() for change in self.changes],
            "calls": [call.to_json() for call in self.calls],
            "counts": dict(self.counts),
            "origins": dict(self.origins),
            "rates": dict(self.rates),
            "fallbacks": dict(self.fallbacks),
            "failures": dict(self.failures),
            "totals": dict(vars(self.totals)),
            "foreign": self.foreign,
            "ignored": self.ignored,
        }


def coevolution_log(history: History, *, max_rules: int = 20) -> CoEvolutionLog | None:
    """Reads what an LLM co-evolution has left on its trials.

    Args:
        history: Of the search.
        max_rules: As the strategy's option.

    Returns:
        ``None`` where no trial has a note of the strategy that can be read.
    """
    noted, ignored = read_all(history)
    if not noted:
        return None
    base = _knowledge(history, noted, max_rules)
    calls = _calls(noted)
    reasons = Counter(note.reason for _, note in noted if note.origin == "classical")
    return CoEvolutionLog(
        niches=_niches(history, noted),
        rules=base.rules,
        changes=tuple(base.changes),
        calls=calls,
        counts=_counts(noted),
        origins=_origins([note for _, note in noted]),
        fallbacks=_counted(reasons),
        failures=_counted(Counter(call.outcome for call in calls if not call.ok)),
        totals=Totals.of(calls),
        entries=tuple((trial.number, note) for trial, note in noted),
        foreign=len(history) - len(noted) - ignored,
        ignored=ignored,
    )


_Noted = Sequence[tuple[Trial, Note]]


def _knowledge(history: History, noted: _Noted, max_rules: int) -> KnowledgeBase:
    entries = [
        (trial.number, note.generation, note.batch.edits)
        for trial, note in noted
        if note.batch is not None
    ]
    return fold(entries, max_rules=max_rules, known=(t.number for t in history.trials))


def _calls(noted: _Noted) -> tuple[CallRecord, ...]:
    found: dict[str, CallRecord] = {}
    for _, note in noted:
        for call in note.batch.calls if note.batch is not None else ():
            found.setdefault(call.id, call)
    return tuple(found.values())


def _counts(noted: _Noted) -> FrozenDict[int]:
    counts: Counter[str] = Counter()
    for _, note in noted:
        if note.batch is not None:
            counts.update(note.batch.counts)
    return FrozenDict({name: counts[name] for name in COUNTS})


def _origins(notes: Sequence[Note]) -> FrozenDict[int]:
    counts = Counter(note.origin for note in notes)
    return FrozenDict({origin: counts[origin] for origin in ORIGINS})


def _counted(counts: Mapping[str, int]) -> FrozenDict[int]:
    """The most frequent first."""
    return FrozenDict(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))


def _niches(history: History, noted: _Noted) -> tuple[NicheLog, ...]:
    groups: dict[tuple[int, str], list[tuple[Trial, Note]]] = {}
    for trial, note in noted:
        groups.setdefault((note.niche, note.label), []).append((trial, note))
    return tuple(_niche(history, *key, groups[key]) for key in sorted(groups))


def _niche(history: History, index: int, label: str, noted: _Noted) -> NicheLog:
    complete = [trial for trial, _ in noted if trial.state is TrialState.COMPLETE]
    inside = History(history.space, history.objectives, tuple(complete))
    return NicheLog(
        index=index,
        label=label,
        trials=len(noted),
        complete=len(complete),
        generations=max(note.generation for _, note in noted),
        origins=_origins([note for _, note in noted]),
        front=tuple(trial.number for trial in inside.front),
    )
