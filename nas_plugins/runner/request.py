"""What a search is asked for: one value, the same for Python, the command line and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nas_plugins import _public, registry
from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import plugin_code, shown
from nas_plugins._secrets import learn_from, learn_from_environment, learn_from_url, masked
from nas_plugins.composition import SEPARATOR
from nas_plugins.errors import EngineError, NasPluginsError, UsageError, unknown_name
from nas_plugins.protocols import Benchmark, Evaluator, Metric, Strategy
from nas_plugins.runner.language_model import lasting_options, told_options
from nas_plugins.runner.options import at_least, whole
from nas_plugins.runner.storage import ENGINES, OPTUNA, StorageURL, studies_in
from nas_plugins.spaces.base import Architecture, SearchSpace

if TYPE_CHECKING:
    from nas_plugins.runner.problem import Problem

Options: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[[Architecture], "Mapping[str, float] | float"]
"""A user's own evaluation: its metrics by name, or the value of the only objective."""

Measure: TypeAlias = Evaluator | Function
Measures: TypeAlias = (
    "str | Measure | Iterable[str | Measure] | Mapping[str, Measure | None] | None"
)


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What is searched for and how; pickles if the objects in it do.

    What is not described here is as the argument of `nas_plugins.search` of that name.

    Attributes:
        benchmark: Name or object, or ``None``.
        space: Name or object, or ``None`` where the benchmark's is meant.
        evaluators: By name, ``None`` for a registered one. A metric that the benchmark has too
            is taken from here, unless it is qualified.
        objectives: Written ``name:min``, ``name:max``, or ``name`` for the better direction,
            where the name may be ``<evaluator>.<metric>`` or ``<benchmark's family>.<metric>``.
        constraints: Written ``name<=number`` or ``name>=number``.
        stands_in_for: Benchmark that was asked for where `benchmark` serves instead.

    Raises:
        UsageError: Two of them do not go together, or a number is out of range.
        TypeError: A number is none, or not whole.
        UnknownNameError: There is no such engine; suggests the nearest.
        MissingDependencyError: The engine is not installed; says what to do.
    """

    benchmark: str | Benchmark | None = None
    space: str | SearchSpace | None = None
    evaluators: Mapping[str, Measure | None] = field(default_factory=FrozenDict)
    strategy: str | Strategy = "archive-evolution"
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    benchmark_options: Options = field(default_factory=dict)
    evaluator_options: Options = field(default_factory=dict)
    space_options: Options = field(default_factory=dict)
    strategy_options: Options = field(default_factory=dict)
    warm_start: str | None = None
    warm_start_trials: int | None = None
    warm_start_options: Options = field(default_factory=dict)
    trials: int = 100
    engine: str = OPTUNA
    seed: int | None = None
    storage: StorageURL | None = None
    study: str | None = None
    resume: bool = False
    take_over: bool = False
    workers: int = 1
    timeout: float | None = None
    pruner: str = "none"
    out: Path | None = None
    stands_in_for: str | None = None

    def __post_init__(self) -> None:
        self._learn()
        self._check_engine()
        self._check_storage()
        for name, least in (("trials", 1), ("workers", 1), ("seed", 0)):
            value = getattr(self, name)
            if name != "seed" or value is not None:
                object.__setattr__(self, name, whole(name, value, least))
        at_least(1, warm_start_trials=self.warm_start_trials)
        if self.timeout is not None:
            self._check_timeout(self.timeout)
        told = self.warm_start_trials is not None or self.warm_start_options
        if self.warm_start is None and told:
            raise UsageError(
                "`warm_start_trials` and `warm_start_options` go with `warm_start=...`"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._learn()  # a worker knows no other process's secrets

    def _learn(self) -> None:
        learn_from_environment()
        for name in ("benchmark", "evaluator", "space", "strategy", "warm_start"):
            learn_from(getattr(self, f"{name}_options"))
        if self.storage is not None:
            learn_from_url(self.storage.text)

    def _check_timeout(self, seconds: float) -> None:
        try:
            positive = seconds > 0
        except TypeError:
            raise TypeError(f"`timeout` must be a number of seconds, got {seconds!r}") from None
        if not positive:
            raise UsageError(f"`timeout` must be > 0, got {seconds}")
        if isinstance(seconds, float):
            object.__setattr__(self, "timeout", float(seconds))  # NumPy's are floats, too

    def _check_storage(self) -> None:
        if self.resume and self.storage is None:
            raise UsageError("`resume` needs `storage=...` and `study=...`")
        if self.storage is not None and self.study is None:
            names = studies_in(self.engine, self.storage) if self.resume else []
            known = f"; there is {', '.join(sorted(names))}" if names else ""
            raise UsageError(f"`storage` needs `study=...`{known}")
        if self.study is not None and self.storage is None:
            raise UsageError("`study` needs `storage=...`")
        if self.take_over and not self.resume:
            raise UsageError("`take_over` goes with `resume`")

    def _check_engine(self) -> None:
        """Refuses unknown engines, and arguments that are not the engine's."""
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        if self.engine == OPTUNA:
            return
        for argument, used, why in (
            ("pruner", self.pruner != "none", "ends no trial early"),
            ("take_over", self.take_over, "evaluates again what a run has left behind"),
        ):
            if used:
                raise UsageError(f"`{argument}` goes with `engine={OPTUNA}`: {self.engine} {why}")
        from nas_plugins.nni import require_nni

        require_nni()

    # -- what is told of it ------------------------------------------------------------------

    @property
    def benchmark_name(self) -> str | None:
        """Full name of the benchmark."""
        given = self.benchmark
        return given if given is None or isinstance(given, str) else given.name

    @property
    def strategy_name(self) -> str:
        """Name of the strategy, or what an object says of itself."""
        given = self.strategy
        return given if isinstance(given, str) else described(given)

    @property
    def objects(self) -> list[str]:
        """Arguments that are objects rather than names."""
        over = self.space if self.benchmark is None else self.benchmark
        given = {"over": over, "strategy": self.strategy}
        found = [name for name, value in given.items() if not isinstance(value, str | None)]
        return [*found, *(["evaluators"] if any(self.evaluators.values()) else [])]

    def lasting(self, problem: Problem) -> dict[str, Any]:
        """The settings that every run of a study must share."""
        warm = {"evaluator": self.warm_start, "trials": self.warm_start_trials}
        started = masked(dict(self.warm_start_options))
        return {
            "space": problem.space.name,
            "objectives": [str(objective) for objective in problem.objectives],
            "benchmark": self.benchmark_name,
            "evaluators": list(self.evaluators),
            "strategy": self.strategy_name,
            "constraints": [str(constraint) for constraint in problem.constraints],
            "benchmark_options": masked(dict(self.benchmark_options)),
            "evaluator_options": masked(dict(self.evaluator_options)),
            "strategy_options": lasting_options(self.strategy, self.strategy_options),
            "pruner": self.pruner,
            "warm_start": {**warm, **started} if self.warm_start else None,
        }

    def settings(self, problem: Problem, *, seed: int | None, status: str) -> dict[str, Any]:
        """What the result says was asked for.

        Args:
            problem: What was searched.
            seed: That was given or drawn.
            status: How the search ended.
        """
        return {
            **self.lasting(problem),
            "strategy_options": told_options(self.strategy_options),
            "engine": self.engine,
            "space_options": masked(dict(self.space_options)),
            "trials": self.trials,
            "seed": seed,
            "workers": self.workers,
            "timeout": self.timeout,
            "storage": None if self.storage is None else str(self.storage),
            "study": self.study,
            "resumed": self.resume,
            "status": status,
            **({"stands_in_for": self.stands_in_for} if self.stands_in_for else {}),
        }

    def check_resumed(self, problem: Problem, recorded: Mapping[str, Any]) -> None:
        """Refuses to mix trials of different searches in one study.

        Args:
            problem: What is searched now.
            recorded: ``settings`` and ``seed`` of the study, as far as it tells them.

        Raises:
            EngineError: Something differs; names it.
        """
        before = {**(recorded.get("settings") or {}), "seed": recorded.get("seed")}
        now = {**self.lasting(problem), "seed": self.seed}
        if self.seed is None:
            del now["seed"]
        for key, value in now.items():
            if key in before and before[key] != value:
                raise EngineError(
                    f"study {self.study!r} was begun with {key} {before[key]!r}, not {value!r}; "
                    "resume it with the same or choose another `study`"
                )

    def exists_already(self) -> EngineError:
        """The error where a new study would have the name of an old one."""
        return EngineError(
            f"study {self.study!r} exists already in {self.storage}; pass `resume=True` (with "
            "`storage` and `study`) to go on with it, or choose another `study`"
        )


