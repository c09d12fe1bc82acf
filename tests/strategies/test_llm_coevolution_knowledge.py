"""The knowledge base: edits folded in the order of trials, whoever wrote them when."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_coevolution_helpers import space

from nas_plugins.history import Trial
from nas_plugins.strategies.llm_coevolution.knowledge import (
    GLOBAL,
    MAX_EVIDENCE,
    Edit,
    KnowledgeBase,
    fold,
    mine,
    mined_edits,
    standing,
)
from nas_plugins.strategies.llm_coevolution.notation import Notation
from nas_plugins.strategies.llm_coevolution.replies import Fault, read_edits


def add(text: str, *evidence: int, polarity: str = "+", scope: str = GLOBAL) -> Edit:
    return Edit("add", "", polarity, scope, text, evidence or (1,))


def entry(trial: int, *edits: Edit) -> tuple[int, int, tuple[Edit, ...]]:
    return trial, 1 + trial // 10, edits


def actions(base: KnowledgeBase) -> list[str]:
    return [change.action for change in base.changes]


def test_rules_are_added_revised_and_dropped() -> None:
    base = fold(
        [
            entry(10, add("first", 1, 2), add("second", 3, polarity="-")),
            entry(20, Edit("revise", "10.0", "-", GLOBAL, "first, but not so", (4,))),
            entry(30, Edit("drop", "10.1")),
        ]
    )
    assert actions(base) == ["add", "add", "revise", "drop"]
    (rule,) = base.rules
    assert (rule.id, rule.text, rule.polarity) == ("10.0", "first, but not so", "-")
    assert rule.evidence == (1, 2, 4)
    assert rule.support == 3
    assert rule.last_seen == 20
    assert [change.generation for change in base.changes] == [2, 2, 3, 4]


def test_the_same_rule_again_confirms_it() -> None:
    base = fold([entry(1, add("More Convs", 1)), entry(5, add("more convs", 5))])
    assert actions(base) == ["add", "confirm"]
    assert base.rules[0].evidence == (1, 5)
    assert base.rules[0].last_seen == 5


@given(st.permutations(range(6)))
@settings(max_examples=30, deadline=None)
def test_the_order_of_writing_does_not_matter(order: list[int]) -> None:
    entries = [
        entry(1, add("a", 1)),
        entry(2, add("b", 2), add("a", 2)),
        entry(3, Edit("drop", "1.0")),
        entry(4, Edit("revise", "2.0", "-", GLOBAL, "b2", (4,))),
        entry(5, add("a", 5)),
        entry(6, Edit("drop", "9.9")),
    ]
    expected = fold(entries)
    assert fold([entries[i] for i in order]) == expected
    assert [rule.id for rule in expected.rules] == ["2.0", "5.0"]
    assert actions(expected)[-1] == "void"


def test_evidence_must_exist() -> None:
    base = fold([entry(1, add("a", 1, 99), add("b", 98))], known=[0, 1])
    assert [rule.text for rule in base.rules] == ["a"]
    assert base.rules[0].evidence == (1,)
    assert actions(base) == ["add", "void"]


def test_a_full_scope_loses_its_weakest_rule() -> None:
    edits = [add(f"rule {i}", *range(i + 1), scope="niche a") for i in range(4)]
    base = fold([entry(1, *edits, add("elsewhere", 1))], max_rules=6)
    assert actions(base) == ["add", "add", "add", "evict", "add", "add"]
    assert [rule.text for rule in base.rules] == ["rule 1", "rule 2", "rule 3", "elsewhere"]


def test_no_niche_sees_more_rules_than_allowed() -> None:
    entries = [
        entry(n, add(f"own {n}", scope=f"niche {n % 2}"), add(f"common {n}")) for n in range(40)
    ]
    base = fold(entries, max_rules=20)
    assert len(base.seen_from("niche 0")) == 20
    assert {rule.scope for rule in base.seen_from("niche 0")} == {GLOBAL, "niche 0"}


def test_texts_are_cut_and_cleaned_and_evidence_is_bounded() -> None:
    edit = add("a\n\nSystem:\x00 " + "x" * 500, *range(50))
    assert len(edit.text) <= 200
    assert "\n" not in edit.text
    assert "\x00" not in edit.text
    assert len(edit.evidence) == MAX_EVIDENCE
    base = fold([entry(n, add("same", *range(n, n + 5))) for n in range(0, 50, 5)])
    assert len(base.rules[0].evidence) == MAX_EVIDENCE
    assert max(base.rules[0].evidence) == 49


def test_edits_round_trip() -> None:
    for edit in (add("a", 1, 2), Edit("drop", "1.0"), Edit("revise", "1.0", "-", "n", "t", (3,))):
        assert Edit.from_json(json.loads(json.dumps(edit.to_json()))) == edit


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"action": "nonsense"},
        {"action": "add", "text": "t", "scope": "s", "polarity": "?"},
        {"action": "add", "text": 3, "scope": "s", "polarity": "+"},
        {"action": "add", "text": "t", "scope": "s", "polarity": "+", "evidence": "12"},
        {"action": "add", "text": "t", "scope": "s", "polarity": "+", "evidence": [True]},
    ],
)
def test_what_is_no_edit_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Edit.from_json(data)


# -- what a model may edit -----------------------------------------------------------------


def read(text: str) -> tuple[tuple[Edit, ...], tuple[Fault, ...]]:
    rules = fold([entry(7, add("known", 1), add("other niche", 1, scope="b"))])
    return read_edits(text, Notation(space()), rules, scope="a", shown={1, 2, 3})


def test_edits_of_a_reply() -> None:
    new = {"action": "add", "id": "", "polarity": "+", "scope": "niche", "text": "t"}
    edits, faults = read(
        json.dumps(
            {
                "edits": [
                    {**new, "evidence": [1, 2, 77]},
                    {**new, "action": "revise", "id": "7.0", "scope": "global", "evidence": [3]},
                    {"action": "drop", "id": "7.0"},
                ]
            }
        )
    )
    assert not faults
    assert [edit.action for edit in edits] == ["add", "revise", "drop"]
    assert edits[0].scope == "a"
    assert edits[0].evidence == (1, 2)
    assert edits[1].scope == GLOBAL


@pytest.mark.parametrize(
    "edit",
    [
        {"action": "add", "polarity": "+", "scope": "niche", "text": "t", "evidence": [99]},
        {"action": "add", "polarity": "+", "scope": "niche", "text": "", "evidence": [1]},
        {"action": "add", "polarity": "*", "scope": "niche", "text": "t", "evidence": [1]},
        {"action": "drop", "id": "7.1"},
        {"action": "drop", "id": ["7.0"]},
        {"action": ["add"], "text": "t"},
        "drop 7.0",
        None,
    ],
)
def test_bad_edits_are_counted_not_made(edit: object) -> None:
    edits, faults = read(json.dumps({"edits": [edit]}))
    assert edits == ()
    assert [fault.kind for fault in faults] == ["bad-edit"]


def test_short_lines_of_a_small_model() -> None:
    edits, faults = read("+ position 4 = 3 (t1)\n- position 1 = 0 (t3)\ndrop 7.0")
    assert not faults
    assert [edit.action for edit in edits] == ["add", "add", "drop"]
    assert edits[0].text == 'position 4 = 3 ("nor_conv_3x3")'
    assert edits[1].evidence == (3,)


# -- rules without a model -----------------------------------------------------------------


def _trials(n: int, seed: int) -> list[Trial]:
    """The more 3x3 convolutions on the last edge, the better, and nothing else matters."""
    rows = space().random(n, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    return [
        Trial(i, a, values=(float(a.indices[5] == 3) + rng.random() / 2, rng.random()))
        for i, a in enumerate(space().architectures(rows))
    ]


def test_statistics_find_the_choice_that_matters() -> None:
    trials = _trials(60, 0)
    losses = -np.array([trial.values[:1] for trial in trials])
    levels = standing(losses, np.zeros(len(trials)))
    findings = mine(trials, levels)
    assert (findings[0].position, findings[0].index) == (5, 3)
    assert findings[0].z < 0
    notation = Notation(space())
    edits = mined_edits(notation, findings, KnowledgeBase(), GLOBAL)
    assert edits[0].text.startswith('position 6 = 3 ("nor_conv_3x3") goes with better ranks')
    assert set(edits[0].evidence) <= {t.number for t in trials if t.architecture.indices[5] == 3}


def test_statistics_repeat_no_rule_and_drop_what_no_longer_holds() -> None:
    trials = _trials(60, 0)
    losses = -np.array([trial.values[:1] for trial in trials])
    findings = mine(trials, standing(losses, np.zeros(len(trials))))
    notation = Notation(space())
    base = fold([entry(60, *mined_edits(notation, findings, KnowledgeBase(), GLOBAL))])
    assert mined_edits(notation, findings, base, GLOBAL) == ()
    dropped = mined_edits(notation, [], base, GLOBAL)
    assert [edit.action for edit in dropped] == ["drop"] * len(base.rules)


def test_too_few_trials_say_nothing() -> None:
    trials = _trials(7, 0)
    assert mine(trials, np.linspace(0, 1, 7)) == []
    assert standing(np.empty((0, 2)), np.empty(0)).shape == (0,)


def test_standing_puts_the_infeasible_last() -> None:
    losses = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert standing(losses, np.array([1.0, 0.0, 0.0])).tolist() == [1.0, 0.0, 0.5]
