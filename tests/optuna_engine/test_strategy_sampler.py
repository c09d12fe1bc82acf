"""A strategy behaves as an Optuna sampler should: reproducible, conditioned, without repeats."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import pickle
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import optuna
import pytest
from engine_helpers import (
    SAMPLERS,
    SPACE,
    TINY,
    DistinctPair,
    Recorder,
    Scripted,
    open_storage,
    params_of,
    proposals_in_a_new_process,
    value_of,
    with_numbers,
)
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import PartialFixedSampler, RandomSampler

import nas_plugins as nap
from nas_plugins.history import Proposal, TrialState
from nas_plugins.llm import ChatSetupError
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    StrategySampler,
    history,
    suggest,
)
from nas_plugins.spaces.base import Choice
from nas_plugins.spaces.categorical import CategoricalSpace

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def _distinct(study: optuna.Study) -> int:
    return len({json.dumps(trial.params, sort_keys=True) for trial in study.trials})


# -- randomness ---------------------------------------------------------------------------


@every_sampler
def test_a_seed_fixes_the_proposals_and_other_seeds_change_them(
    sampler: type[StrategySampler],
) -> None:
    found = []
    for seed in (0, 0, 1, None):
        study = optuna.create_study(sampler=sampler(space=SPACE, seed=seed))
        study.optimize(with_numbers, n_trials=15)
        found.append(params_of(study))
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0] != found[3]


@every_sampler
def test_reseeding_changes_what_comes_next(sampler: type[StrategySampler]) -> None:
    found = []
    for reseed in (False, True):
        study = optuna.create_study(sampler=sampler(space=SPACE, seed=0))
        study.optimize(with_numbers, n_trials=3)
        if reseed:
            study.sampler.reseed_rng()
        study.optimize(with_numbers, n_trials=5)
        found.append(params_of(study))
    assert found[0][:3] == found[1][:3]
    assert all(a != b for a, b in zip(found[0][3:], found[1][3:], strict=True))


def test_reseeding_reaches_the_independent_sampler() -> None:
    inner = RandomSampler(seed=0)
    before = inner._rng.rng.get_state()[1].tolist()
    StrategySampler("random", independent_sampler=inner, seed=0).reseed_rng()
    assert inner._rng.rng.get_state()[1].tolist() != before


def test_spawned_processes_propose_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for index in range(len(SAMPLERS)):
            found = list(pool.map(proposals_in_a_new_process, [index] * 2))
            assert found[0] == found[1] == proposals_in_a_new_process(index)


@every_sampler
def test_a_resumed_study_equals_an_uninterrupted_one(
    sampler: type[StrategySampler],
) -> None:
    found = []
    for parts in ((20,), (7, 1, 12)):
        storage = optuna.storages.InMemoryStorage()
        optuna.create_study(storage=storage, study_name="s", direction="maximize")
        for n_trials in parts:
            study = optuna.load_study(
                storage=storage, study_name="s", sampler=sampler(space=SPACE, seed=5)
            )
            study.optimize(with_numbers, n_trials=n_trials)
        found.append(params_of(study))
    assert found[0] == found[1]


@every_sampler
def test_a_pickled_sampler_goes_on_alike(sampler: type[StrategySampler]) -> None:
    study = optuna.create_study(sampler=sampler(space=SPACE, seed=0))
    study.optimize(with_numbers, n_trials=8)
    copy = pickle.loads(pickle.dumps(study.sampler))
    assert type(copy) is sampler
    twin = optuna.create_study(sampler=copy)
    twin.add_trials(study.trials)
    for each in (study, twin):
        each.optimize(with_numbers, n_trials=4)
    assert params_of(study) == params_of(twin)


def test_samplers_without_a_seed_differ_but_a_pickled_copy_does_not() -> None:
    one, other = RandomArchitectureSampler(), RandomArchitectureSampler()
    assert one._entropy != other._entropy
    assert pickle.loads(pickle.dumps(one))._entropy == one._entropy


@every_sampler
def test_two_threads_repeat_nothing(sampler: type[StrategySampler]) -> None:
    study = optuna.create_study(sampler=sampler(space=SPACE, seed=0))
    study.optimize(value_of, n_trials=40, n_jobs=2)
    assert _distinct(study) == len(study.trials) == 40


# -- spaces -------------------------------------------------------------------------------


def test_a_declared_space_is_sampled_jointly_from_the_first_trial() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, space=SPACE, seed=0))
    study.optimize(with_numbers, n_trials=3)
    assert [len(h) for h in recorder.histories] == [0, 1, 2]
    assert recorder.histories[0].space == SPACE
    assert set(study.trials[0].params) == {"op0", "op1", "op2", "op3", "lr", "epochs"}


def test_without_a_space_the_common_parameters_of_few_values_are_the_strategys() -> None:
    recorder = Recorder()
    sampler = StrategySampler(recorder, seed=0, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("op", ["conv", None, 3, 2.5, True])
        trial.suggest_int("layers", 2, 8, step=2)
        trial.suggest_int("width", 1, 10**6)
        trial.suggest_int("log", 1, 8, log=True)
        trial.suggest_float("lr", 0.1, 0.3, step=0.1)
        trial.suggest_categorical("same", ["only"])
        return 0.0

    study.optimize(objective, n_trials=6)
    assert len(recorder.histories) == 5
    decisions = {d.name: (d.choices, d.ordered) for d in recorder.histories[0].space.decisions}
    assert decisions == {
        "layers": ((2, 4, 6, 8), True),
        "log": (tuple(range(1, 9)), True),
        "lr": ((0.1, 0.2, 0.3), True),
        "op": (("conv", None, 3, 2.5, True), False),
    }
    for trial in study.trials:
        assert trial.params["lr"] in (0.1, 0.2, pytest.approx(0.3))
        assert type(trial.params["layers"]) is int


def test_odd_categories_asked_for_at_once_are_given_as_they_are() -> None:
    with pytest.warns(UserWarning, match="persistent storage"):
        odd = CategoricalDistribution([(1, 2), (3, 4)])
    alike = CategoricalDistribution([1, True, 1.0])
    nan = CategoricalDistribution([float("nan"), 1.0])
    study = optuna.create_study(sampler=RandomArchitectureSampler(seed=0))
    for _ in range(4):
        trial = study.ask({"odd": odd, "alike": alike, "nan": nan})
        study.tell(trial, 0.0)
    assert {trial.params["odd"] for trial in study.trials} <= {(1, 2), (3, 4)}


@pytest.mark.parametrize("equal", [(1, True), (0.0, False), (2, 2.0)])
def test_choices_that_optuna_records_as_one_are_refused(equal: tuple[Choice, Choice]) -> None:
    space = CategoricalSpace({"a": ("x", *equal), "b": (1, 2)})
    first, second = map(re.escape, map(repr, equal))
    rule = rf"`space` must have .*'a' of CategoricalSpace.* hold {first} and {second}"
    with pytest.raises(ValueError, match=rule):
        RandomArchitectureSampler(space=space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with pytest.raises(ValueError, match=rule):
        suggest(study.ask(), space)


def test_huge_integer_ranges_are_drawn_from() -> None:
    study = optuna.create_study(sampler=RandomArchitectureSampler(seed=0))
    wide = IntDistribution(-(2**70), 2**70)
    values = [study.ask({"n": wide}).params["n"] for _ in range(20)]
    assert len(set(values)) == 20
    assert max(map(abs, values)) > 2**64


def test_conditional_objectives_still_leave_a_history() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, space=SPACE, seed=0))

    def objective(trial: optuna.Trial) -> float:
        names = ["op0", "op1"]
        if trial.suggest_categorical("op3", SPACE.decisions[3].choices) == "conv":
            names.append("op2")
        return float(
            len({trial.suggest_categorical(n, SPACE.decisions[0].choices) for n in names})
        )

    study.optimize(objective, n_trials=20)
    assert any("op2" not in trial.params for trial in study.trials)
    assert len(recorder.histories[-1].complete) == 19
    for trial, known in zip(study.trials, history(study, space=SPACE).trials, strict=True):
        assert known.architecture.choices.items() >= trial.params.items()


def test_dynamic_spaces_go_on_with_what_is_left() -> None:
    study = optuna.create_study(
        sampler=ArchiveEvolutionSampler(seed=0, n_initial=2, warn_independent_sampling=False)
    )

    def objective(trial: optuna.Trial) -> float:
        choices = [1, 2, 3] if trial.number < 5 else [1, 2, 3, 4]
        kept = trial.suggest_categorical("kept", ["a", "b", "c"])
        return trial.suggest_categorical("grows", choices) + len(kept)

    study.optimize(objective, n_trials=5)
    with pytest.raises(ValueError, match="dynamic value space"):
        study.optimize(objective, n_trials=1)
    study.optimize(
        lambda t: float(len(t.suggest_categorical("kept", ["a", "b", "c"]))), n_trials=5
    )
    assert sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials) == 10


def test_single_valued_decisions() -> None:
    space = nap.CategoricalSpace({"one": ["x"], "two": [1, 2]})
    study = optuna.create_study(sampler=RandomArchitectureSampler(space=space, seed=0))
    study.optimize(lambda t: float(len(str(suggest(t, space)))), n_trials=2)
    assert sorted(t.params["two"] for t in study.trials) == [1, 2]


@every_sampler
def test_three_objectives_and_infinite_values(sampler: type[StrategySampler]) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float, float]:
        upper = math.inf if trial.number % 3 else 1.0
        lower = -math.inf if trial.number % 2 else 0.0
        return value_of(trial), upper, lower

    directions = ["minimize", "maximize", "minimize"]
    study = optuna.create_study(directions=directions, sampler=sampler(space=SPACE, seed=0))
    study.optimize(objective, n_trials=30)
    assert _distinct(study) == 30


# -- what is given in advance -------------------------------------------------------------


@every_sampler
def test_enqueued_trials_are_kept_and_completed(sampler: type[StrategySampler]) -> None:
    study = optuna.create_study(sampler=sampler(space=SPACE, seed=0))
    whole = {"op0": "conv", "op1": "pool", "op2": "skip", "op3": "none"}
    study.enqueue_trial(whole)
    study.enqueue_trial({"op1": "none", "op3": "none"})
    study.enqueue_trial({"lr": 0.5})
    study.optimize(with_numbers, n_trials=12)
    assert study.trials[0].params.items() >= whole.items()
    assert study.trials[1].params.items() >= {"op1": "none", "op3": "none"}.items()
    assert study.trials[2].params["lr"] == 0.5
    assert _distinct(study) == 12


def test_waiting_trials_count_as_seen() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, space=TINY, seed=0))
    for choices in ({"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}):
        study.enqueue_trial(choices)
    asked = study.ask({"z": IntDistribution(0, 1)})  # takes the first of the queue
    assert asked.number == 0
    storage = study._storage
    own = storage.get_trial(storage.create_new_trial(study._study_id))
    params = study.sampler.sample_relative(
        study, own, study.sampler.infer_relative_search_space(study, own)
    )
    assert params == {"a": 2, "b": "y"}
    assert [t.state for t in recorder.histories[-1].trials] == [TrialState.RUNNING]
    assert len(recorder.histories[-1].seen) == 2  # the first may come again with another `z`
    assert [t.state for t in history(study, space=TINY).trials] == [TrialState.RUNNING] * 4


def test_the_strategy_is_told_what_is_fixed() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, space=SPACE, seed=0))
    study.enqueue_trial({"op1": "none", "lr": 0.5})
    study.optimize(with_numbers, n_trials=2)
    assert recorder.histories[0].fixed == {"op1": "none"}
    assert recorder.histories[-1].fixed == {}


@every_sampler
@pytest.mark.parametrize("declared", [True, False])
def test_partially_fixed_parameters_condition_the_rest(
    sampler: type[StrategySampler], declared: bool
) -> None:
    study = optuna.create_study(sampler=sampler(space=SPACE if declared else None, seed=0))
    study.optimize(value_of, n_trials=2)
    study.sampler = PartialFixedSampler({"op0": "pool"}, study.sampler)
    study.sampler = PartialFixedSampler({"op2": "conv"}, study.sampler)
    study.optimize(value_of, n_trials=14)
    assert all(t.params["op0"] == "pool" for t in study.trials[2:])
    assert all(t.params["op2"] == "conv" for t in study.trials[2:])
    assert _distinct(study) == 16


def test_everything_fixed_repeats_and_says_nothing_of_the_space() -> None:
    study = optuna.create_study(sampler=RandomArchitectureSampler(space=TINY, seed=0))
    study.sampler = PartialFixedSampler({"a": 1, "b": "x"}, study.sampler)
    study.optimize(lambda t: float(suggest(t, TINY).choices["a"]), n_trials=3)
    assert _distinct(study) == 1


def test_fixed_choices_that_no_architecture_has() -> None:
    space = DistinctPair()
    study = optuna.create_study(sampler=LocalSearchSampler(space=space, seed=0))
    study.enqueue_trial({"a": 1, "b": 1})
    study.enqueue_trial({"a": 1})
    for _ in range(2):
        trial = study.ask()
        params = {d.name: trial.suggest_categorical(d.name, d.choices) for d in space.decisions}
        study.tell(trial, float(params["a"]))
    assert study.trials[0].params == {"a": 1, "b": 1}
    assert study.trials[1].params["b"] != 1
    assert [t.number for t in history(study, space=space).trials] == [1]


def test_fixed_choices_that_cannot_be_completed(caplog: pytest.LogCaptureFixture) -> None:
    space = DistinctPair()
    study = optuna.create_study(sampler=LocalSearchSampler(space=space, seed=0))
    study.sampler = PartialFixedSampler({"a": 1, "b": 1}, study.sampler)
    trial = study.ask()
    own = study.sampler._base_sampler  # a wrapper that asks for all parameters nevertheless
    params = own.sample_relative(
        study, study._storage.get_trial(trial._trial_id), _distributions(space)
    )
    assert params["a"] != params["b"]
    assert "the fixed parameters admit no architecture" in caplog.text


def _distributions(space: nap.SearchSpace) -> dict[str, BaseDistribution]:
    return {d.name: CategoricalDistribution(d.choices) for d in space.decisions}


def test_a_retried_trial_keeps_what_the_dead_one_had() -> None:
    study = optuna.create_study(sampler=RandomArchitectureSampler(space=SPACE, seed=0))
    dead = study.ask()
    first = dead.suggest_categorical("op0", SPACE.decisions[0].choices)
    study._storage.set_trial_state_values(dead._trial_id, optuna.trial.TrialState.FAIL)
    retry = optuna.storages.RetryFailedTrialCallback  # the name that 4.8 has too
    with pytest.warns() if optuna.__version__ >= "4.9" else _nothing():
        callback = retry()
    callback(study, study.trials[0])
    study.optimize(value_of, n_trials=1)
    assert study.trials[1].params["op0"] == first
    assert study.trials[1].state == optuna.trial.TrialState.COMPLETE


def _nothing() -> object:
    from contextlib import nullcontext

    return nullcontext()


# -- studies and pruners ------------------------------------------------------------------


@every_sampler
def test_hyperband(sampler: type[StrategySampler]) -> None:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    for space in (SPACE, None):
        study = optuna.create_study(sampler=sampler(space=space, seed=0), pruner=pruner)

        def objective(trial: optuna.Trial) -> float:
            value = value_of(trial)
            for step in range(9):
                trial.report(value + step, step)
                if trial.should_prune():
                    raise optuna.TrialPruned
            return value

        study.optimize(objective, n_trials=30)
        assert {t.state.name for t in study.trials} == {"COMPLETE", "PRUNED"}
        assert _distinct(study) >= 29  # without a space, the first trials are independent


@pytest.mark.parametrize("shared", [True, False])
def test_one_sampler_serves_two_studies(shared: bool) -> None:
    storage = optuna.storages.InMemoryStorage() if shared else None
    sampler = RandomArchitectureSampler(seed=0, warn_independent_sampling=False)
    studies = [optuna.create_study(sampler=sampler, storage=storage) for _ in range(2)]
    for _ in range(4):
        studies[0].optimize(value_of, n_trials=2)
        studies[1].optimize(
            lambda t: float(t.suggest_categorical("a", [1, 2]) + t.suggest_int("b", 0, 3)),
            n_trials=1,
        )
    assert _distinct(studies[0]) == 8
    assert _distinct(studies[1]) == 4


@pytest.mark.parametrize("declared", [True, False])
def test_a_study_made_anew_under_the_same_id_is_not_mistaken(
    declared: bool, tmp_path: Path
) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    recorder = Recorder()
    sampler = StrategySampler(recorder, space=SPACE if declared else None, seed=0)
    for _ in range(2):
        study = optuna.create_study(study_name="s", storage=storage, sampler=sampler)
        study.optimize(value_of, n_trials=5)
        optuna.delete_study(study_name="s", storage=storage)
    expected = [0, 1, 2, 3, 4] if declared else [1, 2, 3, 4]
    assert [len(h) for h in recorder.histories] == expected * 2


def test_caches_are_bounded() -> None:
    sampler = RandomArchitectureSampler(space=TINY, seed=0)
    storage = optuna.storages.InMemoryStorage()
    for _ in range(12):
        optuna.create_study(storage=storage, sampler=sampler).optimize(
            lambda t: float(suggest(t, TINY).choices["a"]), n_trials=1
        )
    assert len(sampler._memories._kept[storage]) <= 8


# -- exhaustion and failure ---------------------------------------------------------------


@every_sampler
@pytest.mark.parametrize("space", [TINY, DistinctPair()])
def test_an_exhausted_space_is_told_once_and_repeats(
    sampler: type[StrategySampler], space: nap.SearchSpace, caplog: pytest.LogCaptureFixture
) -> None:
    study = optuna.create_study(sampler=sampler(space=space, seed=0))
    with caplog.at_level(logging.WARNING, "nas_plugins"):
        study.optimize(lambda t: float(suggest(t, space).indices[0]), n_trials=space.size + 4)
    assert _distinct(study) == space.size
    assert len({json.dumps(t.params) for t in study.trials[: space.size]}) == space.size
    assert [r.message for r in caplog.records if "repeats" in r.message] == [
        f"Trial#{space.size} repeats an architecture: the study has seen all of {space!r}"
    ]


def test_duplicates_are_allowed_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    sampler = RandomArchitectureSampler(space=TINY, seed=0, avoid_duplicates=False)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda t: float(suggest(t, TINY).choices["a"]), n_trials=10)
    assert _distinct(study) < 10
    assert not [r for r in caplog.records if r.name.startswith("nas_plugins")]


def _raise(history: object) -> None:
    raise RuntimeError("the model is away")


def test_a_failure_that_may_pass_costs_no_trial_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = optuna.create_study(sampler=StrategySampler(Scripted(_raise), space=SPACE, seed=0))
    study.optimize(value_of, n_trials=3)
    assert _distinct(study) == 3
    found = history(study, space=SPACE)
    assert [dict(t.notes) for t in found.trials] == [
        {"fallback": "random, as the strategy failed: RuntimeError: the model is away"}
    ] * 3
    assert sum(r.exc_info is not None for r in caplog.records) == 1
    assert nap.SearchResult(found).counts()["fallback"] == 3


def _lacks(history: object) -> None:
    raise nap.errors.MissingDependencyError("needs torch; run: pip install torch")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (_lacks, ImportError, "needs torch"),
        (lambda h: [None], nap.errors.PluginError, "`propose` must return proposals, got None"),
        (
            lambda h: [Proposal(TINY.sample(np.random.default_rng(0)))],
            nap.errors.PluginError,
            r"of CategoricalSpace\(4 decisions, size 256\), got one of CategoricalSpace\(2",
        ),
    ],
)
@pytest.mark.parametrize("space", [SPACE, None])
def test_what_cannot_heal_ends_the_study(
    space: object, answer: object, error: type[Exception], text: str
) -> None:
    sampler = StrategySampler(Scripted(answer), space=space, seed=0)  # type: ignore[arg-type]
    study = optuna.create_study(sampler=sampler)
    with pytest.raises(error, match=text):
        study.optimize(value_of, n_trials=3)
    assert len(study.trials) == (1 if space is not None else 2)


@pytest.mark.parametrize(
    ("llm", "error", "text"),
    [
        ("openai", ChatSetupError, "`openai` must name a model"),
        ("transformers:a/b", nap.errors.MissingDependencyError, "pip install"),
    ],
)
def test_a_language_model_that_cannot_be_used_ends_the_study(
    llm: str, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    study = optuna.create_study(sampler=LLMCoEvolutionSampler(llm=llm, space=SPACE, seed=0))
    with pytest.raises(error, match=text):
        study.optimize(value_of, n_trials=3)
    assert len(study.trials) == 1


def test_a_taken_proposal_gives_way_to_the_next_candidate() -> None:
    """While one worker asks, others take what it is about to choose."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = []

    def first(found: nap.History) -> list[Proposal]:
        free = [a for a in map(SPACE.architecture, _every(SPACE)) if a.key not in found.seen]
        asked.append(len(free))
        if len(asked) <= 4:  # another worker takes the same meanwhile
            study.enqueue_trial(free[0].choices)
        return [Proposal(a) for a in free[:8]]

    study.sampler = StrategySampler(Scripted(first), space=SPACE, seed=0)
    study._storage.create_new_trial(study._study_id)
    trial = study._storage.get_trial(0)
    study.sampler.sample_relative(study, trial, _distributions(SPACE))
    assert 2 <= len(asked) <= 4
    assert "nas_plugins:note:fallback" not in study._storage.get_trial(0).system_attrs


