"""From the words on the command line to the objects of a search, the same in every worker."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import nas_plugins as nap
from nas_plugins import pareto, registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.composition import (
    SEPARATOR,
    Combined,
    Origin,
    metric_names,
    origin,
    source_of,
)
from nas_plugins.constraints import Constraint, constraints_of
from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.history import Objective, objectives_of
from nas_plugins.protocols import Benchmark, Evaluator, Metric, Strategy
from nas_plugins.runner.options import (
    Options,
    as_usage,
    options_by_source,
    options_of,
)
from nas_plugins.runner.warm_start import WarmStartPlan
from nas_plugins.spaces.base import Architecture, SearchSpace

_TASK = "task"


@dataclass(frozen=True)
class Plan:
    """What is searched for and how, as the user wrote it; plain data.

    Attributes:
        benchmark: Name, or ``None``.
        evaluators: Names; a metric that the benchmark has too is taken from here, unless it is
            qualified.
        space: Name, or ``None`` where the benchmark's is meant.
        strategy: Name.
        objectives: Written ``name:min``, ``name:max``, or ``name`` for the better direction,
            where the name may be ``<evaluator>.<metric>`` or ``<benchmark's family>.<metric>``.
        constraints: Written ``name<=number`` or ``name>=number``.
        benchmark_options, evaluator_options, space_options, strategy_options: Arguments of
            the constructors; those of evaluators may be ``<evaluator>.<key>``.
        warm_start: What the first trials are chosen by, or ``None``.
    """

    benchmark: str | None
    evaluators: tuple[str, ...]
    space: str | None
    strategy: str
    objectives: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    benchmark_options: Options = field(default_factory=dict)
    evaluator_options: Options = field(default_factory=dict)
    space_options: Options = field(default_factory=dict)
    strategy_options: Options = field(default_factory=dict)
    warm_start: WarmStartPlan | None = None


@dataclass(frozen=True)
class Problem:
    """A plan come true.

    Attributes:
        space: What is searched.
        evaluator: Measures every objective and constraint.
        strategy: Proposes.
        objectives: In the order given.
        constraints: In the order given.
        metrics: What can be named, as it is called in this search.
        source: Where the numbers come from.
        benchmark: The benchmark, or ``None``.
        looked_up: The benchmark's metrics behind objectives and constraints, by their name here.
        predicted: Objectives that something else gives, by the benchmark's metric of that name.
        shadowed: Metrics of the benchmark that an evaluator measures instead.
        notes: What else a user should know.
    """

    space: SearchSpace
    evaluator: Evaluator
    strategy: Strategy
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    metrics: tuple[Metric, ...]
    source: str
    benchmark: Benchmark | None
    looked_up: FrozenDict[str]
    predicted: FrozenDict[str]
    shadowed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def true_front(self) -> pareto.Floats | None:
        """Values of the true front `(k, m)`, under the constraints; ``None`` if not known.

        It is known where the benchmark measures every objective and constraint.
        """
        names = [*(o.name for o in self.objectives), *(c.name for c in self.constraints)]
        if self.benchmark is None or any(name not in self.looked_up for name in names):
            return None
        objectives = [replace(o, name=self.looked_up[o.name]) for o in self.objectives]
        constraints = [replace(c, name=self.looked_up[c.name]) for c in self.constraints]
        if not constraints:
            return self.benchmark.front(objectives)
        return _constrained_front(self.benchmark, objectives, constraints)

    def measured(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """What the benchmark says where the search went by something else.

        Returns:
            Per architecture the benchmark's metrics of `predicted`; what it has not measured
            is left out.
        """
        if self.benchmark is None or not self.predicted:
            return [{} for _ in architectures]
        rows = self.benchmark.evaluate(architectures)
        names = sorted(set(self.predicted.values()))
        return [{name: float(row[name]) for name in names if name in row} for row in rows]

    def remarks(self) -> list[str]:
        """What a user may not have meant."""
        natural = {metric.name: metric.direction for metric in self.metrics}
        turned = [
            f"note: {o.name} is better when {_BETTER[natural[o.name]]}, and {o} is asked for"
            for o in self.objectives
            if natural[o.name] != o.direction
        ]
        shadowed = [
            f"note: {name} is measured by the evaluator, not looked up in the benchmark"
            for name in self.shadowed
        ]
        return [*turned, *shadowed, *self.notes]


_BETTER = {"min": "smaller", "max": "larger"}


def prepare(plan: Plan) -> Problem:
    """Builds everything that `plan` names.

    Raises:
        NasPluginsError: A name is unknown, an option or value is wrong, a file is absent.
    """
    benchmark = None
    family = (plan.benchmark or "").partition("/")[0]
    if plan.benchmark is not None:
        with options_of("benchmark", family, plan.benchmark_options):
            benchmark = nap.benchmark(plan.benchmark, **plan.benchmark_options)
    space = _space(plan, benchmark)
    # What was named expressly to measure goes before what the table happens to hold too.
    sources = _evaluators(plan)
    if benchmark is None and not sources:
        raise UsageError("say what to measure: give --benchmark NAME or --evaluator NAME")
    if family in sources:
        raise UsageError(f"--evaluator {family} and --benchmark {plan.benchmark} share a name")
    if benchmark is not None:
        sources[family] = benchmark
    with options_of("strategy", plan.strategy, plan.strategy_options):
        strategy = nap.strategy(plan.strategy, space=space, **_strategy_options(plan))
    notes = []
    if plan.warm_start is not None:
        strategy = warm = plan.warm_start.around(strategy)
        notes.append(
            f"note: the first {warm.n} trials are the best of {warm.pool} by "
            f"{', '.join(warm.ranked_by)} of {plan.warm_start.evaluator}, scored before them"
        )
    objectives = _objectives(plan.objectives, sources)
    constraints = _constraints(plan.constraints, sources)
    names = [*(o.name for o in objectives), *(c.name for c in constraints)]
    used = {name: origin(name, sources) for name in dict.fromkeys(names)}
    held = {metric.name for metric in benchmark.metrics} if benchmark else set()
    others = {n: o.metric.name for n, o in used.items() if sources[o.source] is not benchmark}
    return Problem(
        space=space,
        evaluator=_evaluator(sources, used),
        strategy=strategy,
        objectives=objectives,
        constraints=constraints,
        metrics=_metrics(sources, used),
        source=_sources(sources, used),
        benchmark=benchmark,
        looked_up=FrozenDict({n: o.metric.name for n, o in used.items() if n not in others}),
        predicted=FrozenDict(
            {o.name: others[o.name] for o in objectives if others.get(o.name) in held}
        ),
        notes=tuple(notes),
        shadowed=tuple(name for name, plain in others.items() if name == plain and name in held),
    )


def _evaluator(sources: Mapping[str, Evaluator], used: Mapping[str, Origin]) -> Evaluator:
    """The only source there is, unless a metric of it shall be called otherwise."""
    if len(sources) == 1 and all(name == o.metric.name for name, o in used.items()):
        return next(iter(sources.values()))
    return Combined(FrozenDict(sources), tuple(used))


def _metrics(sources: Mapping[str, Evaluator], used: Mapping[str, Origin]) -> tuple[Metric, ...]:
    """All metrics by plain name, of equal names the first source's; then the qualified ones."""
    known = {name: origin(name, sources) for name in metric_names(sources)}
    plain = [found.metric for name, found in known.items() if name == found.metric.name]
    qualified = [
        replace(found.metric, name=name)
        for name, found in used.items()
        if name != found.metric.name
    ]
    return (*plain, *qualified)


