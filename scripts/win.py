"""Measures our search beside everything else, and says which figures it reaches.

python scripts/win.py --quick
python scripts/win.py --only one/nasbench201 --seeds 100 --workers 2 --folder win

A case is a table or an objective that every row searches; `--list` names them all. Of each are
printed when a run is near the best, what it has after so many trials, its seconds, and who is
best. Then come the goals: what was measured, and whether that reaches them. The folder gets
runs.csv, tables.md, curves.html (a mean and a band per row and case) and settings.json. Finished
runs are kept there, so that a call that was broken off goes on.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from _comparison_files import write_comparisons
from _win.base import Case, Outcome, Settings
from _win.cases import CASES
from _win.goals import goal_table
from _win.peers import installed
from _win.searches import ABSENT

from nas_plugins.errors import NasPluginsError


def main(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few cases and rows, 2 seeds, 12 trials.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Regular expression that the names of cases contain; may be repeated."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Of every row; by default as many as the case needs.")
    ] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="Seeds count up from here.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    folder: Annotated[Path, typer.Option(help="For the files and the runs.")] = Path(
        "win-results"
    ),
    peers: Annotated[
        bool,
        typer.Option("--peers", help="With SMAC3 and BoTorch, as far as they are installed."),
    ] = False,
    names: Annotated[bool, typer.Option("--list", help="Names the cases, and ends.")] = False,
) -> None:
    """Measures our search beside everything else."""
    try:
        cases = chosen(CASES, only or [], quick=quick)
        if peers and not installed(1):
            raise ValueError("`--peers` needs `pip install -r scripts/peers.txt`")
        if names:
            print("\n".join(case.name for case in cases))
            return
        settings = Settings(folder, seeds, first_seed, workers, quick, peers)
        outcomes = {outcome.case: outcome for outcome in measured(cases, settings)}
    except (NasPluginsError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    goals = goal_table(outcomes, [case.name for case in CASES])
    print(goals.text())
    texts = [table.markdown() for one in outcomes.values() for table in one.tables]
    found = [one.comparison for one in outcomes.values() if one.comparison is not None]
    write_comparisons(found, [*texts, goals.markdown()], folder)


def chosen(cases: Sequence[Case], only: Sequence[str], *, quick: bool) -> list[Case]:
    """The cases that are asked for.

    Raises:
        ValueError: There are none, or a pattern is no regular expression.
    """
    try:
        patterns = [re.compile(text) for text in only]
    except re.error as error:
        raise ValueError(f"`--only` must be a regular expression: {error}") from error
    found = [
        case
        for case in cases
        if (case.quick or not quick) and (not only or any(p.search(case.name) for p in patterns))
    ]
    if not found:
        raise ValueError(f"`--only` must match a case, got {list(only)}; `--list` names them")
    return found


def measured(cases: Sequence[Case], settings: Settings) -> Iterator[Outcome]:
    """Runs the cases, prints what each gave, and leaves out those whose tables are absent."""
    for case in cases:
        start = time.perf_counter()
        try:
            outcome = case.run(settings)
        except ABSENT as error:
            print(f"{case.name} left out: {error}\n", flush=True)
            continue
        for table in outcome.tables:
            print(table.text())
        for remark in outcome.remarks:
            print(f"* {remark}")
        print(f"{case.name}: {time.perf_counter() - start:.1f} s\n", flush=True)
        yield outcome


if __name__ == "__main__":
    typer.run(main)
