"""What a search leaves behind: files in a folder, a table or a JSON document."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from nas_plugins.cli._console import console, print_table
from nas_plugins.cli._errors import OutputError
from nas_plugins.history import Trial
from nas_plugins.results import SearchResult
from nas_plugins.strategy_report import summary_of

RESULT_FILE, TRIALS_FILE, REPORT_FILE = "result.json", "trials.csv", "report.html"


def prepare_folder(folder: Path) -> None:
    """Makes the folder and tries to write into it, before any work is done.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"--out {folder} cannot be written: {error.strerror}") from error


def prepare_file(file: Path) -> None:
    """As `prepare_folder`, for one file.

    Raises:
        OutputError: It cannot be written.
    """
    if file.is_dir():
        raise OutputError(f"--out {file} is a folder; name a file")
    prepare_folder(file.resolve().parent)


def write_folder(result: SearchResult, folder: Path) -> None:
    """Writes ``result.json``, ``trials.csv`` and ``report.html``.

    Raises:
        OutputError: A file cannot be written.
    """
    try:
        result.save(folder / RESULT_FILE)
        _write_csv(result, folder / TRIALS_FILE)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
    write_html(result, folder / REPORT_FILE)


def write_html(result: SearchResult, file: Path) -> None:
    """Writes the report.

    Raises:
        OutputError: The file cannot be written.
    """
    from nas_plugins.report import write_report

    try:
        write_report(result, file)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from error


def print_result(result: SearchResult) -> None:
    """Writes the front as a table, and the counts and quality under it."""
    history = result.history
    feasible = [trial for trial in history.front if trial.violation <= 0]
    if not history.complete:
        console().print("no trial has a value")
    elif not feasible:
        console().print("no feasible architecture was found; the nearest:")
    title = "best" if len(history.objectives) == 1 else "Pareto front"
    if history.front:
        columns = ["trial", *_headings(result), "architecture"]
        order = sorted(history.front, key=lambda t: result.losses([t.values])[0].tolist())
        rows = [[str(t.number), *_cells(result, t), str(t.architecture)] for t in order]
        print_table(title, columns, rows, right=columns[:-1])
    for line in _lines(result):
        console().print(line, markup=False)


def _headings(result: SearchResult) -> list[str]:
    units = {metric.name: metric.unit for metric in result.metrics}
    arrows = {"max": "↑", "min": "↓"}
    headings = []
    for objective in result.history.objectives:
        unit = units.get(objective.name, "")
        headings.append(
            f"{objective.name} {arrows[objective.direction]}" + (f" [{unit}]" if unit else "")
        )
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
        known = f" (true front: {len(result.true_front)} points)" if "hv_ratio" in quality else ""
        yield " · ".join(f"{name} {value:.4f}" for name, value in quality.items()) + known
    summary = summary_of(result.history, result.settings)
    if summary is not None:
        yield from summary.lines


def _write_csv(result: SearchResult, path: Path) -> None:
    """One row per trial with an architecture; an empty cell where there is no value."""
    history = result.history
    names = [objective.name for objective in history.objectives]
    constraints = sorted({key for trial in history.trials for key in trial.constraints})
    notes = sorted({key for trial in history.trials for key in trial.notes})
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "state", "architecture", *names, *constraints, *notes])
        for trial in history.trials:
            values = trial.values or ("",) * len(names)
            limits = [trial.constraints.get(key, "") for key in constraints]
            texts = [trial.notes.get(key, "") for key in notes]
            row = [trial.number, trial.state.value, str(trial.architecture), *values]
            writer.writerow([*row, *limits, *texts])
    partial.replace(path)


__all__ = [
    "REPORT_FILE",
    "RESULT_FILE",
    "TRIALS_FILE",
    "prepare_file",
    "prepare_folder",
    "print_result",
    "write_folder",
    "write_html",
]