def _sources(sources: Mapping[str, Evaluator], used: Mapping[str, Origin]) -> str:
    asked = {found.source for found in used.values()}
    return "; ".join(source_of(found) for name, found in sources.items() if name in asked)


def build_space(name: str, options: Options) -> SearchSpace:
    """Builds a space; a wrong option is told as one of the space.

    Raises:
        NasPluginsError: The name or an option is unknown, or a value is wrong.
    """
    with options_of("space", name, options):
        return nap.space(name, **options)


def _strategy_options(plan: Plan) -> dict[str, Any]:
    """The options; a strategy that can tell its model of the task learns it from the names."""
    options = dict(plan.strategy_options)
    known = inspect.signature(registry.load("strategy", plan.strategy)).parameters
    if plan.benchmark is not None and _TASK in known and _TASK not in options:
        words = plan.benchmark.split("/")
        options[_TASK] = dict(zip(("benchmark", "dataset", "device"), words, strict=False))
    return options


def _space(plan: Plan, benchmark: Benchmark | None) -> SearchSpace:
    if plan.space is None:
        if benchmark is None:
            raise UsageError("say what to search: give --space NAME or --benchmark NAME")
        return benchmark.space
    space = build_space(plan.space, plan.space_options)
    if benchmark is not None and space != benchmark.space:
        raise UsageError(
            f"--space {plan.space} does not fit --benchmark {benchmark.name}, which is over "
            f"the space {benchmark.space.name!r}; leave --space out"
        )
    return space


