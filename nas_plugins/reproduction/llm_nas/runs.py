"""Doing searches and keeping them: one file per run, named by all that decides its outcome."""

from __future__ import annotations

import hashlib
import inspect
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins import _public, registry
from nas_plugins._files import write_text
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial
from nas_plugins.llm import ChatModel, chat_model
from nas_plugins.reproduction.harness import Measure, Step, alone
from nas_plugins.reproduction.llm_nas.arms import SURROGATE, Arm
from nas_plugins.reproduction.llm_nas.problem import (
    LABELS,
    OBJECTIVES,
    VALIDATION,
    Floats,
    predicted,
    problem,
)
from nas_plugins.reproduction.llm_nas.request import Case, Request
from nas_plugins.reproduction.stock import stock_search
from nas_plugins.results import package_versions
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution.log import coevolution_log

_FORMAT = 1
_STOCK_PACKAGES = ("optuna", "numpy")


@dataclass(frozen=True)
class Job:
    """A search to do."""

    arm: Arm
    case: Case
    seed: int
    evaluations: int

    def __str__(self) -> str:
        return f"{self.case}: {self.arm.name}, seed {self.seed}"

    @property
    def key(self) -> str:
        """Stands for all that decides the outcome: options, versions, and the strategy's code."""
        arm = asdict(self.arm)
        del arm["name"]
        parts = [
            _FORMAT,
            arm,
            str(self.case),
            self.seed,
            self.evaluations,
            LABELS if self.arm.evaluator == SURROGATE else 0,
            _code(self.arm.strategy, stock=self.arm.stock),
        ]
        text = json.dumps(parts, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def file(self, folder: Path) -> Path:
        """Where the run is kept."""
        name = f"{self.arm.strategy}-{self.seed}-{self.key}.json"
        return folder / "runs" / self.case.dataset / self.case.device / name


@dataclass(frozen=True)
class Run:
    """A search that was done.

    Attributes:
        cells: Positions in the table of what was evaluated, in order; -1 for no architecture.
        searched: `(n, 2)` values that the search saw; NaN where an evaluation failed.
        seconds: Spent outside the evaluations.
        spearman: Of the surrogate; NaN without one.
        calls: Calls of the model.
        tokens: In and out, those of repeated replies included.
        call_seconds: Sum over the calls.
        counts: As `CoEvolutionLog.counts`.
        origins: As `CoEvolutionLog.origins`.
        fallbacks: As `CoEvolutionLog.fallbacks`.
    """

    cells: tuple[int, ...]
    searched: tuple[tuple[float, ...], ...]
    seconds: float
    spearman: float = float("nan")
    calls: int = 0
    tokens: tuple[int, int] = (0, 0)
    call_seconds: float = 0.0
    counts: FrozenDict[int] = field(default_factory=FrozenDict)
    origins: FrozenDict[int] = field(default_factory=FrozenDict)
    fallbacks: FrozenDict[int] = field(default_factory=FrozenDict)

    def write(self, file: Path, job: Job) -> None:
        """Writes the run, with what was asked in plain words."""
        told = {"arm": job.arm.name, "case": str(job.case), "seed": job.seed}
        data = {**told, **{name: _plain(value) for name, value in vars(self).items()}}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(data))

    @classmethod
    def read(cls, file: Path) -> Run | None:
        """Reads what `write` wrote; ``None`` where it is not there or cannot be read."""
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                cells=tuple(data["cells"]),
                searched=tuple(tuple(map(_number, row)) for row in data["searched"]),
                seconds=data["seconds"],
                spearman=_number(data["spearman"]),
                calls=data["calls"],
                tokens=tuple(data["tokens"]),
                call_seconds=data["call_seconds"],
                counts=FrozenDict(data["counts"]),
                origins=FrozenDict(data["origins"]),
                fallbacks=FrozenDict(data["fallbacks"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


Results = Mapping[tuple[Arm, Case], Sequence[Run]]
"""Runs by arm and case, in order of seeds."""


def results(request: Request, arms: Sequence[Arm]) -> Results:
    """Does all searches of the arms that are not in the folder, and reads the others.

    Raises:
        DataError: A table is absent; says what to download and where.
        ChatSetupError: The language model cannot be used so.
    """
    jobs = [
        Job(arm, case, seed, request.evaluations)
        for case in request.cases
        for arm in arms
        for seed in request.seeds_of(arm)
    ]
    runs = {job: Run.read(job.file(request.out)) for job in jobs}
    missing = [job for job, run in runs.items() if run is None]
    _check(missing)
    for done, (job, run) in enumerate(_all(missing, request), start=1):
        runs[job] = run
        request.note(f"{done}/{len(missing)} {job}: {run.seconds:.1f} s")
    found: dict[tuple[Arm, Case], list[Run]] = {}
    for job, run_ in runs.items():
        if run_ is not None:
            found.setdefault((job.arm, job.case), []).append(run_)
    return found


def do(job: Job, out: Path) -> Run:
    """Does a search and keeps it."""
    cells: list[int] = []
    columns, spearman = _evaluator(job, out)
    benchmark = problem(job.case).benchmark

    def measure(architecture: Architecture | None) -> Sequence[float] | None:
        cell = -1 if architecture is None else int(benchmark.indices([architecture])[0])
        cells.append(cell)
        values: list[float] = columns[cell].tolist() if cell >= 0 else [np.nan]
        return values if np.isfinite(values).all() else None

    steps = list(_steps(job, out, measure))
    failed = (float("nan"),) * len(OBJECTIVES)
    run = Run(
        tuple(cells),
        tuple(step.values or failed for step in steps),
        seconds=sum(step.seconds for step in steps),
        spearman=spearman,
        **_log(job, steps),
    )
    run.write(job.file(out), job)
    return run


def _all(jobs: Sequence[Job], request: Request) -> Iterator[tuple[Job, Run]]:
    if request.workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, do(job, request.out)
        return
    # One thread per process: numeric libraries would otherwise fight over the cores.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(request.workers, mp_context=context, initializer=_patient)
    try:
        futures = {pool.submit(do, job, request.out): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _patient() -> None:
    """Leaves Ctrl-C to the parent, which lets the runs end that have begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check(jobs: Sequence[Job]) -> None:
    """Says at once what is wrong with a table, an option or the language model."""
    for case in dict.fromkeys(job.case for job in jobs):
        space = problem(case).benchmark.space
    for arm in dict.fromkeys(job.arm for job in jobs if not job.arm.stock):
        _public.strategy(arm.strategy, space=space, **_options(arm))


def _options(arm: Arm) -> dict[str, Any]:
    options = dict(arm.options)
    if arm.llm:
        options["llm"] = _model(arm.llm) if arm.asks else arm.llm
    return options


@lru_cache(maxsize=2)
def _model(name: str) -> ChatModel:
    """A model that is loaded once per process."""
    return chat_model(name)


def _steps(job: Job, out: Path, measure: Measure) -> Iterator[Step]:
    arm, space = job.arm, problem(job.case).benchmark.space
    n, seed = job.evaluations, job.seed
    if arm.stock:
        return stock_search(
            arm.strategy, arm.options, space, OBJECTIVES, n_trials=n, measure=measure, seed=seed
        )
    own = _options(arm)
    if arm.asks:
        # Replies are kept, so that what a broken run has paid for is not paid again.
        store = out / "replies" / f"{job.file(out).stem}.jsonl"
        store.parent.mkdir(parents=True, exist_ok=True)
        own |= {"task": problem(job.case).task, "mode": "cache", "store": store}
    strategy = _public.strategy(arm.strategy, **own)
    return alone(strategy, space, OBJECTIVES, n_trials=n, measure=measure, seed=seed)


def _evaluator(job: Job, out: Path) -> tuple[Floats, float]:
    """Values of the objectives of all cells, `(n, 2)`, and how well they are predicted."""
    case, known = job.case, problem(job.case)
    if job.arm.evaluator != SURROGATE:
        return np.stack([known.accuracy[VALIDATION], known.latency], axis=1), float("nan")
    found = predicted(case, job.seed, out / "surrogates")
    return np.stack([found.values, known.latency], axis=1), found.spearman


def _log(job: Job, steps: Sequence[Step]) -> dict[str, Any]:
    """What the notes of a co-evolution tell."""
    trials = [
        Trial(i, step.architecture, step.state, step.values, notes=step.notes)
        for i, step in enumerate(steps)
        if step.architecture is not None
    ]
    log = coevolution_log(History(problem(job.case).benchmark.space, OBJECTIVES, tuple(trials)))
    if log is None:
        return {}
    return {
        "calls": len(log.calls),
        "tokens": (
            sum(call.prompt_tokens for call in log.calls),
            sum(call.completion_tokens for call in log.calls),
        ),
        "call_seconds": sum(call.seconds for call in log.calls),
        "counts": log.counts,
        "origins": log.origins,
        "fallbacks": log.fallbacks,
    }


@lru_cache(maxsize=64)
def _code(strategy: str, *, stock: bool) -> str:
    """Versions, and a digest of the strategy's source, so that no figure outlives its code."""
    versions = package_versions()
    if stock:
        return " ".join(f"{name} {versions.get(name)}" for name in _STOCK_PACKAGES)
    own = Path(inspect.getfile(registry.load("strategy", strategy)))
    files = [own]
    if own.stem == "strategy":  # a strategy of several modules
        kinds = (".py", ".txt")
        files = [f for f in own.parent.rglob("*") if f.suffix in kinds]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"nas-plugins {versions.get('nas-plugins')} {digest.hexdigest()}"


def _plain(value: Any) -> Any:
    """JSON without NaN."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


__all__ = ["Job", "Results", "Run", "do", "results"]
