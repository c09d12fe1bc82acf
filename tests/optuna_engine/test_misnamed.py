"""A declared space and an objective that uses other names: told once, and nothing is made up."""

from __future__ import annotations

import logging

import optuna
import pytest
from engine_helpers import SPACE, Recorder

from nas_plugins.optuna import ArchiveEvolutionSampler, StrategySampler, history

OPS = SPACE.decisions[0].choices


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("nas_plugins")]


def test_decisions_by_other_names_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, space=SPACE, seed=0))
    with caplog.at_level(logging.WARNING, "nas_plugins"):
        study.optimize(
            lambda t: float(sum(len(t.suggest_categorical(f"cell.op{i}", OPS)) for i in range(4))),
            n_trials=8,
        )
    (text,) = _told(caplog)
    assert "has not asked for 'op0', 'op1', 'op2', 'op3' of CategoricalSpace" in text
    assert "'op0' may be its 'cell.op0'" in text
    assert history(study, space=SPACE).trials == ()
    assert all(not h.trials for h in recorder.histories)


def test_one_name_among_others_is_told_and_conditions_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for names, count in ((["op0", "op1", "op2", "x.op3"], 1), (["op0", "op1"], 0)):
        caplog.clear()
        study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=SPACE, seed=0))
        with caplog.at_level(logging.WARNING, "nas_plugins"):
            study.optimize(
                lambda t: float(sum(len(t.suggest_categorical(n, OPS)) for n in names)),  # noqa: B023
                n_trials=5,
            )
        assert len([t for t in _told(caplog) if "has not asked for" in t]) == count
        assert len(history(study, space=SPACE).trials) == 5


def test_enqueued_trials_that_use_other_names_leave_no_history() -> None:
    study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=SPACE, seed=0))
    study.enqueue_trial({f"op{i}": "conv" for i in range(4)})
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    assert history(study, space=SPACE).trials == ()


def test_a_decision_that_optuna_refuses_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def other_kind(trial: optuna.Trial) -> float:
        return trial.suggest_categorical("a", [1, 2]) + trial.suggest_float("b", 1.0, 4.0)

    def fewer(trial: optuna.Trial) -> float:
        return trial.suggest_categorical("a", [1, 2]) + trial.suggest_categorical("b", [1, 2])

    for objective in (other_kind, fewer):
        caplog.clear()
        sampler = ArchiveEvolutionSampler(space={"a": [1, 2], "b": [1, 2, 4]}, seed=0)
        study = optuna.create_study(sampler=sampler)
        with caplog.at_level(logging.WARNING, "nas_plugins"):
            study.optimize(objective, n_trials=3, catch=ValueError)
        (text,) = [text for text in _told(caplog) if "failed before" in text]
        assert "Trial#0 failed before it had 'b' of CategoricalSpace(2 decisions, size 6)" in text
        assert "as a choice of [1, 2, 4]" in text


def test_a_condition_is_not_taken_for_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    def shallow(trial: optuna.Trial) -> float:
        deep = trial.suggest_categorical("deep", [False, True])
        if trial.number == 3:
            raise RuntimeError("out of memory")
        return trial.suggest_categorical("width", [1, 2]) if deep and trial.number < 0 else 0.0

    sampler = ArchiveEvolutionSampler(space={"deep": [False, True], "width": [1, 2]}, seed=0)
    study = optuna.create_study(sampler=sampler)
    with caplog.at_level(logging.WARNING, "nas_plugins"):
        study.optimize(shallow, n_trials=5, catch=RuntimeError)
    assert not [text for text in _told(caplog) if "failed before" in text]
