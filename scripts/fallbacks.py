"""Prints how often samplers fall back on chance while many processes share one study.

The processes search the table ``nasbench201/cifar10`` (one objective, the validation accuracy) in
one journal file. An evaluation takes no time unless ``--evaluation-ms`` says so, so that workers
collide as often as they can: each asks for the next trial at once. Per sampler are counted

* "taken": trials with a random architecture, as other workers were faster with all that the
  strategy proposed;
* "nothing new" and "failed": those in which the strategy proposed nothing new, or raised an error;
* "fallbacks %": the share of all three, mean ± standard deviation over the seeds, and the largest;
* "duplicates": trials whose parameters an earlier trial has.

The counts are those of all seeds together.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Annotated

import optuna
import typer
from optuna.storages.journal import JournalFileBackend

import nas_plugins as nap
from nas_plugins.engine.proposals import FALLBACK_NOTE, NOTHING_NEW
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    RegularizedEvolutionSampler,
    StrategySampler,
    history,
    suggest,
)
from nas_plugins.reproduction.documents import ResultTable
from nas_plugins.results import STRATEGY_FAILED

SPACE = nap.space("nasbench201")
STUDY = "shared"
SAMPLERS: dict[str, Callable[[int], StrategySampler]] = {
    "LocalSearchSampler": lambda seed: LocalSearchSampler(space=SPACE, seed=seed),
    "ArchiveEvolutionSampler": lambda seed: ArchiveEvolutionSampler(space=SPACE, seed=seed),
    "RegularizedEvolutionSampler": lambda seed: RegularizedEvolutionSampler(
        space=SPACE, seed=seed
    ),
    'ArchVQSampler, model="none"': lambda s: ArchVQSampler(model="none", space=SPACE, seed=s),
    'LLMCoEvolutionSampler, llm="off"': lambda s: LLMCoEvolutionSampler(
        llm="off", space=SPACE, seed=s
    ),
}


def _storage(path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def work(path: Path, name: str, seed: int, *, trials: int, pause: float, start: Barrier) -> None:
    """Runs one worker's share of the trials; all workers begin together."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = nap.benchmark("nasbench201/cifar10")
    study = optuna.load_study(
        study_name=STUDY, storage=_storage(path), sampler=SAMPLERS[name](seed)
    )

    def objective(trial: optuna.Trial) -> float:
        architecture = suggest(trial, SPACE)
        time.sleep(pause)
        return table.evaluate([architecture])[0]["val_accuracy"]

    start.wait()
    study.optimize(objective, n_trials=trials)


@dataclass(frozen=True)
class Counts:
    """What is counted in one study."""

    trials: int
    taken: int
    nothing_new: int
    failed: int
    duplicates: int

    @property
    def share(self) -> float:
        """Per cent of the trials that chance took over."""
        return 100 * (self.taken + self.nothing_new + self.failed) / self.trials


def measure(name: str, *, workers: int, trials: int, seed: int, evaluation_ms: float) -> Counts:
    """One study of a sampler.

    Raises:
        RuntimeError: A worker has failed.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.log"
        optuna.create_study(study_name=STUDY, storage=_storage(path), direction="maximize")
        start = context.Barrier(workers)
        shares = [trials // workers + (i < trials % workers) for i in range(workers)]
        processes = [
            context.Process(
                target=work,
                args=(path, name, seed),
                kwargs={"trials": n, "pause": evaluation_ms / 1000, "start": start},
            )
            for n in shares
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise RuntimeError(f"{name}: a worker ended with an error, which is printed above")
        study = optuna.load_study(study_name=STUDY, storage=_storage(path))
        notes = [str(t.notes.get(FALLBACK_NOTE, "")) for t in history(study, space=SPACE).trials]
        distinct = {json.dumps(t.params, sort_keys=True) for t in study.get_trials(deepcopy=False)}
    kinds = Counter(
        "nothing" if NOTHING_NEW in note else "failed" if STRATEGY_FAILED in note else "taken"
        for note in notes
        if note
    )
    n = len(notes)
    return Counts(n, kinds["taken"], kinds["nothing"], kinds["failed"], n - len(distinct))


def row(name: str, studies: list[Counts]) -> tuple[str, ...]:
    """All studies of a sampler."""
    totals = [sum(column) for column in zip(*map(astuple, studies), strict=True)]
    shares = [study.share for study in studies]
    spread = statistics.stdev(shares) if len(shares) > 1 else math.nan
    share = f"{statistics.mean(shares):.2f} ± {spread:.2f}"
    return (name, *map(str, totals[:-1]), share, f"{max(shares):.2f}", str(totals[-1]))


def main(
    *,
    trials: Annotated[int, typer.Option(min=1, help="Of a study.")] = 400,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share it.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, help="Studies per sampler.")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first study.")] = 0,
    evaluation_ms: Annotated[float, typer.Option(min=0, help="That an evaluation takes.")] = 0,
    samplers: Annotated[
        list[str] | None, typer.Option(help="What their names contain; may be repeated.")
    ] = None,
) -> None:
    """Prints a row per sampler."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = [name for name in SAMPLERS if any(part in name for part in samplers or [""])]
    rows = []
    for name in names:
        studies = [
            measure(name, workers=workers, trials=trials, seed=s, evaluation_ms=evaluation_ms)
            for s in range(first_seed, first_seed + seeds)
        ]
        rows.append(row(name, studies))
    title = (
        f"{workers} processes on one journal file, {trials} trials, {seeds} seeds from "
        f"{first_seed}, evaluations of {evaluation_ms:g} ms, optuna {optuna.__version__}"
    )
    counted = ("trials", "taken", "nothing new", "failed")
    heads = ("sampler", *counted, "fallbacks %", "most", "duplicates")
    print(ResultTable(title, heads, tuple(rows), numbers_from=1).text(), flush=True)


if __name__ == "__main__":
    typer.run(main)
