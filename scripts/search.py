"""Compares search strategies on benchmark tables, with Optuna's samplers beside ours.

python scripts/search.py --strategies random,local-search,tpe \\
    --benchmark nasbench201/cifar10 --objective val_accuracy:max --report test_accuracy \\
    --trials 100 --seeds 50 --workers 2 --out results

Prints one table per benchmark and writes runs.csv, tables.md, curves.html and settings.json.
``local-search+zero-cost:n=5`` is local search whose first five trials are the best of a random
pool by zero-cost proxies; after the plus stands any evaluator or benchmark, or a file that
``nas-plugins score --out FILE.csv`` has written.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import typer
from _output import sheet, write_plot, write_runs
from _runs import (
    OPTUNA_SAMPLERS,
    Case,
    Job,
    Run,
    as_searched,
    check_strategy,
    engine_of,
    is_slow,
    run,
)
from _scores import Target
from rich.console import Console
from rich.progress import Progress

from nas_plugins.errors import NasPluginsError
from nas_plugins.results import package_versions

DEFAULT = (
    "random,local-search,regularized-evolution,archive-evolution,arch-vq,"
    "optuna-random,tpe,nsga2,gp"
)
ENGINES = ("alone", "optuna")


def main(
    *,
    strategies: Annotated[
        str,
        typer.Option(
            help="Comma-separated: registered names and tpe, nsga2 (population 20), gp, "
            "optuna-random. Options follow a name, e.g. regularized-evolution:population_size=50, "
            "and a warm start a plus, e.g. local-search+zero-cost:n=5:pool=1000."
        ),
    ] = DEFAULT,
    benchmark: Annotated[
        list[str] | None, typer.Option(help="Registered name; repeat for more tables.")
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="metric:min or metric:max; repeat for more.")
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(help="Metric that replaces the first objective in the scores."),
    ] = None,
    both: Annotated[
        bool,
        typer.Option("--both", help="With one objective: score it as well as --report."),
    ] = False,
    trials: Annotated[int, typer.Option(min=1, help="Trials per run.")] = 100,
    checkpoints: Annotated[
        str, typer.Option(help="Comma-separated budgets to score; the last is --trials.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each of our strategies.")] = 20,
    optuna_seeds: Annotated[
        int, typer.Option(min=1, help="Runs of each of Optuna's samplers, at most --seeds.")
    ] = 10,
    slow_seeds: Annotated[int, typer.Option(min=1, help="Runs of gp, at most --seeds.")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="Seeds count up from here.")] = 0,
    engine: Annotated[
        str,
        typer.Option(help="alone: our strategies as pure functions; optuna: in a study."),
    ] = "alone",
    tolerance: Annotated[
        float, typer.Option(min=0, help="With one objective: distance to the optimum of a hit.")
    ] = 0.1,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("search-results"),
) -> None:
    """Compares search strategies on benchmark tables."""
    names = re.split(r",(?![^\[]*\])", strategies)  # a list among the options has commas too
    objectives = tuple(objective or ["val_accuracy:max"])
    if engine not in ENGINES:
        raise typer.BadParameter(f"must be one of {', '.join(ENGINES)}, got {engine!r}")
    try:
        for name in names:
            check_strategy(name)
        cases = [
            Case(name, objectives, report or objectives[0].partition(":")[0])
            for name in benchmark or ["nasbench201/cifar10"]
        ]
        targets = {case: Target.of(case) for case in cases}
        budgets = _budgets(checkpoints, trials)
    except (NasPluginsError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    counts = {name: _runs_of(name, seeds, optuna_seeds, slow_seeds) for name in names}
    jobs = [
        Job(case, name, engine_of(name, engine), trials, first_seed + i)
        for case in cases
        for name in names
        for i in range(counts[name])
    ]
    runs = _all(jobs, workers)
    if both:
        runs = [as_searched(one) for one in runs] + runs
        targets = {case: Target.of(case) for case in dict.fromkeys(r.job.case for r in runs)}
    _write(runs, targets, budgets, tolerance, out)


def _budgets(checkpoints: str, trials: int) -> list[int]:
    """The budgets to score in ascending order, `trials` among them."""
    texts = [text for text in checkpoints.split(",") if text]
    if not all(text.isdigit() and int(text) for text in texts):
        raise ValueError(f"`checkpoints` must be whole numbers >= 1, got {checkpoints!r}")
    budgets = map(int, texts)
    return sorted(budget for budget in {*budgets, trials} if budget <= trials)


def _runs_of(name: str, seeds: int, optuna_seeds: int, slow_seeds: int) -> int:
    if is_slow(name):
        return min(seeds, slow_seeds)
    return min(seeds, optuna_seeds) if engine_of(name, "") == "optuna" else seeds


def _all(jobs: Sequence[Job], workers: int) -> list[Run]:
    """Does the jobs in parallel processes, the slow ones first; the order is that of `jobs`."""
    # One thread per process: numeric libraries would otherwise fight over the cores.
    os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    order = sorted(range(len(jobs)), key=lambda i: _cost(jobs[i]))
    context = multiprocessing.get_context("spawn")
    found: dict[int, Run] = {}
    with (
        ProcessPoolExecutor(workers, mp_context=context) as pool,
        Progress(console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("runs", total=len(jobs))
        futures = {pool.submit(run, jobs[i]): i for i in order}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            progress.advance(task)
    return [found[i] for i in range(len(jobs))]


def _cost(job: Job) -> int:
    """Rough order of run time, slowest first."""
    return 0 if is_slow(job.strategy) else 1 if job.engine == "optuna" else 2


def _label(one: Run) -> str:
    stock = one.job.strategy.partition(":")[0] in OPTUNA_SAMPLERS
    text = one.job.strategy.replace("optuna-random", "random") if stock else one.job.strategy
    return (
        f"Optuna {text}" if stock else f"{text} in Optuna" if one.job.engine == "optuna" else text
    )


def _write(
    runs: Sequence[Run],
    targets: dict[Case, Target],
    budgets: Sequence[int],
    tolerance: float,
    out: Path,
) -> None:
    grouped: dict[Case, dict[str, list[Run]]] = {}
    for one in runs:
        grouped.setdefault(one.job.case, {}).setdefault(_label(one), []).append(one)
    sheets = [
        sheet(case, group, targets[case], budgets, tolerance) for case, group in grouped.items()
    ]
    console = Console(width=None if sys.stdout.isatty() else 240)
    for one_sheet in sheets:
        one_sheet.show(console)
    out.mkdir(parents=True, exist_ok=True)
    write_runs(out / "runs.csv", [(_label(r), r) for r in runs], targets, budgets, tolerance)
    (out / "tables.md").write_text(
        "\n".join(one_sheet.markdown() for one_sheet in sheets), encoding="utf-8"
    )
    write_plot(out / "curves.html", grouped, targets)
    settings = {"command": sys.argv[1:], "versions": dict(package_versions())}
    (out / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    console.print(f"wrote runs.csv, tables.md, curves.html and settings.json to {out}")


if __name__ == "__main__":
    typer.run(main)
