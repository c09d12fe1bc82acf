"""Notes: what is written is read back, what is torn or foreign is passed over and counted."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_coevolution_helpers import empty, quick, run, space

from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import CallRecord
from nas_plugins.strategies.llm_coevolution.knowledge import GLOBAL, Edit
from nas_plugins.strategies.llm_coevolution.log import (
    COUNTS,
    NOTE,
    ORIGINS,
    BatchRecord,
    Child,
    Note,
    coevolution_log,
    proposal_notes,
    read,
)
from nas_plugins.testing.strategies import search

CALL = CallRecord("c1", "mutation", "n", "1", model="m", prompt_tokens=7, seconds=0.5, attempts=1)
FULL = Note(
    niche=2,
    label="exactly 2",
    generation=3,
    origin="llm",
    reason="too few",
    rationale="shorter",
    operator="crossover",
    parents=(1, 5),
    batch=BatchRecord(
        (Child("a", "llm", "why"), Child("b", "repair")),
        (Edit("add", "", "+", GLOBAL, "text", (1,)), Edit("drop", "3.0")),
        (CALL,),
        FrozenDict({"asked": 5, "legal": 2}),
    ),
)


def trial(text: str | None, number: int = 0) -> Trial:
    notes = {} if text is None else {NOTE: text}
    return Trial(number, space().architectures([[0] * 6])[0], TrialState.RUNNING, notes=notes)


@pytest.mark.parametrize("note", [FULL, Note(0, "all", 0, "initial")])
def test_round_trip(note: Note) -> None:
    assert read(trial(note.write())) == note
    assert proposal_notes(note) == {NOTE: note.write()}


def test_texts_are_cut() -> None:
    note = replace(FULL, reason="r\n" * 1000, rationale="x" * 1000)
    found = read(trial(note.write()))
    assert found is not None
    assert len(found.reason) <= 300
    assert len(found.rationale) <= 200


@pytest.mark.parametrize("cut", range(0, len(FULL.write()), 37))
def test_torn_notes_are_ignored(cut: int) -> None:
    assert read(trial(FULL.write()[:cut])) is None


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": None},
        {"niche": -1},
        {"niche": "2"},
        {"niche": True},
        {"origin": "elsewhere"},
        {"parents": 3},
        {"parents": [1.5]},
        {"batch": []},
        {"batch": {"children": [{}]}},
        {"batch": {"children": ["x"]}},
        {"batch": {"edits": [{"action": "eat"}]}},
        {"batch": {"calls": [{}]}},
        {"batch": {"calls": [{"id": 3}]}},
        {"batch": {"counts": [1]}},
        {"batch": {"counts": {"asked": "many"}}},
    ],
)
def test_foreign_notes_are_ignored(change: dict[str, object]) -> None:
    assert read(trial(json.dumps({**json.loads(FULL.write()), **change}))) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
@settings(max_examples=100, deadline=None)
def test_any_json_is_a_note_or_is_ignored(data: object) -> None:
    assert read(trial(json.dumps(data))) is None
    assert read(trial(json.dumps({"v": 1, "niche": data, "batch": data}))) is None


def test_deep_nesting_is_ignored() -> None:
    assert read(trial("[" * 100_000)) is None


# -- the log -------------------------------------------------------------------------------


def test_a_search_by_others_has_no_log() -> None:
    assert coevolution_log(empty()) is None
    assert coevolution_log(History(space(), empty().objectives, (trial(None),))) is None


def test_the_log_of_a_search() -> None:
    history = run(quick("null"), 40)
    log = coevolution_log(history)
    assert log is not None
    assert sum(niche.trials for niche in log.niches) == 40
    assert set(log.origins) == set(ORIGINS)
    assert sum(log.origins.values()) == 40
    assert log.origins["initial"] == 3
    assert set(log.counts) == set(COUNTS)
    assert log.counts["asked"] == log.counts["legal"] >= 37
    assert log.totals.calls == len(log.calls) == 2 * sum(n.generations for n in log.niches)
    assert log.totals.usd == 0
    assert log.rules
    assert {change.action for change in log.changes} <= {"add", "confirm", "evict"}
    numbers = {t.number for t in history.trials}
    assert all(set(rule.evidence) <= numbers for rule in log.rules)
    for niche in log.niches:
        noted = [
            t
            for t, (_, note) in zip(history.trials, log.entries, strict=True)
            if note.niche == niche.index
        ]
        inside = History(history.space, history.objectives, tuple(noted))
        assert niche.front == tuple(t.number for t in inside.front)
    assert math.isclose(sum(log.rates.values()), 0)
    json.dumps(log.to_json(), allow_nan=False)


def test_torn_and_foreign_trials_are_counted() -> None:
    history = run(quick("null"), 12)
    trials = list(history.trials)
    torn = trials[5].notes[NOTE][:30]
    trials[5] = Trial(5, trials[5].architecture, values=trials[5].values, notes={NOTE: torn})
    trials[6] = Trial(6, trials[6].architecture, values=trials[6].values)
    log = coevolution_log(History(history.space, history.objectives, tuple(trials)))
    assert log is not None
    assert (log.ignored, log.foreign) == (1, 1)
    assert len(log.entries) == 10


def test_a_search_goes_on_over_torn_notes() -> None:
    history = run(quick("null"), 12)
    trials = tuple(
        Trial(t.number, t.architecture, values=t.values, notes={NOTE: t.notes[NOTE][:40]})
        for t in history.trials
    )
    torn = History(history.space, history.objectives, trials)
    longer = search(quick("null"), torn, 24)
    assert len(longer.seen) == 24


def test_notes_of_another_partition_count_as_foreign() -> None:
    history = run(quick("null", n_niches=3), 20)
    other = quick("null", n_niches=2)
    longer = search(other, history, 30)
    log = coevolution_log(longer)
    assert log is not None
    assert len({niche.label for niche in log.niches}) == 4  # "0" is in both
