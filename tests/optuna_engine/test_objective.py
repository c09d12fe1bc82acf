"""An evaluator as an objective function: values, constraints, reasons for failure."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
import pytest
from engine_helpers import SPACE, DistinctPair
from optuna.trial import TrialState

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, MetricUnavailableError, NasPluginsError
from nas_plugins.history import Objective
from nas_plugins.optuna import RandomArchitectureSampler, history, objective, suggest
from nas_plugins.protocols import Metric


@dataclass(frozen=True)
class Sums:
    """Measures the sum of the choice indices and its negative; more as it is told."""

    extra: tuple[tuple[str, float], ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("sum", "", "max"), Metric("cost", "", "min"))

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        return [
            {"sum": float(sum(a.indices)), "cost": 2.0 * sum(a.indices), **dict(self.extra)}
            for a in architectures
        ]


def _study(space: nap.SearchSpace, *directions: str) -> optuna.Study:
    sampler = RandomArchitectureSampler(space=space, seed=0)
    return optuna.create_study(directions=directions or ["maximize"], sampler=sampler)


def test_suggest_returns_what_the_trial_keeps() -> None:
    study = _study(SPACE)
    trial = study.ask()
    architecture = suggest(trial, SPACE)
    assert architecture.choices == trial.params
    assert suggest(trial, SPACE) == architecture


def test_one_objective_gives_a_number_and_several_a_tuple() -> None:
    study = _study(SPACE)
    study.optimize(objective(Sums(), SPACE, ["sum:max"]), n_trials=4)
    trial = study.trials[0]
    assert trial.user_attrs == {"metric:cost": 2 * trial.value}
    study = _study(SPACE, "minimize", "maximize")
    study.optimize(objective(Sums(), SPACE, [Objective("cost", "min"), "sum:max"]), n_trials=4)
    assert [t.values[0] for t in study.trials] == [2 * t.values[1] for t in study.trials]
    assert study.trials[0].user_attrs == {}


def test_constraints_make_trials_infeasible() -> None:
    study = _study(SPACE)
    limits = ["cost<=8", "sum>=1"]
    study.optimize(objective(Sums(), SPACE, ["sum:max"], constraints=limits), n_trials=30)
    found = history(study, space=SPACE)
    for trial in found.trials:
        total = trial.values[0]
        assert trial.constraints == {"cost<=8": 2 * total - 8, "sum>=1": 1 - total}
    assert max(t.values[0] for t in found.trials) > 4
    assert {t.values[0] for t in found.front} == {4.0}
    assert {t.number for t in found.front} <= {t.number for t in study.trials if t.value == 4}
    assert study.best_trials[0].value == 4  # Optuna agrees
    for trial in study.trials:  # and so does optuna-dashboard, which reads a bare list
        assert trial.system_attrs["constraints"] == [2 * trial.value - 8, 1 - trial.value]


@pytest.mark.parametrize(
    ("evaluator", "reason"),
    [
        (Sums((("sum", math.nan),)), r"metric 'sum' is not a number"),
        (Sums(), r"the evaluator returned no metric 'accuracy'; it returned \['cost'"),
    ],
)
def test_missing_values_fail_the_trial_with_a_reason(evaluator: Sums, reason: str) -> None:
    study = _study(SPACE)
    name = "accuracy" if evaluator == Sums() else "sum"
    function = objective(evaluator, SPACE, [f"{name}:max"])
    with pytest.raises(MetricUnavailableError, match=reason):
        study.optimize(function, n_trials=1)
    study.optimize(function, n_trials=2, catch=NasPluginsError)
    assert [t.state for t in study.trials] == [TrialState.FAIL] * 3
    for trial in study.trials:
        assert "metric" in trial.user_attrs["nas_plugins:reason"]
    assert len(history(study, space=SPACE).seen) == 3


def test_infinite_values_are_values() -> None:
    study = _study(SPACE)
    evaluator = Sums((("sum", math.inf), ("other", math.nan)))
    study.optimize(objective(evaluator, SPACE, ["sum:max"]), n_trials=1)
    assert study.trials[0].value == math.inf
    assert set(study.trials[0].user_attrs) == {"metric:cost"}


def test_combinations_of_another_sampler_that_are_no_architecture_are_pruned() -> None:
    space = DistinctPair()
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=2)
    )
    study.optimize(objective(Sums(), space, ["sum:max"]), n_trials=25)
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert len(pruned) + len(history(study, space=space).complete) == 25
    assert pruned
    for trial in pruned:
        assert trial.params["a"] == trial.params["b"]
        assert "`a` and `b` must differ" in trial.user_attrs["nas_plugins:reason"]
    study.enqueue_trial({"a": 1, "b": 1})
    with pytest.raises(InvalidArchitectureError, match="`a` and `b` must differ"):
        suggest(study.ask(), space)


def test_objective_functions_pickle() -> None:
    function = objective(Sums(), SPACE, ["sum:max"], constraints=["cost<=8"])
    assert pickle.loads(pickle.dumps(function)) == function


def test_malformed_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="`objectives` must not be empty"):
        objective(Sums(), SPACE, [])
    with pytest.raises(ValueError, match="`constraint` must be written"):
        objective(Sums(), SPACE, ["sum:max"], constraints=["cost<8"])
