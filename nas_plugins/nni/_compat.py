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


def models_here(engine: ExecutionEngine) -> tuple[ExecutableModelSpace, ...]:
    """The models that a sequential engine was given, in order; see `runs_here`."""
    return tuple(engine._history)


def give_back_models(
    engine: ExecutionEngine,
    models: Sequence[ExecutableModelSpace],
    begun_anew: Sequence[ExecutableModelSpace],
) -> None:
    """Restores the model history of a sequential engine, which its checkpoint does not hold.

    Once is as good as twice, and an engine that lived on keeps what it has.

    Args:
        engine: As the strategy sees it; see `runs_here`.
        models: The finished models, in order.
        begun_anew: Models of the engine that ended without a result and will run once more.
    """
    held, leaving = {id(model) for model in engine._history}, {id(model) for model in begun_anew}
    missing = [model for model in models if id(model) not in held]
    staying = [model for model in engine._history if id(model) not in leaving]
    engine._history[:] = missing + staying
    # What runs once more was counted when it began.
    engine._model_count = min(engine._model_count, len(engine._history))


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
