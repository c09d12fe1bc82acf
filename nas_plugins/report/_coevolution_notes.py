"""The note of an LLM co-evolution on a trial, as facts that a person can read."""

from __future__ import annotations

from nas_plugins._markup import Markup, join
from nas_plugins.history import Trial
from nas_plugins.report._format import count
from nas_plugins.report._links import Links
from nas_plugins.strategies.llm_coevolution.notes import (
    MAX_RATIONALE,
    MAX_REASON,
    NOTE,
    Batch,
    Note,
    read,
)
from nas_plugins.strategies.llm_coevolution.words import clean

MAX_LABEL = 80

ORIGINS = {
    "initial": "a uniform draw in the niche",
    "llm": "the language model",
    "repair": "the language model, asked once more",
    "classical": "a classical operator in the model\N{RIGHT SINGLE QUOTATION MARK}s place",
    "hybrid": "archive evolution on the front of all niches",
}


def story(trial: Trial, links: Links) -> list[tuple[str, Markup]] | None:
    """What the note of a trial tells, as terms and texts.

    Whatever the model or another program wrote is cut to the lengths that the strategy keeps to.

    Returns:
        ``None`` where there is no note, or one that cannot be read.
    """
    note = read(trial)
    if note is None:
        return None
    told = [
        ("origin", join([ORIGINS[note.origin], _from(note, links)])),
        ("niche", join([_place(note)])),
    ]
    for term, text, limit in (
        ("reason", note.reason, MAX_REASON),
        ("rationale", note.rationale, MAX_RATIONALE),
    ):
        if text:
            told.append((term, join([clean(text, limit)])))
    if note.batch is not None:
        told.append(("asked here", join([_asked(note.batch)])))
    return told


def label_of(text: str) -> str:
    """The label of a niche on one line."""
    return clean(text, MAX_LABEL)


def _from(note: Note, links: Links) -> Markup | None:
    if not note.operator and not note.parents:
        return None
    operator = clean(note.operator, MAX_LABEL) or "made"
    if not note.parents:
        return join([f", {operator}"])
    kind = "trial" if len(note.parents) == 1 else "trials"
    verb = "from" if operator == "made" else "of"
    return join([f", {operator} {verb} {kind} ", links.listed(note.parents)])


def _place(note: Note) -> str:
    when = f"generation {note.generation:,}" if note.generation else "initial architectures"
    return f"{label_of(note.label)}, {when}"


def _asked(batch: Batch) -> str:
    """What the leader of a batch got from the model for all of it."""
    parts = [count(len(batch.calls), "call")]
    if batch.counts.get("asked"):
        usable = batch.counts.get("legal", 0)
        parts.append(f"{usable:,} of {count(batch.counts['asked'], 'child', 'children')} usable")
    if batch.edits:
        parts.append(f"{count(len(batch.edits), 'change')} of the rules")
    return ", ".join(parts)


__all__ = ["MAX_LABEL", "NOTE", "ORIGINS", "label_of", "story"]
