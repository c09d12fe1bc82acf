"""From the words on the command line to the objects of a search, the same in every worker."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nas_plugins as nap
from nas_plugins import pareto, registry
from nas_plugins.cli._errors import UsageError
from nas_plugins.constraints import Constraint, constraints_of
from nas_plugins.errors import NasPluginsError, unknown_name
from nas_plugins.history import Objective, objectives_of
from nas_plugins.protocols import Benchmark, Evaluator, Metric, Strategy
from nas_plugins.spaces.base import Architecture, SearchSpace

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is searched for and how, as the user wrote it; plain data.

    Attributes:
        benchmark: Name, or ``None``.
        evaluators: Names; a metric that the benchmark has too is taken from here.
        space: Name, or ``None`` where the benchmark's is meant.
        strategy: Name.
        objectives: Written ``name:min``, ``name:max``, or ``name`` for the better direction.
        constraints: Written ``name<=number`` or ``name>=number``.
        benchmark_options, evaluator_options, space_options, strategy_options: Arguments of
            the constructors.
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


@dataclass(frozen=True)
class Problem:
    """A plan come true.

    Attributes:
        space: What is searched.
        evaluator: Measures every objective and constraint.
        strategy: Proposes.
        objectives: In the order given.
        constraints: In the order given.
        metrics: Of everything that was named, the ones used first where names are equal.
        source: Where the numbers come from.
        benchmark: The benchmark if it measures every objective and constraint, else ``None``.
        shadowed: Metrics of the benchmark that an evaluator measures instead.
    """

    space: SearchSpace
    evaluator: Evaluator
    strategy: Strategy
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    metrics: tuple[Metric, ...]
    source: str
    benchmark: Benchmark | None
    shadowed: tuple[str, ...] = ()

    def true_front(self) -> pareto.Floats | None:
        """Values of the true front `(k, m)`, under the constraints; ``None`` if not known."""
        if self.benchmark is None:
            return None
        if not self.constraints:
            return self.benchmark.front(self.objectives)
        return _constrained_front(self.benchmark, self.objectives, self.constraints)

    def remarks(self) -> list[str]:
        """What a user may not have meant."""
        natural = {metric.name: metric.direction for metric in self.metrics}
        turned = [
            f"note: {o.name} is better when {_BETTER[natural[o.name]]}, and {o} is asked for"
            for o in self.objectives
            if natural[o.name] != o.direction
        ]
        return turned + [
            f"note: {name} is measured by the evaluator, not looked up in the benchmark"
            for name in self.shadowed
        ]


_BETTER = {"min": "smaller", "max": "larger"}


def prepare(plan: Plan) -> Problem:
    """Builds everything that `plan` names.

    Raises:
        NasPluginsError: A name is unknown, an option or value is wrong, a file is absent.
    """
    benchmark = None
    if plan.benchmark is not None:
        with _options_of("benchmark", plan.benchmark.split("/")[0], plan.benchmark_options):
            benchmark = nap.benchmark(plan.benchmark, **plan.benchmark_options)
    space = _space(plan, benchmark)
    evaluators = _evaluators(plan)
    if benchmark is None and not evaluators:
        raise UsageError("say what to measure: give --benchmark NAME or --evaluator NAME")
    with _options_of("strategy", plan.strategy, plan.strategy_options):
        strategy = nap.strategy(plan.strategy, space=space, **plan.strategy_options)
    # What was named expressly to measure goes before what the table happens to hold too.
    sources: list[Evaluator] = [*evaluators, *([benchmark] if benchmark else [])]
    metrics = _metrics(sources)
    objectives = _objectives(plan.objectives, metrics)
    constraints = _constraints(plan.constraints, metrics)
    names = [*(o.name for o in objectives), *(c.name for c in constraints)]
    wanted = tuple(dict.fromkeys(names))
    used = {name: _owner(name, sources)[0] for name in wanted}
    looked_up = benchmark is not None and all(owner is benchmark for owner in used.values())
    held = {metric.name for metric in benchmark.metrics} if benchmark else set()
    return Problem(
        space=space,
        evaluator=sources[0] if len(sources) == 1 else Combined(tuple(sources), wanted),
        strategy=strategy,
        objectives=objectives,
        constraints=constraints,
        metrics=metrics,
        source="; ".join(_source(s) for s in sources if any(s is u for u in used.values())),
        benchmark=benchmark if looked_up else None,
        shadowed=tuple(n for n in wanted if n in held and used[n] is not benchmark),
    )


def _metrics(sources: Sequence[Evaluator]) -> tuple[Metric, ...]:
    """All metrics; of equal names the first source's."""
    return tuple({m.name: m for source in reversed(sources) for m in source.metrics}.values())


