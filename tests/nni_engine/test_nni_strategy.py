"""Every strategy runs in NNI: history, duplicates, budget, failures, threads, copies."""

from __future__ import annotations

import copy
import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nni")

import nni
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.strategy.middleware import Chain, FailureHandler, Filter, MultipleEvaluation
from nni_helpers import (
    Noting,
    Scores,
    SmallSpace,
    ThreadEngine,
    TinySpace,
    metrics_of,
    searched,
)

import nas_plugins.nni
from nas_plugins import registry
from nas_plugins.errors import EngineError, UnknownNameError
from nas_plugins.history import TrialState
from nas_plugins.nni import ArchiveEvolution, ArchVQ, NNIStrategy, RandomSearch
from nas_plugins.strategies.random import RandomSearch as PlainRandom

OPTIONS: dict[str, dict[str, Any]] = {
    "arch-vq": {"n_initial": 5, "n_candidates": 16, "predictor": "ridge", "model": "none"},
    "llm-coevolution": {"llm": "null", "n_niches": 2, "n_initial": 2, "children": 2},
}
BOTH = ("quality:max", "latency_ms:min")


def reasons(strategy: NNIStrategy) -> list[str]:
    trials = strategy.history.trials
    return [t.notes["reason"] for t in trials if t.state is TrialState.FAILED]


@pytest.mark.parametrize("name", registry.names("strategy"))
@pytest.mark.parametrize("objectives", [None, BOTH], ids=["one", "two"])
def test_every_registered_strategy_runs(name: str, objectives: Any) -> None:
    options = OPTIONS.get(name, {})
    strategy = nas_plugins.nni.strategy(name, seed=1, objectives=objectives, **options)
    evaluator = Scores()
    searched(strategy, 14, evaluator=evaluator)
    history = strategy.history
    assert len(history.complete) == len(evaluator.calls) == 14
    assert len(history.seen) == 14
    expected = [metrics_of(call) for call in evaluator.calls]
    names = [o.partition(":")[0] for o in objectives or ["default:max"]]
    assert [t.values for t in history.trials] == [tuple(m[n] for n in names) for m in expected]
    assert [dict(strategy.metrics(i)) for i in range(14)] == expected


def test_objectives_come_from_the_evaluator_unless_they_are_given() -> None:
    known = Scores(objectives=BOTH)
    assert [*map(str, searched(RandomSearch(), evaluator=known).history.objectives)] == [*BOTH]
    given = searched(RandomSearch(objectives=["extra:min"]), evaluator=known)
    assert [*map(str, given.history.objectives)] == ["extra:min"]
    assert [*map(str, searched(RandomSearch()).history.objectives)] == ["default:max"]


def test_the_front_tells_values_metrics_and_samples() -> None:
    strategy = searched(ArchiveEvolution(seed=0, objectives=BOTH), 30)
    front = strategy.pareto_front()
    assert [entry.trial for entry in front] == list(strategy.history.front)
    assert len(front) > 1
    for entry in front:
        expected = metrics_of(entry.sample)
        assert entry.values == {name: expected[name] for name in ("quality", "latency_ms")}
        assert entry.metrics == expected
        assert entry.architecture is entry.trial.architecture


def test_constraints_are_respected() -> None:
    strategy = RandomSearch(seed=0, constraints=["latency_ms<=200"])
    searched(strategy, 20)
    assert {t.violation > 0 for t in strategy.history.complete} == {True, False}
    assert all(e.metrics["latency_ms"] <= 200 for e in strategy.pareto_front())


def test_a_bare_number_is_the_default_metric() -> None:
    strategy = searched(RandomSearch(seed=0), 3, evaluator=Scores(lambda sample: 2))
    assert [t.values for t in strategy.history.trials] == [(2.0,)] * 3
    assert [dict(strategy.metrics(i)) for i in range(3)] == [{"default": 2.0}] * 3


def test_the_search_ends_when_nothing_new_is_left() -> None:
    evaluator = Scores(lambda sample: 1.0)
    searched(ArchiveEvolution(seed=0), 20, space=TinySpace(), evaluator=evaluator)
    assert len({tuple(call.items()) for call in evaluator.calls}) == len(evaluator.calls) == 4


def test_a_strategy_may_repeat_itself() -> None:
    evaluator = Scores(lambda sample: 1.0)
    strategy = RandomSearch(seed=0, avoid_duplicates=False)
    searched(strategy, 20, space=TinySpace(), evaluator=evaluator)
    assert len(evaluator.calls) == len(strategy.history.complete) == 20


def test_the_budget_is_respected() -> None:
    engine = SequentialExecutionEngine(max_model_count=7)
    searched(RandomSearch(seed=0), engine=engine)
    assert len(list(engine.list_models())) == 7


def test_notes_of_proposals_are_kept_and_seen() -> None:
    plain = Noting()
    strategy = searched(NNIStrategy(plain, seed=0), 5)
    assert [t.notes["why"] for t in strategy.history.trials] == [f"number {i}" for i in range(5)]
    assert [len(history) for history in plain.histories] == list(range(5))
    assert [t.notes["why"] for t in plain.histories[-1].trials][-1] == "number 3"


