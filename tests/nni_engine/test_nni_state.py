"""The trials of an experiment as strategies see them; needs no NNI."""

from __future__ import annotations

import pytest

import nas_plugins as nap
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
