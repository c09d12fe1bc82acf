"""Prints how samplers do on Optuna objectives as people write them, beside TPE and random search.

Three objectives, each maximised:

* ``small``: a cell of 4 operations out of 3 (81 cells) with ``lr`` and ``wd``, 100 trials;
* ``large``: a cell of 8 operations out of 4 (65,536 cells) with ``lr`` and ``wd``, 300 trials;
* ``layers``: ``n_layers`` decides which of ``w0`` ... ``w3`` exist: 340 configurations, 60 trials.

For a cell with numbers the regret is shown, the best possible value less the best found: its mean
with the standard error, the standard deviation over the seeds, the median, and how many of the
trials are in the best cell. For the layers, how many of the trials differ and in which share of
the studies the best configuration was found. Every sampler is used as it is constructed, without
a declared space. Studies are seeded from ``--first-seed`` on; the objectives are the same for all
of them.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import optuna
import typer

from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
)
from nas_plugins.reproduction.documents import ResultTable

WIDTHS = [16, 32, 64, 128]

Sampler = optuna.samplers.BaseSampler
SAMPLERS: dict[str, Callable[[int], Sampler]] = {
    "Optuna's RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "RandomArchitectureSampler": lambda s: RandomArchitectureSampler(
        seed=s, warn_independent_sampling=False
    ),
    "ArchiveEvolutionSampler": lambda s: ArchiveEvolutionSampler(
        seed=s, warn_independent_sampling=False
    ),
    "RegularizedEvolutionSampler": lambda s: RegularizedEvolutionSampler(
        seed=s, warn_independent_sampling=False
    ),
    "LocalSearchSampler": lambda s: LocalSearchSampler(seed=s, warn_independent_sampling=False),
}


@dataclass(frozen=True)
class CellAndNumbers:
    """Operations that are worth something each, and two numbers that matter as much.

    Attributes:
        n_operations: How many operations a cell has.
        n_choices: Out of how many each is chosen.
        trials: Of a study.
        seeds: Studies, unless told otherwise.
    """

    n_operations: int
    n_choices: int
    trials: int
    seeds: int
    heads = ("regret", "sd", "median", "in the best cell %")

    @property
    def title(self) -> str:
        """What is searched."""
        return f"{self.n_choices**self.n_operations:,} cells with lr and wd"

    @property
    def best(self) -> float:
        """The greatest value there is."""
        return float(self._worth().max(axis=1).sum())

    def _worth(self) -> np.ndarray:
        return np.random.default_rng(1).normal(size=(self.n_operations, self.n_choices))

    def value(self, trial: optuna.Trial) -> float:
        """The objective."""
        choices = list(range(self.n_choices))
        rows = enumerate(self._worth())
        cell = sum(row[trial.suggest_categorical(f"op{i}", choices)] for i, row in rows)
        lr = trial.suggest_float("lr", 1e-5, 1, log=True)
        wd = trial.suggest_float("wd", 1e-6, 1e-1, log=True)
        loss = 0.5 * (math.log10(lr) + 2.5) ** 2 + 0.2 * (math.log10(wd) + 4) ** 2
        return float(cell - loss)

    def cells(self, studies: list[optuna.Study]) -> tuple[str, ...]:
        """Regret (mean with error, standard deviation, median), and trials in the best cell."""
        worth = self._worth()
        cell = {f"op{i}": int(choice) for i, choice in enumerate(worth.argmax(axis=1))}
        trials = [t for study in studies for t in study.get_trials(deepcopy=False)]
        inside = 100 * sum(cell.items() <= trial.params.items() for trial in trials) / len(trials)
        regrets = [self.best - study.best_value for study in studies]
        spread = statistics.stdev(regrets) if len(regrets) > 1 else math.nan
        error = spread / math.sqrt(len(regrets))
        mean, median = statistics.mean(regrets), statistics.median(regrets)
        return f"{mean:.4f} ± {error:.4f}", f"{spread:.4f}", f"{median:.4f}", f"{inside:.0f}"


@dataclass(frozen=True)
class Layers:
    """Widths of as many layers as another parameter says; best, 0, with two of 32 and 64.

    Attributes:
        trials: Of a study.
        seeds: Studies, unless told otherwise.
    """

    trials: int
    seeds: int
    heads = ("distinct", "fewest", "best found %", "trials until the best")
    title = "layers and their widths, 340 configurations"
    best = 0.0

    def value(self, trial: optuna.Trial) -> float:
        """The objective."""
        n = trial.suggest_int("n_layers", 1, 4)
        widths = [trial.suggest_categorical(f"w{i}", WIDTHS) for i in range(n)]
        off = sum(abs(WIDTHS.index(width) - (i + 1)) for i, width in enumerate(widths))
        return float(-abs(n - 2) - off)

    def cells(self, studies: list[optuna.Study]) -> tuple[str, ...]:
        """Different configurations (mean ± sd, fewest), and when the best was found."""
        distinct, until = [], []
        for study in studies:
            trials = study.get_trials(deepcopy=False)
            distinct.append(len({json.dumps(t.params, sort_keys=True) for t in trials}))
            until += [next((t.number + 1 for t in trials if t.value == self.best), math.inf)]
        found = sum(map(math.isfinite, until)) / len(until)
        spread = statistics.pstdev(distinct)
        return (
            f"{statistics.mean(distinct):.1f} ± {spread:.1f}",
            f"{min(distinct)}",
            f"{100 * found:.1f}",
            f"{statistics.median(until):.0f}",
        )


OBJECTIVES: dict[str, CellAndNumbers | Layers] = {
    "small": CellAndNumbers(4, 3, trials=100, seeds=100),
    "large": CellAndNumbers(8, 4, trials=300, seeds=20),
    "layers": Layers(trials=60, seeds=100),
}


def main(
    objectives: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(OBJECTIVES)}; may be repeated.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Studies per sampler.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first study.")] = 0,
    samplers: Annotated[
        list[str] | None, typer.Option(help="What their names contain; may be repeated.")
    ] = None,
) -> None:
    """Prints a table per objective."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = [name for name in SAMPLERS if any(part in name for part in samplers or [""])]
    for key in objectives or OBJECTIVES:
        objective = OBJECTIVES[key]
        n = seeds or objective.seeds
        rows = []
        for name in names:
            start, studies = time.process_time(), []
            for seed in range(first_seed, first_seed + n):
                study = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](seed))
                study.optimize(objective.value, n_trials=objective.trials)
                studies.append(study)
            ms = 1000 * (time.process_time() - start) / (n * objective.trials)
            rows.append((name, *objective.cells(studies), f"{ms:.1f}"))
        title = (
            f"{objective.title}: {objective.trials} trials, {n} seeds from {first_seed}, "
            f"optuna {optuna.__version__}"
        )
        heads = ("sampler", *objective.heads, "ms/trial")
        print(ResultTable(title, heads, tuple(rows), numbers_from=1).text(), flush=True)


if __name__ == "__main__":
    typer.run(main)