# -- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerant", [True, False])
def test_a_failure_is_recorded_and_the_search_goes_on(tolerant: bool) -> None:
    def answer(sample: dict[str, Any]) -> Any:
        if sample["op0"] == "none":
            raise RuntimeError("out of memory")
        return metrics_of(sample)

    engine = SequentialExecutionEngine(max_model_count=20, continue_on_failure=tolerant)
    strategy = searched(RandomSearch(seed=0), engine=engine, evaluator=Scores(answer))
    assert len(strategy.history.trials) == 20
    assert 0 < len(reasons(strategy)) < 20
    assert set(reasons(strategy)) == {"RuntimeError: out of memory"}
    assert len(list(strategy.list_models(limit=50))) == len(strategy.history.complete)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "no final result"),
        (math.nan, "'default' is not a number"),
        (np.float32(1.0), "not a number"),
        ([1.0, 2.0], "not a number"),
        ({"quality": 1.0}, "does not contain key 'default'"),
        ({"default": 1.0, "latency_ms": math.nan}, "'latency_ms' is not a number"),
        ({"default": 1.0, "note": "text"}, "no metric 'latency_ms'"),
    ],
    ids=["nothing", "nan", "float32", "list", "no default", "objective nan", "no objective"],
)
def test_a_result_that_cannot_be_used_is_a_failure(result: Any, reason: str) -> None:
    strategy = RandomSearch(seed=0, objectives=["default:max"])
    if isinstance(result, dict):
        strategy = RandomSearch(seed=0, objectives=["default:max", "latency_ms:min"])
    searched(strategy, 2, evaluator=Scores(lambda sample: result))
    assert len(reasons(strategy)) == 2
    assert reason in reasons(strategy)[0]
    assert list(strategy.list_models()) == []
    assert strategy.pareto_front() == []


def test_a_strategy_that_fails_is_replaced_by_random_architectures() -> None:
    class Broken:
        def propose(self, history: Any, n: int, rng: Any) -> Any:
            raise KeyError("bug")

    strategy = searched(NNIStrategy(Broken(), seed=0), 4)
    assert len(strategy.history.complete) == 4
    assert all("KeyError" in t.notes["fallback"] for t in strategy.history.trials)


def test_an_engine_that_fails_is_not_hidden() -> None:
    class Refusing(SequentialExecutionEngine):
        def submit_models(self, *models: Any) -> None:
            raise RuntimeError("the service is gone")

    strategy = RandomSearch(seed=0)
    with pytest.raises(RuntimeError, match="service is gone"):
        searched(strategy, engine=Refusing())
    assert reasons(strategy) == ["not submitted: RuntimeError: the service is gone"]


def test_an_interrupted_trial_is_evaluated_again() -> None:
    def answer(sample: dict[str, Any]) -> Any:
        if len(evaluator.calls) == 5:
            raise KeyboardInterrupt
        return metrics_of(sample)

    evaluator = Scores(answer)
    first = ArchiveEvolution(seed=0)
    engine = SequentialExecutionEngine(max_model_count=8)
    with pytest.raises(KeyboardInterrupt):
        searched(first, engine=engine, evaluator=evaluator)
    assert first.history.trials[4].state is TrialState.RUNNING

    second = ArchiveEvolution(seed=0)
    second.load_state_dict(first.state_dict())
    resumed = SequentialExecutionEngine(max_model_count=8)
    resumed.load_state_dict(engine.state_dict())
    searched(second, engine=resumed)
    whole = searched(ArchiveEvolution(seed=0), 8)
    assert second.history == whole.history


# -- several workers, middleware -----------------------------------------------------------


def test_all_workers_are_kept_busy_and_nothing_is_lost() -> None:
    plain = Noting()
    strategy = NNIStrategy(plain, seed=0, objectives=BOTH)
    engine = ThreadEngine(n_workers=3, budget=12)
    searched(strategy, engine=engine)
    for thread in engine.threads:
        thread.join()
    assert engine.most_running == 3
    assert engine.submitted == len(strategy.history.complete) == 12
    assert len(strategy.history.seen) == 12
    running = [sum(t.state is TrialState.RUNNING for t in h.trials) for h in plain.histories]
    assert running[:3] == [0, 1, 2]
    assert max(running) <= 2
    for trial in strategy.history.trials:
        assert trial.values[0] == strategy.metrics(trial.number)["quality"]


@pytest.mark.parametrize(
    ("middleware", "calls_per_trial"),
    [
        (lambda: MultipleEvaluation(repeat=2), 2),
        (lambda: FailureHandler(retry_patience=2), 1),
        (lambda: Filter(lambda model: True), 1),
    ],
    ids=["multiple", "failures", "filter"],
)
def test_middleware_works(middleware: Any, calls_per_trial: int) -> None:
    evaluator = Scores()
    strategy = RandomSearch(seed=0, objectives=BOTH)
    chain = Chain(strategy, middleware())
    searched(chain, 6 * calls_per_trial, evaluator=evaluator)
    assert len(evaluator.calls) == 6 * calls_per_trial
    assert len(strategy.history.complete) == 6
    assert [t.values for t in strategy.history.trials] == [
        (metrics_of(s)["quality"], metrics_of(s)["latency_ms"])
        for s in evaluator.calls[::calls_per_trial]
    ]
    assert len(list(chain.list_models(limit=3))) == 3


