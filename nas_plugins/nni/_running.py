"""The models that are being evaluated: references to them, and what NNI tells of them."""

from __future__ import annotations

import logging
import threading
import time
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
from nas_plugins.nni import _compat, _service
from nas_plugins.nni._evaluator import REASON

_logger = logging.getLogger(__name__)

_GRACE_S = 5.0


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
        look: Called again and again while there is nothing to do.
        pause_s: Seconds between two looks at what is waited for.
    """

    def __init__(
        self,
        ended: Callable[[Evaluation, ModelStatus], None],
        look: Callable[[], None] = lambda: None,
        *,
        pause_s: float = 1.0,
    ) -> None:
        self._ended, self._look, self._pause_s = ended, look, pause_s
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

    def adopt(self, engine: ExecutionEngine, number: int, job: int, model: Any) -> None:
        """Takes a live job of the training service for the evaluation of a trial.

        Args:
            engine: The engine of the training service.
            number: Number of the trial.
            job: The number under which the job's model was submitted.
            model: The model of the trial.
        """
        with self._lock:
            self._live[id(model)] = Evaluation(number, model)
        _service.adopt(engine, job, model)

    def drop(self, number: int) -> bool:
        """Forgets the evaluation of a trial; returns whether there was one."""
        with self._lock:
            found = [key for key, e in self._live.items() if e.number == number]
            for key in found:
                del self._live[key]
        return bool(found)

    def wait(self, engine: ExecutionEngine) -> bool:
        """Waits until one of the models has ended; returns whether there was one.

        What the service does not come to, because its budget is spent, counts as interrupted.
        """
        over_since: float | None = None
        while live := self._evaluations():
            if ended := [e for e in live if e.model.status.completed()]:
                for evaluation in ended:
                    self._conclude(evaluation)  # its end was not announced
                return True
            self._look()
            if not _service.is_over(engine):
                over_since = None
            elif over_since is None:
                over_since = time.monotonic()
            elif time.monotonic() - over_since > _GRACE_S:  # its last news have come by now
                self._interrupt(live)
                return False
            time.sleep(self._pause_s)
        return False

    def _interrupt(self, left: list[Evaluation]) -> None:
        _logger.warning(
            "the training service has ended before %d models were evaluated; a resume with a "
            "larger budget goes on with them",
            len(left),
        )
        for evaluation in left:
            evaluation.model.status = ModelStatus.Interrupted
            self._conclude(evaluation)

    def _conclude(self, evaluation: Evaluation) -> None:
        if self._pop(evaluation.model) is not None:
            self._ended(evaluation, evaluation.model.status)

    def _evaluations(self) -> list[Evaluation]:
        with self._lock:
            return list(self._live.values())

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
