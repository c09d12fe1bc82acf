"""Comparing strategies over seeds: `compare` runs them, a `Comparison` says how they did."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nas_plugins._checks import as_path, numbers
from nas_plugins._frozen import FrozenDict
from nas_plugins._tables import data_frame
from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.history import Objective, objectives_of
from nas_plugins.protocols import Benchmark, Strategy
from nas_plugins.reproduction.documents import DASH, Cell, ResultTable, Spread
from nas_plugins.reproduction.harness import in_processes
from nas_plugins.reproduction.run_quality import ScoreAxes, curve, found_front, scores
from nas_plugins.reproduction.seed_runs import (
    ALONE,
    ENGINES,
    STUDY,
    Competitor,
    SeedJob,
    SeedRun,
    benchmark_identity,
    benchmark_of,
    kept_file,
    kept_run,
    run_seed,
    seeds_of,
    told,
)
from nas_plugins.runner.options import whole, words_of
from nas_plugins.runner.outputs import prepare_folder
from nas_plugins.runner.progress import CountingDisplay

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

StrategySpec: TypeAlias = str | Strategy | tuple[str, Mapping[str, Any]]
"""A registered name or ``"optuna:tpe"``, a strategy, or a name with options."""

# Okabe and Ito (2008), and two more.
_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F",
)  # fmt: skip
_DASHES = ("solid", "dash", "dot")
"""Tell lines of the same colour apart."""

_TICKS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
_SCORES = {"hv11": "hv 1.1", "hv10": "hv 1.0", "igd": "IGD", "igd_plus": "IGD+"}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Strategies on one benchmark, each with several seeds.

    Attributes:
        benchmark: Its name.
        runs: By strategy, in the order asked for; of each the seeds in order.
        searched: The objectives of the search, and the true front.
        reported: Those on which runs are scored; other than the searched ones where `report`
            was given.
        budgets: Numbers of trials at which runs are scored, ascending.
        tolerance: With one objective: how near to the optimum counts as a hit.
        source: Where the values come from.
    """

    benchmark: str
    runs: Mapping[str, tuple[SeedRun, ...]]
    searched: ScoreAxes
    reported: ScoreAxes
    budgets: tuple[int, ...]
    tolerance: float = 0.1
    source: str = ""

    def as_searched(self) -> Comparison:
        """The same runs, scored on what the search saw."""
        runs = {
            name: tuple(replace(run, reported=run.searched) for run in some)
            for name, some in self.runs.items()
        }
        return replace(self, runs=runs, reported=self.searched)

    @cached_property
    def scores(self) -> tuple[dict[str, Any], ...]:
        """A row per strategy, seed, number of trials and score.

        Scores are, with one objective, ``best``, ``hit`` and ``evaluations`` (to the first hit);
        with several ``hv11`` and ``hv10`` (share of the true front's hypervolume, reference point
        1.1 and 1.0), ``igd`` and ``igd_plus``; with ``_searched`` behind, on the axes of the
        search. Always ``distinct`` (architectures) and ``ms_per_trial`` (outside the evaluation).
        """
        rows = []
        for name, runs in self.runs.items():
            for run in runs:
                head = {"strategy": name, "engine": run.engine, "seed": run.seed}
                for budget in self.budgets:
                    n = min(budget, len(run))
                    values: dict[str, float] = {
                        **scores(run, budget, self.searched, self.reported, self.tolerance),
                        "distinct": int(run.distinct[n - 1]) if n else 0,
                        "ms_per_trial": 1e3 * run.seconds_per_trial(budget),
                    }
                    rows += [
                        {**head, "trials": budget, "score": score, "value": value}
                        for score, value in values.items()
                    ]
        return tuple(rows)

    def to_dataframe(self) -> DataFrame:
        """`scores` as a data frame.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return data_frame(self.scores, ["strategy", "engine", "seed", "trials", "score", "value"])

    def table(self) -> ResultTable:
        """Mean and deviation over the seeds, at every budget.

        With one objective a row per strategy: the reported value of the incumbent at every
        budget, the median number of evaluations to a hit, the share of runs with a hit. With
        several a row per strategy and budget. *Wasted* trials repeated an architecture or had
        none; *ms/trial* is spent outside the evaluation.
        """
        return self._table_of_one() if len(self._objectives) == 1 else self._table_of_several()

    def markdown(self) -> str:
        """`table` in Markdown."""
        return self.table().markdown()

    def plot(self) -> Figure:
        """Mean over the seeds against the trials, with a band of one standard deviation.

        What is drawn is the reported value of the incumbent, or with several objectives the
        share of the true front's hypervolume on the axes of the search.
        """
        import plotly.graph_objects as go

        figure = go.Figure()
        for number, (name, runs) in enumerate(self.runs.items()):
            length = min(len(run) for run in runs)
            if not length:
                continue
            # The first few trials are luck, and their spread would flatten everything else.
            budgets = np.unique(np.geomspace(min(10, length), length, 40).round().astype(int))
            values = np.array([curve(run, budgets.tolist(), self.searched) for run in runs])
            mean, sd = values.mean(axis=0), values.std(axis=0)
            colour, x = _COLOURS[number % len(_COLOURS)], budgets.tolist()
            dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
            line = {"color": colour, "width": 2, "dash": dash}
            figure.add_scatter(x=x, y=mean.tolist(), name=name, legendgroup=name, line=line)
            figure.add_scatter(
                x=[*x, *x[::-1]], y=[*(mean + sd).tolist(), *(mean - sd)[::-1].tolist()],
                fill="toself", fillcolor=colour, opacity=0.12, line={"width": 0},
                legendgroup=name, showlegend=False, hoverinfo="skip",
            )  # fmt: skip
        one = len(self._objectives) == 1
        figure.update_layout(
            title=self.benchmark,
            xaxis={"title": "trials", "type": "log", "tickvals": _TICKS},
            yaxis={"title": self._report if one else "hv ratio 1.1 (searched axes)"},
            template="plotly_white",
            hovermode="x unified",
        )
        return figure

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.runs)} strategies>\n{self.table().text()}"

    def _repr_markdown_(self) -> str:
        return self.markdown()

    @property
    def _objectives(self) -> tuple[Objective, ...]:
        return self.searched.objectives

    @property
    def _report(self) -> str:
        return self.reported.objectives[0].name

    @property
    def _sides(self) -> tuple[tuple[str, str], ...]:
        """First metric and ending of the scores on every pair of axes that differs."""
        sides = (("", self._report), ("_searched", self._objectives[0].name))
        return sides if self.reported.objectives != self._objectives else sides[:1]

    def _found(self, name: str, budget: int) -> list[dict[str, float]]:
        return [
            scores(run, budget, self.searched, self.reported, self.tolerance)
            for run in self.runs[name]
        ]

    def _table_of_one(self) -> ResultTable:
        near = f"opt-{self.tolerance:g}"
        heads = ["strategy", "seeds", *map(str, self.budgets)]
        for suffix, metric in self._sides:
            heads += [f"{metric}: evals to {near}" if suffix else f"evals to {near}", "hits"]
        rows: list[tuple[Cell, ...]] = []
        for name, runs in self.runs.items():
            row: list[Cell] = [name, len(runs)]
            for budget in self.budgets:
                row.append(_spread([s.get("best", math.nan) for s in self._found(name, budget)]))
            last = self._found(name, self.budgets[-1])
            for suffix, _ in self._sides:
                row.append(_median([s.get(f"evaluations{suffix}", math.nan) for s in last]))
                row.append(_mean([s.get(f"hit{suffix}", math.nan) for s in last]))
            rows.append((*row, *self._costs(name, self.budgets[-1])))
        searched = self._objectives[0].name
        return ResultTable(
            f"{self.benchmark}: {self._report} of the best {searched} by trials, mean ± sd",
            (*heads, "wasted %", "ms/trial"),
            tuple(rows),
            numbers_from=1,
        )

    def _table_of_several(self) -> ResultTable:
        sides = self._sides if len(self._sides) > 1 else (("", ""),)
        columns = [(f"{score}{suffix}", f"{name} {metric}".strip())
                   for suffix, metric in reversed(sides)
                   for score, name in _SCORES.items()]  # fmt: skip
        rows: list[tuple[Cell, ...]] = []
        for budget in self.budgets:
            for name, runs in self.runs.items():
                found = self._found(name, budget)
                cells = [_spread([s.get(key, math.nan) for s in found]) for key, _ in columns]
                rows.append((name, budget, len(runs), *cells, *self._costs(name, budget)))
        goals = ", ".join(map(str, self._objectives))
        notes = []
        if not (self.searched.known and self.reported.known):
            notes.append("The true front is not known: that of all these runs stands for it.")
        return ResultTable(
            f"{self.benchmark}: {goals}; hv ratio (FN, reference 1.1 and 1.0), mean ± sd",
            ("strategy", "trials", "seeds", *(h for _, h in columns), "wasted %", "ms/trial"),
            tuple(rows),
            tuple(notes),
            digits=3,
            numbers_from=1,
        )

    def _costs(self, name: str, budget: int) -> tuple[str, str]:
        runs = self.runs[name]
        wasted = np.mean([run.wasted(budget) for run in runs])
        seconds = np.mean([run.seconds_per_trial(budget) for run in runs])
        return f"{100 * wasted:.1f}", f"{1e3 * seconds:.2f}"


def compare(
    strategies: Sequence[StrategySpec] | Mapping[str, StrategySpec],
    benchmark: Benchmark | str,
    objectives: str | Objective | Sequence[str | Objective] = "val_accuracy:max",
    trials: int = 100,
    seeds: int | Sequence[int] | Mapping[str, int | Sequence[int]] = 10,
    *,
    budgets: Sequence[int] = (),
    report: str | None = None,
    tolerance: float = 0.1,
    engine: str = ALONE,
    workers: int = 1,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Runs strategies on a benchmark with several seeds each, and scores them.

    >>> import nas_plugins as nap
    >>> found = nap.compare(
    ...     ["random", ("regularized-evolution", {"population_size": 20}), "optuna:tpe"],
    ...     "nasbench201/cifar10", "val_accuracy:max", trials=60, seeds=3, progress=False)
    >>> list(found.runs)
    ['random', 'regularized-evolution(population_size=20)', 'optuna:tpe']

    Args:
        strategies: Each a registered name, a strategy, ``(name, options)``, or one of Optuna's
            own samplers: ``"optuna:tpe"``, ``"optuna:nsga2"`` (population 20), ``"optuna:gp"``,
            ``"optuna:random"``. A mapping gives them names in the table.
        benchmark: A benchmark, or its name.
        objectives: What is searched on, one or several, e.g. ``"latency_ms:min"``; without
            the direction, the better one.
        trials: Evaluations per run, failed ones and repetitions included.
        seeds: How many, from 0 on, or which ones; or either of them by a strategy's name, for
            a strategy too slow for many.
        budgets: Numbers of trials at which runs are scored; `trials` is always one. By default
            a quarter and a half of it too.
        report: Metric that replaces the first objective when runs are scored, e.g. a test
            accuracy where the search sees the validation accuracy.
        tolerance: With one objective: how near to the optimum counts as a hit.
        engine: ``"alone"``: strategies are called as pure functions of the history.
            ``"optuna"``: in a study of Optuna's.
        workers: Processes. They import the program that called, which therefore must stand
            under ``if __name__ == "__main__":``.
        out: Folder in which finished runs are kept, so that a comparison that was broken off or
            is asked for again, with other strategies or seeds, does what is missing.
        progress: ``True`` shows on the standard error stream how far it is, ``False`` nothing;
            ``None`` shows a bar on a terminal and in a notebook.

    Raises:
        UnknownNameError: A name is not known; suggests the nearest.
        DataError: The table is absent; says what to download and where.
        ValueError: A number is out of range, two strategies have the same name, `out` is given
            and a strategy's repr does not tell its options, or there are several workers and it
            cannot be pickled.
        OutputError: `out` cannot be written.

    Long because its parameters are listed twice, with types and in words.
    """
    trials, workers = whole("trials", trials, 1), whole("workers", workers, 1)
    numbers(tolerance=tolerance)
    table = benchmark_of(benchmark)
    better = {metric.name: f"{metric.name}:{metric.direction}" for metric in table.metrics}
    words = words_of("objectives", objectives, Objective, "val_accuracy:max")
    goals = objectives_of([better.get(word, word) for word in words])
    reported = (replace(goals[0], name=report or goals[0].name), *goals[1:])
    known = [metric.name for metric in table.metrics]
    for objective in (*goals, reported[0]):
        if objective.name not in known:
            raise unknown_name(f"metric of benchmark {table.name!r}", objective.name, known)
    chosen = _budgets(budgets, trials)
    jobs = [
        SeedJob(competitor, benchmark, goals, reported, trials, seed)
        for competitor, own in _competitors(strategies, engine, seeds)
        for seed in own
    ]
    if workers > 1:
        _check_pickles(jobs)
    folder = None if out is None else as_path("out", out)
    if folder is not None:
        prepare_folder(folder)
    runs = _runs(jobs, table, workers, folder, progress)
    searched, axes = ScoreAxes.of(table, goals), ScoreAxes.of(table, reported)
    every = [run for some in runs.values() for run in some]
    searched = searched.or_best_of([run.searched for run in every])
    if not axes.known:
        axes = axes.or_best_of([r.reported[found_front(r, trials, searched)] for r in every])
    return Comparison(table.name, runs, searched, axes, chosen, tolerance, table.source)


