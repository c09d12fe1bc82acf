"""The evaluator of an NNI experiment that the package's own runs begin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nni.nas.evaluator import Evaluator as NNIEvaluator

from nas_plugins.errors import MetricUnavailableError
from nas_plugins.nni import ArchitectureEvaluator
from nas_plugins.nni.secret_options import put_aside, put_back
from nas_plugins.protocols import Evaluator, Metric, Report, measured, measured_reporting
from nas_plugins.runner.problem import Problem, prepare
from nas_plugins.runner.request import SearchRequest, named
from nas_plugins.spaces.base import Architecture

_EVALUATES = (
    "benchmark",
    "space",
    "evaluators",
    "objectives",
    "constraints",
)
_OPTIONS = ("benchmark_options", "evaluator_options", "space_options")


class RequestEvaluator(NNIEvaluator):  # type: ignore[misc]
    """Evaluates what a request says, on architectures of ours rather than NNI's networks.

    It is written as the names in the request, so that a trial process makes the same evaluator
    anew; that is not done before something is evaluated.

    Args:
        request: What is searched for.
        ready: The evaluator in this process, if there is one already.
    """

    def __init__(self, request: SearchRequest, ready: ArchitectureEvaluator | None = None) -> None:
        super().__init__()
        self._request = request
        if ready is not None:
            self.__dict__["_ready"] = ready  # instead of what the property makes
        else:
            self._dump()  # puts secrets aside before a service begins, which hands them on

    @classmethod
    def here(
        cls, request: SearchRequest, problem: Problem, evaluator: Evaluator
    ) -> RequestEvaluator:
        """One that asks `evaluator`, which stands for that of `problem`."""
        return cls(request, _Measured(problem, evaluator))

    @cached_property
    def _ready(self) -> ArchitectureEvaluator:
        problem = prepare(SearchRequest(**self._asked))
        return _Measured(problem, problem.evaluator)

    @property
    def _asked(self) -> dict[str, Any]:
        """What evaluates; whoever has sent this has the strategy."""
        names = (*_EVALUATES, *_OPTIONS)
        return {"strategy": "random", **{name: getattr(self._request, name) for name in names}}

    def evaluate(self, model: Any) -> dict[str, float]:
        """Refuses, as `ArchitectureEvaluator.evaluate` does."""
        return self._ready.evaluate(model)

    def _execute(self, model: Any) -> dict[str, float]:
        return self._ready._execute(model)

    def _dump(self) -> dict[str, Any]:
        request = self._request
        names = {
            "benchmark": request.benchmark_name,
            "space": request.space if isinstance(request.space, str | None) else None,
            "evaluators": list(request.evaluators),
        }
        options = {name: put_aside(getattr(request, name)) for name in _OPTIONS}
        return {"plan": {**self._asked, **names, **options}}

    @classmethod
    def _load(cls, plan: Mapping[str, Any]) -> RequestEvaluator:
        known = {key: plan[key] for key in _EVALUATES if key in plan}
        known |= {name: put_back(plan[name]) for name in _OPTIONS if name in plan}
        lists = {name: tuple(known[name]) for name in ("objectives", "constraints")}
        return cls(SearchRequest(**{**known, **lists, "evaluators": named(known["evaluators"])}))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequestEvaluator) and self._dump() == other._dump()

    def __hash__(self) -> int:
        return hash((self._request.benchmark_name, self._request.objectives))

    def extra_repr(self) -> str:
        """Sources and objectives, for NNI's ``repr``."""
        request = self._request
        sources = [*request.evaluators, *filter(None, [request.benchmark_name])]
        return f"{sources}, objectives={list(request.objectives)}"


class _Measured(ArchitectureEvaluator):
    """Takes and refuses what the other engine does, in the same words.

    Args:
        problem: Names what must be measured.
        evaluator: Measures.
    """

    def __init__(self, problem: Problem, evaluator: Evaluator) -> None:
        needed = (
            *(objective.name for objective in problem.objectives),
            *(constraint.name for constraint in problem.constraints),
        )
        checked = _Checked(evaluator, needed)
        super().__init__(checked, objectives=problem.objectives, on_network=False)

    def _reported(self, values: Mapping[str, float]) -> dict[str, float]:
        known = {str(name): float(value) for name, value in values.items()}
        return self._with_default({n: v for n, v in known.items() if not math.isnan(v)})


@dataclass(frozen=True)
class _Checked(Evaluator):
    """An evaluator that raises where something is not measured.

    Attributes:
        evaluator: Of architectures.
        needed: Names of metrics.
    """

    evaluator: Evaluator
    needed: tuple[str, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The evaluator's."""
        return self.evaluator.metrics

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Evaluates, and raises `MetricUnavailableError` where a needed metric has no value."""
        rows = measured(self.evaluator, architectures)
        return [self._checked(row) for row in rows]

    @property
    def reports(self) -> bool:
        """The evaluator's."""
        return self.evaluator.reports

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        """The same for one architecture, reporting on the way."""
        return self._checked(measured_reporting(self.evaluator, architecture, report))

    def _checked(self, values: dict[str, float]) -> dict[str, float]:
        for name in self.needed:
            try:
                value = float(values[name])
            except KeyError:
                raise MetricUnavailableError(
                    f"the evaluator returned no metric {name!r}; it returned {sorted(values)}"
                ) from None
            if math.isnan(value):
                raise MetricUnavailableError(f"metric {name!r} is not a number")
        return values
