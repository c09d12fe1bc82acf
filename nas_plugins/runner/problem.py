"""From the words of a request to the objects of a search, the same in every worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas_plugins import _public, pareto
from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import plugin_code
from nas_plugins.composition import SEPARATOR, Combined, Origin, metric_names, origin, same_data
from nas_plugins.constraints import Constraint, constraints_of
from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.history import Objective, objectives_of
from nas_plugins.protocols import (
    Benchmark,
    Evaluator,
    Metric,
    Strategy,
    as_evaluator,
    as_strategy,
    checked_metrics,
    measured,
    owner,
)
from nas_plugins.runner.language_model import kind_of as strategy_kind
from nas_plugins.runner.options import as_usage, options_by_source, options_of
from nas_plugins.runner.request import Function, SearchRequest
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.strategies.warm_start import WarmStart, kind_of

_TASK = "task"
_OF_WARM_START = ("metrics", "pool")


@dataclass(frozen=True)
class FunctionEvaluator(Evaluator):
    """A user's function as an evaluator of what a search asks for.

    Attributes:
        function: Takes an architecture, returns metrics by name, or the value of the only one.
        metrics: What it returns.
        name: What it is called.
    """

    function: Function
    metrics: tuple[Metric, ...] = ()
    name: str = "function"

    @property
    def source(self) -> str:
        """Its name."""
        return f"the function {self.name}"

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Calls the function on each."""
        return [self._values(self._called(architecture)) for architecture in architectures]

    def _called(self, architecture: Architecture) -> Mapping[str, float] | float:
        with plugin_code(self.source, "fails", passing=Exception):
            return self.function(architecture)

    def _values(self, found: Mapping[str, float] | float) -> dict[str, float]:
        names = [metric.name for metric in self.metrics]
        if not isinstance(found, Mapping):
            if len(names) != 1:
                raise TypeError(
                    f"{self.source} must return a dictionary of {names}, got {found!r}"
                )
            found = {names[0]: found}
        try:
            return {str(name): float(value) for name, value in found.items()}
        except (TypeError, ValueError):
            wrong = f"must return numbers for {names}, got {dict(found)!r}"
            raise TypeError(f"{self.source} {wrong}") from None


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
        rows = measured(self.benchmark, architectures)
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


def prepare(request: SearchRequest) -> Problem:
    """Builds everything that `request` names.

    Raises:
        NasPluginsError: A name is unknown, an option or value is wrong, a file is absent.
    """
    benchmark = _benchmark(request)
    space = _space(request, benchmark)
    sources = _measured_by(request, benchmark)
    strategy, notes = _strategy(request, space)
    objectives = _objectives(request.objectives, sources)
    constraints = _constraints(request.constraints, sources)
    names = [*(o.name for o in objectives), *(c.name for c in constraints)]
    used = {name: origin(name, sources) for name in dict.fromkeys(names)}
    held = {metric.name for metric in benchmark.metrics} if benchmark else set()
    others = {n: o.metric.name for n, o in used.items() if sources[o.source] is not benchmark}
    asked = {found.source for found in used.values()}
    for name in sorted(asked):
        with as_usage(f"`evaluators={name}`", (TypeError, ValueError)):
            sources[name].check(space)
    return Problem(
        space=space,
        evaluator=_evaluator(sources, used),
        strategy=strategy,
        objectives=objectives,
        constraints=constraints,
        metrics=_metrics(sources, used),
        source="; ".join(found.source for name, found in sources.items() if name in asked),
        benchmark=benchmark,
        looked_up=FrozenDict({n: o.metric.name for n, o in used.items() if n not in others}),
        predicted=FrozenDict(
            {o.name: others[o.name] for o in objectives if others.get(o.name) in held}
        ),
        notes=notes,
        shadowed=tuple(name for name, plain in others.items() if name == plain and name in held),
    )


def _benchmark(request: SearchRequest) -> Benchmark | None:
    given, options = request.benchmark, request.benchmark_options
    if not isinstance(given, str):
        _only_for_names("benchmark", given, options)
        return given
    with options_of("benchmark", given.partition("/")[0], options):
        return _public.benchmark(given, **options)