def _every(space: nap.SearchSpace) -> list[dict[str, Choice]]:
    return [a.choices for rows in space.enumerate() for a in space.architectures(rows)]


@pytest.mark.parametrize(
    "answer", [lambda h: [], lambda h: [Proposal(t.architecture) for t in h.trials[-1:]]]
)
def test_a_strategy_without_anything_new_gives_way_to_chance(answer: object) -> None:
    study = optuna.create_study(sampler=StrategySampler(Scripted(answer), space=SPACE, seed=0))  # type: ignore[arg-type]
    study.optimize(value_of, n_trials=8)
    assert _distinct(study) == 8


# -- options ------------------------------------------------------------------------------


def test_independent_samplers_are_used_and_forwarded_to() -> None:
    calls = []

    class Inner(RandomSampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            calls.append("before")

        def after_trial(self, *args: object) -> None:
            calls.append("after")

        def sample_independent(self, study, trial, param_name, param_distribution):  # type: ignore[no-untyped-def]
            calls.append(param_name)
            return param_distribution.low

    sampler = RandomArchitectureSampler(space=SPACE, independent_sampler=Inner(), seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(with_numbers, n_trials=1)
    assert calls == ["before", "lr", "epochs", "after"]
    assert study.trials[0].params["epochs"] == 1


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="`seed` must be >= 0, got -1"):
        StrategySampler("random", seed=-1)
    with pytest.raises(TypeError, match="`strategy` must have a method `propose`, got 3"):
        StrategySampler(3)  # type: ignore[arg-type]
    with pytest.raises(nap.errors.UnknownNameError, match="did you mean 'local-search'"):
        StrategySampler("local-serch")
    with pytest.raises(TypeError, match="n_initals`; did you mean 'n_initial'"):
        ArchiveEvolutionSampler(n_initals=3)
    with pytest.raises(ValueError, match="`n_initial` must be >= 1"):
        ArchiveEvolutionSampler(n_initial=0)


def test_names_work_for_strategy_and_space() -> None:
    sampler = StrategySampler("archive-evolution", space="nasbench201", seed=0)
    assert sampler.space == nap.space("nasbench201")
    assert type(sampler.strategy).__name__ == "ArchiveEvolution"
