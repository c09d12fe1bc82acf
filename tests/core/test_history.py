"""Objectives, trials and histories are values that round-trip and answer correctly."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Objective, Proposal, Trial, TrialState, objectives_of

SPACE = nap.space("nasbench201")
OBJECTIVES = (Objective("accuracy"), Objective("latency", "min"))

DERIVED = ("complete", "seen", "losses", "violations", "front", "best")

values = st.floats(allow_nan=False, width=32)
trials = st.lists(
    st.tuples(
        st.lists(st.integers(0, 4), min_size=6, max_size=6),
        st.tuples(values, values),
        st.dictionaries(st.text(max_size=5), st.floats(-1, 1), max_size=2),
        st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=2),
        st.sampled_from(TrialState),
    ),
    max_size=12,
)


def _history(specs: list[tuple]) -> History:
    return History(
        SPACE,
        OBJECTIVES,
        tuple(
            Trial(
                i,
                nap.Architecture(SPACE, tuple(indices)),
                state,
                point if state is TrialState.COMPLETE else (),
                FrozenDict(constraints),
                FrozenDict(notes),
            )
            for i, (indices, point, constraints, notes, state) in enumerate(specs)
        ),
    )


@given(trials)
def test_histories_round_trip_and_hash(specs: list) -> None:
    history = _history(specs)
    assert History.from_json(json.loads(json.dumps(history.to_json()))) == history
    copy = pickle.loads(pickle.dumps(history))
    assert copy == history
    assert hash(copy) == hash(history)


@given(trials)
def test_the_front_is_what_nothing_feasible_dominates(specs: list) -> None:
    history = _history(specs)
    complete = history.complete
    feasible = [t for t in complete if t.violation <= 0]
    if not feasible:
        least = min((t.violation for t in complete), default=0.0)
        feasible = [t for t in complete if t.violation <= least]

    def dominates(a: Trial, b: Trial) -> bool:
        better = (a.values[0] >= b.values[0], a.values[1] <= b.values[1])
        return all(better) and a.values != b.values

    expected = [t for t in feasible if not any(dominates(other, t) for other in feasible)]
    assert list(history.front) == expected


def test_seen_counts_every_state() -> None:
    rng = np.random.default_rng(0)
    states = list(TrialState)
    history = History(
        SPACE,
        OBJECTIVES,
        tuple(
            Trial(i, SPACE.sample(rng), state, (1.0, 2.0) if state is TrialState.COMPLETE else ())
            for i, state in enumerate(states)
        ),
    )
    assert history.seen == {t.architecture.key for t in history.trials}
    assert len(history.complete) == 1


@given(trials, st.integers(0, 12), st.sets(st.sampled_from(DERIVED)))
def test_a_history_that_grows_equals_one_made_at_once(
    specs: list, cut: int, derived: set[str]
) -> None:
    whole = _history(specs)
    part = History(SPACE, OBJECTIVES, whole.trials[:cut])
    for name in derived:
        getattr(part, name)
    grown = part.extend(whole.trials[cut:]).fixing({"1<-0": "none"})
    assert grown.trials == whole.trials
    assert grown.fixed == {"1<-0": "none"}
    assert grown != whole
    assert grown.fixing({}) == whole
    for name in DERIVED:
        assert np.array_equal(np.asarray(getattr(grown, name)), np.asarray(getattr(whole, name)))


def test_best_follows_the_direction() -> None:
    rng = np.random.default_rng(0)
    archs = [SPACE.sample(rng) for _ in range(3)]
    for direction, expected in (("max", 2), ("min", 1)):
        history = History(SPACE, (Objective("x", direction),))
        assert history.best is None
        history = history.extend(
            Trial(i, archs[i], values=(value,)) for i, value in enumerate((1.0, -math.inf, 3.0))
        )
        assert history.best is not None
        assert history.best.number == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy", "`objective` must be written name:min or name:max, got 'accuracy'"),
        ("accuracy:up", "`direction` must be 'min' or 'max', got 'up'"),
        (":min", "`name` of an objective must not be empty"),
    ],
)
def test_malformed_objectives_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Objective.parse(text)


@pytest.mark.parametrize("specs", [[], ["a:min", "a:max"]])
def test_objectives_are_some_and_differ(specs: list[str]) -> None:
    with pytest.raises(ValueError, match="`objectives` must"):
        objectives_of(specs)


def test_objectives_round_trip_as_text() -> None:
    assert objectives_of(["a:min", Objective("b")]) == (Objective("a", "min"), Objective("b"))
    assert str(Objective.parse("ns:latency:min")) == "ns:latency:min"


def test_nan_and_misplaced_values_are_refused() -> None:
    architecture = SPACE.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="must not be NaN"):
        Trial(0, architecture, values=(math.nan,))
    with pytest.raises(ValueError, match="of a failed trial must be empty"):
        Trial(0, architecture, TrialState.FAILED, (1.0,))
    with pytest.raises(ValueError, match=r"one value per objective \(2\)"):
        History(SPACE, OBJECTIVES, (Trial(0, architecture, values=(1.0,)),))


def test_proposals_are_hashable() -> None:
    architecture = SPACE.sample(np.random.default_rng(0))
    assert len({Proposal(architecture), Proposal(architecture, {"why": "x"})}) == 2


def test_frozen_dict_is_read_only_and_compares_as_a_mapping() -> None:
    frozen = FrozenDict({"a": 1})
    assert frozen == {"a": 1}
    assert hash(frozen) == hash(FrozenDict([("a", 1)]))
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    with pytest.raises(TypeError):
        frozen["b"] = 2  # type: ignore[index]


@dataclass(frozen=True)
class _Numbers:
    """Numbers of the trials so far; counts what it is given."""

    visited: ClassVar[list[int]] = []
    found: tuple[int, ...] = ()

    def grown(self, trials: Sequence[Trial]) -> _Numbers:
        self.visited.append(len(trials))
        return _Numbers(self.found + tuple(t.number for t in trials))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=12))
def test_what_grows_with_a_history_follows_from_all_its_trials(steps: list) -> None:
    """Whether or not it was asked for before, and though a tail is replaced."""
    architecture = SPACE.sample(np.random.default_rng(0))
    base, n = History(SPACE, OBJECTIVES), 0
    for n_new, asked, by_tail in steps:
        base = base.extend(Trial(n + i, architecture, values=(1.0, 2.0)) for i in range(n_new))
        n += n_new
        tail = base.extend([Trial(n + 7, architecture, TrialState.RUNNING)]).fixing({})
        if by_tail:
            assert tail.growing(_Numbers, _Numbers).found == (*range(n), n + 7)
        if asked:
            assert base.fixing({"a": 1}).growing(_Numbers, _Numbers).found == tuple(range(n))


def test_what_grows_visits_new_trials_only_and_does_not_travel() -> None:
    architecture = SPACE.sample(np.random.default_rng(0))
    history = History(SPACE, OBJECTIVES)
    for number in range(50):
        history = history.extend([Trial(number, architecture, values=(1.0, 2.0))])
        _Numbers.visited.clear()
        history.growing(_Numbers, _Numbers)
        assert _Numbers.visited == [1]
        _Numbers.visited.clear()
        history.growing(_Numbers, _Numbers)
        assert _Numbers.visited == []
    copy = pickle.loads(pickle.dumps(history))
    assert copy == history
    copy.growing(_Numbers, _Numbers)
    assert _Numbers.visited == [50]


def test_eight_things_that_grow_are_kept() -> None:
    architecture = SPACE.sample(np.random.default_rng(0))
    history = History(SPACE, OBJECTIVES, (Trial(0, architecture, values=(1.0, 2.0)),))
    for key in range(9):
        history.growing(key, _Numbers)
    _Numbers.visited.clear()
    history.growing(8, _Numbers)
    history.growing(0, _Numbers)
    assert _Numbers.visited == [1]