def _only_for_names(argument: str, given: object, options: Mapping[str, Any]) -> None:
    if options:
        what = "an object" if given is not None else f"no `{argument}`"
        raise UsageError(f"`{argument}_options` are for a name, and there is {what}")


def _space(request: SearchRequest, benchmark: Benchmark | None) -> SearchSpace:
    if request.space is None:
        _only_for_names("space", None, request.space_options)
        if benchmark is None:
            raise UsageError("say what to search: give `space=...` or `benchmark=...`")
        return benchmark.space
    space = request.space
    if isinstance(space, str):
        space = build_space(space, request.space_options)
    else:
        _only_for_names("space", space, request.space_options)
    if benchmark is not None and space != benchmark.space:
        raise UsageError(
            f"`space={space.name}` does not fit `benchmark={benchmark.name}`, which is over "
            f"the space {benchmark.space.name!r}; leave `space` out"
        )
    return space


def build_space(name: str, options: Mapping[str, Any]) -> SearchSpace:
    """Builds a space; a wrong option is told as one of the space.

    Raises:
        NasPluginsError: The name or an option is unknown, or a value is wrong.
    """
    with options_of("space", name, options):
        return _public.space(name, **options)


def _strategy(request: SearchRequest, space: SearchSpace) -> tuple[Strategy, tuple[str, ...]]:
    """The strategy, and what a user should know of it."""
    given, options = request.strategy, dict(request.strategy_options)
    if isinstance(given, str):
        if strategy_kind(given).takes_task and request.benchmark_name and _TASK not in options:
            words = request.benchmark_name.split("/")
            options[_TASK] = dict(zip(("benchmark", "dataset", "device"), words, strict=False))
        with options_of("strategy", given, request.strategy_options):
            strategy = _public.strategy(given, space=space, **options)
    else:
        _only_for_names("strategy", given, options)
        strategy = as_strategy(given)
        with plugin_code(owner(strategy), "cannot prepare", passing=Exception):
            strategy.prepare(space)
    if request.warm_start is None:
        return strategy, ()
    warm = _warm_start(strategy, request.warm_start, request)
    with as_usage(f"`warm_start={request.warm_start}`"):
        warm.check(space)
    note = (
        f"note: the first {warm.n} trials are the best of {warm.pool} by "
        f"{', '.join(warm.ranked_by)} of {request.warm_start}, scored before them"
    )
    return warm, (note,)


def _warm_start(strategy: Strategy, name: str, request: SearchRequest) -> WarmStart:
    """The strategy with the warm start before it."""
    family, given = name.partition("/")[0], request.warm_start_options
    own = {key: value for key, value in given.items() if SEPARATOR not in key}
    for key in own:
        if key not in _OF_WARM_START:
            raise unknown_name("option of `warm_start`", key, [*_OF_WARM_START, f"{family}.{key}"])
    theirs = {key: value for key, value in given.items() if key not in own}
    options = options_by_source(theirs, [family], "warm_start_options")[family]
    if isinstance(own.get("metrics"), str):
        own["metrics"] = own["metrics"].split(",")
    if request.warm_start_trials is not None:
        own["n"] = request.warm_start_trials
    wrong = (TypeError, ValueError)
    with options_of(kind_of(name), family, options), as_usage("`warm_start`", wrong):
        return WarmStart(strategy, name, options=FrozenDict(options), **own)


def _measured_by(request: SearchRequest, benchmark: Benchmark | None) -> dict[str, Evaluator]:
    """What measures, by name; what was named expressly goes before what the table holds too."""
    family = (request.benchmark_name or "").partition("/")[0]
    if benchmark is None and not request.evaluators:
        raise UsageError("say what to measure: give `benchmark=...` or `evaluators=...`")
    if family in request.evaluators:
        raise UsageError(
            f"`evaluators={family}` and `benchmark={request.benchmark_name}` share a name"
        )
    found: dict[str, Evaluator | Function] = _evaluators(request)
    if benchmark is not None:
        found[family] = benchmark
    known = {name: one for name, one in found.items() if isinstance(one, Evaluator)}
    for one in known.values():
        checked_metrics(one)
    functions = [name for name in found if name not in known]
    if len(functions) > 1:
        raise UsageError(
            f"`evaluators` may hold one function, as a function does not tell what it measures, "
            f"got {functions}"
        )
    with as_usage("`evaluators`"):
        known = same_data(known)
    return {
        name: known[name]
        if isinstance(one, Evaluator)
        else _of_function(name, one, known, request)
        for name, one in found.items()
    }


