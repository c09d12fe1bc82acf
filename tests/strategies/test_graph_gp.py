"""Graph-GP: what it learns from, what it chooses, and when it does not trust itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.numerics.acquisition import log_expected_improvement
from nas_plugins.numerics.matern import MaternPrior
from nas_plugins.protocols import Metric
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.graph_gp.acquisition import ScoreScale, Wish, best_of_one
from nas_plugins.strategies.graph_gp.candidates import candidates, enumerated
from nas_plugins.strategies.graph_gp.features import scaled_features, squared_distances
from nas_plugins.strategies.graph_gp.model import Learner
from nas_plugins.strategies.graph_gp.strategy import NOTE, GraphGP
from nas_plugins.testing.strategies import objectives, search, started

SPACE = CategoricalSpace({f"d{i}": [0, 1, 2, 3] for i in range(5)})
CELLS = nap.space("nasbench201")
LARGE = CategoricalSpace({f"d{i}": list(range(6)) for i in range(8)})


def _distance(architecture: Architecture) -> float:
    """Of 0 at one architecture; each decision counts."""
    return float(np.abs(architecture.row - 2).sum())


def _complete(trial: Trial, *values: float, **changes: Any) -> Trial:
    state = TrialState.COMPLETE
    return Trial(
        trial.number, trial.architecture, state, values=values, notes=trial.notes, **changes
    )


def _minimised(strategy: GraphGP, n: int, *, space: SearchSpace = SPACE, seed: int = 0) -> History:
    history = History(space, (Objective("f", "min"),))
    return search(
        strategy, history, n, seed=seed, measure=lambda t: _complete(t, _distance(t.architecture))
    )


def test_it_finds_the_best_of_a_thousand_within_forty() -> None:
    for seed in range(5):
        assert 0.0 in _minimised(GraphGP(), 40, seed=seed).losses


def test_a_larger_space_is_searched_around_the_best() -> None:
    assert enumerated(LARGE) is None
    history = _minimised(GraphGP(), 60, space=LARGE)
    random = history.losses[:5, 0].min()
    assert history.losses.min() <= random / 3


def test_the_reservoir_is_the_same_for_every_worker() -> None:
    history = _minimised(GraphGP(), 20, space=LARGE)
    found = [
        candidates(history, np.random.default_rng(7), functional_duplicates=True).rows
        for _ in range(2)
    ]
    assert np.array_equal(*found)
    assert not {a.key for a in LARGE.architectures(found[0])} & history.seen


def test_batches_are_distinct_and_spread() -> None:
    history = _minimised(GraphGP(), 12)
    found = GraphGP().propose(history, 6, np.random.default_rng(0))
    assert len({p.architecture.key for p in found} | history.seen) == 6 + 12


def test_running_trials_are_taken_for_evaluated_as_in_a_batch() -> None:
    history = _minimised(GraphGP(), 12)
    rng = np.random.default_rng(0)
    two = GraphGP().propose(history, 2, rng)
    first = GraphGP().propose(history, 1, rng)
    second = GraphGP().propose(history.extend(started(history, first)), 1, rng)
    assert [p.architecture for p in two] == [p.architecture for p in (*first, *second)]


def test_a_space_comes_to_its_end() -> None:
    space = CategoricalSpace({"a": range(3), "b": range(4)})
    history = _minimised(GraphGP(n_initial=2), 20, space=space)
    assert len(history) == len(history.seen) == 12
    assert GraphGP().propose(history, 3, np.random.default_rng(0)) == []


def test_fixed_choices_are_kept() -> None:
    for space in (SPACE, LARGE):
        history = _minimised(GraphGP(), 12, space=space).fixing({"d1": 3})
        for proposal in GraphGP().propose(history, 4, np.random.default_rng(0)):
            assert proposal.architecture.choices["d1"] == 3


# -- one objective ------------------------------------------------------------------------------


def test_bounds_leave_the_best_candidate_in() -> None:
    history = _minimised(GraphGP(), 30)
    found = candidates(history, np.random.default_rng(0), functional_duplicates=True)
    learner = Learner(
        SPACE, SPACE.rows([t.architecture for t in history.trials]), SPACE.rows([]), found
    )
    told = history.losses[:, 0] - history.losses[:, 0].mean()
    belief = learner.belief(lambda k: told[:k], MaternPrior())
    weights = -np.abs(np.random.default_rng(1).normal(size=len(found)))
    every = np.arange(len(found))
    assert (belief.largest_deviations() >= belief.deviations(every) - 1e-6).all()
    exact = log_expected_improvement(belief.mean, belief.deviations(every), told.min()) + weights
    assert best_of_one(belief, float(told.min()), weights) == int(np.argmax(exact))


def test_distances_to_candidates_of_several_blocks_are_those_of_their_features() -> None:
    space = LARGE
    history = _minimised(GraphGP(), 16, space=space)
    found = candidates(history, np.random.default_rng(0), functional_duplicates=True)
    trials = space.rows([trial.architecture for trial in history.trials])
    scaled = scaled_features(space)
    distances = found.distances(scaled(trials), [row.tobytes() for row in trials])
    expected = squared_distances(scaled(trials), scaled(found.rows))
    assert distances == pytest.approx(expected, abs=1e-4)


def test_features_lie_on_one_scale() -> None:
    rows = CELLS.random(200, np.random.default_rng(5))
    z = scaled_features(CELLS)(rows)
    squares = ((z[:, None] - z) ** 2).sum(axis=-1)
    assert squares[np.triu_indices(200, 1)].mean() == pytest.approx(1.0, abs=0.1)
    assert np.array_equal(scaled_features(CELLS)(rows[:3]), z[:3])


def test_what_fails_is_avoided() -> None:
    """All that is good fails: the search turns to the rest, and still finds its best."""

    def finish(trial: Trial) -> Trial:
        if trial.architecture.indices[0] == 2:
            return Trial(trial.number, trial.architecture, TrialState.FAILED)
        return _complete(trial, _distance(trial.architecture))

    history = search(GraphGP(), History(SPACE, (Objective("f", "min"),)), 40, measure=finish)
    assert history.losses.min() == 1.0
    failed = [t.state is TrialState.FAILED for t in history.trials]
    assert sum(failed[10:]) <= 15


def test_constraints_are_kept_to() -> None:
    """The best is not feasible, and at first nothing is."""

    def finish(trial: Trial) -> Trial:
        excess = 11.5 - float(trial.architecture.row.sum())
        return _complete(trial, _distance(trial.architecture), constraints={"c": excess})

    for seed in range(3):
        history = History(SPACE, (Objective("f", "min"),))
        history = search(GraphGP(), history, 16, seed=seed, measure=finish)
        assert min(t.values[0] for t in history.complete if t.violation == 0) == 2.0


# -- several objectives -------------------------------------------------------------------------


def _two(trial: Trial) -> Trial:
    row = trial.architecture.row
    return _complete(trial, float(np.abs(row - 3).sum()), float(row.sum()))


def test_both_ends_of_a_front_are_found() -> None:
    history = History(SPACE, (Objective("f0", "min"), Objective("f1", "min")))
    for known in ({}, {"f1": Sum()}):
        found = search(GraphGP(known=known), history, 60, measure=_two)
        assert found.losses.min(axis=0).max() <= 1.0


class Sum(nap.Evaluator):
    """The second objective, as something that is known beforehand."""

    metrics = (Metric("f1", "", "min"),)

    def __init__(self) -> None:
        self.asked: list[Architecture] = []

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        self.asked += architectures
        return [{"f1": float(a.row.sum())} for a in architectures]


def test_what_is_known_is_asked_once_and_never_modelled() -> None:
    knows = Sum()
    strategy = GraphGP(known={"f1": knows})
    history = History(SPACE, (Objective("f0", "min"), Objective("f1", "min")))
    search(strategy, history, 30, measure=_two)
    assert len(knows.asked) == len(set(knows.asked))


def test_all_objectives_may_be_known() -> None:
    strategy = GraphGP(known={"f": Known()})
    history = _minimised(strategy, 10)
    assert history.losses[5] == 0.0


class Known(nap.Evaluator):
    metrics = (Metric("f", "", "min"),)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        return [{"f": _distance(a)} for a in architectures]


class Gaps(Known):
    """Does not know the best."""

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        found = super().evaluate(architectures)
        return [row if row["f"] else {"f": float("nan")} for row in found]


def test_what_an_evaluator_does_not_know_comes_last() -> None:
    history = _minimised(GraphGP(known={"f": Gaps()}), 10)
    assert history.losses[5] == 1.0


def test_a_wrong_name_of_what_is_known_is_told() -> None:
    history = _minimised(GraphGP(), 6)
    for known, message in (
        ({"g": Known()}, "objective that `known` names 'g'"),
        ({"f": Sum()}, "metric that `known` names 'f'"),
        ({"f": "complexiti"}, "complexity"),
    ):
        with pytest.raises(UnknownNameError, match=message):
            GraphGP(known=known).propose(history, 1, np.random.default_rng(0))


def test_three_objectives() -> None:
    history = History(SPACE, objectives(3))
    found = search(GraphGP(), history, 30)
    assert len(found.complete) == len(found.seen) == 30


def test_budgets_lie_between_the_front_and_the_worst() -> None:
    losses = np.array([[0.0, 5.0], [1.0, 2.0], [3.0, 9.0]])
    wishes = [
        Wish.drawn(losses, np.array([9.0, 9.0]), 0, np.random.default_rng(i)) for i in range(100)
    ]
    budgets = [wish.budgets[1] for wish in wishes if wish.budgets is not None]
    assert 30 < len(budgets) < 70
    assert min(budgets) >= 2.0
    assert max(budgets) <= 9.0
    assert max(budgets) > 6.0


def test_scores_stand_for_losses_and_back() -> None:
    losses = np.array([10.0, 11.0, 20.0, 40.0])
    scale = ScoreScale(np.array([-1.5, -0.5, 0.5, 1.5]), losses)
    for loss in (10.0, 15.0, 40.0, 8.5):
        assert scale.losses(np.array(scale.score(loss))) == pytest.approx(loss)
    assert scale.score(8.5) < -1.5


# -- duplicates ---------------------------------------------------------------------------------


def test_functional_duplicates_are_left_out_where_asked() -> None:
    zeroed = [
        "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
        "|none~0|+|none~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
    ]
    seen = CELLS.parse(zeroed[0])
    history = History(CELLS, (Objective("f", "max"),))
    history = history.extend([Trial(0, seen, TrialState.COMPLETE, values=(1.0,))])
    counts = {}
    for allowed in (True, False):
        found = candidates(history, np.random.default_rng(0), functional_duplicates=allowed)
        keys = {a.key for a in CELLS.architectures(found.rows)}
        assert seen.key not in keys
        assert (CELLS.parse(zeroed[1]).key in keys) is allowed
        counts[allowed] = len(found)
    assert counts == {True: 15_624, False: 9_444}


# -- trust --------------------------------------------------------------------------------------


_VALUES = np.random.default_rng(99).random(4**5)


def _noise(trial: Trial) -> Trial:
    return _complete(trial, float(_VALUES[int(trial.architecture.row @ 4 ** np.arange(5))]))


def test_where_it_predicts_nothing_local_search_proposes() -> None:
    history = search(GraphGP(), History(SPACE, (Objective("f", "min"),)), 40, measure=_noise)
    noted = [NOTE in trial.notes for trial in history.trials]
    assert not any(noted[:8])
    assert sum(noted[8:]) > 10
    first = next(i for i, was in enumerate(noted) if was)
    before = History(SPACE, history.objectives, history.trials[:first])
    found = [s.propose(before, 1, np.random.default_rng(0))[0].architecture
             for s in (GraphGP(), nap.strategy("local-search"))]  # fmt: skip
    assert found[0] == found[1]
    smooth = _minimised(GraphGP(), 40)
    assert sum(NOTE in trial.notes for trial in smooth.trials) <= 2


@pytest.mark.parametrize("n_initial", [1, 0])
def test_too_few_initial_trials_are_refused(n_initial: int) -> None:
    with pytest.raises(ValueError, match=f"`n_initial` must be >= 2, got {n_initial}"):
        GraphGP(n_initial=n_initial)
