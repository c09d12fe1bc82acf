"""What uses private names of NNI 3.0's engines and models; see `_service` for the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.space import ExecutableModelSpace, ModelStatus


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


def finished_model(
    space: ExecutableModelSpace,
    sample: dict[str, Any],
    *,
    default: float | None,
    intermediates: Sequence[float],
    status: ModelStatus,
) -> ExecutableModelSpace:
    """A model as it was after its evaluation."""
    model = space.freeze(sample)
    model.status = status
    for value in intermediates:
        model.metrics.add_intermediate(value)
    if default is not None:
        model.metrics.final = default
    return model
