"""Without a declared space no configuration comes twice, whatever the trials before have done."""

from __future__ import annotations

import json
import time
from pathlib import Path

import optuna
import pytest
from engine_helpers import open_storage, params_of

from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    RandomArchitectureSampler,
    StrategySampler,
)

both = pytest.mark.parametrize("sampler", [RandomArchitectureSampler, ArchiveEvolutionSampler])


def three(trial: optuna.Trial) -> float:
    """27 configurations."""
    found = [trial.suggest_categorical(f"op{i}", ["a", "b", "c"]) for i in range(3)]
    return float(sum(map(ord, found)))


def _distinct(study: optuna.Study) -> int:
    return len({json.dumps(p, sort_keys=True) for p in params_of(study)})


@both
def test_trials_asked_for_at_once_differ(sampler: type[StrategySampler], tmp_path: Path) -> None:
    for seed, storage in enumerate((None, None, open_storage(f"sqlite:///{tmp_path}/s.db"))):
        study = optuna.create_study(sampler=sampler(seed=seed), storage=storage)
        for trial in [study.ask() for _ in range(12)]:
            three(trial)
        assert _distinct(study) == 12


@both
def test_trials_that_run_interleaved_differ(sampler: type[StrategySampler]) -> None:
    """One parameter of each trial after the other: none is complete, none knows all names."""
    for seed in range(4):
        study = optuna.create_study(sampler=sampler(seed=seed))
        trials = [study.ask() for _ in range(9)]
        for i in range(3):
            for trial in trials:
                trial.suggest_categorical(f"op{i}", ["a", "b", "c"])
        assert _distinct(study) == 9


@both
def test_eight_threads_repeat_nothing(sampler: type[StrategySampler]) -> None:
    for seed in range(3):
        study = optuna.create_study(sampler=sampler(seed=seed))

        def objective(trial: optuna.Trial) -> float:
            value = three(trial)
            time.sleep(0.02)
            return value

        study.optimize(objective, n_trials=24, n_jobs=8)
        assert _distinct(study) == 24


@both
@pytest.mark.parametrize("error", [RuntimeError, optuna.TrialPruned])
def test_nothing_comes_twice_while_no_trial_is_complete(
    sampler: type[StrategySampler], error: type[Exception]
) -> None:
    study = optuna.create_study(sampler=sampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        three(trial)
        raise error("out of memory")

    study.optimize(objective, n_trials=27, catch=RuntimeError)
    assert _distinct(study) == 27
