"""Prints a sampler's time per trial or its memory, beside Optuna's TPE, while a study grows.

A study in memory of the table ``nasbench201/cifar10`` grows to each size, and there trials are
asked for one by one: all six parameters suggested, the table's values told. Shown are the
milliseconds of processor time per trial, the mean over these trials and the seeds, and "ratio",
their share of TPE's in the same run. With ``--numbers`` each trial has a learning rate and a
weight decay too, which ours leave to TPE. The table itself is not counted, nor is the first
trial at a size, in which a sampler reads all that was added. "resumed" is the first trial of a
new process at the last size, which reads the whole history.

The trials in between are not run one by one but added with ``Study.add_trials``. For strategies
that leave notes (local search, co-evolution) they are the strategy's own proposals with their
notes, asked for 25 at a time; for all others they are random. Times are those of the processor,
so that other work on the machine matters little; use one thread (OMP_NUM_THREADS=1).

With ``--memory`` it is the memory instead that a new process takes for the sampler: MiB that
Python has allocated (``tracemalloc``) since the sampler was made, at the peak of that many trials
and, in "kept", after them. The storage and its trials so far are not counted.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import optuna
import typer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection

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
NUMBERS = {
    "lr": FloatDistribution(1e-5, 1, log=True),
    "wd": FloatDistribution(1e-6, 0.1, log=True),
}
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


Numbers = dict[str, float]


@dataclass(frozen=True)
class Case:
    """What a study searches.

    Attributes:
        m: How many objectives it has.
        numbers: Whether its trials have numbers beside the architecture.
    """

    m: int
    numbers: bool

    @property
    def title(self) -> str:
        """In words."""
        beside = " with lr and wd" if self.numbers else ""
        return f"{self.m} objective{'s' if self.m > 1 else ''}{beside}"

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Of all parameters."""
        return {**DISTRIBUTIONS, **(NUMBERS if self.numbers else {})}

    def draw(self, rng: np.random.Generator) -> Numbers:
        """The numbers of a trial that is not run."""
        if not self.numbers:
            return {}
        bounds = [(n, math.log(d.low), math.log(d.high)) for n, d in NUMBERS.items()]
        return {name: math.exp(rng.uniform(low, high)) for name, low, high in bounds}

    def values(
        self, architectures: Sequence[nap.Architecture], numbers: Sequence[Numbers]
    ) -> list[list[float]]:
        """The table's values; of the first less is left the more the numbers are off."""
        found = []
        for row, beside in zip(TABLE.evaluate(list(architectures)), numbers, strict=True):
            off = sum(abs(math.log10(value) + 3) for value in beside.values())
            first, *others = (row[objective.name] for objective in OBJECTIVES[: self.m])
            found.append([first - off, *others])
        return found

    def study(self, sampler: Sampler) -> optuna.Study:
        """A new one."""
        maximize, minimize = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
        directions = [maximize if o.direction == "max" else minimize for o in OBJECTIVES]
        return optuna.create_study(directions=directions[: self.m], sampler=sampler)

    def fill(self, study: optuna.Study, size: int, rng: np.random.Generator) -> None:
        """Adds trials until there are `size`."""
        missing = size - len(study.get_trials(deepcopy=False))
        if missing <= 0:
            return
        sampler = study.sampler
        if isinstance(sampler, StrategySampler) and type(sampler.strategy).__name__ in NOTED:
            found, numbers = self._proposed(study, sampler, missing, rng)
        else:
            found = [Proposal(a) for a in SPACE.architectures(SPACE.random(missing, rng))]
            numbers = [self.draw(rng) for _ in found]
        told = self.values([proposal.architecture for proposal in found], numbers)
        study.add_trials(
            optuna.create_trial(
                params={**proposal.architecture.choices, **beside},
                distributions=self.distributions,
                values=values,
                system_attrs=dict(note_entries(proposal.notes)),
            )
            for proposal, beside, values in zip(found, numbers, told, strict=True)
        )

    def _proposed(
        self,
        study: optuna.Study,
        sampler: StrategySampler,
        missing: int,
        rng: np.random.Generator,
    ) -> tuple[list[Proposal], list[Numbers]]:
        """What the strategy itself proposes."""
        found, numbers = list[Proposal](), list[Numbers]()
        known = history(study, space=SPACE).derived()
        while len(found) < missing:
            proposals = sampler.strategy.propose(known, min(BATCH, missing - len(found)), rng)
            beside = [self.draw(rng) for _ in proposals]
            values = self.values([p.architecture for p in proposals], beside)
            known = known.extend(
                Trial(len(known) + i, p.architecture, values=tuple(v), notes=p.notes)
                for i, (p, v) in enumerate(zip(proposals, values, strict=True))
            ).derived()
            found += proposals
            numbers += beside
        return found, numbers

    def ask(self, study: optuna.Study) -> float:
        """Milliseconds of processor time of one trial."""
        start = time.process_time()
        trial = study.ask()
        architecture = suggest(trial, SPACE)
        numbers = NUMBERS.items() if self.numbers else ()
        beside = {n: trial.suggest_float(n, d.low, d.high, log=True) for n, d in numbers}
        asked = time.process_time()
        values = self.values([architecture], [beside])[0]
        telling = time.process_time()
        study.tell(trial, values)
        return 1000 * (asked - start + time.process_time() - telling)


