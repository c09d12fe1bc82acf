"""Cases that run Optuna studies: a cell beside numbers, decisions that depend on others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import optuna

from nas_plugins import registry
from nas_plugins.history import Objective
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    GraphGPSampler,
    LocalSearchSampler,
    RegularizedEvolutionSampler,
)
from nas_plugins.reproduction.comparison import Comparison
from nas_plugins.reproduction.harness import code_of, in_processes, read_run, run_key, write_run
from nas_plugins.reproduction.run_quality import ScoreAxes
from nas_plugins.reproduction.seed_runs import STUDY, SeedRun
from nas_plugins.reproduction.stock import stock_versions
from nas_plugins.runner.outputs import prepare_folder
from nas_plugins.runner.progress import CountingDisplay

from .base import Case, Outcome, Settings
from .rows import ARCHIVE, LOCAL, NSGA2, RANDOM, REGULARISED, TPE, TPE_OTHER, Row
from .searches import outcome

MIXED = "graph-gp"
"""The row of our search, which samples numbers too."""

_FORMAT = 1
_ARRAYS = ("searched", "distinct", "seconds")
_VALUE = (Objective("value"),)


class StudyObjective(Protocol):
    """What is maximised.

    Attributes:
        best: The greatest value there is.
    """

    @property
    def best(self) -> float:
        """The greatest value there is."""

    def value(self, trial: optuna.Trial) -> float:
        """The objective."""


@dataclass(frozen=True)
class Ordered:
    """A network of stages: ordered widths and depths, a kernel, and a learning rate.

    Attributes:
        stages: Each has a width and a depth.
    """

    stages: int = 3
    best = 0.0

    def value(self, trial: optuna.Trial) -> float:
        """Minus the squared distance to the best network, in steps."""
        loss = 0.0
        for stage in range(self.stages):
            width = trial.suggest_int(f"width_{stage}", 16, 256, step=16)
            depth = trial.suggest_int(f"depth_{stage}", 1, 8)
            # A wide stage needs fewer layers.
            loss += (np.log2(width / 16) - 1.0 - stage) ** 2 / 4
            loss += ((depth - 6 + stage) / 3 + (np.log2(width / 16) - 1.0 - stage) / 4) ** 2
        kernel = trial.suggest_categorical("kernel", [3, 5, 7])
        lr = trial.suggest_float("lr", 1e-5, 1, log=True)
        return float(-loss - 0.5 * (kernel != 5) - 0.5 * (np.log10(lr) + 2.5) ** 2)


@dataclass(frozen=True)
class _Entrant:
    """A sampler by seed, and the registered name of the strategy behind it, if any."""

    make: Callable[[int], optuna.samplers.BaseSampler]
    strategy: str = ""

    @property
    def identity(self) -> list[str]:
        code = [code_of(registry.load("strategy", self.strategy))] if self.strategy else []
        return [stock_versions(), *code]


def _ours(sampler: Callable[..., optuna.samplers.BaseSampler], strategy: str) -> _Entrant:
    def make(seed: int) -> optuna.samplers.BaseSampler:
        return sampler(seed=seed, warn_independent_sampling=False)

    return _Entrant(make, strategy)


def _stock(sampler: Callable[..., optuna.samplers.BaseSampler], **options: object) -> _Entrant:
    return _Entrant(lambda seed: sampler(seed=seed, **options))


_ENTRANTS: Mapping[str, _Entrant] = {
    MIXED: _ours(GraphGPSampler, "graph-gp"),
    RANDOM: _stock(optuna.samplers.RandomSampler),
    LOCAL: _ours(LocalSearchSampler, "local-search"),
    REGULARISED: _ours(RegularizedEvolutionSampler, "regularized-evolution"),
    ARCHIVE: _ours(ArchiveEvolutionSampler, "archive-evolution"),
    TPE: _stock(optuna.samplers.TPESampler),
    TPE_OTHER: _stock(optuna.samplers.TPESampler, multivariate=False),
    NSGA2: _stock(optuna.samplers.NSGAIISampler, population_size=20),
    "Optuna's GP": _stock(optuna.samplers.GPSampler),
}
_QUICK = (MIXED, RANDOM, LOCAL, TPE)
_FEW = {"Optuna's GP": 5}


@dataclass(frozen=True)
class StudyCase(Case):
    """An objective of Optuna's, as people write them, without a declared space.

    Attributes:
        objective: What is maximised.
    """

    objective: StudyObjective = field(default_factory=Ordered)

    def run(self, settings: Settings) -> Outcome:
        """Runs the studies."""
        folder, trials = settings.folder, settings.trials_of(self)
        prepare_folder(folder)
        names = [name for name in _ENTRANTS if name in _QUICK or not settings.quick]
        jobs = [
            _StudyJob(name, self.objective, trials, seed).kept_in(folder)
            for name in names
            for seed in settings.seeds_of(self, _FEW.get(name))
        ]
        runs = _runs(jobs, settings.workers)
        axes = ScoreAxes(_VALUE, np.array([[-self.objective.best]]))
        budgets = settings.budgets_of(self)
        found = Comparison(self.name, runs, axes, axes, budgets, self.tolerance)
        rows = [Row(name, str, ours=name == MIXED) for name in names]
        return outcome(self, settings, found, rows)


@dataclass(frozen=True)
class _StudyJob:
    entrant: str
    objective: StudyObjective
    trials: int
    seed: int
    file: Path | None = None

    def kept_in(self, folder: Path) -> _StudyJob:
        """The same with the file of its run, named by all that decides the outcome."""
        who = [self.entrant, *_ENTRANTS[self.entrant].identity]
        what = [repr(self.objective), code_of(type(self.objective)), self.trials]
        key = run_key(_FORMAT, who, what, self.seed)
        name = f"study-{self.seed}-{key}.json"
        return replace(self, file=folder / "runs" / name)

    def run_of(self, found: Mapping[str, object]) -> SeedRun:
        """The run of lists or arrays by name."""
        values = np.array(found["searched"], dtype=np.float64).reshape(-1, 1)
        return SeedRun(
            self.entrant,
            STUDY,
            self.seed,
            searched=values,
            reported=values,
            distinct=np.array(found["distinct"], dtype=np.int64),
            seconds=np.array(found["seconds"], dtype=np.float64),
        )


def _runs(jobs: list[_StudyJob], workers: int) -> dict[str, tuple[SeedRun, ...]]:
    done = {job: run for job in jobs if (run := _kept(job)) is not None}
    missing = [job for job in jobs if job not in done]
    with CountingDisplay("studies", len(missing), shown=None) as display:
        for job, run in in_processes(_run_study, missing, workers):
            done[job] = run
            display.add()
    runs: dict[str, tuple[SeedRun, ...]] = {}
    for job in jobs:
        runs[job.entrant] = (*runs.get(job.entrant, ()), done[job])
    return runs


def _kept(job: _StudyJob) -> SeedRun | None:
    found = read_run(job.file) if job.file is not None else None
    try:
        return None if found is None else job.run_of(found)
    except (KeyError, TypeError, ValueError):
        return None


def _run_study(job: _StudyJob) -> SeedRun:
    """Runs a study, and keeps it."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = _ENTRANTS[job.entrant].make(job.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    start = time.perf_counter()
    seconds: list[float] = []
    study.optimize(
        job.objective.value,
        n_trials=job.trials,
        callbacks=[lambda *_: seconds.append(time.perf_counter() - start)],
    )
    trials = study.get_trials(deepcopy=False)
    tried = [json.dumps(trial.params, sort_keys=True) for trial in trials]
    new = [text not in tried[:i] for i, text in enumerate(tried)]
    values = [float("nan") if trial.value is None else trial.value for trial in trials]
    found = {"searched": values, "distinct": np.cumsum(new).tolist(), "seconds": seconds}
    if job.file is not None:
        write_run(job.file, {"strategy": job.entrant, "seed": job.seed, **found})
    return job.run_of(found)
