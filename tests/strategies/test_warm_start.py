"""The warm start: what it proposes first, that it is a pure function, and where it gives way."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from warm_start_helpers import Cheap

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import MetricUnavailableError, UnknownNameError
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.optuna import StrategySampler, history, suggest
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.local_search import LocalSearch
from nas_plugins.strategies.random import RandomSearch
from nas_plugins.strategies.warm_start import NOTE, WarmStart
from nas_plugins.testing.strategies import (
    StrategyTestCase,
    measured,
    objectives,
    search,
    started,
    toy_values,
)

SPACE = CategoricalSpace.macro(5, ("a", "b", "c"))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes find the evaluator too."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


class Silent(Cheap):
    """Has no score for anything."""

    def _one(self, architecture: nap.Architecture) -> dict[str, float]:
        return Refusal()


class Refusal(dict[str, float]):
    """Tells why it is empty."""

    def __missing__(self, name: str) -> float:
        raise MetricUnavailableError(f"{name}: out of paper")


class TestAroundRandomSearch(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return WarmStart(RandomSearch(), Cheap(), n=12, pool=60, metrics=("score",))


class TestAroundLocalSearch(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return WarmStart("local-search", Cheap(gaps=True), n=5, pool=40)


def scores(trials: Sequence[Trial]) -> list[int]:
    return [sum(trial.architecture.indices) for trial in trials]


def warm(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if NOTE in trial.notes]


# -- what comes first ----------------------------------------------------------------------


def test_the_best_of_the_pool_come_first_and_say_so() -> None:
    strategy = WarmStart(RandomSearch(), Cheap(), n=6, pool=100, metrics=("score",))
    found = search(strategy, History(SPACE, objectives(1)), 20)
    assert len(warm(found.trials)) == 6
    assert warm(found.trials) == list(found.trials[:6])
    assert scores(found.trials[:6]) == sorted(scores(found.trials[:6]), reverse=True)
    assert min(scores(found.trials[:6])) > max(scores(found.trials[6:])) - 3
    assert found.trials[0].notes[NOTE].startswith("rank 1 of 100 in pool ")


def test_directions_and_several_metrics_count() -> None:
    first = {}
    for metrics in (("score",), ("cost",), ("score", "cost")):
        strategy = WarmStart(RandomSearch(), Cheap(), n=1, pool=200, metrics=metrics)
        found = strategy.propose(History(SPACE, objectives(1)), 1, np.random.default_rng(0))
        first[metrics] = found[0].architecture.indices
    assert first["score",] == (2, 2, 2, 2, 2)
    assert first["cost",][-1] == 0
    assert first["score", "cost"] == (2, 2, 2, 2, 0)
    # By default all metrics count.
    strategy = WarmStart(RandomSearch(), Cheap(), n=1, pool=200)
    found = strategy.propose(History(SPACE, objectives(1)), 1, np.random.default_rng(0))
    assert found[0].architecture.indices == first["score", "cost"]


def test_candidates_without_a_score_are_last() -> None:
    strategy = WarmStart(RandomSearch(), Cheap(gaps=True), n=150, pool=200, metrics=("score",))
    found = strategy.propose(History(SPACE, objectives(1)), 150, np.random.default_rng(0))
    firsts = [proposal.architecture.indices[0] == 0 for proposal in found]
    assert any(firsts)
    assert firsts == sorted(firsts)


def test_nothing_scored_is_an_error_with_the_reason() -> None:
    strategy = WarmStart(RandomSearch(), Silent(), n=1, pool=5, metrics=("cost",))
    with pytest.raises(MetricUnavailableError, match=r"no candidate .*: cost: out of paper"):
        strategy.propose(History(SPACE, objectives(1)), 1, np.random.default_rng(0))


# -- a pure function of the history --------------------------------------------------------


def test_the_pool_is_scored_once_and_not_after_the_warm_start() -> None:
    evaluator = Cheap()
    strategy = WarmStart(RandomSearch(), evaluator, n=4, pool=50)
    found = search(strategy, History(SPACE, objectives(1)), 10)
    assert evaluator.asked == [50]
    again = Cheap()
    WarmStart(RandomSearch(), again, n=4, pool=50).propose(found, 1, np.random.default_rng(0))
    assert again.asked == []


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_another_process_goes_on_with_the_same_pool(stop: int) -> None:
    """Also one that knows nothing but the trials, with another state of its generator."""
    begun = search(fresh(), History(SPACE, objectives(1)), stop)
    through = search(fresh(), History(SPACE, objectives(1)), 5)
    resumed = search(pickle.loads(pickle.dumps(fresh())), begun, 5, seed=77)
    assert resumed.trials == through.trials


def fresh() -> WarmStart:
    return WarmStart(RandomSearch(), Cheap(), n=5, pool=60)


def test_one_call_gives_what_several_give() -> None:
    empty = History(SPACE, objectives(1))
    at_once = fresh().propose(empty, 5, np.random.default_rng(0))
    one_by_one = search(fresh(), empty, 5, seed=0)
    assert [p.architecture for p in at_once] == [t.architecture for t in one_by_one.trials]


def test_a_batch_may_reach_beyond_the_warm_start() -> None:
    found = fresh().propose(History(SPACE, objectives(1)), 9, np.random.default_rng(0))
    assert [NOTE in p.notes for p in found] == [True] * 5 + [False] * 4
    assert len({p.architecture.key for p in found}) == 9


def test_failed_trials_do_not_count_and_running_ones_do() -> None:
    def fail_the_first_two(trial: Trial) -> Trial:
        if trial.number > 1:
            return measured(trial, 1)
        return Trial(trial.number, trial.architecture, TrialState.FAILED, notes=trial.notes)

    empty = History(SPACE, objectives(1))
    found = search(fresh(), empty, 12, measure=fail_the_first_two)
    assert len(warm(found.trials)) == 7
    running = empty.extend(started(empty, fresh().propose(empty, 5, np.random.default_rng(0))))
    assert NOTE not in fresh().propose(running, 1, np.random.default_rng(0))[0].notes


def test_choices_fixed_by_the_engine_are_met() -> None:
    name, choice = SPACE.decisions[0].name, SPACE.decisions[0].choices[0]
    fixed = History(SPACE, objectives(1), (), FrozenDict({name: choice, "lr": 0.1}))
    found = fresh().propose(fixed, 3, np.random.default_rng(0))
    assert all(p.architecture.choices[name] == choice for p in found)
    assert all(NOTE in p.notes for p in found)


def test_local_search_climbs_from_the_warm_start() -> None:
    strategy = WarmStart(LocalSearch(), Cheap(), n=4, pool=30, metrics=("score",))
    found = search(strategy, History(SPACE, (Objective("f0", "max"),)), 5)
    best = max(found.trials[:4], key=lambda trial: trial.values)
    assert (best.architecture.row != found.trials[4].architecture.row).sum() == 1


# -- as a sampler --------------------------------------------------------------------------


def test_it_is_a_strategy_of_a_study_that_can_be_resumed() -> None:
    def run(*lengths: int) -> tuple[Trial, ...]:
        storage = optuna.storages.InMemoryStorage()
        for n in lengths:
            study = optuna.create_study(
                study_name="warm",
                storage=storage,
                load_if_exists=True,
                sampler=StrategySampler(
                    WarmStart("regularized-evolution", Cheap(), n=5, pool=60), space=SPACE, seed=3
                ),
            )
            study.optimize(lambda t: toy_values(suggest(t, SPACE), 1)[0], n_trials=n)
        return history(study, space=SPACE).trials

    through = run(12)
    assert len(warm(through)) == 5
    assert run(3, 6, 3) == through


# -- mistakes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "`n` must be >= 1, got 0"),
        ({"n": 10, "pool": 9}, "`pool` must be >= `n`, which is 10, got 9"),
        ({"options": {"seed": 1}}, "`options` are for an evaluator's name"),
    ],
)
def test_a_wrong_number_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WarmStart(RandomSearch(), Cheap(), **options)


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'local-search'"):
        WarmStart("local-serch", Cheap())
    with pytest.raises(UnknownNameError, match="did you mean 'complexity'"):
        WarmStart(RandomSearch(), "complexty")
    with pytest.raises(UnknownNameError, match="did you mean 'score'"):
        WarmStart(RandomSearch(), Cheap(), metrics=("scor",))


def test_a_name_takes_options() -> None:
    space = nap.space("nasbench201")
    strategy = WarmStart(
        "random", "complexity", n=2, pool=20, metrics=("flops_m",), options={"resolution": 16}
    )
    found = strategy.propose(History(space, objectives(1)), 2, np.random.default_rng(0))
    assert [NOTE in p.notes for p in found] == [True, True]
    assert pickle.loads(pickle.dumps(strategy)) == strategy


def test_zero_cost_computes_what_it_ranks_by() -> None:
    pytest.importorskip("torch")
    options = {"preset": "smoke", "cache": False, "workers": 1}
    strategy = WarmStart("random", n=2, pool=4, options=options)
    assert strategy.ranked_by == ("az_progressivity", "synflow")
    space = nap.space("nasbench201")
    found = strategy.propose(History(space, objectives(1)), 3, np.random.default_rng(0))
    assert [NOTE in p.notes for p in found] == [True, True, False]
    chosen = WarmStart("random", metrics=("params",), options=options)
    assert chosen.ranked_by == ("params",)
