"""One strategy with one seed on one benchmark: how it is run, and what is kept of it."""

from __future__ import annotations

import hashlib
import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins import _public, registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import MetricUnavailableError
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Strategy, as_benchmark, as_strategy, measured
from nas_plugins.reproduction.harness import Step, alone, code_of, read_run, run_key, write_run
from nas_plugins.reproduction.stock import in_study, stock_sampler, stock_search, stock_versions
from nas_plugins.spaces.base import Architecture

Floats = npt.NDArray[np.float64]

ALONE, STUDY = "alone", "optuna"
ENGINES = (ALONE, STUDY)
_SLOW = ("optuna:gp",)
_FORMAT = 1
_ARRAYS = ("searched", "reported", "distinct", "seconds")


@dataclass(frozen=True)
class Competitor:
    """A strategy of a comparison.

    Attributes:
        name: In the table.
        strategy: The strategy, its registered name, or ``"optuna:"`` and the name of a sampler of
            Optuna's own, such as ``"optuna:tpe"``.
        options: Of a strategy given by name.
        engine: ``"alone"``: as a pure function of the history; ``"optuna"``: in a study.
    """

    name: str
    strategy: Strategy | str
    options: FrozenDict[Any] = field(default_factory=FrozenDict)
    engine: str = ALONE

    @property
    def sampler(self) -> str:
        """Name of the sampler of Optuna's own; empty for a strategy."""
        own = isinstance(self.strategy, str) and self.strategy.startswith(_public.SAMPLERS)
        return str(self.strategy).removeprefix(_public.SAMPLERS) if own else ""

    @property
    def kind(self) -> str:
        """The registered name or the class, as part of a file's name."""
        named = self.strategy if isinstance(self.strategy, str) else type(self.strategy).__name__
        return re.sub(r"\W+", "-", named)

    @property
    def cost(self) -> int:
        """Rough order of the time that a run takes, slowest first."""
        return 0 if self.strategy in _SLOW else 1 if self.engine == STUDY else 2

    def build(self) -> Strategy:
        """The strategy.

        Raises:
            UnknownNameError: The name is not known; suggests the nearest.
        """
        if isinstance(self.strategy, str):
            return _public.strategy(self.strategy, **self.options)
        return as_strategy(self.strategy)

    def check(self) -> None:
        """Builds what it names once.

        Raises:
            UnknownNameError: The name is not known; suggests the nearest.
        """
        if self.sampler:
            stock_sampler(self.sampler, seed=0, **self.options)
        else:
            self.build()

    def identity(self) -> list[str]:
        """All that decides what it proposes: options, versions, and its code.

        Raises:
            ValueError: An object does not tell its options.
        """
        text = f"{told(self.strategy)} {sorted(self.options.items())}"
        if re.search(r" at 0x[0-9a-fA-F]+>", text):
            raise ValueError(
                f"`out` keeps runs only of what tells its options in its repr, got {text}"
            )
        if self.sampler:
            return [text, stock_versions()]
        engine = [self.engine, stock_versions()] if self.engine == STUDY else [self.engine]
        if isinstance(self.strategy, str):
            return [text, *engine, code_of(registry.load("strategy", self.strategy))]
        parts = [self.strategy, *getattr(self.strategy, "__dict__", {}).values()]
        wrapped: set[type[object]] = {type(part) for part in parts if hasattr(part, "propose")}
        return [text, *engine, *sorted(code_of(kind) for kind in wrapped)]


@dataclass(frozen=True, eq=False)
class SeedJob:
    """A search to do.

    Attributes:
        competitor: Who searches.
        benchmark: On what; a name is looked up in the process that does the job.
        searched: The objectives that the search sees.
        reported: Those on which it is scored.
        trials: Evaluations, failed ones and repetitions included.
        seed: Of the search.
        file: Where the run is kept; ``None`` for nowhere.
    """

    competitor: Competitor
    benchmark: Benchmark | str
    searched: tuple[Objective, ...]
    reported: tuple[Objective, ...]
    trials: int
    seed: int
    file: Path | None = None


