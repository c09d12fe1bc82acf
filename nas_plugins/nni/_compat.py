"""The one module, beside the shims, that uses private names of NNI 3.0's engines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import nni
from nni.nas.execution import (
    ExecutionEngine,
    SequentialExecutionEngine,
    TrainingServiceExecutionEngine,
)
from nni.nas.space import ExecutableModelSpace, ModelStatus

_logger = logging.getLogger(__name__)

_FAILED = ("FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")


@dataclass(frozen=True)
class Job:
    """A trial in the training service's database.

    Attributes:
        sample: The choices of its model.
        metric: Its final result as it was reported; ``None`` while there is none.
        failed: Whether it ended without success.
    """

    sample: dict[str, Any]
    metric: Any
    failed: bool


def runs_here(engine: ExecutionEngine) -> bool:
    """Whether models run in this process one after the other, just as the strategy submits them.

    Not so with middleware, whose models are not always the strategy's.
    """
    return isinstance(engine, SequentialExecutionEngine)


def tell_errors(model: ExecutableModelSpace, keep: Callable[[Exception], None]) -> None:
    """Lets `keep` see the error of an execution, which the sequential engine only logs."""
    execute = model.execute

    def watched() -> Any:
        try:
            return execute()
        except Exception as error:
            keep(error)
            raise
        finally:
            vars(model).pop("execute", None)

    vars(model)["execute"] = watched


def give_back_models(
    engine: ExecutionEngine, models: Sequence[ExecutableModelSpace], n_unfinished: int
) -> None:
    """Restores the model history of a sequential engine, which its checkpoint does not hold.

    Args:
        engine: As the strategy sees it; nothing is done for others.
        models: The finished models, in order.
        n_unfinished: Models that were counted but will run once more.
    """
    if not isinstance(engine, SequentialExecutionEngine):
        return
    engine._history[:0] = models
    engine._model_count = max(engine._model_count - n_unfinished, 0)


def jobs(engine: ExecutionEngine) -> Iterator[Job]:
    """The trials in the training service's database; none for other engines.

    NNI saves a strategy's checkpoint less often than the service its trials.
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
        yield Job(
            sample={str(name): choice for name, choice in model.sample.items()},
            metric=final[-1].data if final else None,
            failed=trial.status in _FAILED,
        )


def finished_model(
    space: ExecutableModelSpace,
    sample: dict[str, Any],
    *,
    default: float | None,
    intermediates: Sequence[float],
    failed: bool,
) -> ExecutableModelSpace:
    """A model as it was after its evaluation."""
    model = space.freeze(sample)
    model.status = ModelStatus.Failed if failed else ModelStatus.Trained
    for value in intermediates:
        model.metrics.add_intermediate(value)
    if default is not None:
        model.metrics.final = default
    return model


__all__ = [
    "Job",
    "finished_model",
    "give_back_models",
    "jobs",
    "runs_here",
    "tell_errors",
]
