"""What a user gives by mistake is refused by name, and what means a number is taken as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

import nas_plugins as nap
from nas_plugins.optuna import (
    LocalSearchSampler,
    continue_study,
    history,
    set_constraints,
    suggest,
)

SPACE = {"a": [1, 2, 3]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1.5}, "`seed` must be an integer, got 1.5"),
        ({"seen_states": "failed"}, "`seen_states` must be a list of states, got 'failed'"),
        ({"seen_states": optuna.trial.TrialState.FAIL}, "`seen_states` must be a list"),
        ({"independent_sampler": "tpe"}, "`independent_sampler` must be a sampler .*'tpe'"),
        ({"independent_sampler": optuna.samplers.TPESampler}, "`independent_sampler` must be"),
        ({"space": {"a": {1, 2}}}, "`choices` of decision 'a' must be a list, got {1, 2}"),
        ({"space": {1: [1, 2]}}, "`name` of a decision must be a text, got 1"),
    ],
)
def test_a_sampler_refuses_what_is_not_of_the_kind(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        LocalSearchSampler(**options)


def test_distributions_of_optuna_are_choices_unless_they_are_continuous() -> None:
    sampler = LocalSearchSampler(space={"a": CategoricalDistribution(("x", "y"))}, seed=0)
    assert sampler.space is not None
    assert sampler.space.decisions[0].choices == ("x", "y")
    with pytest.raises(ValueError, match=r"'lr' at most 4,096 values.*leave it out of `space`"):
        LocalSearchSampler(space={"lr": FloatDistribution(0, 1)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nap.Decision("a", "abc"), "`choices` of decision 'a' must be a list"),  # type: ignore[arg-type]
        (lambda: nap.Decision("a", (1, 2), ordered="yes"), "`ordered` of decision 'a' must be"),  # type: ignore[arg-type]
    ],
)
def test_a_decision_refuses_what_is_not_of_the_kind(
    make: Callable[[], nap.Decision], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(1), np.True_, True])
def test_a_constraint_may_be_any_number(value: Any) -> None:
    study = optuna.create_study(sampler=LocalSearchSampler(space=SPACE, seed=0))
    trial = study.ask()
    suggest(trial, SPACE)
    set_constraints(trial, {"size": value})
    study.tell(trial, 1.0)
    assert [dict(t.constraints) for t in history(study).trials] == [{"size": float(value)}]


def test_constraints_that_are_set_one_after_the_other_count_together() -> None:
    study = optuna.create_study(sampler=LocalSearchSampler(space=SPACE, seed=0))
    trial = study.ask()
    suggest(trial, SPACE)
    set_constraints(trial, {"size": 1.0})
    set_constraints(trial, {"latency": -1.0})
    study.tell(trial, 1.0)
    (known,) = history(study).trials
    assert dict(known.constraints) == {"size": 1.0, "latency": -1.0}
    assert study.trials[0].system_attrs["constraints"] == [1.0, -1.0]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (3, TypeError, "`values` must be a dictionary such as"),
        ([1.0], TypeError, "`values` must be a dictionary such as"),
        ({"size": "big"}, TypeError, r"`values\['size'\]` must be a number, got 'big'"),
        ({"size": float("nan")}, ValueError, r"`values\['size'\]` must be a number, got nan"),
    ],
)
def test_a_constraint_that_is_no_number_is_refused(
    values: Any, error: type[Exception], message: str
) -> None:
    trial = optuna.create_study(sampler=LocalSearchSampler(seed=0)).ask()
    with pytest.raises(error, match=message):
        set_constraints(trial, values)


@pytest.mark.parametrize(
    "ask", [lambda t: suggest(t, SPACE), lambda t: set_constraints(t, {"a": 1})]
)
def test_what_is_no_trial_is_refused(ask: Callable[[Any], object]) -> None:
    for wrong in (None, optuna.create_study()):
        with pytest.raises(TypeError, match="`trial` must be a trial that runs, got"):
            ask(wrong)


def test_a_study_is_continued_from_a_study_with_a_dictionary_of_defaults() -> None:
    with pytest.raises(TypeError, match=r"`old` must be a study.*got 'first'"):
        continue_study("first", space=SPACE)  # type: ignore[arg-type]
    old = optuna.create_study(sampler=LocalSearchSampler(seed=0))
    with pytest.raises(TypeError, match="`defaults` must be a dictionary such as"):
        continue_study(old, space=SPACE, defaults=[1])  # type: ignore[arg-type]
