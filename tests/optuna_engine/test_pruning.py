"""Evaluators that report are pruned in studies of one objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
import pytest
from engine_helpers import SPACE
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial, TrialState

import nas_plugins as nap
from nas_plugins.errors import EvaluationError, NasPluginsError
from nas_plugins.optuna import create_study, history, objective
from nas_plugins.protocols import Metric, Report, as_evaluator


@dataclass(frozen=True)
class Curves:
    """The sum of the choice indices, told step by step."""

    steps: int = 9
    failing: bool = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("sum", "", "max"), Metric("cost", "", "min"))

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        return [{"sum": float(sum(a.indices)), "cost": 1.0} for a in architectures]

    def evaluate_reporting(
        self, architecture: nap.Architecture, report: Report
    ) -> dict[str, float]:
        row = self.evaluate([architecture])[0]
        for step in range(1, self.steps):
            report(step, {"sum": row["sum"] * step / self.steps, "cost": math.nan})
        if self.failing:
            raise EvaluationError("out of memory in epoch 9")
        return row


class PruneAt(BasePruner):
    """Prunes every trial with an even number at one step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return trial.number % 2 == 0 and trial.last_step == self.step


def _study(pruner: BasePruner | None, *objectives: str) -> optuna.Study:
    return create_study(SPACE, objectives or ["sum:max"], strategy="random", seed=0, pruner=pruner)


def test_a_pruned_trial_has_its_values_so_far_and_a_reason() -> None:
    study = _study(PruneAt(4))
    study.optimize(objective(Curves(), SPACE, ["sum:max"]), n_trials=6)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.PRUNED, TrialState.COMPLETE] * 3
    for trial in study.trials[::2]:
        assert list(trial.intermediate_values) == [1, 2, 3, 4]
        assert trial.user_attrs["nas_plugins:reason"] == "pruned at step 4 by PruneAt"
    for trial in study.trials[1::2]:
        assert list(trial.intermediate_values) == list(range(1, 9))
        assert trial.user_attrs == {"metric:cost": 1.0}
    found = history(study)
    assert len(found.complete) == 3
    assert len(found.seen) == 6


def test_pruned_architectures_are_not_proposed_again() -> None:
    study = _study(PruneAt(1))
    study.optimize(objective(Curves(), SPACE, ["sum:max"]), n_trials=40)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 40


@pytest.mark.parametrize("pruner", [MedianPruner(), HyperbandPruner()])
def test_optunas_pruners_end_the_worse_trials(pruner: BasePruner) -> None:
    study = _study(pruner)
    study.optimize(objective(Curves(), SPACE, ["sum:max"]), n_trials=40)
    sums = {
        state: [value.intermediate_values[1] for value in study.get_trials(states=(state,))]
        for state in (TrialState.PRUNED, TrialState.COMPLETE)
    }
    assert len(sums[TrialState.PRUNED]) >= 5
    means = {state: sum(values) / len(values) for state, values in sums.items()}
    assert means[TrialState.PRUNED] < means[TrialState.COMPLETE]


def test_nothing_is_pruned_with_no_pruner_and_everything_is_reported() -> None:
    study = _study(NopPruner())
    study.optimize(objective(Curves(), SPACE, ["sum:max"]), n_trials=10)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert all(len(trial.intermediate_values) == 8 for trial in study.trials)


def test_what_is_not_the_objective_and_what_is_no_number_is_not_reported() -> None:
    study = _study(PruneAt(1), "cost:min")
    study.optimize(objective(Curves(), SPACE, ["cost:min"]), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert study.trials[0].intermediate_values == {}


def test_several_objectives_are_evaluated_without_reports() -> None:
    study = _study(PruneAt(1), "sum:max", "cost:min")
    study.optimize(objective(Curves(), SPACE, ["sum:max", "cost:min"]), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert study.trials[0].intermediate_values == {}


def test_constraints_and_other_metrics_are_kept_where_there_are_reports() -> None:
    study = _study(NopPruner())
    study.optimize(objective(Curves(), SPACE, ["sum:max"], constraints=["cost<=0"]), n_trials=3)
    assert [trial.violation for trial in history(study).trials] == [1.0] * 3


def test_a_failed_evaluation_fails_its_trial_and_the_search_goes_on() -> None:
    study = _study(NopPruner())
    function = objective(Curves(failing=True), SPACE, ["sum:max"])
    with pytest.raises(EvaluationError):
        study.optimize(function, n_trials=1)
    study.optimize(function, n_trials=2, catch=NasPluginsError)
    for trial in study.trials:
        assert trial.state == TrialState.FAIL
        assert trial.user_attrs["nas_plugins:reason"] == "out of memory in epoch 9"


def test_evaluators_without_reports_are_asked_as_ever() -> None:
    complexity = nap.evaluator("complexity")
    assert as_evaluator(Curves()).reports
    assert not complexity.reports
    cell = nap.space("nasbench201").architectures([[3] * 6])[0]
    steps: list[int] = []

    def report(step: int, metrics: Mapping[str, float]) -> None:
        steps.append(step)

    assert complexity.evaluate_reporting(cell, report) == complexity.evaluate([cell])[0]
    assert steps == []


def test_combined_evaluators_pass_reports_on_under_their_names() -> None:
    both = nap.combine({"slow": Curves(), "fast": Curves(steps=2)}, ["slow.sum", "fast.cost"])
    study = create_study(SPACE, ["slow.sum:max"], strategy="random", seed=0, pruner=PruneAt(3))
    study.optimize(objective(both, SPACE, ["slow.sum:max"]), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert list(study.trials[0].intermediate_values) == [1, 2, 3]


def test_a_training_is_pruned_and_goes_on_from_its_checkpoint(tmp_path) -> None:
    pytest.importorskip("torch")
    import numpy as np

    from nas_plugins.evaluators.training import Dataset, TrainingEvaluator

    space = nap.space("nasbench201")
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(24, 1, 4, 4)), np.arange(24) % 3
    evaluator = TrainingEvaluator(
        dataset=Dataset.from_arrays((images, labels), (images, labels)),
        network={"channels": 2, "cells": 1},
        epochs=4,
        device="cpu",
        checkpoints=tmp_path,
    )
    study = create_study(space, ["val_accuracy:max"], strategy="random", seed=0, pruner=PruneAt(2))
    study.optimize(objective(evaluator, space, ["val_accuracy:max"]), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert len(list(tmp_path.iterdir())) == 2
    study.pruner = NopPruner()
    study.enqueue_trial(study.trials[0].params)
    study.optimize(objective(evaluator, space, ["val_accuracy:max"]), n_trials=1)
    pruned, again = study.trials[0], study.trials[2]
    assert again.state == TrialState.COMPLETE
    values = [again.intermediate_values[step] for step in (1, 2)]
    assert values == [pruned.intermediate_values[step] for step in (1, 2)]
