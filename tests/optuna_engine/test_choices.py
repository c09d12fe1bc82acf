"""Choices of any kind and number, as objectives really have them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

import nas_plugins as nap
from nas_plugins import History, Proposal
from nas_plugins.errors import EngineError, UnknownNameError, UsageError
from nas_plugins.optuna import (
    LocalSearchSampler,
    RandomArchitectureSampler,
    StrategySampler,
    continue_study,
    create_study,
    history,
    set_constraints,
    suggest,
)
from nas_plugins.strategies.random import RandomSearch

pytestmark = pytest.mark.filterwarnings("ignore:Choices for a categorical:UserWarning")


class First:
    """A class that is a choice."""


class Second:
    """Another."""


class _Watching(RandomSearch):
    """Random search that keeps the last space it was asked for."""

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        SPACES.append(history.space)
        return super().propose(history, n, rng)


SPACES: list[nap.SearchSpace] = []

Suggest = Callable[[optuna.Trial], Any]


def _categorical(*choices: Any) -> Suggest:
    return lambda trial: trial.suggest_categorical("x", list(choices))


KINDS: dict[str, tuple[Suggest, int]] = {
    "tuples": (_categorical((64,), (64, 32), (128, 64)), 3),
    "lists": (_categorical([2, 2, 2], [16, 8], [1]), 3),
    "dictionaries": (_categorical({"a": 1}, {"a": 2}), 2),
    "classes": (_categorical(First, Second), 2),
    "functions": (_categorical(len, max, min), 3),
    "np.int64": (_categorical(*np.array([1, 2, 4, 8])), 4),
    "np.float64": (_categorical(*np.array([0.1, 0.2])), 2),
    "np.str_": (_categorical(*np.array(["a", "b"])), 2),
    "np.bool_": (_categorical(*np.array([True, False])), 2),
    "1 beside True": (_categorical(1, True, "a"), 2),
    "nan": (_categorical(float("nan"), 1.0, 2.0), 3),
    "inf": (_categorical(float("inf"), 1.0), 2),
    "repeated": (_categorical("a", "b", "a"), 2),
    "many integers": (lambda t: t.suggest_int("x", 1, 2000), 2000),
    "a step": (lambda t: t.suggest_int("x", 16, 512, step=16), 32),
    "log": (lambda t: t.suggest_int("x", 1, 1024, log=True), 1024),
    "floats with a step": (lambda t: t.suggest_float("x", 0.0, 0.5, step=0.1), 6),
    "1,000 categories": (_categorical(*(f"m{i}" for i in range(1000))), 1000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_choices_is_searched_by_index(kind: str) -> None:
    ask, n = KINDS[kind]
    SPACES.clear()
    study = optuna.create_study(sampler=StrategySampler(_Watching(), seed=0))
    asked: list[Any] = []

    def objective(trial: optuna.Trial) -> float:
        asked.append(ask(trial))
        trial.suggest_categorical("y", ["p", "q", "r"])
        return 0.0

    study.optimize(objective, n_trials=4)
    assert {d.name: len(d.choices) for d in SPACES[-1].decisions} == {"x": n, "y": 3}
    found = {t.architecture.indices for t in history(study, space=SPACES[-1]).trials}
    assert len(found) == 4
    assert all(type(value) is type(asked[0]) for value in asked if kind.startswith("np."))


def test_a_choice_that_optuna_records_as_another_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = optuna.create_study(study_name="bench", sampler=RandomArchitectureSampler(seed=0))
    with caplog.at_level(logging.WARNING, "nas_plugins"):
        study.optimize(lambda t: float(bool(t.suggest_categorical("x", [1, True]))), n_trials=3)
    told = [r.getMessage() for r in caplog.records if "records as" in r.getMessage()]
    # One value is left, so Optuna need not ask for it.
    assert len(told) <= 1
    with caplog.at_level(logging.WARNING, "nas_plugins"):
        study.optimize(lambda t: float(str(t.suggest_categorical("z", [0, False, 2])) == "2"), 3)
    told = [r.getMessage() for r in caplog.records if "'z'" in r.getMessage()]
    assert len(told) == 1
    assert "'z', whose choice False Optuna records as 0" in told[0]
    assert "'bench'" in told[0]


@pytest.mark.parametrize("sampler", [RandomArchitectureSampler, LocalSearchSampler])
def test_choices_of_any_kind_are_handed_out_from_a_declared_space(
    sampler: type[StrategySampler], tmp_path: Path
) -> None:
    space = nap.CategoricalSpace(
        {"kind": [First, Second], "widths": [(64,), (64, 32), [8]], "n": range(1, 4)}
    )
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(storage=storage, sampler=sampler(space=space, seed=0))
    seen = []

    def objective(trial: optuna.Trial) -> float:
        choices = suggest(trial, space).choices
        seen.append(choices)
        assert isinstance(choices["kind"], type)
        return float(choices["n"])

    study.optimize(objective, n_trials=18)
    assert len({str(choices) for choices in seen}) == 18
    again = optuna.load_study(study_name=study.study_name, storage=storage)
    read = [t.architecture.choices for t in history(again, space=space).trials]
    assert read == seen


@pytest.mark.parametrize("sampler", [RandomArchitectureSampler, LocalSearchSampler])
def test_70_000_choices(sampler: type[StrategySampler]) -> None:
    space = nap.CategoricalSpace({"id": list(range(70_000)), "b": [0, 1]})
    study = optuna.create_study(sampler=sampler(space=space, seed=0))
    study.optimize(lambda trial: float(suggest(trial, space).choices["id"]), n_trials=4)
    numbers = [trial.params["id"] for trial in study.trials]
    assert max(numbers) > 32_767
    assert len(set(numbers)) == 4
    asked = study.ask({d.name: CategoricalDistribution(d.choices) for d in space.decisions})
    assert asked.params["id"] in range(70_000)


def test_a_space_may_be_given_by_ranges() -> None:
    given = {
        "n": optuna.distributions.IntDistribution(1, 64),
        "rate": optuna.distributions.FloatDistribution(0.0, 0.3, step=0.1),
    }
    study = optuna.create_study(sampler=LocalSearchSampler(space=given, seed=0))

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_int("n", 1, 64) + trial.suggest_float("rate", 0.0, 0.3, step=0.1)

    study.optimize(objective, n_trials=10)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 10
    with pytest.raises(ValueError, match="`space` must give decision 'lr' at most 4,096 values"):
        LocalSearchSampler(space={"lr": optuna.distributions.FloatDistribution(0.0, 1.0)})


def _narrow(trial: optuna.Trial) -> float:
    width, depth = trial.suggest_categorical("width", [8, 16]), trial.suggest_int("depth", 1, 2)
    if width == 8 and trial.number > 1:
        raise RuntimeError("too small")
    return float(width + depth)


def test_a_study_with_more_choices_keeps_its_trials() -> None:
    old = optuna.create_study(
        study_name="s", direction="maximize", sampler=LocalSearchSampler(seed=0)
    )
    old.optimize(_narrow, n_trials=4, catch=(RuntimeError,))
    old.ask()
    space = {"width": [8, 16, 32], "depth": range(1, 5), "kernel": [3, 5]}
    new = continue_study(old, space=space, defaults={"kernel": 3})
    assert new.study_name == "s-continued"
    assert [t.state for t in new.trials] == [t.state for t in old.trials[:-1]]
    assert all(t.params["kernel"] == 3 for t in new.trials)
    read = history(new, space=space)
    assert [t.values for t in read.complete] == [
        (t.value,) for t in old.trials if t.value is not None
    ]
    new.optimize(
        lambda t: float(
            t.suggest_categorical("width", [8, 16, 32])
            + t.suggest_int("depth", 1, 4)
            + t.suggest_categorical("kernel", [3, 5])
        ),
        n_trials=24 - len({tuple(sorted(t.params.items())) for t in new.trials}),
    )
    assert len({tuple(sorted(t.params.items())) for t in new.trials}) == 24
    assert new.best_value == 32 + 4 + 5
    with pytest.raises(EngineError, match="study 's-continued' exists already"):
        continue_study(old, space=space, defaults={"kernel": 3})


def test_what_a_continued_study_leaves_out_or_refuses(caplog: pytest.LogCaptureFixture) -> None:
    old = optuna.create_study(study_name="s", sampler=RandomArchitectureSampler(seed=0))
    old.optimize(lambda t: float(t.suggest_categorical("a", [1, 2])), n_trials=2)
    new = continue_study(old, space={"a": [2, 3]})
    assert [trial.params for trial in new.trials] == [{"a": 2}]
    assert "1 trial of study 's' left out" in caplog.text
    with pytest.raises(UsageError, match=r"`defaults` must name .*'a'.*7"):
        continue_study(old, space={"a": [2, 3]}, defaults={"a": 7}, name="t")
    with pytest.raises(UnknownNameError, match="'b'"):
        continue_study(old, space={"a": [2, 3]}, defaults={"b": 7}, name="t")


def test_a_continued_study_of_ours_knows_its_new_space_and_constraints() -> None:
    old = create_study({"a": [1, 2]}, ["x:max"], strategy="local-search", seed=0, name="s")
    trial = old.ask()
    suggest(trial, {"a": [1, 2]})
    set_constraints(trial, {"size": 1.0})
    old.tell(trial, 3.0)
    new = continue_study(old, space={"a": [1, 2, 3]})
    read = history(new)
    assert read.space.size == 3
    assert [o.name for o in read.objectives] == ["x"]
    assert [dict(t.constraints) for t in read.trials] == [{"size": 1.0}]


def _created(space: dict[str, list[Any]], storage: optuna.storages.BaseStorage) -> optuna.Study:
    return create_study(
        space, ["x:max"], strategy="random", name="s", storage=storage, resume=True
    )


def _loaded(space: dict[str, list[Any]], storage: optuna.storages.BaseStorage) -> optuna.Study:
    sampler = RandomArchitectureSampler(space=space, seed=0)
    return optuna.load_study(study_name="s", storage=storage, sampler=sampler)


@pytest.mark.parametrize(
    ("resume", "words"),
    [
        (_created, r"has `space` 'options' 'decisions' 'a' \[1, 2\], not \[1, 2, 4\].*"),
        (_loaded, r"has 'a' with the choices \[1, 2\], not \[1, 2, 4\].*"),
    ],
)
def test_a_study_that_is_resumed_with_other_choices_says_which_and_what_to_do(
    resume: Callable[..., optuna.Study], words: str
) -> None:
    def lengths(space: dict[str, list[Any]]) -> Callable[[optuna.Trial], float]:
        return lambda trial: float(len(str(suggest(trial, space))))

    storage = optuna.storages.InMemoryStorage()
    narrow, wide = {"a": [1, 2], "b": [3, 4]}, {"a": [1, 2, 4], "b": [3, 4]}
    _created(narrow, storage).optimize(lengths(narrow), n_trials=2)
    resume(narrow, storage).optimize(lengths(narrow), n_trials=1)
    with pytest.raises(EngineError, match=f"study 's' {words}continue_study"):
        resume(wide, storage).optimize(lengths(wide), n_trials=1)
    states = [trial.state for trial in storage.get_all_trials(0)]
    assert optuna.trial.TrialState.RUNNING not in states
