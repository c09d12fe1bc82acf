"""NNI 3.0's training service as a resumed search finds it: its jobs, its budget, its end.

With `_compat` and the shims one of the three modules that use private names of NNI's.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nni
from nni.nas.execution import ExecutionEngine, TrainingServiceExecutionEngine
from nni.nas.execution.engine import Middleware
from nni.nas.space import ExecutableModelSpace, ModelStatus

_logger = logging.getLogger(__name__)

_QUEUED = "ADD_RESUMED"
_LIVE = ("WAITING", "RUNNING", _QUEUED)
_FAILED = ("FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
_SPENT = ("NO_MORE_TRIAL", "DONE")
_OVER = ("DONE", "STOPPED", "ERROR")
_PATIENCE_S = 15.0
_PAUSE_S = 0.5


@dataclass(frozen=True)
class ServiceJob:
    """A job in the training service's database.

    A trial has one, and one more each time that it is begun anew by a resume.

    Attributes:
        parameter: The number under which its model was submitted.
        sample: The choices of its model.
        metric: Its final result as it was reported; ``None`` while there is none.
        failed: Whether it ended without success.
        live: Whether the service works on it, or will: it goes on with the jobs of a killed
            search by itself.
    """

    parameter: int
    sample: dict[str, Any]
    metric: Any = None
    failed: bool = False
    live: bool = False

    @property
    def result(self) -> Any:
        """The final result of a success; ``None`` where there is none."""
        return None if self.failed or self.live else self.metric


def jobs(engine: ExecutionEngine) -> Iterator[ServiceJob]:
    """The jobs in the training service's database; none for other engines.

    NNI saves a strategy's checkpoint less often than the service its jobs.
    """
    if not isinstance(engine, TrainingServiceExecutionEngine):
        return
    for trial in engine.nodejs_binding.list_trial_jobs():
        if len(trial.hyperParameters) != 1:
            continue
        # As NNI's own `list_models` does, to turn the parameters into a model.
        model = nni.load(nni.dump(trial.hyperParameters[0].parameters))
        if not isinstance(model, ExecutableModelSpace) or model.sample is None:
            continue
        final = trial.finalMetricData
        yield ServiceJob(
            parameter=trial.hyperParameters[0].parameter_id,
            sample={str(name): choice for name, choice in model.sample.items()},
            metric=final[-1].data if final else None,
            failed=trial.status in _FAILED,
            live=trial.status in _LIVE,
        )


def adopt(engine: ExecutionEngine, parameter: int, model: ExecutableModelSpace) -> None:
    """Lets the engine tell the events of a live job as those of `model`."""
    assert isinstance(engine, TrainingServiceExecutionEngine)
    engine._models[parameter] = weakref.ref(model)
    engine._workers -= 1  # the service offers all of its workers at a resume
    model.status = ModelStatus.Training


def disown(engine: ExecutionEngine, parameter: int) -> None:
    """Takes back `adopt`."""
    assert isinstance(engine, TrainingServiceExecutionEngine)
    engine._models.pop(parameter, None)
    engine._workers += 1


def never_begun(engine: ExecutionEngine, parameters: set[int]) -> set[int]:
    """Those of the live jobs that the service does not begin, after some patience with it.

    A search that is killed while it resumes leaves jobs that no later resume goes on with.
    """
    if not parameters:
        return set()
    assert isinstance(engine, TrainingServiceExecutionEngine)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        queued = {
            trial.hyperParameters[0].parameter_id
            for trial in engine.nodejs_binding.list_trial_jobs()
            if trial.status == _QUEUED and trial.hyperParameters
        }
        if not (left := queued & parameters) or time.monotonic() >= deadline:
            return left
        time.sleep(_PAUSE_S)


def has_room(engine: ExecutionEngine) -> bool:
    """Whether the service would run one more model; true for other engines.

    Its state tells of the limit on trials only once they have begun, and a model that is over
    the limit would never end.
    """
    service = _service(engine)
    if service is None:
        return True
    limit = service.nodejs_binding.get_experiment_profile()["params"].get("maxTrialNumber")
    if limit is None:
        return True
    if service._current_parameter_id is None:
        return bool(len(service.nodejs_binding.list_trial_jobs()) < int(limit))
    return bool(service._current_parameter_id + 1 < int(limit))


def make_room(engine: ExecutionEngine, n_superseded: int) -> None:
    """Lets the limit on trials count trials.

    The service counts jobs, and of a resumed experiment it knows the first limit only.

    Args:
        engine: The engine; nothing is done for others than the training service's.
        n_superseded: Jobs that are no trials of their own.
    """
    if not isinstance(engine, TrainingServiceExecutionEngine):
        return
    binding = engine.nodejs_binding
    limit = binding.config.max_trial_number
    known = binding.get_experiment_profile()["params"].get("maxTrialNumber")
    if limit is None or known is None or known >= limit + n_superseded:
        return
    binding.update_max_trial_number(limit + n_superseded)
    _logger.info(
        "the training service may run %d jobs: %d trials, %d jobs were begun anew",
        limit + n_superseded,
        limit,
        n_superseded,
    )
    deadline = time.monotonic() + _PATIENCE_S
    while binding.get_status() in _SPENT and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)  # it looks at the limit now and then


def is_over(engine: ExecutionEngine) -> bool:
    """Whether nothing that is submitted or running will end any more.

    What asking a service raises that is gone goes through.
    """
    service = _service(engine)
    return service is not None and service.nodejs_binding.get_status() in _OVER


def _service(engine: ExecutionEngine) -> TrainingServiceExecutionEngine | None:
    while isinstance(engine, Middleware):
        engine = engine.engine
    return engine if isinstance(engine, TrainingServiceExecutionEngine) else None
