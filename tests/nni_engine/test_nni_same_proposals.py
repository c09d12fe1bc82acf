"""Same seed and same history: the same proposals under NNI and Optuna."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nni")

import optuna
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.hub.pytorch import NasBench201
from nni.nas.space import SimplifiedModelSpace

import nas_plugins as nap
import nas_plugins.nni
from nas_plugins.errors import DataError
from nas_plugins.optuna import create_study, history, objective

N_TRIALS = 60
BOTH = ["val_accuracy:max", "latency_ms:min"]
SMALL = {"n_candidates": 32, "predictor": "ridge"}


@pytest.mark.parametrize(
    "objectives", [["val_accuracy:max"], ["val_accuracy:max", "latency_ms:min"]]
)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arch-vq", SMALL),
        ("archive-evolution", {}),
        ("graph-gp", {"start": "random"}),
        ("llm-coevolution", {"llm": "null", "n_initial": 2}),
        ("local-search", {}),
        ("random", {}),
    ],
    ids=["arch-vq", "archive-evolution", "graph-gp", "llm-coevolution", "local-search", "random"],
)
def test_both_engines_search_alike(
    name: str, options: dict[str, Any], objectives: list[str]
) -> None:
    try:
        table = nap.benchmark("nasbench201/cifar10")
    except DataError as error:
        pytest.skip(str(error))
    strategy = nap.strategy(name, **options)
    space = nap.space("nasbench201")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = create_study(space, objectives, strategy=strategy, seed=5)
    study.optimize(objective(table, space, objectives), n_trials=N_TRIALS)

    ours = nas_plugins.nni.strategy(name, seed=5, **options)
    evaluator = nas_plugins.nni.evaluator(table, objectives=objectives)
    models = SimplifiedModelSpace.from_model(NasBench201(), evaluator)
    ours(models, SequentialExecutionEngine(max_model_count=N_TRIALS))

    assert len(ours.history) == N_TRIALS
    assert ours.history == history(study)