def named(given: Measures) -> FrozenDict[Measure | None]:
    """Evaluators by the names that qualify their metrics: their own, or those of a mapping.

    Args:
        given: A name, an evaluator or a function, several of them, or a mapping.

    Raises:
        UsageError: One comes twice.
        TypeError: Something is neither of these.
    """
    if isinstance(given, Mapping):
        return FrozenDict({name: _measure(one) for name, one in given.items()})
    several: Iterable[Any] = () if given is None else (given,)
    if not isinstance(given, str) and not callable(given) and isinstance(given, Iterable):
        several = given
    found: dict[str, Measure | None] = {}
    for one in several:
        name = one if isinstance(one, str) else _called(one)
        if name in found:
            raise UsageError(f"`evaluators={name}` is given more than once")
        found[name] = _measure(None if isinstance(one, str) else one)
    return FrozenDict(found)


def described(thing: object) -> str:
    """What an object says of itself, the same in every process."""
    own = type(thing).__repr__ is not object.__repr__
    return shown(thing) if own else f"{type(thing).__module__}.{type(thing).__qualname__}"


def _evaluates(thing: object) -> bool:
    return hasattr(thing, "evaluate") and hasattr(thing, "metrics")


def _called(one: Measure) -> str:
    if _evaluates(one):
        return type(one).__name__
    return getattr(one, "__name__", "function").replace("<lambda>", "function")


