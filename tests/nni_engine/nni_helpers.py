"""Spaces, evaluators and engines for the tests of the NNI engine."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nni
import numpy as np
from nni.nas.evaluator import Evaluator
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import ExecutableModelSpace, ModelStatus, SimplifiedModelSpace

from nas_plugins.history import History, Proposal
from nas_plugins.nni import NNIStrategy
from nas_plugins.sampling import unseen

WORTH = {"conv": 3.0, "pool": 2.0, "skip": 1.0, "none": 0.0}


class SmallSpace(ModelSpace):
    """256 models: four labels with four operations each."""

    def __init__(self) -> None:
        super().__init__()
        for i in range(4):
            self.add_mutable(nni.choice(f"op{i}", list(WORTH)))


class TinySpace(ModelSpace):
    """Four models."""

    def __init__(self) -> None:
        super().__init__()
        self.add_mutable(nni.choice("a", [1, 2]))
        self.add_mutable(nni.choice("b", ["x", "y"]))


def metrics_of(sample: dict[str, Any]) -> dict[str, float]:
    """A deterministic result: good operations are slow."""
    worth = sum(WORTH.get(str(c), 1.0) * (i + 1) for i, c in enumerate(sample.values()))
    return {"default": worth, "quality": worth, "latency_ms": 1.0 + worth**2, "extra": 7.0}


class Scores(Evaluator):
    """Reports `metrics_of`, or what `answer` makes of the sample; builds no network.

    Args:
        answer: Returns the result or raises.
        objectives: What a strategy may read.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], Any] = metrics_of,
        *,
        objectives: Sequence[str] | None = None,
    ) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []
        if objectives is not None:
            self.objectives = tuple(objectives)

    def __deepcopy__(self, memo: dict[int, Any]) -> Scores:
        return self  # middleware copies models, and `calls` shall have all

    def _execute(self, model: ExecutableModelSpace) -> Any:
        self.calls.append(dict(model.sample))
        result = self.answer(dict(model.sample))
        if result is not None:
            nni.report_final_result(result)
        return result


@dataclass(frozen=True)
class Noting:
    """Proposes at random, with a note, and remembers the histories it was given."""

    histories: list[History] = field(default_factory=list, compare=False, repr=False)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        self.histories.append(history)
        found = unseen(history.space, n, rng, taken=history.seen)
        return [Proposal(a, {"why": f"number {len(history)}"}) for a in found]


def searched(
    strategy: NNIStrategy,
    n_trials: int | None = 12,
    *,
    evaluator: Evaluator | None = None,
    space: ModelSpace | None = None,
    engine: ExecutionEngine | None = None,
) -> NNIStrategy:
    """Runs a strategy on an engine without an experiment around it."""
    models = SimplifiedModelSpace.from_model(space or SmallSpace(), evaluator or Scores())
    if engine is None:
        engine = SequentialExecutionEngine(max_model_count=n_trials)
    strategy(models, engine)
    return strategy


def experiment(
    strategy: Any,
    folder: Path,
    n_trials: int,
    *,
    evaluator: Evaluator | None = None,
    identity: str | None = None,
) -> NasExperiment:
    """An experiment on the sequential engine."""
    config = NasExperimentConfig("sequential", "simplified")
    config.max_trial_number = n_trials
    config.experiment_working_directory = folder
    config.log_level = "error"
    return NasExperiment(SmallSpace(), evaluator or Scores(), strategy, config, id=identity)


class ThreadEngine(ExecutionEngine):
    """Runs models in threads, as a training service runs them in processes.

    Keeps weak references only and tells events on the models' threads. Models started in one
    batch end in the order in which `release` lets them.
    """

    def __init__(self, n_workers: int, budget: int) -> None:
        super().__init__()
        self.n_workers, self.budget = n_workers, budget
        self.running = 0
        self.most_running = 0
        self.submitted = 0
        self.threads: list[threading.Thread] = []
        self._models: list[weakref.ReferenceType[ExecutableModelSpace]] = []
        self._lock = threading.Lock()
        self._full = threading.Condition(self._lock)

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        for model in models:
            with self._lock:
                self.submitted += 1
                self.running += 1
                self.most_running = max(self.most_running, self.running)
                reference = weakref.ref(model)
                self._models.append(reference)
                self._full.notify_all()
            model.status = ModelStatus.Training
            thread = threading.Thread(target=self._work, args=(reference, self.submitted))
            self.threads.append(thread)
            thread.start()

    def _work(self, reference: weakref.ReferenceType[ExecutableModelSpace], number: int) -> None:
        with self._full:  # nothing ends before all workers, or the whole budget, are in use
            self._full.wait_for(
                lambda: self.submitted >= min(self.budget, number + self.n_workers - 1), 30
            )
        model = reference()
        if model is not None:
            self.dispatch_model_event(FinalMetricEvent(model, metrics_of(dict(model.sample))))
            self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))
        with self._lock:
            self.running -= 1

    def list_models(self, status: ModelStatus | None = None) -> Iterable[ExecutableModelSpace]:
        found = [model for reference in self._models if (model := reference()) is not None]
        return [model for model in found if status is None or model.status == status]

    def idle_worker_available(self) -> bool:
        with self._lock:
            return self.running < self.n_workers

    def budget_available(self) -> bool:
        return self.submitted < self.budget
