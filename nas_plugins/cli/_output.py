"""The result of a search as a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nas_plugins.cli._console import print_table, print_text
from nas_plugins.history import Trial
from nas_plugins.results import SearchResult
from nas_plugins.runner.language_model import kind_of
from nas_plugins.strategy_report import summary_of


def print_result(result: SearchResult) -> None:
    """Writes the front as a table, and the counts and quality under it."""
    history = result.history
    feasible = [trial for trial in history.front if trial.violation <= 0]
    if not history.complete:
        print_text("no trial has a value")
    elif not feasible:
        print_text("no feasible architecture was found; the nearest:")
    title = ("best" if len(history.objectives) == 1 else "Pareto front") + result.under
    if history.front:
        columns = ["trial", *_headings(result), "architecture"]
        rows = [[str(t.number), *_cells(result, t), str(t.architecture)] for t in result.front]
        print_table(title, columns, rows, right=columns[:-1], whole=True)
    for line in _lines(result):
        print_text(line)


def _headings(result: SearchResult) -> list[str]:
    units = {metric.name: metric.unit for metric in result.metrics}
    arrows = {"max": "↑", "min": "↓"}
    signs = {o.name: arrows[o.direction] for o in result.history.objectives}
    signs |= dict.fromkeys(result.limited, "")
    for limit in result.limits.values():
        signs[limit.name] = f"{signs[limit.name]} {str(limit).removeprefix(limit.name)}".strip()
    headings = [
        f"{name} {sign}" + (f" [{units[name]}]" if units.get(name) else "")
        for name, sign in signs.items()
    ]
    headings += [
        f"benchmark's {name}" + (f" [{units[name]}]" if units.get(name) else "")
        for name in _measured(result)
    ]
    if any(trial.violation > 0 for trial in result.history.front):
        headings.append("violation")
    return headings


def _measured(result: SearchResult) -> list[str]:
    """Metrics that a benchmark adds to the front."""
    return sorted({name for values in result.measured.values() for name in values})


def _cells(result: SearchResult, trial: Trial) -> list[str]:
    cells = [f"{value:.6g}" for value in trial.values]
    known = result.limited_values(trial)
    cells += [f"{known[name]:.6g}" if name in known else "" for name in result.limited]
    measured: Mapping[str, float] = result.measured.get(str(trial.number), {})
    cells += [f"{measured[n]:.6g}" if n in measured else "" for n in _measured(result)]
    if any(t.violation > 0 for t in result.history.front):
        cells.append(f"{trial.violation:.6g}")
    return cells


def _lines(result: SearchResult) -> Iterator[str]:
    counts = result.counts()
    parts = [f"{counts['trials']} trials: {counts['complete']} complete"]
    parts += [
        f"{counts[state]} {state}" for state in ("failed", "pruned", "running") if counts[state]
    ]
    parts.append(f"{counts['distinct']} distinct architectures")
    if counts["infeasible"]:
        parts.append(f"{counts['infeasible']} infeasible")
    rate = f"{result.seconds:.1f} s"
    yield f"{', '.join(parts)}; {rate}"
    failures = result.failures()
    if failures:
        reason, number = next(iter(failures.items()))
        yield f"first reason of failure ({number}x): {reason}"
    quality = result.quality()
    if quality:
        known = f" (true front: {len(result.true_front)} points{result.under})"
        if "regret" in quality:
            known = f" (optimum {result.true_front[0][0]:.6g}{result.under})"
        yield " · ".join(f"{name} {value:.4f}" for name, value in quality.items()) + known
    strategy = kind_of(result.settings["strategy"])
    summary = summary_of(result.history, result.settings, only=strategy)
    if summary is not None:
        yield from summary.lines
