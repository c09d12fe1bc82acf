"""Tables, CSV files and plots for `search.py`."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _runs import Case, Run
from _scores import Target, curve, scores
from rich.console import Console
from rich.table import Table

_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F",
)  # fmt: skip
_TICKS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
_COLUMNS = ("benchmark", "objectives", "report", "strategy", "engine", "seed", "trials", "score",
            "value")  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """One table: a title, column heads and rows of text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def show(self, console: Console) -> None:
        """Prints the table."""
        table = Table(title=self.title, title_justify="left")
        for i, head in enumerate(self.heads):
            table.add_column(head, justify="left" if i == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def markdown(self) -> str:
        """Returns the table in Markdown."""
        rule = ["---"] + ["--:"] * (len(self.heads) - 1)
        lines = [f"**{self.title}**", "", *map(_line, (self.heads, rule, *self.rows))]
        return "\n".join(lines) + "\n"


def sheet(
    case: Case,
    runs: Mapping[str, Sequence[Run]],
    target: Target,
    checkpoints: Sequence[int],
    tolerance: float,
) -> Sheet:
    """The table of one case: a row per strategy, or per strategy and budget.

    Args:
        case: The case.
        runs: Runs by row label.
        target: The true fronts.
        checkpoints: Budgets to score.
        tolerance: As in `scores`.
    """
    build = _single if len(case.objectives) == 1 else _several
    return build(case, runs, target, checkpoints, tolerance)


def _single(
    case: Case,
    runs: Mapping[str, Sequence[Run]],
    target: Target,
    checkpoints: Sequence[int],
    tolerance: float,
) -> Sheet:
    rows = []
    for label, group in runs.items():
        by_budget = [[scores(run, b, target, tolerance) for run in group] for b in checkpoints]
        last = by_budget[-1]
        rows.append(
            (
                label,
                str(len(group)),
                *(_spread([s["best"] for s in some], 2) for some in by_budget),
                _median([s.get("evaluations", math.nan) for s in last]),
                _mean([s.get("hit", math.nan) for s in last]),
                _median([s.get("evaluations_searched", math.nan) for s in last]),
                _mean([s.get("hit_searched", math.nan) for s in last]),
                *_costs(group, checkpoints[-1]),
            )
        )
    near = f"opt-{tolerance:g}"
    searched = case.searched[0].name
    heads = (
        "strategy",
        "seeds",
        *(f"{b}" for b in checkpoints),
        f"evals to {near}",
        "hits",
        f"{searched}: evals to {near}",
        "hits",
        "wasted %",
        "ms/trial",
    )
    title = f"{case.benchmark}: {case.report} of the best {searched} by trials, mean ± sd"
    return Sheet(title, heads, tuple(rows))


def _several(
    case: Case,
    runs: Mapping[str, Sequence[Run]],
    target: Target,
    checkpoints: Sequence[int],
    tolerance: float,
) -> Sheet:
    names = ("hv11_searched", "hv10_searched", "igd_searched", "hv11", "hv10", "igd")
    rows = []
    for budget in checkpoints:
        for label, group in runs.items():
            found = [scores(run, budget, target, tolerance) for run in group]
            cells = [_spread([s.get(name, math.nan) for s in found], 3) for name in names]
            rows.append((label, str(budget), str(len(group)), *cells, *_costs(group, budget)))
    first = case.searched[0].name
    axes = [f"{name} {axis}" for axis in (first, case.report) for name in
            ("hv 1.1", "hv 1.0", "IGD")]  # fmt: skip
    heads = ("strategy", "trials", "seeds", *axes, "wasted %", "ms/trial")
    objectives = ", ".join(case.objectives)
    title = f"{case.benchmark}: {objectives}; hv ratio (FN, reference 1.1 and 1.0), mean ± sd"
    return Sheet(title, heads, tuple(rows))


def write_runs(
    path: Path,
    runs: Sequence[tuple[str, Run]],
    targets: Mapping[Case, Target],
    checkpoints: Sequence[int],
    tolerance: float,
) -> None:
    """Writes one line per run, budget and score."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for label, run in runs:
            case = run.job.case
            head = (case.benchmark, " ".join(case.objectives), case.report, label)
            for budget in checkpoints:
                n = min(budget, len(run.searched))
                values = {
                    **scores(run, budget, targets[case], tolerance),
                    "distinct": run.distinct[n - 1],
                    "ms_per_trial": 1e3 * run.seconds[n - 1] / n,
                }
                for score, value in values.items():
                    writer.writerow((*head, run.job.engine, run.job.seed, budget, score, value))


def write_plot(
    path: Path,
    runs: Mapping[Case, Mapping[str, Sequence[Run]]],
    targets: Mapping[Case, Target],
) -> None:
    """Writes learning curves, mean ± sd over the seeds, as one HTML file that needs no network."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    cases = list(runs)
    figure = make_subplots(rows=len(cases), subplot_titles=[c.benchmark for c in cases])
    shown: dict[str, str] = {}
    for row, case in enumerate(cases, start=1):
        for label, group in runs[case].items():
            colour = shown.get(label, _COLOURS[len(shown) % len(_COLOURS)])
            length = min(len(run.searched) for run in group)
            # The first few trials are luck, and their spread would flatten everything else.
            first = min(10, length)
            budgets = np.unique(np.geomspace(first, length, 40).round().astype(int)).tolist()
            values = np.array([curve(run, budgets, targets[case]) for run in group])
            mean, sd = values.mean(axis=0), values.std(axis=0)
            line = {"color": colour, "width": 2}
            figure.add_trace(
                go.Scatter(x=budgets, y=mean, name=label, legendgroup=label, line=line,
                           showlegend=label not in shown), row=row, col=1)  # fmt: skip
            figure.add_trace(
                go.Scatter(x=[*budgets, *budgets[::-1]], y=[*(mean + sd), *(mean - sd)[::-1]],
                           fill="toself", fillcolor=colour, opacity=0.12, line={"width": 0},
                           legendgroup=label, showlegend=False, hoverinfo="skip"),
                row=row, col=1)  # fmt: skip
            shown[label] = colour
        score = case.report if len(case.objectives) == 1 else "hv ratio 1.1 (searched axes)"
        figure.update_yaxes(title_text=score, row=row, col=1)
        figure.update_xaxes(title_text="trials", type="log", tickvals=_TICKS, row=row, col=1)
    figure.update_layout(template="plotly_white", height=480 * len(cases), hovermode="x unified")
    figure.write_html(path, include_plotlyjs=True)


def _costs(group: Sequence[Run], budget: int) -> tuple[str, str]:
    repeated, seconds = [], []
    for run in group:
        n = min(budget, len(run.searched))
        repeated.append(1 - run.distinct[n - 1] / n)
        seconds.append(run.seconds[n - 1] / n)
    return f"{100 * np.mean(repeated):.1f}", f"{1e3 * np.mean(seconds):.2f}"


def _spread(values: Sequence[float], digits: int) -> str:
    if not np.isfinite(values).all():
        return "-"
    return f"{np.mean(values):.{digits}f}±{np.std(values):.{digits}f}"


def _median(values: Sequence[float]) -> str:
    middle = float(np.median(values))
    return "-" if math.isnan(middle) else "never" if math.isinf(middle) else f"{middle:g}"


def _mean(values: Sequence[float]) -> str:
    middle = float(np.mean(values))
    return "-" if math.isnan(middle) else f"{middle:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
