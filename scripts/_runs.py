"""One search run for `search.py`: our strategies alone or in Optuna, and Optuna's samplers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.errors import MetricUnavailableError, unknown_name
from nas_plugins.history import objectives_of
from nas_plugins.reproduction.harness import Step, alone
from nas_plugins.strategies.warm_start import WarmStart, scorer

Floats = npt.NDArray[np.float64]

OPTUNA_SAMPLERS = ("tpe", "nsga2", "gp", "optuna-random")
SLOW = ("gp",)


@dataclass(frozen=True)
class Case:
    """One search problem.

    Attributes:
        benchmark: Registered name.
        objectives: Searched on, written ``name:direction``.
        report: Metric that replaces the first objective when results are scored.
    """

    benchmark: str
    objectives: tuple[str, ...]
    report: str

    @property
    def searched(self) -> tuple[nap.Objective, ...]:
        """The objectives that the search sees."""
        return objectives_of(self.objectives)

    @property
    def reported(self) -> tuple[nap.Objective, ...]:
        """The objectives on which results are scored."""
        first, *others = self.searched
        return (nap.Objective(self.report, first.direction), *others)


@dataclass(frozen=True)
class Job:
    """One run to do: strategy, e.g. ``"regularized-evolution:population_size=50"``, and seed.

    ``"random+zero-cost:n=5"`` is random search with a warm start.
    """

    case: Case
    strategy: str
    engine: str
    n_trials: int
    seed: int


@dataclass(frozen=True)
class Run:
    """What a job gave.

    Attributes:
        job: The job.
        searched: `(n, m)` values the search saw, in order; NaN where a trial failed.
        reported: `(n, m)` values on which it is scored.
        distinct: `(n,)` different architectures so far.
        seconds: `(n,)` spent so far outside the evaluation.
    """

    job: Job
    searched: Floats
    reported: Floats
    distinct: npt.NDArray[np.int64]
    seconds: Floats


def engine_of(strategy: str, engine: str) -> str:
    """The engine a strategy runs in: Optuna's own samplers know no other than Optuna."""
    return "optuna" if _name(strategy) in OPTUNA_SAMPLERS else engine


def is_slow(strategy: str) -> bool:
    """Whether a run takes minutes rather than seconds."""
    return _name(strategy) in SLOW


def check_strategy(strategy: str) -> None:
    """Raises an error for an unknown name or a malformed option."""
    base, _, warm = strategy.partition("+")
    name, _ = _parsed(base)
    known = [*registry.names("strategy"), *OPTUNA_SAMPLERS]
    if name not in known:
        raise unknown_name("strategy", name, known)
    if warm and name in OPTUNA_SAMPLERS:
        raise ValueError(f"`strategies`: {name!r} is a sampler and takes no warm start")
    if warm:
        _strategy(strategy)  # says at once what is wrong with it


def as_searched(run: Run) -> Run:
    """The same run, scored on what the search sees."""
    case = replace(run.job.case, report=run.job.case.searched[0].name)
    return replace(run, job=replace(run.job, case=case), reported=run.searched)


def run(job: Job) -> Run:
    """Does a job."""
    bench = _benchmark(job.case.benchmark)
    loop = _in_optuna if job.engine == "optuna" else _alone
    recorder = _Recorder(bench, job.case)
    seconds = [step.seconds for step in loop(job, recorder)]
    n = len(recorder.architectures)
    keys = [None if a is None else a.key for a in recorder.architectures]
    first = {key: i for i, key in reversed(list(enumerate(keys))) if key is not None}
    return Run(
        job,
        np.array(recorder.searched).reshape(n, -1),
        np.array(recorder.reported).reshape(n, -1),
        np.cumsum([first.get(key) == i for i, key in enumerate(keys)]),
        np.cumsum(seconds),
    )


@lru_cache(maxsize=4)
def _benchmark(name: str) -> nap.Benchmark:
    return nap.benchmark(name)


