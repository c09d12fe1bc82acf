"""Regularised and archive evolution: who becomes a parent, and what is changed."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.history import Trial, TrialState
from nas_plugins.strategies.archive_evolution import ArchiveEvolution
from nas_plugins.strategies.local_search import LocalSearch
from nas_plugins.strategies.random import RandomSearch
from nas_plugins.strategies.regularized_evolution import RegularizedEvolution

SPACE = nap.CategoricalSpace.macro(8, (0, 1, 2))
LOSS = (nap.Objective("loss", "min"),)
TWO = (nap.Objective("a", "min"), nap.Objective("b", "max"))


def _arch(text: str) -> nap.Architecture:
    return nap.Architecture(SPACE, tuple(map(int, text)))


def _trial(number: int, text: str, *values: float, violation: float = 0.0) -> Trial:
    return Trial(number, _arch(text), values=values, constraints={"size": violation})


def _distance(first: nap.Architecture, text: str) -> int:
    return int((first.row != _arch(text).row).sum())


def _children(strategy: nap.Strategy, history: nap.History, n: int = 12) -> list[nap.Architecture]:
    proposals = strategy.propose(history, n, np.random.default_rng(0))
    assert len(proposals) == n
    return [proposal.architecture for proposal in proposals]


@pytest.mark.parametrize(
    ("strategy", "n_initial"),
    [(ArchiveEvolution(n_initial=4), 4), (RegularizedEvolution(population_size=4), 4)],
)
def test_random_trials_come_first_and_running_ones_count(
    strategy: nap.Strategy, n_initial: int
) -> None:
    done = [_trial(i, "0000000" + str(i), 1.0) for i in range(n_initial - 2)]
    running = [Trial(2, _arch("00000010"), TrialState.RUNNING)]
    failed = [Trial(3, _arch("00000020"), TrialState.FAILED)]
    history = nap.History(SPACE, LOSS, (*done, *running, *failed))
    first, *others = _children(strategy, history)
    # With this seed the one random draw lies far off; the rest are mutations.
    assert min(_distance(first, "0000000" + str(i)) for i in range(2)) > 2
    assert all(min(_distance(a, "00000000"), _distance(a, "00000001")) <= 2 for a in others)


def test_the_oldest_dies_however_good_it_is() -> None:
    old = [_trial(i, "0000000" + str(i), 0.0) for i in range(3)]
    young = [_trial(3 + i, "2222222" + str(i), 9.0) for i in range(3)]
    history = nap.History(SPACE, LOSS, (*old, *young))
    strategy = RegularizedEvolution(population_size=3)
    for child in _children(strategy, history):
        assert min(_distance(child, "2222222" + str(i)) for i in range(3)) == 1


@pytest.mark.parametrize("m", [1, 2])
def test_a_tournament_prefers_the_feasible_then_the_better(m: int) -> None:
    trials = (
        _trial(0, "00000000", *(0.0, 9.0)[:m], violation=1.0),
        _trial(1, "11111111", *(2.0, 2.0)[:m]),
        _trial(2, "22222222", *(3.0, 1.0)[:m]),
    )
    history = nap.History(SPACE, (LOSS, TWO)[m - 1], trials)
    strategy = RegularizedEvolution(population_size=3, sample_size=200)
    for child in _children(strategy, history):
        assert _distance(child, "11111111") == 1


def test_a_tournament_prefers_the_less_crowded() -> None:
    """All four are on one front: the ends are infinitely far, the lone middle one is next."""
    points = {"00000000": (0, 0), "11111111": (10, 10), "22222222": (5, 5), "01010101": (9, 9)}
    trials = [_trial(i, t, *map(float, p)) for i, (t, p) in enumerate(points.items())]
    history = nap.History(SPACE, TWO, tuple(trials))
    strategy = RegularizedEvolution(population_size=4, sample_size=200)
    for child in _children(strategy, history):
        assert min(_distance(child, "00000000"), _distance(child, "11111111")) == 1


def test_tournaments_of_one_are_uniform() -> None:
    trials = [_trial(i, str(i) * 8, float(i)) for i in range(3)]
    history = nap.History(SPACE, LOSS, tuple(trials))
    strategy = RegularizedEvolution(population_size=3, sample_size=1)
    children = _children(strategy, history, 30)
    counts = [sum(_distance(child, str(i) * 8) == 1 for child in children) for i in range(3)]
    assert sum(counts) == 30
    assert min(counts) > 4


@pytest.mark.parametrize(("probability", "changes"), [(0.0, {1}), (1.0, {2}), (0.5, {1, 2})])
def test_archive_evolution_changes_one_or_two_decisions(
    probability: float, changes: set[int]
) -> None:
    history = nap.History(SPACE, LOSS, (_trial(0, "00000000", 1.0), _trial(1, "22222222", 2.0)))
    strategy = ArchiveEvolution(n_initial=1, second_change_probability=probability)
    assert {_distance(child, "00000000") for child in _children(strategy, history)} == changes


def test_archive_evolution_draws_parents_from_the_whole_front() -> None:
    trials = (
        _trial(0, "00000000", 0.0, 0.0),
        _trial(1, "11111111", 5.0, 5.0),
        _trial(2, "22222222", 6.0, 5.0),
        _trial(3, "20202020", 9.0, 9.0, violation=0.1),
        Trial(4, _arch("02020202"), TrialState.FAILED),
    )
    strategy = ArchiveEvolution(n_initial=1, second_change_probability=0.0)
    children = _children(strategy, nap.History(SPACE, TWO, trials), 20)
    counts = [sum(_distance(child, text * 8) == 1 for child in children) for text in "01"]
    assert sum(counts) == 20
    assert min(counts) > 4


@pytest.mark.parametrize(
    "strategy", [ArchiveEvolution(n_initial=1), RegularizedEvolution(population_size=1)]
)
def test_changes_widen_when_all_mutations_are_seen(strategy: nap.Strategy) -> None:
    near = SPACE.neighbours(_arch("00000000"))
    pairs = [b for a in near for b in SPACE.neighbours(a)]
    seen = list(dict.fromkeys([*near, *pairs]))
    seen = [a for a in seen if a != _arch("00000000")]
    trials = [Trial(i, a, TrialState.FAILED) for i, a in enumerate(seen)]
    history = nap.History(SPACE, LOSS, (*trials, _trial(len(seen), "00000000", 1.0)))
    assert {_distance(child, "00000000") for child in _children(strategy, history)} == {3}


@pytest.mark.parametrize(
    "strategy",
    [
        ArchiveEvolution(avoid_duplicates=False),
        LocalSearch(avoid_duplicates=False),
        RandomSearch(avoid_duplicates=False),
        RegularizedEvolution(avoid_duplicates=False),
    ],
)
def test_duplicates_are_allowed_when_asked_for(strategy: nap.Strategy) -> None:
    tiny = nap.CategoricalSpace({"x": [0, 1]})
    trials = [Trial(i, a, values=(1.0,)) for i, a in enumerate(tiny.architectures([[0], [1]]))]
    history = nap.History(tiny, LOSS, tuple(trials))
    assert len(strategy.propose(history, 7, np.random.default_rng(0))) == 7


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("archive-evolution", {"n_initial": 0}, "`n_initial` must be >= 1, got 0"),
        (
            "archive-evolution",
            {"second_change_probability": 1.5},
            r"`second_change_probability` must be in \[0, 1\], got 1.5",
        ),
        ("archive-evolution", {"tries": 0}, "`tries` must be >= 1, got 0"),
        ("regularized-evolution", {"population_size": 0}, "`population_size` must be >= 1, got 0"),
        ("regularized-evolution", {"sample_size": -1}, "`sample_size` must be >= 1, got -1"),
        ("regularized-evolution", {"tries": 0}, "`tries` must be >= 1, got 0"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nap.strategy(name, **options)