@dataclass(frozen=True, eq=False)
class SeedRun:
    """What a search gave, trial by trial.

    Attributes:
        strategy: Name of the competitor.
        engine: As of `Competitor`.
        seed: Of the search.
        searched: `(n, m)` values that the search saw, in order; NaN where a trial failed.
        reported: `(n, m)` values on which it is scored.
        distinct: `(n,)` different architectures so far.
        seconds: `(n,)` spent so far outside the evaluation.
    """

    strategy: str
    engine: str
    seed: int
    searched: Floats
    reported: Floats
    distinct: npt.NDArray[np.int64]
    seconds: Floats

    @classmethod
    def of(cls, job: SeedJob, found: Mapping[str, Any]) -> SeedRun:
        """The run of a job, of lists or arrays by name."""
        values = {
            name: np.array(found[name], dtype=np.float64).reshape(-1, len(job.searched))
            for name in ("searched", "reported")
        }
        return cls(
            job.competitor.name,
            job.competitor.engine,
            job.seed,
            **values,
            distinct=np.array(found["distinct"], dtype=np.int64),
            seconds=np.array(found["seconds"], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.searched)

    @property
    def whole(self) -> bool:
        """Whether all that is told of the trials is told of every one of them."""
        return {array.shape for array in (self.distinct, self.seconds)} == {(len(self),)} and (
            len(self.reported) == len(self)
        )

    def wasted(self, budget: int) -> float:
        """Share of the first trials whose architecture had come before, or was none."""
        n = min(budget, len(self))
        return 1 - float(self.distinct[n - 1]) / n if n else math.nan

    def seconds_per_trial(self, budget: int) -> float:
        """Mean over the first trials of what was spent outside the evaluation."""
        n = min(budget, len(self))
        return float(self.seconds[n - 1]) / n if n else math.nan


def told(strategy: Strategy | str) -> str:
    """A strategy's repr, or its class where that says no more and there are no options."""
    if type(strategy).__repr__ is object.__repr__ and not getattr(strategy, "__dict__", True):
        return f"{type(strategy).__name__}()"
    return repr(strategy)


def benchmark_of(given: Benchmark | str) -> Benchmark:
    """Opens a benchmark that is given by name, once per process."""
    return _opened(given) if isinstance(given, str) else as_benchmark(given)


def kept_file(folder: Path, job: SeedJob, benchmark: Sequence[str]) -> Path:
    """Where a run is kept: named by all that decides its outcome.

    Args:
        folder: Below which.
        job: The run.
        benchmark: What `benchmark_identity` says of its benchmark.

    Raises:
        ValueError: A strategy that is given as an object does not tell its options.
    """
    goals = [str(objective) for objective in (*job.searched, *job.reported)]
    who = job.competitor.identity()
    key = run_key(_FORMAT, who, list(benchmark), goals, job.trials, job.seed)
    return folder / "runs" / f"{job.competitor.kind}-{job.seed}-{key}.json"


def benchmark_identity(benchmark: Benchmark, objectives: Sequence[Objective]) -> list[str]:
    """Name and source, and a digest of the values where they can be listed."""
    columns = [benchmark.column(objective.name) for objective in objectives]
    digests = [hashlib.sha256(c.tobytes()).hexdigest() for c in columns if c is not None]
    return [benchmark.name, benchmark.source, *digests]


def kept_run(job: SeedJob) -> SeedRun | None:
    """The run from its file; ``None`` where it is not there or cannot be read."""
    found = read_run(job.file) if job.file is not None else None
    try:
        run = None if found is None else SeedRun.of(job, found)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    return run if run is not None and run.whole else None


def run_seed(job: SeedJob) -> SeedRun:
    """Does a search, and keeps it where the job says so."""
    recorder = _Recorder(benchmark_of(job.benchmark), job)
    seconds = [step.seconds for step in _steps(job, recorder)]
    seen: set[Any] = {None}
    new = []
    for architecture in recorder.architectures:
        key = None if architecture is None else architecture.key
        new.append(key not in seen)
        seen.add(key)
    so_far = {"distinct": np.cumsum(new), "seconds": np.cumsum(seconds)}
    run = SeedRun.of(job, {"searched": recorder.searched, "reported": recorder.reported, **so_far})
    if job.file is not None:
        arrays = {name: getattr(run, name).tolist() for name in _ARRAYS}
        write_run(job.file, {"strategy": run.strategy, "seed": run.seed, **arrays})
    return run


class _Recorder:
    """Evaluates architectures one by one and keeps what came out."""

    def __init__(self, benchmark: Benchmark, job: SeedJob) -> None:
        self.benchmark, self.job = benchmark, job
        self.architectures: list[Architecture | None] = []
        self.searched: list[list[float]] = []
        self.reported: list[list[float]] = []

    def evaluate(self, architecture: Architecture | None) -> list[float] | None:
        """Values of the objectives; ``None`` when one was not measured or nothing was valid."""
        failed = [math.nan] * len(self.job.searched)
        if architecture is None:
            return self._keep(architecture, failed, failed)
        metrics = measured(self.benchmark, [architecture])[0]
        reported = [metrics.get(objective.name, math.nan) for objective in self.job.reported]
        try:
            values = [metrics[objective.name] for objective in self.job.searched]
        except MetricUnavailableError:
            values = failed
        return self._keep(architecture, values, reported)

    def _keep(
        self, architecture: Architecture | None, searched: list[float], reported: list[float]
    ) -> list[float] | None:
        self.architectures.append(architecture)
        self.searched.append(searched)
        self.reported.append(reported)
        return None if np.isnan(searched).any() else searched


@lru_cache(maxsize=4)
def _opened(name: str) -> Benchmark:
    return _public.benchmark(name)


def _steps(job: SeedJob, recorder: _Recorder) -> Iterator[Step]:
    competitor, space = job.competitor, recorder.benchmark.space
    limits: dict[str, Any] = {"n_trials": job.trials, "measure": recorder.evaluate}
    if competitor.sampler:
        name, options = competitor.sampler, competitor.options
        return stock_search(name, options, space, job.searched, **limits, seed=job.seed)
    if competitor.engine == STUDY:
        from nas_plugins.optuna import StrategySampler, suggest

        sampler = StrategySampler(competitor.build(), space=space, seed=job.seed)
        return in_study(sampler, lambda trial: suggest(trial, space), job.searched, **limits)
    return alone(competitor.build(), space, job.searched, **limits, seed=job.seed)


def seeds_of(given: Any) -> tuple[int, ...]:
    """A number of seeds, which count from 0, or the seeds themselves.

    Raises:
        TypeError: They are no whole numbers.
        ValueError: There is none, or one comes twice.
    """
    one = isinstance(given, str) or not isinstance(given, Iterable)
    own = (given,) if one else tuple(given)
    if any(isinstance(seed, bool) or not hasattr(seed, "__index__") for seed in own):
        raise TypeError(f"`seeds` must be a whole number or several, got {given!r}")
    seeds = tuple(map(operator.index, own))
    if one:
        seeds = tuple(range(*seeds))
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"`seeds` must be a number >= 1 or different numbers >= 0, got {given}")
    return seeds
