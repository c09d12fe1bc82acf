"""Local search: which incumbent, which neighbour, when to restart."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.history import Trial, TrialState
from nas_plugins.strategies.local_search import NOTE, LocalSearch
from nas_plugins.testing.strategies import measured, objectives, search, started

SPACE = nap.CategoricalSpace.macro(4, (0, 1, 2))
STRATEGY = LocalSearch()
LOSS = (nap.Objective("loss", "min"),)


def _arch(text: str) -> nap.Architecture:
    return nap.Architecture(SPACE, tuple(map(int, text)))


def _history(*specs: tuple[str, object, str]) -> nap.History:
    """Trials from choice indices, a loss (``None`` while running, "failed"), and a note."""
    trials = []
    for i, (text, loss, note) in enumerate(specs):
        state = {None: TrialState.RUNNING, "failed": TrialState.FAILED}.get(
            loss, TrialState.COMPLETE
        )
        values = (loss,) if state is TrialState.COMPLETE else ()
        trials.append(Trial(i, _arch(text), state, values, notes={NOTE: note} if note else {}))
    return nap.History(SPACE, LOSS, tuple(trials))


def _proposed(history: nap.History, n: int = 1, **options: bool) -> list[nap.Proposal]:
    return LocalSearch(**options).propose(history, n, np.random.default_rng(0))


def _distance(first: nap.Architecture, second: nap.Architecture) -> int:
    return int((first.row != second.row).sum())


def test_one_basin_is_climbed_without_a_restart() -> None:
    history = search(STRATEGY, nap.History(SPACE, LOSS), 30, measure=_to_the_right)
    assert history.best is not None
    assert history.best.values == (0.0,)
    reached = history.best.number
    notes = [trial.notes[NOTE] for trial in history.trials]
    assert notes[0] == "chain 0, start"
    assert set(notes[1:reached]) == {"chain 0, neighbour"}
    # Every proposal is a neighbour of the best so far.
    for number in range(1, reached):
        best = min(history.trials[:number], key=lambda t: t.values)
        assert _distance(history.trials[number].architecture, best.architecture) == 1


def _to_the_right(trial: Trial) -> Trial:
    return measured(trial, 1, values=(8.0 - sum(trial.architecture.indices),))


def test_a_local_optimum_is_left_when_all_its_neighbours_are_seen() -> None:
    optimum = _arch("0000")
    neighbours = [("".join(map(str, a.indices)), 5.0, "") for a in SPACE.neighbours(optimum)]
    almost = _history(("0000", 1.0, ""), *neighbours[:-1])
    (last,) = _proposed(almost)
    assert _distance(last.architecture, optimum) == 1
    assert last.notes[NOTE] == "chain 0, neighbour"
    (restart,) = _proposed(_history(("0000", 1.0, ""), *neighbours))
    assert _distance(restart.architecture, optimum) > 1
    assert restart.notes[NOTE] == "chain 1, start"


def test_a_better_neighbour_seen_elsewhere_is_moved_to_for_free() -> None:
    optimum = _arch("0000")
    others = [("".join(map(str, a.indices)), 5.0, "") for a in SPACE.neighbours(optimum)]
    # 2220 is next to 2200, which is next to nothing else that is better.
    history = _history(
        ("0000", 1.0, ""), *others, ("2200", 3.0, ""), ("2220", 4.0, "chain 1, start")
    )
    for proposal in _proposed(history, 4):
        # 2200 leads on to its seen neighbours 0200 and 2000 only if they were better.
        assert _distance(proposal.architecture, _arch("2200")) == 1
        assert proposal.notes[NOTE] == "chain 1, neighbour"


def test_without_avoidance_a_chain_does_not_know_the_others() -> None:
    history = _history(("2200", 3.0, ""), ("0022", 9.0, ""), ("2220", 4.0, "chain 1, start"))
    proposals = _proposed(history, 8, avoid_duplicates=False)
    assert {p.notes[NOTE] for p in proposals} == {"chain 0, neighbour"}
    # Chain 0 is finished once its neighbours were tried, whoever tried them.
    tried = [("".join(map(str, a.indices)), 5.0, "") for a in SPACE.neighbours(_arch("2200"))]
    history = _history(("2200", 3.0, ""), *tried, ("2220", 4.0, "chain 1, start"))
    proposals = _proposed(history, 8, avoid_duplicates=False)
    assert _arch("2200") in {p.architecture for p in proposals}


def test_a_tiny_space_is_searched_for_ever_without_avoidance() -> None:
    tiny = nap.CategoricalSpace({"x": [0, 1], "y": [0, 1]})
    strategy = LocalSearch(avoid_duplicates=False)
    history = search(strategy, nap.History(tiny, LOSS), 40, batch=3)
    assert len(history) == 40


def test_while_the_start_runs_others_start_in_the_same_chain() -> None:
    history = _history(("0000", None, "chain 0, start"))
    assert [p.notes[NOTE] for p in _proposed(history, 3)] == ["chain 0, start"] * 3


def test_a_failed_start_is_replaced() -> None:
    (proposal,) = _proposed(_history(("0000", "failed", "chain 0, start")))
    assert proposal.notes[NOTE] == "chain 0, start"
    assert proposal.architecture != _arch("0000")


def test_a_chain_left_too_early_is_taken_up_again() -> None:
    neighbours = ["".join(map(str, a.indices)) for a in SPACE.neighbours(_arch("0000"))]
    running = [(text, None, "chain 0, neighbour") for text in neighbours[:1]]
    tried = [(text, 5.0, "chain 0, neighbour") for text in neighbours[1:]]
    left = _history(("0000", 1.0, "chain 0, start"), *tried, *running)
    (start,) = _proposed(left)
    assert start.notes[NOTE] == "chain 1, start"
    better = _history(
        ("0000", 1.0, "chain 0, start"),
        *tried,
        (neighbours[0], 0.5, "chain 0, neighbour"),
        ("2222", 4.0, "chain 1, start"),
    )
    (proposal,) = _proposed(better)
    assert proposal.notes[NOTE] == "chain 0, neighbour"
    assert _distance(proposal.architecture, _arch(neighbours[0])) == 1


def test_enqueued_trials_warm_start_the_search() -> None:
    history = _history(("0000", 3.0, ""), ("1122", 1.0, ""), ("2222", 2.0, "no such note"))
    for proposal in _proposed(history, 5):
        assert _distance(proposal.architecture, _arch("1122")) == 1


def test_feasible_trials_come_first() -> None:
    trials = (
        Trial(0, _arch("0000"), values=(1.0,), constraints={"size": 2.0}),
        Trial(1, _arch("2222"), values=(9.0,), constraints={"size": -1.0}),
    )
    for proposal in _proposed(nap.History(SPACE, LOSS, trials), 5):
        assert _distance(proposal.architecture, _arch("2222")) == 1


def test_several_objectives_explore_the_front() -> None:
    two = (nap.Objective("a", "min"), nap.Objective("b", "min"))
    points = {"0000": (0.0, 3.0), "1111": (1.0, 1.0), "2222": (3.0, 0.0), "2021": (2.0, 2.0)}
    trials = [Trial(i, _arch(t), values=v) for i, (t, v) in enumerate(points.items())]
    history = nap.History(SPACE, two, tuple(trials))
    front = {t for t in points if t != "2021"}
    parents = set()
    for proposal in _proposed(history, 20):
        near = {t for t in front if _distance(proposal.architecture, _arch(t)) == 1}
        assert near
        parents |= near
    assert parents == front


@pytest.mark.parametrize("m", [1, 2])
def test_asynchronous_workers_lose_nothing(m: int) -> None:
    """Eight workers finish in random order; the space is searched to the end, once."""
    space = nap.CategoricalSpace.macro(4, ("a", "b", "c"))
    rng = np.random.default_rng(0)
    history = nap.History(space, objectives(m))
    done: list[str] = []
    while True:
        running = [t for t in history.trials if t.state is TrialState.RUNNING]
        proposals = STRATEGY.propose(history, 8 - len(running), rng)
        history = history.extend(started(history, proposals))
        running = [t for t in history.trials if t.state is TrialState.RUNNING]
        if not running:
            break
        chosen = running[rng.integers(len(running))].number
        trials = list(history.trials)
        trials[chosen] = measured(trials[chosen], m)
        done.append(trials[chosen].notes[NOTE])
        history = nap.History(space, history.objectives, tuple(trials))
    assert len(history) == len(history.seen) == space.size
    # The first start is climbed, not replaced by ever more starts.
    assert done.count("chain 0, start") == 8
