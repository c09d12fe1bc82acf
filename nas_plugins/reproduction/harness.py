"""What every experiment stands on: a search without an engine, processes, runs that are kept."""

from __future__ import annotations

import hashlib
import inspect
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nas_plugins._files import write_text
from nas_plugins._frozen import FrozenDict
from nas_plugins._reading import json_file
from nas_plugins.errors import DataError
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.protocols import Strategy
from nas_plugins.results import package_versions
from nas_plugins.spaces.base import Architecture, SearchSpace

_Job = TypeVar("_Job")
_Outcome = TypeVar("_Outcome")

Measure = Callable[[Architecture | None], Sequence[float] | None]
"""Values of the objectives; ``None`` where one was not measured, or for no architecture."""


@dataclass(frozen=True)
class Step:
    """One evaluation of a search.

    Attributes:
        architecture: What was evaluated; ``None`` where the choices are no architecture.
        values: In the order of the objectives; empty where the evaluation failed.
        notes: What the strategy left.
        seconds: Spent outside the evaluation.
    """

    architecture: Architecture | None
    values: tuple[float, ...]
    notes: FrozenDict[str] = field(default_factory=FrozenDict)
    seconds: float = 0.0

    @property
    def state(self) -> TrialState:
        """Complete, or failed."""
        return TrialState.COMPLETE if self.values else TrialState.FAILED


def alone(
    strategy: Strategy,
    space: SearchSpace,
    objectives: Sequence[Objective],
    *,
    n_trials: int,
    measure: Measure,
    seed: int,
) -> Iterator[Step]:
    """Runs a strategy, one proposal at a time, as a pure function of the history.

    Args:
        strategy: The strategy.
        space: What it searches.
        objectives: What it searches on.
        n_trials: Evaluations; fewer where it proposes no more.
        measure: Evaluates an architecture. A failed evaluation counts as one.
        seed: Of the one generator that is used throughout.
    """
    rng = np.random.default_rng(seed)
    history = History(space, tuple(objectives))
    while len(history) < n_trials:
        start = time.perf_counter()
        proposals = strategy.propose(history, 1, rng)
        seconds = time.perf_counter() - start
        if not proposals:
            return
        architecture, notes = proposals[0].architecture, proposals[0].notes
        values = tuple(measure(architecture) or ())
        start = time.perf_counter()
        step = Step(architecture, values, notes)
        trial = Trial(len(history), architecture, step.state, values, notes=notes)
        history = history.extend([trial])
        yield Step(architecture, values, notes, seconds + time.perf_counter() - start)


def in_processes(
    work: Callable[[_Job], _Outcome], jobs: Sequence[_Job], workers: int
) -> Iterator[tuple[_Job, _Outcome]]:
    """Does jobs and yields each with its outcome as it ends.

    Args:
        work: Does one; a function of a module, so that another process finds it.
        jobs: They begin in this order.
        workers: Processes; with one, the jobs are done here, one after the other.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, work(job)
        return
    context = multiprocessing.get_context("spawn")
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
        try:
            futures = {pool.submit(work, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """For processes that begin meanwhile: numeric libraries would fight over the cores."""
    names = [n for n in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if n not in os.environ]
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)


def _ignore_interrupts() -> None:
    """Leaves Ctrl-C to the parent, which lets the runs end that have begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_key(*parts: Any) -> str:
    """Stands for all that decides a run's outcome, given as JSON values; names its file."""
    text = json.dumps(parts, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_of(strategy: type[Any]) -> str:
    """Version, and a digest of a strategy's source, so that no figure outlives its code.

    Raises:
        TypeError: The class has no file, as one typed in at a prompt.
    """
    version = package_versions().get("nas-plugins")
    return f"nas-plugins {version} {_digest(Path(inspect.getfile(strategy)))}"


@lru_cache(maxsize=64)
def _digest(own: Path) -> str:
    files = [own]
    if own.stem == "strategy":  # a strategy of several modules
        files = [file for file in own.parent.rglob("*") if file.suffix in (".py", ".txt")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def write_run(file: Path, run: Mapping[str, Any]) -> None:
    """Keeps a run as JSON; what is no number becomes null."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(_plain(run)))


def read_run(file: Path) -> dict[str, Any] | None:
    """What `write_run` wrote; ``None`` where it is not there or cannot be read."""
    try:
        run = json_file(file, "a kept run")
    except DataError:
        return None
    return run if isinstance(run, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
