"""The roles a plug-in can play: strategy, evaluator, benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from nas_plugins.history import History, Objective, Proposal, Trial
from nas_plugins.sections import Facts, Section, StrategySummary
from nas_plugins.spaces.base import Architecture, SearchSpace


@dataclass(frozen=True)
class Metric:
    """One number that an evaluator returns.

    Attributes:
        name: Key in the returned dictionaries, e.g. ``"latency_ms"``.
        unit: E.g. ``"%"``, ``"ms"``, ``"M"``; empty for a pure number.
        direction: ``"min"`` or ``"max"``: which way is better.
        description: What is measured, on what, and how often.
    """

    name: str
    unit: str
    direction: str
    description: str = ""


@runtime_checkable
class Strategy(Protocol):
    """Proposes architectures: a pure function of the history, with no run state.

    What must survive between calls is a note on a trial. The same history and the same state
    of `rng` give the same proposals in any process.
    """

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals, distinct by canonical key and not in ``history.seen``.

        Fewer may be returned, even none, when the space is exhausted.
        """
        ...

    @classmethod
    def summary(cls, history: History, settings: Mapping[str, Any]) -> StrategySummary | None:
        return None

    @classmethod
    def sections(cls, history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
        return ()

    @classmethod
    def facts(cls, trial: Trial) -> Mapping[str, Facts]:
        return {}


@runtime_checkable
class Evaluator(Protocol):
    """Measures architectures."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that `evaluate` returns."""
        ...

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Returns one dictionary of metrics per architecture, in order."""
        ...


Report: TypeAlias = Callable[[int, Mapping[str, float]], None]
"""Takes a step, from 1, and the metrics after it; may raise to end the evaluation."""


@runtime_checkable
class ReportingEvaluator(Evaluator, Protocol):
    """An evaluator that tells how an evaluation goes, so that a hopeless one can be ended."""

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        """Evaluates one architecture as `evaluate` does.

        Args:
            architecture: What to evaluate.
            report: Called after every step (an epoch, say) that another one follows, with the
                step, counted from 1, and metrics of the evaluator by name, as far as they are
                known. The last step's are returned. What it raises passes through, after the
                evaluator has freed what it holds.

        Raises:
            EvaluationError: The architecture could not be evaluated.
        """
        ...


def evaluate_one(
    evaluator: Evaluator, architecture: Architecture, report: Report
) -> dict[str, float]:
    """Evaluates one architecture, reporting where the evaluator can.

    For what wraps an evaluator and passes `evaluate_reporting` on.
    """
    if isinstance(evaluator, ReportingEvaluator):
        return evaluator.evaluate_reporting(architecture, report)
    return evaluator.evaluate([architecture])[0]


@runtime_checkable
class Benchmark(Evaluator, Protocol):
    """An evaluator that looks values up, knows its space and possibly the true front."""

    @property
    def name(self) -> str:
        """E.g. ``"nasbench201/cifar10"``."""
        ...

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures it can evaluate."""
        ...

    @property
    def source(self) -> str:
        """Where the numbers come from, for reports."""
        ...

    def front(self, objectives: Sequence[Objective]) -> npt.NDArray[np.float64] | None:
        """Values of the true Pareto front, `(k, m)`; ``None`` where it is not known."""
        ...


__all__ = [
    "Benchmark",
    "Evaluator",
    "Metric",
    "Report",
    "ReportingEvaluator",
    "Strategy",
    "evaluate_one",
]
