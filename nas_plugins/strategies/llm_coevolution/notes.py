"""What the strategy leaves on its trials, and the story that all notes tell together.

One JSON note per trial, named `NOTE`. The first trial of a batch, its leader, also keeps what
the language model answered: all children, the edits of the knowledge base and the calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial
from nas_plugins.llm import CallRecord
from nas_plugins.strategies.llm_coevolution.knowledge import Edit
from nas_plugins.strategies.llm_coevolution.notation import clean

NOTE = "llm-coevolution"
"""Name of the note."""

ORIGINS = ("initial", "llm", "repair", "classical", "hybrid")
"""Who made an architecture: a uniform draw in the niche, the model, the model when asked again,
a classical operator in the niche in its stead, or archive evolution on the global front."""

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


@lru_cache(maxsize=1024)
def _parse(text: str) -> Note | None:
    """Reads a note; those of the trials behind one that runs are read at every proposal."""
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


__all__ = [
    "MAX_RATIONALE",
    "MAX_REASON",
    "NOTE",
    "ORIGINS",
    "BatchRecord",
    "Child",
    "Note",
    "proposal_notes",
    "read",
    "read_all",
]