def _owner(name: str, sources: Sequence[Evaluator]) -> tuple[Evaluator, Metric]:
    for source in sources:
        for metric in source.metrics:
            if metric.name == name:
                return source, metric
    raise unknown_name("metric", name, [m.name for source in sources for m in source.metrics])


def _source(source: Evaluator) -> str:
    return str(getattr(source, "source", None) or repr(source))


@dataclass(frozen=True)
class Combined:
    """Several evaluators as one; of a metric that two have, the first one's counts.

    Attributes:
        sources: The evaluators in order.
        wanted: Names of the metrics to return.
    """

    sources: tuple[Evaluator, ...]
    wanted: tuple[str, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The wanted metrics."""
        return tuple(_owner(name, self.sources)[1] for name in self.wanted)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Asks only the evaluators that are needed."""
        rows: list[dict[str, float]] = [{} for _ in architectures]
        for source in self.sources:
            names = [n for n in self.wanted if _owner(n, self.sources)[0] is source]
            if names:
                for row, found in zip(rows, source.evaluate(architectures), strict=True):
                    row.update({name: found[name] for name in names})
        return rows


def read_options(words: Sequence[str], option: str) -> dict[str, Any]:
    """Reads ``key=value`` words; a value that is JSON is read as such, any other is text.

    Args:
        words: What was given.
        option: Name of the option on the command line, for messages.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator or not key:
            raise UsageError(f"`{option}` must be written key=value, got {word!r}")
        try:
            found[key.replace("-", "_")] = json.loads(text)
        except ValueError:
            found[key.replace("-", "_")] = text
    return found


def build_space(name: str, options: Options) -> SearchSpace:
    """Builds a space; a wrong option is told as one of the space.

    Raises:
        NasPluginsError: The name or an option is unknown, or a value is wrong.
    """
    with _options_of("space", name, options):
        return nap.space(name, **options)


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


def _evaluators(plan: Plan) -> list[Evaluator]:
    if plan.evaluator_options and len(plan.evaluators) != 1:
        raise UsageError(
            f"--evaluator-option goes with one --evaluator, got {len(plan.evaluators)}"
        )
    found = []
    for name in plan.evaluators:
        with _options_of("evaluator", name, plan.evaluator_options):
            found.append(nap.evaluator(name, **plan.evaluator_options))
    return found


def _objectives(words: Sequence[str], metrics: Sequence[Metric]) -> tuple[Objective, ...]:
    known = {metric.name: metric for metric in metrics}
    if not words:
        better = ", ".join(f"{m.name}:{m.direction}" for m in metrics)
        raise UsageError(f"give at least one --objective; there are {better}")
    completed = [w if ":" in w or w not in known else f"{w}:{known[w].direction}" for w in words]
    with _as_usage("--objective"):
        # Without a colon the name is unknown: that is what the user should hear about.
        bare = [word for word in completed if ":" not in word]
        objectives = () if bare else objectives_of(completed)
    for name in [*bare, *(objective.name for objective in objectives)]:
        if name not in known:
            raise unknown_name("objective", name, known)
    return objectives


def _constraints(words: Sequence[str], metrics: Sequence[Metric]) -> tuple[Constraint, ...]:
    with _as_usage("--constraint"):
        constraints = constraints_of(words)
    known = {metric.name for metric in metrics}
    for constraint in constraints:
        if constraint.name not in known:
            raise unknown_name("metric of a constraint", constraint.name, known)
    return constraints


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


@contextmanager
def _options_of(kind: str, name: str, options: Options) -> Iterator[None]:
    """Says which option of a plug-in is wrong, where Python would name a function."""
    target = registry.load(kind, name)
    parameters = inspect.signature(target).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        known = [key for key, parameter in parameters.items() if parameter.kind in named]
        for key in options:
            if key not in known:
                raise unknown_name(f"option of {kind} {name!r}", key, known)
    try:
        yield
    except NasPluginsError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{kind} {name!r}: {error}") from error


@contextmanager
def _as_usage(option: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


__all__ = ["Combined", "Plan", "Problem", "build_space", "prepare", "read_options"]
