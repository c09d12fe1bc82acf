"""Objectives in which one decision switches others off: nothing is tried twice."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest
from engine_helpers import Scripted, params_of
from optuna.distributions import CategoricalDistribution
from optuna.trial import create_trial

import nas_plugins as nap
from nas_plugins.history import Proposal
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    StrategySampler,
    history,
)
from nas_plugins.sampling import Known, unseen

WIDTHS = [16, 32, 64, 128]
SPACE = nap.CategoricalSpace(
    {"n_layers": [1, 2, 3, 4], **{f"w{i}": WIDTHS for i in range(4)}}
)  # 1,024 rows, 340 configurations


def layers(trial: optuna.Trial) -> float:
    """Best, 0, with two layers of 32 and 64."""
    n = trial.suggest_categorical("n_layers", [1, 2, 3, 4])
    widths = [trial.suggest_categorical(f"w{i}", WIDTHS) for i in range(n)]
    off = sum(abs(WIDTHS.index(width) - (i + 1)) for i, width in enumerate(widths))
    return float(-abs(n - 2) - off)


def _distinct(study: optuna.Study) -> int:
    return len({json.dumps(p, sort_keys=True) for p in params_of(study)})


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    "sampler", [ArchiveEvolutionSampler, LocalSearchSampler, RegularizedEvolutionSampler]
)
def test_conditional_objectives_are_searched_without_repeats(
    sampler: type[StrategySampler], declared: bool
) -> None:
    for seed in range(3):
        study = optuna.create_study(
            direction="maximize", sampler=sampler(space=SPACE if declared else None, seed=seed)
        )
        study.optimize(layers, n_trials=60)
        assert _distinct(study) >= 59
        assert study.best_value == 0


def test_a_small_conditional_space_is_seen_completely_and_then_repeats() -> None:
    study = optuna.create_study(sampler=RandomArchitectureSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("deep", [False, True]):
            return float(trial.suggest_int("n", 1, 3))
        return 0.0

    study.optimize(objective, n_trials=4)
    assert _distinct(study) == 4
    study.optimize(objective, n_trials=2)
    assert _distinct(study) == 4


def test_the_history_of_a_conditional_study_has_all_trials() -> None:
    study = optuna.create_study(sampler=ArchiveEvolutionSampler(seed=0))
    study.optimize(layers, n_trials=20)
    found = history(study)
    assert [d.name for d in found.space.decisions] == ["n_layers", "w0", "w1", "w2", "w3"]
    assert len(found.complete) == 20
    for trial, known in zip(study.trials, found.trials, strict=True):
        assert known.architecture.choices.items() >= trial.params.items()


def test_a_strategy_that_insists_on_what_is_known_gives_way() -> None:
    def same_layer(found: nap.History) -> list[Proposal]:
        tail = len(found) % 4
        choices = {"n_layers": 1, "w0": 16, "w1": WIDTHS[tail], "w2": 16, "w3": 128}
        return [Proposal(SPACE.architecture(choices))]

    study = optuna.create_study(sampler=StrategySampler(Scripted(same_layer), space=SPACE, seed=0))
    study.optimize(layers, n_trials=12)
    assert _distinct(study) == 12


def test_partial_architectures_stand_for_their_completions() -> None:
    space = nap.CategoricalSpace({f"d{i}": list(range(4)) for i in range(8)})
    few = {(0, 1, 2, 3, 4, 5): {(0, 1, 2, 3, 0, 1)}}
    many = {(0,): {(0,), (1,), (2,)}}
    for partial in (few, many):
        known = Known(frozenset([5]), space, partial)
        rows = space.random(400, np.random.default_rng(0))
        for row, key in zip(rows.tolist(), space.keys(rows).tolist(), strict=True):
            at, found = next(iter(partial.items()))
            assert (key in known) == (tuple(row[p] for p in at) in found or key == 5)
        drawn = unseen(space, 50, np.random.default_rng(1), taken=known | {7})
        assert len(drawn) == 50
        assert not any(a.key in known for a in drawn)
    large = nap.CategoricalSpace({f"d{i}": list(range(4)) for i in range(40)})  # keys are bytes
    row = large.random(1, np.random.default_rng(0))
    known = Known(frozenset(), large, {(0,): {(int(row[0, 0]),)}})
    assert large.keys(row).tolist()[0] in known


def test_a_trial_with_fewer_parameters_does_not_shrink_the_space() -> None:
    ops = CategoricalDistribution(["a", "b", "c"])

    def objective(trial: optuna.Trial) -> float:
        return float(sum(ord(trial.suggest_categorical(f"op{i}", "abc")) for i in range(4)))

    for params in ({}, {"op0": "b", "op1": "b"}):
        study = optuna.create_study(sampler=ArchiveEvolutionSampler(seed=0))
        study.add_trial(
            create_trial(value=500.0, params=params, distributions=dict.fromkeys(params, ops))
        )
        study.optimize(objective, n_trials=60)
        assert _distinct(study) == 61
        assert study.best_value == 4 * ord("a")
