"""`nap.load_study`: studies of ours and of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

import nas_plugins as nap
from nas_plugins.errors import EngineError, UnknownNameError, UsageError
from nas_plugins.optuna import _attributes as attributes
from nas_plugins.optuna import create_study
from nas_plugins.runner import studies


def test_a_study_of_ours_comes_with_the_true_front(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    options = {"trials": 4, "seed": 0, "storage": url, "strategy": "random"}
    found = nap.search(
        "nasbench201/cifar10", objectives="val_accuracy", study="a", progress=False, **options
    )
    said: list[str] = []
    read = nap.load_study(url, say=said.append)
    assert read.history.trials == found.history.trials
    assert read.true_front == found.true_front
    assert len(read.true_front) == 1
    assert said == []


@pytest.fixture(scope="module")
def ours() -> optuna.Study:
    """A study with what `nap.search` records."""
    study = create_study("nasbench201", ["val_accuracy:max"], strategy="random", seed=0)
    study.add_trial(optuna.create_trial(value=1.0, **_first(nap.space("nasbench201"))))
    return study


def _first(space: nap.SearchSpace) -> dict[str, Any]:
    distributions = {d.name: CategoricalDistribution(d.choices) for d in space.decisions}
    params = {d.name: d.choices[0] for d in space.decisions}
    return {"params": params, "distributions": distributions}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("benchmark", 7),
        ("benchmark", []),
        ("evaluators", 7),
        ("evaluators", [7]),
        ("evaluators", "x"),
        ("strategy", {"a": 1}),
        ("constraints", [7]),
        ("constraints", {"a": 1}),
        ("benchmark_options", [7]),
        ("evaluator_options", "x"),
        ("strategy_options", -1.5),
        ("warm_start", [None]),
    ],
)
def test_a_setting_that_no_search_writes_is_left_out_with_one_warning(
    ours: optuna.Study, key: str, value: object, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    settings = {"benchmark": "nasbench201/cifar10", key: value}
    for name, content in attributes.entries("settings", json.dumps(settings)):
        ours.set_user_attr(name, content)
    monkeypatch.setattr(studies, "open_storage", lambda url, create: ours._storage)
    read = nap.load_study("sqlite://", ours.study_name)
    assert key not in read.settings
    assert len(read.summary()["front"]) == 1
    (told,) = caplog.records
    assert told.getMessage().endswith(f"left out: `{key}`")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"evaluators": None, "constraints": None, "benchmark_options": None}, ""),
        ({"constraints": ["x"]}, "x"),
        ({"benchmark": "nowhere/cifar10"}, "unknown benchmark 'nowhere'"),
    ],
)
def test_what_cannot_be_opened_again_is_said(
    ours: optuna.Study, settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = {"benchmark": "nasbench201/cifar10", **settings}
    for name, content in attributes.entries("settings", json.dumps(recorded)):
        ours.set_user_attr(name, content)
    monkeypatch.setattr(studies, "open_storage", lambda url, create: ours._storage)
    told: list[str] = []
    read = nap.load_study("sqlite://", ours.study_name, say=told.append)
    assert said in " ".join(told)
    assert bool(told) is bool(said)
    assert bool(read.true_front) is not bool(said)


def test_any_study_of_categorical_parameters(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    for name in ("mine", "other"):
        study = optuna.create_study(storage=url, study_name=name, direction="maximize")
        study.optimize(lambda t: t.suggest_categorical("width", [8, 16]), n_trials=3)
    read = nap.load_study(url, "mine")
    assert len(read.history.trials) == 3
    assert read.true_front == ()
    with pytest.raises(UsageError, match="holds 2 studies; choose one with `study`"):
        nap.load_study(url)
    with pytest.raises(UnknownNameError, match="did you mean 'mine'"):
        nap.load_study(url, "mien")
    with pytest.raises(EngineError):
        nap.load_study(f"sqlite:///{tmp_path / 'absent.db'}", "mine")
