"""The tuner for NNI's hyperparameter search."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nni")

import nni
from nni.tools.package_utils import (
    AlgoMeta,
    create_builtin_class_instance,
    create_customized_class_instance,
    get_algo_meta,
)
from nni.tools.package_utils.tuner_factory import create_validator_instance

from nas_plugins.errors import EngineError, UnknownNameError
from nas_plugins.history import TrialState
from nas_plugins.nni import ArchVQTuner, StrategyTuner, algo_meta, register_tuner

SPACE = {
    "kernel": {"_type": "choice", "_value": [[1, 1], [3, 3]]},
    "act": {"_type": "choice", "_value": ["relu", "gelu", None]},
    "depth": {"_type": "randint", "_value": [1, 5]},
    "width": {"_type": "choice", "_value": [16, 32]},
}
SMALL = {"n_initial": 4, "n_candidates": 16, "predictor": "ridge", "model": "none"}


def result_of(values: dict[str, Any]) -> dict[str, float]:
    quality = values["depth"] * values["width"] + (values["act"] == "gelu")
    return {"default": quality, "latency_ms": float(quality**2) * values["kernel"][0]}


def run(tuner: StrategyTuner, n_trials: int, *, start: int = 0) -> list[dict[str, Any]]:
    """What NNI's dispatcher does, without its service."""
    seen = []
    for parameter_id in range(start, start + n_trials):
        (values,) = tuner.generate_multiple_parameters([parameter_id])
        seen.append(values)
        tuner.receive_trial_result(parameter_id, values, result_of(values), customized=False)
        tuner.trial_end(parameter_id, True)
    return seen


def tuner(kind: type[StrategyTuner] = StrategyTuner, **options: Any) -> Any:
    made = kind(**options)
    made.update_search_space(SPACE)
    return made


@pytest.mark.parametrize(("kind", "options"), [(StrategyTuner, {}), (ArchVQTuner, SMALL)])
def test_parameters_are_values_of_the_space_and_never_repeat(
    kind: type[StrategyTuner], options: dict[str, Any]
) -> None:
    found = tuner(kind, seed=0, **options)
    seen = run(found, 20)
    for values in seen:
        assert list(values) == list(SPACE)
        assert values["kernel"] in ([1, 1], [3, 3])
        assert values["act"] in ("relu", "gelu", None)
        assert type(values["depth"]) is int
        assert 1 <= values["depth"] < 5
    assert len({repr(values) for values in seen}) == 20
    assert [t.values for t in found.history.complete] == [
        (result_of(values)["default"],) for values in seen
    ]


def test_the_whole_space_is_searched_and_then_nothing_more_comes() -> None:
    found = tuner(seed=0)
    assert len({repr(v) for v in run(found, 48)}) == 48
    with pytest.raises(nni.NoMoreTrialError):
        found.generate_parameters(48)
    assert found.generate_multiple_parameters([49, 50]) == []


def test_several_objectives() -> None:
    found = tuner(objectives=["default:max", "latency_ms:min"], seed=0)
    run(found, 30)
    front = found.pareto_front()
    assert len(front) > 1
    for entry in front:
        assert dict(entry.values) == result_of(entry.sample)
    minimised = tuner(optimize_mode="minimize", seed=0)
    run(minimised, 30)
    (best,) = {e.values["default"] for e in minimised.pareto_front()}
    assert best == min(t.values[0] for t in minimised.history.trials)


def test_the_same_seed_gives_the_same_parameters() -> None:
    assert run(tuner(seed=4), 15) == run(tuner(seed=4), 15)
    assert run(tuner(seed=4), 15) != run(tuner(seed=5), 15)


def test_a_resumed_experiment_goes_on_from_its_trials() -> None:
    first = tuner(objectives=["default:max", "latency_ms:min"], seed=4)
    seen = run(first, 10)
    # What NNI's manager hands back: finished trials with their whole results.
    second = tuner(objectives=["default:max", "latency_ms:min"], seed=4)
    second.import_data([{"parameter": v, "value": result_of(v)} for v in seen])
    assert second.history == first.history
    assert run(second, 10, start=10) == run(first, 10, start=10)


def test_imported_trials_that_do_not_fit_are_left_out() -> None:
    found = tuner(seed=0)
    found.import_data(
        [
            {"parameter": {"kernel": [5, 5], "act": "relu", "depth": 1, "width": 16}, "value": 1},
            {"parameter": {"act": "relu"}, "value": 1},
            {"parameter": {"kernel": [3, 3], "act": None, "depth": 1, "width": 16}, "value": 2},
        ]
    )
    assert [t.values for t in found.history.trials] == [(2.0,)]


def test_trials_that_fail_are_failures() -> None:
    found = tuner(seed=0)
    found.generate_parameters(0)
    found.trial_end(0, False)
    values = found.generate_parameters(1)
    found.receive_trial_result(1, values, {"accuracy": 1.0})
    found.trial_end(1, True)
    found.generate_parameters(2)
    found.trial_end(2, True)
    assert [t.state for t in found.history.trials] == [TrialState.FAILED] * 3
    assert [t.notes["reason"] for t in found.history.trials] == [
        "the trial failed; see its log",
        "the evaluation reported no metric 'default'; it reported ['accuracy']",
        "the evaluation reported no final result",
    ]
    found.receive_trial_result(99, {}, 1.0)
    found.trial_end(99, True)


@pytest.mark.parametrize(
    "spec",
    [
        {"_type": "uniform", "_value": [0, 1]},
        {"_type": "randint", "_value": [0, 100]},
        {"_type": "choice", "_value": []},
        {"_type": "choice", "_value": [{"_name": "nested"}]},
        "choice",
    ],
)
def test_parameters_that_are_no_choices_are_named(spec: Any) -> None:
    with pytest.raises(ValueError, match="parameter 'lr'"):
        StrategyTuner().update_search_space({"lr": spec})


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="`optimize_mode` must be 'maximize' or 'minimize'"):
        StrategyTuner(optimize_mode="max")
    with pytest.raises(UnknownNameError, match="archive-evolution"):
        StrategyTuner("archive-evolutoin")
    with pytest.raises(TypeError, match="ArchVQTuner: unknown option `n_intial`"):
        ArchVQTuner(n_intial=3)
    with pytest.raises(EngineError, match="no search space yet"):
        StrategyTuner().generate_parameters(0)
    found = tuner()
    found.update_search_space(SPACE)
    with pytest.raises(EngineError, match="cannot change"):
        found.update_search_space({"act": SPACE["act"]})


def test_nni_finds_the_tuner_by_its_class_name() -> None:
    made = create_customized_class_instance(
        {"className": "nas_plugins.nni.ArchVQTuner", "codeDirectory": ".", "classArgs": SMALL}
    )
    assert type(made) is ArchVQTuner
    assert pickle.loads(pickle.dumps(ArchVQTuner)) is ArchVQTuner


def test_nni_finds_the_tuner_by_its_name_once_registered(nni_home: Path) -> None:
    assert algo_meta().is_file()
    assert register_tuner() == "ArchVQ"
    meta = get_algo_meta("archvq")
    assert isinstance(meta, AlgoMeta)
    assert not meta.is_builtin
    made = create_builtin_class_instance("ArchVQ", dict(SMALL), "tuners")
    assert type(made) is ArchVQTuner
    validator = create_validator_instance("tuners", "ArchVQ")
    validator.validate_class_args(**SMALL)
    with pytest.raises(TypeError, match="did you mean 'n_initial'"):
        validator.validate_class_args(n_intial=3)