def _of_function(
    name: str, function: Function, others: Mapping[str, Evaluator], request: SearchRequest
) -> Evaluator:
    """A function measures what is asked for and nobody else measures."""
    elsewhere = set(metric_names(others))
    found: dict[str, Metric] = {}
    for word in (*request.objectives, *request.constraints):
        if word in elsewhere:
            continue
        asked = _asked(word)
        plain = asked.name.removeprefix(f"{name}{SEPARATOR}")
        if asked.name not in elsewhere and plain:
            found.setdefault(plain, replace(asked, name=plain))
    return FunctionEvaluator(function, tuple(found.values()), name)


def _asked(word: str) -> Metric:
    """What an objective or a constraint on it says of a metric."""
    constraint = "<=" in word or ">=" in word
    if not constraint and any(sign in word for sign in "<>="):
        with as_usage("`constraints`"):
            Constraint.parse(word)  # says how one is written
    limit = word.replace(">=", "<=").partition("<=")[0].strip()
    name, separator, direction = (limit, ":", "") if constraint else word.rpartition(":")
    if not separator:
        raise UsageError(
            f"`objectives`: say which way {word!r} is better, {word}:min or {word}:max, as a "
            "function does not tell"
        )
    return Metric(name, "", ("min" if "<=" in word else "max") if constraint else direction)


def _evaluators(request: SearchRequest) -> dict[str, Evaluator | Function]:
    """The evaluators by name; functions as they are."""
    if request.evaluator_options and not request.evaluators:
        raise UsageError("`evaluator_options` goes with `evaluators`")
    names = [name for name, given in request.evaluators.items() if given is None]
    if request.evaluator_options and not names:
        _only_for_names("evaluator", object(), request.evaluator_options)
    shared = options_by_source(request.evaluator_options, names, "evaluator_options")
    found: dict[str, Evaluator | Function] = {}
    for name, given in request.evaluators.items():
        if given is None:
            with options_of("evaluator", name, shared[name]):
                found[name] = _public.evaluator(name, **shared[name])
        else:
            found[name] = as_evaluator(given) if hasattr(given, "evaluate") else given
    return found


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


def _objectives(words: Sequence[str], sources: Mapping[str, Evaluator]) -> tuple[Objective, ...]:
    known = {name: origin(name, sources).metric.direction for name in metric_names(sources)}
    if not words:
        better = ", ".join(f"{m.name}:{m.direction}" for m in _metrics(sources, {}))
        there = (
            f"there are {better}" if better else "a function has any that you name, as loss:min"
        )
        raise UsageError(f"give at least one of `objectives`; {there}")
    completed = [w if ":" in w or w not in known else f"{w}:{known[w]}" for w in words]
    with as_usage("`objectives`"):
        # Without a colon the name is unknown: that is what the user should hear about.
        bare = [word for word in completed if ":" not in word]
        objectives = () if bare else objectives_of(completed)
    for name in [*bare, *(objective.name for objective in objectives)]:
        if name not in known:
            raise unknown_name("objective", name, _suggested(name, sources))
    return objectives


def _constraints(words: Sequence[str], sources: Mapping[str, Evaluator]) -> tuple[Constraint, ...]:
    with as_usage("`constraints`"):
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
    names = [*(o.name for o in objectives), *(c.name for c in constraints)]
    columns = {name: benchmark.column(name) for name in names}
    known = {name: column for name, column in columns.items() if column is not None}
    if len(known) < len(columns):
        return None
    values = np.stack([known[objective.name] for objective in objectives], axis=1)
    allowed = np.isfinite(values).all(axis=1)
    for constraint in constraints:
        allowed &= np.array([constraint.excess(v) <= 0 for v in known[constraint.name].tolist()])
    if not allowed.any():
        return None
    signs = np.array([objective.sign for objective in objectives])
    front: pareto.Floats = np.unique(
        values[allowed][pareto.front_mask(values[allowed] * signs)], axis=0
    )
    return front
