"""Doing searches and keeping them: one file per run, named by all that decides its outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins import _public, registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial
from nas_plugins.llm import ChatModel, chat_model
from nas_plugins.reproduction.harness import (
    Measure,
    Step,
    alone,
    code_of,
    in_processes,
    read_run,
    run_key,
    write_run,
)
from nas_plugins.reproduction.llm_nas.arms import SURROGATE, Arm
from nas_plugins.reproduction.llm_nas.cases import (
    LABELS,
    OBJECTIVES,
    VALIDATION,
    Case,
    Floats,
    case_table,
    predicted,
)
from nas_plugins.reproduction.llm_nas.request import LLMNASRequest
from nas_plugins.reproduction.stock import stock_search, stock_versions
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution.log import coevolution_log

_FORMAT = 1


@dataclass(frozen=True)
class SearchJob:
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
            _code(self.arm),
        ]
        return run_key(*parts)

    def file(self, folder: Path) -> Path:
        """Where the run is kept."""
        name = f"{self.arm.strategy}-{self.seed}-{self.key}.json"
        return folder / "runs" / self.case.dataset / self.case.device / name


@dataclass(frozen=True)
class SearchRun:
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

    def write(self, file: Path, job: SearchJob) -> None:
        """Writes the run, with what was asked in plain words."""
        told = {"arm": job.arm.name, "case": str(job.case), "seed": job.seed}
        write_run(file, {**told, **vars(self)})

    @classmethod
    def read(cls, file: Path) -> SearchRun | None:
        """Reads what `write` wrote; ``None`` where it is not there or cannot be read."""
        data = read_run(file) or {}
        try:
            into, out = map(index, data["tokens"])
            run = cls(
                cells=tuple(map(index, data["cells"])),
                searched=tuple(tuple(map(_number, row)) for row in data["searched"]),
                seconds=float(data["seconds"]),
                spearman=_number(data["spearman"]),
                calls=index(data["calls"]),
                tokens=(into, out),
                call_seconds=float(data["call_seconds"]),
                counts=_counts(data["counts"]),
                origins=_counts(data["origins"]),
                fallbacks=_counts(data["fallbacks"]),
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            return None
        whole = len(run.cells) == len(run.searched) and {*map(len, run.searched)} <= {2}
        return run if whole else None


Results = Mapping[tuple[Arm, Case], Sequence[SearchRun]]
"""Runs by arm and case, in order of seeds."""


def results(request: LLMNASRequest, arms: Sequence[Arm]) -> Results:
    """Does all searches of the arms that are not in the folder, and reads the others.

    Raises:
        DataError: A table is absent; says what to download and where.
        ChatSetupError: The language model cannot be used so.
    """
    jobs = [
        SearchJob(arm, case, seed, request.evaluations)
        for case in request.cases
        for arm in arms
        for seed in request.seeds_of(arm)
    ]
    runs = {job: SearchRun.read(job.file(request.out)) for job in jobs}
    missing = [job for job, run in runs.items() if run is None]
    _check(missing)
    work = partial(do, out=request.out)
    for done, (job, run) in enumerate(in_processes(work, missing, request.workers), start=1):
        runs[job] = run
        request.note(f"{done}/{len(missing)} {job}: {run.seconds:.1f} s")
    found: dict[tuple[Arm, Case], list[SearchRun]] = {}
    for job, run_ in runs.items():
        if run_ is not None:
            found.setdefault((job.arm, job.case), []).append(run_)
    return found


def do(job: SearchJob, out: Path) -> SearchRun:
    """Does a search and keeps it."""
    cells: list[int] = []
    columns, spearman = _evaluator(job, out)
    benchmark = case_table(job.case).benchmark

    def measure(architecture: Architecture | None) -> Sequence[float] | None:
        cell = -1 if architecture is None else int(benchmark.indices([architecture])[0])
        cells.append(cell)
        values: list[float] = columns[cell].tolist() if cell >= 0 else [np.nan]
        return values if np.isfinite(values).all() else None

    steps = list(_steps(job, out, measure))
    failed = (float("nan"),) * len(OBJECTIVES)
    run = SearchRun(
        tuple(cells),
        tuple(step.values or failed for step in steps),
        seconds=sum(step.seconds for step in steps),
        spearman=spearman,
        **_log(job, steps),
    )
    run.write(job.file(out), job)
    return run


def _check(jobs: Sequence[SearchJob]) -> None:
    """Says at once what is wrong with a table, an option or the language model."""
    for case in dict.fromkeys(job.case for job in jobs):
        space = case_table(case).benchmark.space
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


def _steps(job: SearchJob, out: Path, measure: Measure) -> Iterator[Step]:
    arm, space = job.arm, case_table(job.case).benchmark.space
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
        own |= {"task": case_table(job.case).task, "mode": "cache", "store": store}
    strategy = _public.strategy(arm.strategy, **own)
    return alone(strategy, space, OBJECTIVES, n_trials=n, measure=measure, seed=seed)


def _evaluator(job: SearchJob, out: Path) -> tuple[Floats, float]:
    """Values of the objectives of all cells, `(n, 2)`, and how well they are predicted."""
    case, known = job.case, case_table(job.case)
    if job.arm.evaluator != SURROGATE:
        return np.stack([known.accuracy[VALIDATION], known.latency], axis=1), float("nan")
    values, correlation = predicted(case, job.seed, out / "surrogates")
    return np.stack([values, known.latency], axis=1), correlation


def _log(job: SearchJob, steps: Sequence[Step]) -> dict[str, Any]:
    """What the notes of a co-evolution tell."""
    trials = [
        Trial(i, step.architecture, step.state, step.values, notes=step.notes)
        for i, step in enumerate(steps)
        if step.architecture is not None
    ]
    log = coevolution_log(History(case_table(job.case).benchmark.space, OBJECTIVES, tuple(trials)))
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


def _code(arm: Arm) -> str:
    """Stands for the code that an arm's outcome depends on."""
    if arm.stock:
        return stock_versions()
    return code_of(registry.load("strategy", arm.strategy))


def _counts(found: Mapping[str, int]) -> FrozenDict[int]:
    return FrozenDict({str(name): index(count) for name, count in found.items()})


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