def test_a_failure_that_is_tried_again_may_succeed() -> None:
    def answer(sample: dict[str, Any]) -> Any:
        tried[tuple(sample.items())] += 1
        if tried[tuple(sample.items())] == 1:
            raise RuntimeError("flaky")
        return metrics_of(sample)

    tried: Counter[Any] = Counter()
    strategy = RandomSearch(seed=0)
    chain = Chain(strategy, FailureHandler(retry_patience=3))
    engine = SequentialExecutionEngine(max_model_count=10, continue_on_failure=True)
    searched(chain, engine=engine, evaluator=Scores(answer))
    assert len(strategy.history.complete) == 5
    assert reasons(strategy) == []


def test_models_that_are_filtered_out_are_failures() -> None:
    strategy = RandomSearch(seed=0)
    wanted = Filter(lambda model: model.sample["op0"] != "none")
    searched(Chain(strategy, wanted), 12)
    assert len(strategy.history.complete) == 12
    assert all("'invalid'" in reason for reason in reasons(strategy))
    assert len(reasons(strategy)) > 0


# -- lists, copies, errors -----------------------------------------------------------------


def test_models_are_listed_best_first() -> None:
    strategy = searched(RandomSearch(seed=0), 10)
    found = [model.metric for model in strategy.list_models()]
    assert found == sorted((t.values[0] for t in strategy.history.trials), reverse=True)
    assert [m.metric for m in strategy.list_models(limit=3)] == found[:3]
    every = list(strategy.list_models(sort=False))
    assert [m.metric for m in every] == [t.values[0] for t in strategy.history.trials]
    assert every == list(strategy.engine.list_models())


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "nni"])
def test_a_strategy_survives_being_copied(way: str) -> None:
    def copied(strategy: Any) -> Any:
        if way == "pickle":
            return pickle.loads(pickle.dumps(strategy))
        return copy.deepcopy(strategy) if way == "deepcopy" else nni.load(nni.dump(strategy))

    whole = searched(ArchiveEvolution(seed=3, objectives=BOTH), 14)
    fresh = copied(ArchiveEvolution(seed=3, objectives=BOTH))
    assert type(fresh) is ArchiveEvolution
    assert searched(fresh, 14).history == whole.history
    half = copied(searched(ArchiveEvolution(seed=3, objectives=BOTH), 7))
    assert searched(half, 7).history == whole.history


@pytest.mark.parametrize(
    "name",
    ["ArchVQ", "ArchiveEvolution", "GraphGP", "LLMCoEvolution", "LocalSearch", "RandomSearch"],
)
def test_classes_survive_being_copied(name: str) -> None:
    found = getattr(nas_plugins.nni, name)
    assert pickle.loads(pickle.dumps(found)) is found
    assert f"path:nas_plugins.nni._named.{name}" in nni.dump(found)
    assert nni.load(nni.dump(found)) is found


def test_options_of_the_strategy_and_of_the_adapter_are_one_signature() -> None:
    strategy = ArchVQ(n_initial=3, predictor="ridge", seed=1, objectives=["a:min"])
    assert strategy.strategy.n_initial == 3
    assert "n_candidates" in (ArchVQ.__doc__ or "")
    assert "objectives: Metrics" in (ArchVQ.__doc__ or "")
    assert "registered under" not in (ArchVQ.__doc__ or "")
    assert "n_initial=3" in repr(strategy)
    with pytest.raises(TypeError, match="ArchVQ: unknown option `n_initail`; did you mean"):
        ArchVQ(n_initail=3)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="`seed` must be >= 0, got -1"):
        NNIStrategy(PlainRandom(), seed=-1)
    with pytest.raises(TypeError, match="`strategy` must have a method `propose`"):
        NNIStrategy(object())  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean 'archive-evolution'"):
        NNIStrategy("archive-evolutoin")
    with pytest.raises(ValueError, match="name:min or name:max"):
        RandomSearch(objectives=["accuracy"])
    strategy = RandomSearch()
    with pytest.raises(EngineError, match="before its experiment is started"):
        strategy.pareto_front()
    with pytest.raises(RuntimeError, match="not been run"):
        list(strategy.list_models())


def test_what_another_space_had_is_refused() -> None:
    state = searched(RandomSearch(seed=0), 3).state_dict()
    other = RandomSearch(seed=0)
    other.load_state_dict(state)
    with pytest.raises(EngineError, match="`space`"):
        searched(other, space=TinySpace())
    renamed = RandomSearch(seed=0, objectives=["extra:min"])
    renamed.load_state_dict(state)
    with pytest.raises(EngineError, match="`objectives`"):
        searched(renamed, space=SmallSpace())