def _competitors(
    strategies: Sequence[StrategySpec] | Mapping[str, StrategySpec],
    engine: str,
    seeds: int | Sequence[int] | Mapping[str, int | Sequence[int]],
) -> list[tuple[Competitor, tuple[int, ...]]]:
    """With their seeds; each is built once, so that what is wrong is told before anything runs."""
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if isinstance(strategies, str) or not isinstance(strategies, Iterable):
        raise TypeError(f"`strategies` must be a list or a mapping, got {strategies!r}")
    if isinstance(strategies, Mapping):
        pairs = [(name, spec) for name, spec in strategies.items()]
    else:
        pairs = [(_name(spec), spec) for spec in strategies]
    found: dict[str, Competitor] = {}
    for name, spec in pairs:
        if name in found:
            raise ValueError(f"`strategies` must have different names, got {name!r} twice; "
                             "a mapping gives them names")  # fmt: skip
        strategy, options = _with_options(spec)
        competitor = Competitor(name, strategy, FrozenDict(options), engine)
        competitor.check()
        found[name] = replace(competitor, engine=STUDY) if competitor.sampler else competitor
    if not found:
        raise ValueError("`strategies` must not be empty")
    by_name = seeds if isinstance(seeds, Mapping) else dict.fromkeys(found, seeds)
    if set(by_name) != set(found):
        raise ValueError(f"`seeds` must have the names {list(found)}, got {list(by_name)}")
    return [(competitor, seeds_of(by_name[name])) for name, competitor in found.items()]