def _evaluators(plan: Plan) -> dict[str, Evaluator]:
    for name in plan.evaluators:
        if plan.evaluators.count(name) > 1:
            raise UsageError(f"--evaluator {name} is given more than once")
    if plan.evaluator_options and not plan.evaluators:
        raise UsageError("--evaluator-option goes with --evaluator")
    shared = options_by_source(plan.evaluator_options, plan.evaluators, "--evaluator-option")
    found: dict[str, Evaluator] = {}
    for name, options in shared.items():
        with options_of("evaluator", name, options):
            found[name] = nap.evaluator(name, **options)
    return found


def _objectives(words: Sequence[str], sources: Mapping[str, Evaluator]) -> tuple[Objective, ...]:
    known = {name: origin(name, sources).metric.direction for name in metric_names(sources)}
    if not words:
        better = ", ".join(f"{m.name}:{m.direction}" for m in _metrics(sources, {}))
        raise UsageError(f"give at least one --objective; there are {better}")
    completed = [w if ":" in w or w not in known else f"{w}:{known[w]}" for w in words]
    with as_usage("--objective"):
        # Without a colon the name is unknown: that is what the user should hear about.
        bare = [word for word in completed if ":" not in word]
        objectives = () if bare else objectives_of(completed)
    for name in [*bare, *(objective.name for objective in objectives)]:
        if name not in known:
            raise unknown_name("objective", name, _suggested(name, sources))
    return objectives


def _constraints(words: Sequence[str], sources: Mapping[str, Evaluator]) -> tuple[Constraint, ...]:
    with as_usage("--constraint"):
        constraints = constraints_of(words)
    for name in (constraint.name for constraint in constraints):
        if name not in metric_names(sources):
            raise unknown_name("metric of a constraint", name, _suggested(name, sources))
    return constraints


def _suggested(name: str, sources: Mapping[str, Evaluator]) -> list[str]:
    """Names to choose from; the qualified ones only where they can be meant."""
    qualified = SEPARATOR in name or len(sources) > 1
    return [n for n in metric_names(sources) if qualified or n == origin(n, sources).metric.name]


def _constrained_front(
    benchmark: Benchmark, objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> pareto.Floats | None:
    """The front of what meets the constraints, where the benchmark shows whole columns."""
    column = getattr(benchmark, "column", None)
    if column is None:
        return None
    values = np.stack([column(objective.name) for objective in objectives], axis=1)
    allowed = np.isfinite(values).all(axis=1)
    for constraint in constraints:
        allowed &= np.array([constraint.excess(v) <= 0 for v in column(constraint.name).tolist()])
    if not allowed.any():
        return None
    signs = np.array([objective.sign for objective in objectives])
    front: pareto.Floats = np.unique(
        values[allowed][pareto.front_mask(values[allowed] * signs)], axis=0
    )
    return front


__all__ = ["Plan", "Problem", "build_space", "prepare"]
