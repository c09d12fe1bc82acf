"""The models that are being evaluated: references to them, and what NNI tells of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import (
    FinalMetricEvent,
    IntermediateMetricEvent,
    ModelEventType,
    TrainingEndEvent,
)
from nni.nas.space import ExecutableModelSpace, ModelStatus

from nas_plugins.errors import NasPluginsError
from nas_plugins.nni import _compat
from nas_plugins.nni._evaluator import REASON


@dataclass
class Evaluation:
    """One model under evaluation.

    Attributes:
        number: Number of its trial.
        model: The model; engines keep weak references only, and tell nothing of what is gone.
        final: Its final result as it was reported last.
        intermediates: What it reported on the way.
        error: Why it failed, as far as that is known.
    """

    number: int
    model: ExecutableModelSpace
    final: Any = None
    intermediates: list[Any] = field(default_factory=list)
    error: str | None = None

    def failure(self, status: ModelStatus) -> str | None:
        """Why an evaluation that ended with `status` has failed; ``None`` where it has not."""
        if status is ModelStatus.Trained:
            return None
        return self.error or f"NNI reports the status {status.value!r}; see the trial's log"


class Running:
    """Listens to an engine's events, which may come on other threads.

    Args:
        ended: Called for each evaluation that ends, outside of any lock.
    """

    def __init__(self, ended: Callable[[Evaluation, ModelStatus], None]) -> None:
        self._ended = ended
        self._lock = threading.Lock()
        self._live: dict[int, Evaluation] = {}

    def listen(self, engine: ExecutionEngine) -> None:
        """Registers with the engine."""
        for event, callback in self._callbacks():
            engine.register_model_event_callback(event, callback)

    def stop_listening(self, engine: ExecutionEngine) -> None:
        """Takes back `listen`."""
        for event, callback in self._callbacks():
            engine.unregister_model_event_callback(event, callback)

    def submit(
        self, engine: ExecutionEngine, number: int, model: ExecutableModelSpace
    ) -> Exception | None:
        """Submits a model.

        Returns:
            The error of an engine that did not take the model. That of the evaluation itself,
            which some engines raise here, is kept as the reason of its failure.
        """
        with self._lock:
            self._live[id(model)] = Evaluation(number, model)
        if _compat.runs_here(engine):
            _compat.tell_errors(model, lambda error: self._keep(model, error))
        try:
            engine.submit_models(model)
        except Exception as error:
            return error if self._pop(model) is not None else None
        return None

    def wait(self, engine: ExecutionEngine) -> bool:
        """Waits for one of the models; returns whether there was one."""
        with self._lock:
            model = next((e.model for e in self._live.values()), None)
        if model is None:
            return False
        # Never without arguments: through middleware that returns at once.
        engine.wait_models(model)
        evaluation = self._pop(model)
        if evaluation is not None:  # its end was not announced
            self._ended(evaluation, model.status)
        return True

    def _callbacks(self) -> list[tuple[ModelEventType, Callable[[Any], None]]]:
        return [
            (ModelEventType.IntermediateMetric, self._on_intermediate),
            (ModelEventType.FinalMetric, self._on_final),
            (ModelEventType.TrainingEnd, self._on_end),
        ]

    def _pop(self, model: ExecutableModelSpace) -> Evaluation | None:
        with self._lock:
            return self._live.pop(id(model), None)

    def _keep(self, model: ExecutableModelSpace, error: Exception) -> None:
        known = isinstance(error, NasPluginsError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        with self._lock:
            evaluation = self._live.get(id(model))
            if evaluation is not None:
                evaluation.error = evaluation.error or text

    # What these raise would end the thread on which a training service tells its events.

    def _on_intermediate(self, event: IntermediateMetricEvent) -> None:
        with self._lock:
            evaluation = self._live.get(id(event.model))
            if evaluation is None:
                return
            if isinstance(event.metric, Mapping) and REASON in event.metric:
                evaluation.error = str(event.metric[REASON])
            else:
                evaluation.intermediates.append(event.metric)

    def _on_final(self, event: FinalMetricEvent) -> None:
        with self._lock:
            evaluation = self._live.get(id(event.model))
            if evaluation is not None:
                evaluation.final = event.metric

    def _on_end(self, event: TrainingEndEvent) -> None:
        if not event.status.completed():  # a middleware tries again
            return
        evaluation = self._pop(event.model)
        if evaluation is not None:
            self._ended(evaluation, event.status)


__all__ = ["Evaluation", "Running"]
