"""The trials of an experiment as strategies see them; needs no NNI."""

from __future__ import annotations

import pytest

import nas_plugins as nap
from nas_plugins.errors import EngineError
from nas_plugins.history import Objective
from nas_plugins.nni import _state
from nas_plugins.nni._state import ExperimentLog


def test_a_trial_that_hangs_slows_nothing_down_and_may_still_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The history is that of all trials, whatever is kept of those behind the one that hangs."""
    monkeypatch.setattr(_state, "_MAX_TAIL", 5)
    space, strategy = nap.space("nasbench201"), nap.strategy("random")
    log = ExperimentLog(strategy, space, [Objective("default", "max")], entropy=0)
    for number in range(23):
        trial = log.ask()
        assert trial is not None
        if number not in (1, 2):
            log.tell(number, 2.0)
        assert len(log.history) == len(log)
    assert log._settled >= 15
    assert [trial.number for trial in log.unfinished()] == [1, 2]
    for number, left in ((2, [1]), (1, [])):
        log.tell(number, 3.0)
        assert log.history.trials[number].values == (3.0,)
        assert [trial.number for trial in log.unfinished()] == left
    assert [trial.number for trial in log.history.front] == [1, 2]
    assert len(log.history.complete) == len(log) == 23


_WRONG = [
    ("number", (None, "1", -1, 1.5)),
    ("architecture", (7, "x", None, ["a"])),
    ("state", ("gone", 7, [])),
    ("values", (None, ["x"], [1.0, 2.0], [float("nan")], [10**400], "ab")),
    ("constraints", ([], {"x": "y"}, {"x": float("nan")}, 7)),
    ("notes", (7, {"a": 7}, [])),
]


def _log_of_three() -> ExperimentLog:
    log = ExperimentLog(
        nap.strategy("random"), nap.space("nasbench201"), [Objective("default", "max")], entropy=0
    )
    for number in range(3):
        log.ask()
        log.tell(number, float(number))
    return log


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in _WRONG for value in values]
)
def test_a_trial_of_a_checkpoint_that_is_none_is_left_out_with_one_warning(
    key: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    log = _log_of_three()
    data = log.to_json()
    data["history"]["trials"][1][key] = value
    log.restore(data)
    assert [trial.number for trial in log.history.trials] == [0, 1]
    assert [log.report(number).metrics["default"] for number in (0, 1)] == [0.0, 2.0]
    (told,) = caplog.records
    assert told.getMessage().startswith("1 of 3 trials of the checkpoint are left out: trial 1: ")
    assert log.ask() is not None


@pytest.mark.parametrize("value", [None, -1, "x", {}, [1, 2], {"trials": []}], ids=repr)
@pytest.mark.parametrize("key", ["format", "history", "metrics", "intermediates", "entropy"])
def test_a_checkpoint_that_is_none_is_refused_in_one_sentence(key: str, value: object) -> None:
    data = _log_of_three().to_json()
    data[key] = value
    log = ExperimentLog(nap.strategy("random"), nap.space("nasbench201"), [Objective("default")])
    with pytest.raises(EngineError, match="checkpoint"):
        log.restore(data)
    assert len(log) == 0
