"""Which job of a training service, or model of an engine, is of which trial after a resume."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nni.nas.space import ExecutableModelSpace, ModelStatus

from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.history import Trial, TrialState
from nas_plugins.nni._service import ServiceJob
from nas_plugins.nni._state import ExperimentLog
from nas_plugins.spaces.base import Architecture, Key


def take_over(
    log: ExperimentLog,
    jobs: Iterable[ServiceJob],
    architecture_of: Callable[[Mapping[str, Any]], Architecture],
) -> tuple[dict[int, ServiceJob], int]:
    """Brings the trials up to what a training service has in its database.

    A trial that was interrupted has a job for each time that it was begun, and the service may
    have finished the first one all the same. Jobs that no trial is known of are new trials: a
    search that is killed has not written down its last ones.

    Args:
        log: The trials; those that a job has ended are told.
        jobs: In the order in which they were submitted; one of another space is left out.
        architecture_of: Reads the sample of a job; raises `InvalidArchitectureError` where it
            is none of the space.

    Returns:
        By the number of a trial, the job that will end it; and how many jobs are no trials of
        their own, as the trial was begun anew, or is about to be.
    """
    once = log.strategy.avoid_duplicates
    waiting: defaultdict[Key, deque[Trial]] = defaultdict(deque)
    for trial in log.history.trials:
        waiting[trial.architecture.key].append(trial)
    latest: dict[Key, Trial] = {}
    jobs_of: defaultdict[int, list[ServiceJob]] = defaultdict(list)
    for job in jobs:
        try:
            architecture = architecture_of(job.sample)
        except InvalidArchitectureError:
            continue
        key = architecture.key
        before = latest.get(key)
        if before is not None and _is_open(before, jobs_of[before.number]):
            trial = before
        elif waiting[key]:
            trial = waiting[key].popleft()
        elif before is not None and once:
            trial = before
        else:
            trial = log.add(architecture)
        latest[key] = trial
        jobs_of[trial.number].append(job)
        if job.result is not None:
            log.tell(trial.number, job.result)
    running = {trial.number for trial in log.unfinished()}
    live = {n: job for n in running for job in jobs_of.get(n, ()) if job.live}
    begun_anew = running - set(live)
    n_jobs = sum(len(found) for found in jobs_of.values())
    return live, n_jobs - sum(number not in begun_anew for number in jobs_of)


def held_models(
    trials: Sequence[Trial],
    models: Iterable[ExecutableModelSpace],
    architecture_of: Callable[[Mapping[str, Any]], Architecture],
) -> dict[int, ExecutableModelSpace]:
    """Which models of an engine that lived on are of which trials, by number.

    A trial that has ended has a model that has, and of a running one the model was interrupted.
    Where several fit, they come in the order of the trials.

    Args:
        trials: In order.
        models: In the order in which they were submitted; one of another space is left out.
        architecture_of: As of `take_over`.
    """
    waiting: defaultdict[tuple[Architecture, bool], deque[ExecutableModelSpace]] = defaultdict(
        deque
    )
    for model in models:
        try:
            architecture = architecture_of(model.sample)
        except InvalidArchitectureError:
            continue
        ended = model.status.completed() and model.status is not ModelStatus.Interrupted
        waiting[architecture, ended].append(model)
    found = {}
    for trial in trials:
        fitting = waiting[trial.architecture, trial.state is not TrialState.RUNNING]
        if fitting:
            found[trial.number] = fitting.popleft()
    return found


def _is_open(trial: Trial, jobs: list[ServiceJob]) -> bool:
    """Whether the jobs so far ended without the result of the trial, so it was begun anew."""
    return trial.state is not TrialState.FAILED and not any(
        job.live or job.result is not None for job in jobs
    )
