"""Prints what a sampler costs per trial, beside Optuna's TPE, while a study grows.

A study in memory of the table ``nasbench201/cifar10`` grows to each size, and there trials are
asked for one by one: all six parameters suggested, the table's values told. Shown are the
milliseconds of processor time per trial, the mean over these trials and the seeds, and "ratio",
their share of TPE's in the same run. The table itself is not counted, nor is the first trial at
a size, in which a sampler reads all that was added. "resumed" is the first trial of a new
process at the last size, which reads the whole history.

The trials in between are not run one by one but added with ``Study.add_trials``. For strategies
that leave notes (local search, co-evolution) they are the strategy's own proposals with their
notes, asked for 25 at a time; for all others they are random. Times are those of the processor,
so that other work on the machine matters little; use one thread (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import optuna
import typer
from optuna.distributions import CategoricalDistribution

import nas_plugins as nap
from nas_plugins.history import Objective, Proposal, Trial
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    StrategySampler,
    history,
    suggest,
)
from nas_plugins.optuna._attributes import note_entries
from nas_plugins.reproduction.documents import ResultTable
from nas_plugins.strategies.warm_start import WarmStart

SPACE = nap.space("nasbench201")
TABLE = nap.benchmark("nasbench201/cifar10")
OBJECTIVES = (Objective("val_accuracy"), Objective("latency_ms", "min"))
DISTRIBUTIONS = {d.name: CategoricalDistribution(d.choices) for d in SPACE.decisions}
BATCH = 25
SIZES = [100, 1000, 3000, 6000, 10000]

Sampler = optuna.samplers.BaseSampler
REFERENCE = "TPESampler"
SAMPLERS: dict[str, Callable[[int], Sampler]] = {
    REFERENCE: lambda seed: optuna.samplers.TPESampler(seed=seed),
    "LocalSearchSampler": lambda seed: LocalSearchSampler(space=SPACE, seed=seed),
    'LLMCoEvolutionSampler, llm="off"': lambda s: LLMCoEvolutionSampler(
        llm="off", space=SPACE, seed=s
    ),
    'LLMCoEvolutionSampler, llm="null"': lambda s: LLMCoEvolutionSampler(
        llm="null", space=SPACE, seed=s
    ),
    "RegularizedEvolutionSampler": lambda s: RegularizedEvolutionSampler(space=SPACE, seed=s),
    "ArchiveEvolutionSampler": lambda seed: ArchiveEvolutionSampler(space=SPACE, seed=seed),
    "ArchiveEvolutionSampler, no space": lambda s: ArchiveEvolutionSampler(seed=s),
    "WarmStart of archive evolution": lambda s: StrategySampler(
        WarmStart("archive-evolution", "complexity", pool=100), space=SPACE, seed=s
    ),
    "RandomArchitectureSampler": lambda seed: RandomArchitectureSampler(space=SPACE, seed=seed),
    "Optuna's RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "ArchVQSampler": lambda seed: ArchVQSampler(space=SPACE, seed=seed),
}
NOTED = ("LocalSearch", "LLMCoEvolution")


def values_of(architectures: list[nap.Architecture], m: int) -> list[list[float]]:
    """The table's values of the objectives."""
    rows = TABLE.evaluate(architectures)
    return [[row[objective.name] for objective in OBJECTIVES[:m]] for row in rows]


def fill(study: optuna.Study, size: int, m: int, rng: np.random.Generator) -> None:
    """Adds trials until there are `size`."""
    missing = size - len(study.get_trials(deepcopy=False))
    if missing <= 0:
        return
    sampler, found = study.sampler, list[Proposal]()
    own = isinstance(sampler, StrategySampler) and type(sampler.strategy).__name__ in NOTED
    if own:
        known = history(study, space=SPACE).derived()
        while len(found) < missing:
            n = min(BATCH, missing - len(found))
            proposals = sampler.strategy.propose(known, n, rng)
            values = values_of([p.architecture for p in proposals], m)
            known = known.extend(
                Trial(len(known) + i, p.architecture, values=tuple(v), notes=p.notes)
                for i, (p, v) in enumerate(zip(proposals, values, strict=True))
            ).derived()
            found += proposals
    else:
        found = [Proposal(a) for a in SPACE.architectures(SPACE.random(missing, rng))]
    told = values_of([proposal.architecture for proposal in found], m)
    study.add_trials(
        optuna.create_trial(
            params=proposal.architecture.choices,
            distributions=DISTRIBUTIONS,
            values=values,
            system_attrs=dict(note_entries(proposal.notes)),
        )
        for proposal, values in zip(found, told, strict=True)
    )


def ask(study: optuna.Study, m: int) -> float:
    """Milliseconds of processor time of one trial."""
    start = time.process_time()
    trial = study.ask()
    architecture = suggest(trial, SPACE)
    asked = time.process_time()
    values = values_of([architecture], m)[0]
    telling = time.process_time()
    study.tell(trial, values)
    return 1000 * (asked - start + time.process_time() - telling)


def measure(
    make: Callable[[int], Sampler], sizes: list[int], m: int, n_asks: int, seed: int
) -> tuple[list[float], float]:
    """Milliseconds per trial at each size, and of the first trial of a new process at the last."""
    directions = ["maximize" if o.direction == "max" else "minimize" for o in OBJECTIVES[:m]]
    study = optuna.create_study(directions=directions, sampler=make(seed))
    rng, means = np.random.default_rng(seed), []
    for size in sizes:
        fill(study, size - n_asks - 1, m, rng)
        means.append(statistics.mean([ask(study, m) for _ in range(n_asks + 1)][1:]))
    study.sampler = make(seed)
    return means, ask(study, m)


def main(
    sizes: Annotated[
        list[int] | None, typer.Option("--sizes", help="Trials of history; may be repeated.")
    ] = None,
    asks: Annotated[int, typer.Option(min=1, help="Trials timed at each size.")] = 30,
    objectives: Annotated[
        list[int] | None, typer.Option(min=1, max=2, help="Their numbers; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Studies per sampler, seeds from 0.")] = 2,
    samplers: Annotated[
        list[str] | None, typer.Option(help="What their names contain; may be repeated.")
    ] = None,
) -> None:
    """Prints the overhead of each sampler per trial, in ms and as a share of TPE's."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chosen = sorted(sizes or SIZES)
    wanted = [REFERENCE, *(samplers or SAMPLERS)]
    names = [name for name in SAMPLERS if any(part in name for part in wanted)]
    for m in objectives or [1, 2]:
        found: dict[str, list[float]] = {}
        for name in names:
            runs = [measure(SAMPLERS[name], chosen, m, asks, seed) for seed in range(seeds)]
            columns = zip(*([*means, resumed] for means, resumed in runs), strict=True)
            found[name] = [statistics.mean(column) for column in columns]
        title = (
            f"{m} objective{'s' if m > 1 else ''}, mean of {asks} trials and {seeds} seeds, "
            f"ms of processor time, optuna {optuna.__version__}"
        )
        heads = ["sampler"]
        for size in chosen:
            heads += [f"{size:,} trials", "ratio"]
        rows = []
        for name, values in found.items():
            cells = [name]
            for value, reference in zip(values[:-1], found[REFERENCE], strict=False):
                cells += [f"{value:.2f}", f"{value / reference:.2f}"]
            rows.append((*cells, f"{values[-1]:.0f}"))
        table = ResultTable(title, (*heads, "resumed"), tuple(rows), numbers_from=1)
        print(table.text(), flush=True)


if __name__ == "__main__":
    typer.run(main)