Make = Callable[[int], Sampler]


def times(
    make: Make, case: Case, sizes: Sequence[int], asks: int, seed: int
) -> tuple[list[float], list[float]]:
    """Milliseconds per trial at each size, and of the first trial of a new process at the last."""
    study = case.study(make(seed))
    rng, means = np.random.default_rng(seed), []
    for size in sizes:
        case.fill(study, size - asks - 1, rng)
        means.append(statistics.mean([case.ask(study) for _ in range(asks + 1)][1:]))
    study.sampler = make(seed)
    return means, [case.ask(study)]


def memory(
    make: Make, case: Case, sizes: Sequence[int], asks: int, seed: int
) -> tuple[list[float], list[float]]:
    """MiB at the peak of some trials at each size, and after those at the last."""
    study = case.study(make(seed))
    rng, peaks, kept = np.random.default_rng(seed), [], 0
    for size in sizes:
        case.fill(study, size - asks, rng)
        tracemalloc.start()
        study.sampler = make(seed)
        for _ in range(asks):
            case.ask(study)
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peaks.append(peak / 2**20)
    return peaks, [kept / 2**20]


def main(
    *,
    sizes: Annotated[
        list[int] | None, typer.Option("--sizes", help="Trials of history; may be repeated.")
    ] = None,
    asks: Annotated[int, typer.Option(min=1, help="Trials measured at each size.")] = 30,
    objectives: Annotated[
        list[int] | None, typer.Option(min=1, max=2, help="Their numbers; may be repeated.")
    ] = None,
    numbers: Annotated[bool, typer.Option(help="Search lr and wd too.")] = False,
    memory_: Annotated[bool, typer.Option("--memory", help="Memory instead of time.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Studies per sampler, seeds from 0.")] = 2,
    samplers: Annotated[
        list[str] | None, typer.Option(help="What their names contain; may be repeated.")
    ] = None,
) -> None:
    """Prints the overhead of each sampler per trial, in ms or MiB and as a share of TPE's."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chosen = sorted(sizes or SIZES)
    wanted = [REFERENCE, *(samplers or SAMPLERS)]
    names = [name for name in SAMPLERS if any(part in name for part in wanted)]
    measure, unit, last = (
        (memory, "MiB at the peak", "kept")
        if memory_
        else (times, "ms of processor time", "resumed")
    )
    for case in [Case(m, numbers) for m in objectives or [1, 2]]:
        found: dict[str, list[float]] = {}
        for name in names:
            runs = [measure(SAMPLERS[name], case, chosen, asks, seed) for seed in range(seeds)]
            columns = zip(*([*means, *end] for means, end in runs), strict=True)
            found[name] = [statistics.mean(column) for column in columns]
        title = (
            f"{case.title}, mean of {asks} trials and {seeds} seeds, {unit}, "
            f"optuna {optuna.__version__}"
        )
        heads = ["sampler"]
        for size in chosen:
            heads += [f"{size:,} trials", "ratio"]
        rows = []
        for name, values in found.items():
            cells = [name]
            for value, reference in zip(values[:-1], found[REFERENCE], strict=False):
                cells += [f"{value:.2f}", f"{value / reference:.2f}"]
            rows.append((*cells, f"{values[-1]:.{1 if memory_ else 0}f}"))
        table = ResultTable(title, (*heads, last), tuple(rows), numbers_from=1)
        print(table.text(), flush=True)


if __name__ == "__main__":
    typer.run(main)