class _Recorder:
    """Evaluates architectures one by one and keeps what came out."""

    def __init__(self, bench: nap.Benchmark, case: Case) -> None:
        self.bench = bench
        self.case = case
        self.architectures: list[nap.Architecture | None] = []
        self.searched: list[list[float]] = []
        self.reported: list[list[float]] = []

    def evaluate(self, architecture: nap.Architecture | None) -> list[float] | None:
        """Values of the objectives; ``None`` when one was not measured or nothing was valid."""
        if architecture is None:
            self._fail(architecture, [math.nan] * len(self.case.objectives))
            return None
        metrics = self.bench.evaluate([architecture])[0]
        reported = [metrics.get(o.name, math.nan) for o in self.case.reported]
        try:
            values = [metrics[objective.name] for objective in self.case.searched]
        except MetricUnavailableError:
            self._fail(architecture, reported)
            return None
        self._keep(architecture, values, reported)
        return values

    def _fail(self, architecture: nap.Architecture | None, reported: list[float]) -> None:
        self._keep(architecture, [math.nan] * len(reported), reported)

    def _keep(
        self, architecture: nap.Architecture | None, searched: list[float], reported: list[float]
    ) -> None:
        self.architectures.append(architecture)
        self.searched.append(searched)
        self.reported.append(reported)


def _alone(job: Job, recorder: _Recorder) -> Iterator[Step]:
    """Runs a strategy as a pure function of a growing history."""
    strategy, measure = _strategy(job.strategy), recorder.evaluate
    space, searched = recorder.bench.space, job.case.searched
    return alone(strategy, space, searched, n_trials=job.n_trials, measure=measure, seed=job.seed)


def _in_optuna(job: Job, recorder: _Recorder) -> Iterator[Step]:
    """Runs a sampler in an in-memory study."""
    from nas_plugins.optuna import StrategySampler, suggest
    from nas_plugins.reproduction.stock import in_study, stock_search

    space, searched, measure = recorder.bench.space, job.case.searched, recorder.evaluate
    if _name(job.strategy) in OPTUNA_SAMPLERS:
        name, options = _parsed(job.strategy)
        return stock_search(
            name, options, space, searched, n_trials=job.n_trials, measure=measure, seed=job.seed
        )
    sampler = StrategySampler(_strategy(job.strategy), space=space, seed=job.seed)
    return in_study(
        sampler,
        lambda trial: suggest(trial, space),
        searched,
        n_trials=job.n_trials,
        measure=measure,
    )


def _strategy(text: str) -> nap.Strategy:
    """Builds ``name:option=value+evaluator:option=value``; the plus and what follows may lack."""
    base, _, warm = text.partition("+")
    name, options = _parsed(base)
    strategy = nap.strategy(name, **options)
    if not warm:
        return strategy
    evaluator, options = _parsed(warm)
    own = {key: options.pop(key) for key in ("n", "pool", "metrics") if key in options}
    scorer = _scorer(evaluator, json.dumps(options), tuple(own.get("metrics", ())))
    return WarmStart(strategy, scorer, **own)


@lru_cache(maxsize=8)
def _scorer(name: str, options: str, metrics: tuple[str, ...]) -> nap.Evaluator:
    """What scores the pools of a warm start, once per process."""
    if name.endswith(".csv"):
        return ScoredFile.read(Path(name))
    return scorer(name, json.loads(options), metrics)


@dataclass(frozen=True)
class ScoredFile:
    """Scores that ``nas-plugins score --out FILE.csv`` has written, as an evaluator.

    Architectures that are not in the file have no score.

    Attributes:
        columns: Names of the proxies; each is better when larger.
        values: Scores by the architecture's text.
    """

    columns: tuple[str, ...]
    values: Mapping[str, dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> ScoredFile:
        """Reads the file."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        others = ("architecture", "rank_sum", "seconds", "cached", "reason")
        names = tuple(name for name in rows[0] if name not in others)
        return cls(
            names,
            {r["architecture"]: {n: float(r[n]) for n in names if r[n]} for r in rows},
        )

    @property
    def metrics(self) -> tuple[nap.Metric, ...]:
        """One per proxy."""
        return tuple(nap.Metric(name, "", "max") for name in self.columns)

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        """Looks the scores up."""
        return [dict(self.values.get(str(a), {})) for a in architectures]


def _parsed(strategy: str) -> tuple[str, dict[str, Any]]:
    """Reads ``name:option=value:...``; values are JSON."""
    name, *pairs = strategy.split(":")
    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"`strategies`: expected option=value in {strategy!r}, got {pair!r}")
        options[key] = json.loads(value)
    return name, options


def _name(strategy: str) -> str:
    return strategy.partition("+")[0].partition(":")[0]
