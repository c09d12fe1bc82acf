"""Jobs of a training service and the trials they are of: limits, kills, resumes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nni")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nni.nas.space import ModelStatus
from nni_fake_service import Node, search
from nni_helpers import metrics_of, searched

import nas_plugins as nap
from nas_plugins.history import Objective, TrialState
from nas_plugins.nni import ArchiveEvolution, NNIStrategy
from nas_plugins.nni._resume import take_over
from nas_plugins.nni._service import ServiceJob
from nas_plugins.nni._state import ExperimentLog
from nas_plugins.sampling import unseen
from nas_plugins.spaces.base import Architecture

BOTH = ("quality:max", "latency_ms:min")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_plugins.nni._running._GRACE_S", 0.0)
    monkeypatch.setattr("nas_plugins.nni._service._PATIENCE_S", 0.05)
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def evolution() -> NNIStrategy:
    return ArchiveEvolution(seed=3, objectives=BOTH, n_initial=4)


# -- which job is of which trial -----------------------------------------------------------

SPACE = nap.space("nasbench201")


def log_of(strategy: Any) -> ExperimentLog:
    """Three trials, of which the first has ended."""
    found = ExperimentLog(strategy, SPACE, [Objective("default", "max")], entropy=0)
    for _ in range(3):
        found.ask()
    found.tell(0, 1.0)
    return found


def job(architecture: Architecture, metric: Any = None, **state: Any) -> ServiceJob:
    return ServiceJob(state.pop("parameter", 0), {"text": str(architecture)}, metric, **state)


def read(sample: Mapping[str, Any]) -> Architecture:
    return SPACE.parse(sample["text"])


def another(log: ExperimentLog) -> Architecture:
    (found,) = unseen(SPACE, 1, np.random.default_rng(0), taken=log.history.seen)
    return found


@pytest.fixture
def log() -> ExperimentLog:
    return log_of(nap.strategy("random"))


def test_a_job_ends_the_trial_of_its_architecture(log: ExperimentLog) -> None:
    first, second, third = (t.architecture for t in log.history.trials)
    live, n_superseded = take_over(log, [job(first, 1.0), job(third, 3.0), job(second, 2.0)], read)
    assert [t.values for t in log.history.trials] == [(1.0,), (2.0,), (3.0,)]
    assert not live
    assert n_superseded == 0


def test_a_job_that_is_live_ends_its_trial_later(log: ExperimentLog) -> None:
    first, second, third = (t.architecture for t in log.history.trials)
    going_on = job(second, live=True, parameter=7)
    jobs = [job(first, 1.0), going_on, job(third, failed=True)]
    live, n_superseded = take_over(log, jobs, read)
    assert live == {1: going_on}
    assert [t.state.value for t in log.history.trials] == ["complete", "running", "running"]
    assert n_superseded == 1  # the third will be begun anew


def test_a_trial_that_was_begun_twice_counts_once(log: ExperimentLog) -> None:
    first, second, third = (t.architecture for t in log.history.trials)
    jobs = [job(first, 1.0), job(second, failed=True), job(second, 2.0), job(third, 3.0)]
    _, n_superseded = take_over(log, [*jobs, job(third, 3.0)], read)
    assert [t.values for t in log.history.trials] == [(1.0,), (2.0,), (3.0,)]
    assert n_superseded == 2


def test_jobs_that_no_trial_is_known_of_are_new_trials(log: ExperimentLog) -> None:
    known = [t.architecture for t in log.history.trials]
    unknown = another(log)
    jobs = [job(a, 1.0) for a in known] + [job(unknown, failed=True), job(unknown, 4.0)]
    _, n_superseded = take_over(log, jobs, read)
    assert [t.architecture for t in log.history.trials] == [*known, unknown]
    assert log.history.trials[3].values == (4.0,)
    assert n_superseded == 1


def test_a_strategy_that_repeats_itself_keeps_its_repetitions() -> None:
    log = log_of(nap.strategy("random", avoid_duplicates=False))
    again = log.history.trials[0].architecture
    jobs = [job(t.architecture, 1.0) for t in log.history.trials]
    interrupted = [job(again, failed=True), job(again, 5.0)]
    _, n_superseded = take_over(log, [*jobs, *interrupted], read)
    assert [t.values for t in log.history.trials] == [(1.0,), (1.0,), (1.0,), (5.0,)]
    assert n_superseded == 1


def test_jobs_of_another_space_are_left_out(log: ExperimentLog) -> None:
    _, n_superseded = take_over(log, [ServiceJob(0, {"text": "no cell"}, 1.0)], read)
    assert len(log) == 3
    assert n_superseded == 0


@pytest.mark.parametrize("avoid_duplicates", [True, False])
def test_taking_over_twice_changes_nothing(avoid_duplicates: bool) -> None:
    log = log_of(nap.strategy("random", avoid_duplicates=avoid_duplicates))
    first, second, third = (t.architecture for t in log.history.trials)
    jobs = [
        job(first, 1.0),
        job(second, failed=True),
        job(third, live=True),
        job(second, 2.0),
        job(another(log), 4.0),
    ]
    once = take_over(log, jobs, read), log.history
    assert (take_over(log, jobs, read), log.history) == once


# -- whole searches ------------------------------------------------------------------------


def samples_of(strategy: NNIStrategy) -> list[dict[str, Any]]:
    return [strategy._sample(trial) for trial in strategy.history.trials]


def is_whole(strategy: NNIStrategy, n_trials: int) -> bool:
    """Whether there are so many trials, all of them complete, different and right."""
    trials = strategy.history.trials
    right = all(
        trial.values == tuple(metrics_of(sample)[o.partition(":")[0]] for o in BOTH)
        for trial, sample in zip(trials, samples_of(strategy), strict=True)
    )
    complete = [trial.state is TrialState.COMPLETE for trial in trials]
    return right and all(complete) and len(strategy.history.seen) == len(trials) == n_trials


@pytest.mark.parametrize("n_trials", [1, 2, 5, 6])
def test_a_limit_is_kept_to_the_trial(n_trials: int) -> None:
    node = Node(n_trials)
    assert is_whole(search(evolution(), node), n_trials)
    assert len(node.jobs) == n_trials
    assert node.get_status() == "DONE"


def test_one_worker_finds_what_the_sequential_engine_finds() -> None:
    found = search(evolution(), Node(9, concurrency=1))
    assert found.history == searched(evolution(), 9).history


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=4))
def test_however_often_it_is_killed_the_trials_are_those_asked_for(
    kills: list[tuple[int, bool, bool]],
) -> None:
    node, state = Node(7), None
    for passes, saved, cancelled in kills:
        killed = search(evolution(), node, state=state or {}, passes=passes)
        if saved and killed._log is not None:
            state = killed.state_dict()
        if cancelled:
            node.cancel()
    found = search(evolution(), node, state=state or {})
    assert is_whole(found, 7)
    n_interrupted = sum(job.status != "SUCCEEDED" for job in node.jobs)
    assert len(node.jobs) == 7 + n_interrupted


def test_what_ran_when_it_was_killed_is_not_begun_anew() -> None:
    node = Node(6)
    killed = search(evolution(), node, passes=4)
    running = [job for job in node.jobs if job.status == "RUNNING"]
    assert running
    found = search(evolution(), node, state=killed.state_dict())
    assert is_whole(found, 6)
    assert len(node.jobs) == 6


def test_what_ends_while_it_is_taken_over_is_not_waited_for() -> None:
    node = Node(6)
    state = search(evolution(), node, passes=4).state_dict()
    listed = node.list_trial_jobs

    def late() -> list[SimpleNamespace]:
        node.list_trial_jobs = listed  # type: ignore[method-assign]
        news = [SimpleNamespace(**vars(job)) for job in listed()]
        for _ in range(4):  # all of it ends before anybody has read the news
            node.get_status()
        assert any(job.status != "SUCCEEDED" for job in news)
        assert all(job.status == "SUCCEEDED" for job in node.jobs)
        return news

    node.list_trial_jobs = late  # type: ignore[method-assign]
    assert is_whole(search(evolution(), node, state=state), 6)
    assert len(node.jobs) == 6


def test_a_resume_may_have_a_larger_limit() -> None:
    node = Node(3)
    state = search(evolution(), node).state_dict()
    node.config.max_trial_number = 8
    assert is_whole(search(evolution(), node, state=state), 8)


def test_a_resume_with_a_smaller_limit_keeps_the_first() -> None:
    node = Node(4)
    state = search(evolution(), node, passes=3).state_dict()
    node.config.max_trial_number = 2
    assert is_whole(search(evolution(), node, state=state), 4)


def test_jobs_that_the_service_never_begins_are_begun_anew() -> None:
    node = Node(6)
    state = search(evolution(), node, passes=4).state_dict()
    search(evolution(), node, state=state, passes=0)  # killed while it resumed
    stuck = [job for job in node.jobs if job.status == "ADD_RESUMED"]
    assert stuck
    found = search(evolution(), node, state=state)
    assert is_whole(found, 6)
    assert [job.status for job in node.jobs].count("SUCCEEDED") == 6


def test_a_service_that_ends_early_ends_the_search(caplog: pytest.LogCaptureFixture) -> None:
    node = Node(9, stalls_at=4)
    with caplog.at_level(logging.WARNING):
        strategy = search(evolution(), node)
    states = Counter(trial.state for trial in strategy.history.trials)
    assert states[TrialState.COMPLETE] == sum(job.status == "SUCCEEDED" for job in node.jobs)
    models = list(strategy.list_models(sort=False))
    interrupted = sum(model.status is ModelStatus.Interrupted for model in models)
    assert interrupted == states[TrialState.RUNNING] > 0
    assert "ended before" in caplog.text
    node.stalled, node.stalls_at = False, None
    assert is_whole(search(evolution(), node, state=strategy.state_dict()), 9)
