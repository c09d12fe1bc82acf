"""Compares search strategies on benchmark tables: a shell around `nas_plugins.compare`.

python scripts/search.py --strategies random,local-search,tpe \\
    --benchmark nasbench201/cifar10 --objective val_accuracy:max --report test_accuracy \\
    --trials 100 --seeds 50 --workers 2 --out results

Prints one table per benchmark and writes runs.csv, tables.md, curves.html and settings.json.
Finished runs are kept in the folder, so that a call that was broken off goes on.
``local-search+zero-cost:n=5`` is local search whose first five trials are the best of a random
pool by zero-cost proxies; after the plus stands any evaluator or benchmark, or a file that
``nas-plugins score --out FILE.csv`` has written.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from _comparison_files import write_comparisons

import nas_plugins as nap
from nas_plugins._csv import unescaped
from nas_plugins.errors import NasPluginsError
from nas_plugins.reproduction.stock import STOCK
from nas_plugins.strategies.warm_start import WarmStart

DEFAULT = (
    "random,local-search,regularized-evolution,archive-evolution,arch-vq,"
    "optuna-random,tpe,nsga2,gp"
)
SAMPLERS = {"optuna-random" if name == "random" else name: f"optuna:{name}" for name in STOCK}
SLOW = ("gp",)


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
    try:
        rows = {label(name, engine): name for name in names}
        counts = {
            row: runs_of(name, seeds, optuna_seeds, slow_seeds) for row, name in rows.items()
        }
        found = [
            nap.compare(
                {row: strategy(name) for row, name in rows.items()},
                table,
                objective or ["val_accuracy:max"],
                trials,
                {row: range(first_seed, first_seed + n) for row, n in counts.items()},
                budgets=budgets(checkpoints, trials),
                report=report,
                tolerance=tolerance,
                engine=engine,
                workers=workers,
                out=out,
            )
            for table in benchmark or ["nasbench201/cifar10"]
        ]
    except (NasPluginsError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    shown = [one.as_searched() for one in found] + found if both else found
    for one in shown:
        print(one.table().text())
    write_comparisons(shown, [one.markdown() for one in shown], out)


def label(name: str, engine: str) -> str:
    """The name of a row."""
    if base(name) in SAMPLERS:
        return f"Optuna {name.replace('optuna-random', 'random')}"
    return f"{name} in Optuna" if engine == "optuna" else name


def runs_of(name: str, seeds: int, optuna_seeds: int, slow_seeds: int) -> int:
    """The number of seeds of a strategy."""
    if base(name) in SLOW:
        return min(seeds, slow_seeds)
    return min(seeds, optuna_seeds) if base(name) in SAMPLERS else seeds


def budgets(checkpoints: str, trials: int) -> list[int]:
    """The budgets to score."""
    texts = [text for text in checkpoints.split(",") if text]
    if not all(text.isdigit() and int(text) for text in texts):
        raise ValueError(f"`checkpoints` must be whole numbers >= 1, got {checkpoints!r}")
    return [*map(int, texts), trials]


def strategy(text: str) -> tuple[str, dict[str, Any]] | WarmStart:
    """Reads ``name:option=value+evaluator:option=value``; the plus and what follows may lack."""
    first, _, warm = text.partition("+")
    name, options = parsed(first)
    if name in SAMPLERS:
        if warm:
            raise ValueError(f"`strategies`: {name!r} is a sampler and takes no warm start")
        return SAMPLERS[name], options
    if not warm:
        return name, options
    evaluator, others = parsed(warm)
    own = {key: others.pop(key) for key in ("n", "pool", "metrics") if key in others}
    scorer = ScoredFile.read(Path(evaluator)) if evaluator.endswith(".csv") else evaluator
    return WarmStart(nap.strategy(name, **options), scorer, options=others, **own)


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Reads ``name:option=value:...``; values are JSON."""
    name, *pairs = text.split(":")
    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"`strategies`: expected option=value in {text!r}, got {pair!r}")
        options[key] = json.loads(value)
    return name, options


def base(name: str) -> str:
    """The strategy's name alone."""
    return name.partition("+")[0].partition(":")[0]


@dataclass(frozen=True)
class ScoredFile(nap.Evaluator):
    """Scores that ``nas-plugins score --out FILE.csv`` has written, as an evaluator.

    Architectures that are not in the file have no score.

    Attributes:
        columns: Names of the proxies; each is better when larger.
        values: Scores by the architecture's text.
    """

    columns: tuple[str, ...]
    values: Mapping[str, dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> ScoredFile:
        """Reads the file."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        others = ("architecture", "rank_sum", "seconds", "cached", "reason")
        names = tuple(name for name in rows[0] if name not in others)
        return cls(
            names,
            {unescaped(r["architecture"]): {n: float(r[n]) for n in names if r[n]} for r in rows},
        )

    @property
    def metrics(self) -> tuple[nap.Metric, ...]:
        """One per proxy."""
        return tuple(nap.Metric(name, "", "max") for name in self.columns)

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        """Looks the scores up."""
        return [dict(self.values.get(str(a), {})) for a in architectures]


if __name__ == "__main__":
    typer.run(main)
