"""Draws of new architectures: distinct, never taken, and ending when the space is exhausted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.sampling import FreshDraws, started, unseen

SPACE = nap.CategoricalSpace({"a": [0, 1, 2], "b": ["x", "y"], "c": [None], "d": [0.5, 1.5]})
KEYS = {SPACE.keys(rows)[i].item() for rows in SPACE.enumerate() for i in range(len(rows))}


def _history(*states: nap.TrialState) -> nap.History:
    rows = np.concatenate(list(SPACE.enumerate()))
    trials = [
        nap.Trial(i, a, state, (0.0,) if state is nap.TrialState.COMPLETE else ())
        for i, (a, state) in enumerate(zip(SPACE.architectures(rows), states, strict=False))
    ]
    return nap.History(SPACE, (nap.Objective("f"),), tuple(trials))


@given(n=st.integers(0, 20), taken=st.sets(st.sampled_from(sorted(KEYS))), seed=st.integers(0, 9))
def test_unseen_gives_all_that_is_left(n: int, taken: set[int], seed: int) -> None:
    drawn = unseen(SPACE, n, np.random.default_rng(seed), taken=taken)
    keys = [architecture.key for architecture in drawn]
    assert len(keys) == len(set(keys)) == min(n, len(KEYS) - len(taken))
    assert not set(keys) & taken
    assert drawn == unseen(SPACE, n, np.random.default_rng(seed), taken=taken)


def test_the_last_cell_of_nasbench201_is_found() -> None:
    space = nap.space("nasbench201")
    taken = frozenset(range(space.size)) - {4711}
    drawn = unseen(space, 2, np.random.default_rng(0), taken=taken)
    assert [architecture.key for architecture in drawn] == [4711]


def test_every_architecture_is_equally_likely() -> None:
    counts = dict.fromkeys(KEYS, 0)
    for seed in range(1200):
        (drawn,) = unseen(SPACE, 1, np.random.default_rng(seed))
        counts[drawn.key] += 1
    assert 60 < min(counts.values()) <= max(counts.values()) < 140


def test_a_space_too_large_to_enumerate_gives_fewer_at_last() -> None:
    space = nap.CategoricalSpace.macro(23, (0, 1))
    everything: frozenset[nap.spaces.Key] = frozenset(range(2**23 - 1))
    assert unseen(space, 1, np.random.default_rng(0), taken=everything) == []


def test_draws_are_taken_at_once() -> None:
    draws = FreshDraws(_history(nap.TrialState.FAILED), np.random.default_rng(0))
    found = [*draws.random(4)]
    parent = found[0]
    child = draws.mutation(parent, tries=100)
    while child is not None:
        found.append(child)
        child = draws.mutation(parent, tries=100)
    found += draws.random(100)
    assert len({a.key for a in found}) == len(found) == len(KEYS) - 1


def test_changes_are_cut_to_the_open_decisions() -> None:
    draws = FreshDraws(_history(), np.random.default_rng(0))
    parent = SPACE.sample(np.random.default_rng(0))
    child = draws.mutation(parent, n_changes=9)
    assert child is not None
    assert int((child.row != parent.row).sum()) == 3
    closed = nap.CategoricalSpace({"only": ["one"]})
    alone = FreshDraws(nap.History(closed, (nap.Objective("f"),)), np.random.default_rng(0))
    assert alone.mutation(closed.sample(np.random.default_rng(0))) is None
    assert alone.widening(closed.sample(np.random.default_rng(0))) is None


def test_widening_reaches_what_one_change_cannot() -> None:
    draws = FreshDraws(_history(), np.random.default_rng(0))
    parent = SPACE.sample(np.random.default_rng(0))
    draws.take([parent, *SPACE.neighbours(parent)])
    assert draws.mutation(parent, tries=200) is None
    child = draws.widening(parent)
    assert child is not None
    assert int((child.row != parent.row).sum()) > 1


def test_without_avoidance_nothing_is_taken() -> None:
    history = _history(*[nap.TrialState.COMPLETE] * len(KEYS))
    draws = FreshDraws(history, np.random.default_rng(0), avoid_duplicates=False)
    assert len(draws.random(50)) == 50
    assert draws.mutation(SPACE.sample(np.random.default_rng(0))) is not None
    assert not draws.taken


@pytest.mark.parametrize(("up_to", "expected"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_started_counts_what_may_get_values(up_to: int, expected: int) -> None:
    states = nap.TrialState
    history = _history(
        states.COMPLETE, states.FAILED, states.RUNNING, states.PRUNED, states.COMPLETE
    )
    assert started(history, up_to=up_to) == expected
