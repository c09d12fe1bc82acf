"""Prints what a sampler costs per trial, beside Optuna's TPE, at several lengths of history.

A study in memory is filled with random trials of NAS-Bench-201. Then trials are asked for one
by one, with all six parameters suggested and random values told. "first" is the first of them,
in which a sampler reads the whole history; "median" is over the others; "ratio" is that median
as a share of TPE's. Run nothing else on the machine meanwhile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import optuna
import typer
from optuna.distributions import CategoricalDistribution

import nas_plugins as nap
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    suggest,
)
from nas_plugins.reproduction.documents import ResultTable

SPACE = nap.space("nasbench201")
REFERENCE = "TPESampler"
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    REFERENCE: lambda seed: optuna.samplers.TPESampler(seed=seed),
    "RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "RandomArchitectureSampler": lambda seed: RandomArchitectureSampler(space=SPACE, seed=seed),
    "LocalSearchSampler": lambda seed: LocalSearchSampler(space=SPACE, seed=seed),
    "RegularizedEvolutionSampler": lambda s: RegularizedEvolutionSampler(space=SPACE, seed=s),
    "ArchiveEvolutionSampler": lambda seed: ArchiveEvolutionSampler(space=SPACE, seed=seed),
    "ArchiveEvolutionSampler (no space given)": lambda s: ArchiveEvolutionSampler(seed=s),
    "ArchVQSampler": lambda seed: ArchVQSampler(space=SPACE, seed=seed),
}


@dataclass(frozen=True)
class Overhead:
    """Milliseconds per trial."""

    first: float
    median: float


def measure(
    sampler: optuna.samplers.BaseSampler, size: int, n_objectives: int, n_asks: int, seed: int
) -> Overhead:
    """Times `n_asks` trials after `size` trials of history, and one more before them."""
    rng = np.random.default_rng(seed)
    directions = ["maximize"] + ["minimize"] * (n_objectives - 1)
    study = optuna.create_study(directions=directions, sampler=sampler)
    distributions = {d.name: CategoricalDistribution(d.choices) for d in SPACE.decisions}
    study.add_trials(
        [
            optuna.create_trial(
                params=architecture.choices,
                distributions=distributions,
                values=rng.normal(size=n_objectives).tolist(),
            )
            for architecture in SPACE.architectures(SPACE.random(size, rng))
        ]
    )
    times = []
    for _ in range(n_asks + 1):
        start = time.perf_counter()
        trial = study.ask()
        suggest(trial, SPACE)
        times.append(1000 * (time.perf_counter() - start))
        study.tell(trial, rng.normal(size=n_objectives).tolist())
    return Overhead(times[0], statistics.median(times[1:]))


def main(
    sizes: Annotated[
        list[int] | None, typer.Option("--sizes", help="Trials of history; may be repeated.")
    ] = None,
    asks: Annotated[int, typer.Option(min=1, help="Trials timed after the first.")] = 10,
    objectives: Annotated[
        list[int] | None, typer.Option(help="Numbers of objectives; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Prints the overhead of each sampler per trial, in ms and as a share of TPE's."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for n_objectives in objectives or [1, 2]:
        for size in sizes or [1000, 10000]:
            plural = "s" if n_objectives > 1 else ""
            title = (
                f"{size:,} trials, {n_objectives} objective{plural}, seed {seed}, "
                f"optuna {optuna.__version__}"
            )
            rows: list[tuple[str, ...]] = []
            reference: float | None = None
            for name, make in SAMPLERS.items():
                found = measure(make(seed), size, n_objectives, asks, seed)
                reference = reference or found.median
                ratio = f"{found.median / reference:.3f}"
                rows.append((name, f"{found.first:.1f}", f"{found.median:.2f}", ratio))
            heads = ("sampler", "first [ms]", "median [ms]", "ratio")
            print(ResultTable(title, heads, tuple(rows), numbers_from=1).text())


if __name__ == "__main__":
    typer.run(main)
