"""`nap.load_study`: studies of ours and of other programs."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

import nas_plugins as nap
from nas_plugins.errors import EngineError, UnknownNameError, UsageError


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