def _with_options(spec: StrategySpec) -> tuple[str | Strategy, Mapping[str, Any]]:
    if not isinstance(spec, tuple):
        return spec, {}
    if len(spec) != 2 or not isinstance(spec[1], Mapping):
        raise TypeError(f"`strategies` with options are written (name, options), got {spec!r}")
    if spec[1] and not isinstance(spec[0], str):
        raise UsageError(f"options in `strategies` are for a name, and {spec[0]!r} is an object")
    return spec


def _name(spec: StrategySpec) -> str:
    if isinstance(spec, str):
        return spec
    if isinstance(spec, tuple):
        name, options = _with_options(spec)
        told_options = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return f"{name}({told_options})" if options else str(name)
    text = told(spec)
    return text if len(text) <= 60 and "\n" not in text else type(spec).__name__


def _check_pickles(jobs: Sequence[SeedJob]) -> None:
    """Several processes get what they need as pickles."""
    by_name = {job.competitor.name: (job.competitor, job.benchmark) for job in jobs}
    for name, sent in by_name.items():
        try:
            pickle.dumps(sent)
        except Exception as error:
            raise ValueError(
                f"`workers` must be 1 for what cannot be pickled, {name}: {error}"
            ) from error


def _budgets(given: Any, trials: int) -> tuple[int, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"`budgets` must be a list of numbers of trials, got {given!r}")
    for budget in given:
        whole("budgets", budget, 1)
    chosen = {*(given or (trials // 4, trials // 2)), trials}
    return tuple(sorted(budget for budget in chosen if 1 <= budget <= trials))


def _runs(
    jobs: Sequence[SeedJob],
    table: Benchmark,
    workers: int,
    out: Path | None,
    progress: bool | None,
) -> dict[str, tuple[SeedRun, ...]]:
    """Does what is not kept, the slow ones first; by strategy, in the order of `jobs`."""
    if out is not None:
        same = benchmark_identity(table, (*jobs[0].searched, jobs[0].reported[0]))
        jobs = [replace(job, file=kept_file(out, job, same)) for job in jobs]
    done = {job: run for job in jobs if (run := kept_run(job)) is not None}
    missing = sorted((job for job in jobs if job not in done), key=lambda job: job.competitor.cost)
    with CountingDisplay("searches", len(missing), shown=progress) as display:
        for job, run in in_processes(run_seed, missing, workers):
            done[job] = run
            display.add()
    runs: dict[str, tuple[SeedRun, ...]] = {}
    for job in jobs:
        name = job.competitor.name
        runs[name] = (*runs.get(name, ()), done[job])
    return runs


def _spread(values: Sequence[float]) -> Spread:
    """Mean and deviation of these very runs; a dash where one of them has no value."""
    known = np.isfinite(values).all()
    return Spread.of(values if known else (), ddof=0)


def _median(values: Sequence[float]) -> str:
    middle = float(np.median(values))
    return DASH if math.isnan(middle) else "never" if math.isinf(middle) else f"{middle:g}"


def _mean(values: Sequence[float]) -> str:
    middle = float(np.mean(values))
    return DASH if math.isnan(middle) else f"{middle:.2f}"