def _measure(one: Measure | str | None) -> Measure | None:
    if isinstance(one, type) and _evaluates(one):
        raise TypeError(f"`evaluators` must be objects, got the class {one.__name__}")
    if one is None or callable(one) or _evaluates(one):
        return one  # type: ignore[return-value]
    raise TypeError(
        "`evaluators` must be names, evaluators with `metrics` and `evaluate`, or functions of an "
        f"architecture, got {shown(one)}"
    )


def with_stand_in(request: SearchRequest) -> tuple[SearchRequest, str]:
    """Takes the benchmark that stands in for an absent one, where it measures all that is asked.

    Whoever names the source of a metric, gives options of the benchmark or asks for what only it
    has, such as the latency of the device in its name, means that benchmark and no other.

    Returns:
        The request, and a remark for the user; the request as it is, and no remark, where the
        benchmark is there or nothing can take its place.
    """
    asked = request.benchmark
    if not isinstance(asked, str) or request.benchmark_options:
        return request, ""
    family, *table = asked.split("/")
    if family not in registry.names("benchmark"):
        return request, ""
    kind = _public.benchmark_class(family)
    with plugin_code(f"benchmark {family!r}", "fails in stand_in()", passing=TypeError):
        other = kind.stand_in(*table)
    if other is None:
        return request, ""
    try:
        metrics = {metric.name: metric for metric in _public.benchmark(other).metrics}
    except NasPluginsError:
        return request, ""  # not there either: the user is told of what was asked for
    wanted = _metrics_in(request)
    own = kind.own_metrics
    if any(SEPARATOR in name or name not in metrics or name in own for name in wanted):
        return request, ""
    request = replace(request, benchmark=other, stands_in_for=asked)
    return request, _remark(asked, other, wanted, metrics)


def _metrics_in(request: SearchRequest) -> list[str]:
    """Metrics of objectives and constraints, as they are written."""
    objectives = [word.rpartition(":")[0] or word for word in request.objectives]
    constraints = [word.replace(">=", "<=").partition("<=")[0] for word in request.constraints]
    return [name.strip() for name in (*objectives, *constraints)]


def _remark(asked: str, other: str, wanted: list[str], metrics: dict[str, Metric]) -> str:
    told = [
        f"{name} is {metrics[name].description}"
        for name in dict.fromkeys(wanted)
        if metrics[name].description
    ]
    return (
        f"note: the files of {asked} are absent (nas-plugins data list); {other} stands in for "
        f"it: {'; '.join(told)}"
    )
