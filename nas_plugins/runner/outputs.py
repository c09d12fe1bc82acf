"""The files that a search leaves behind in a folder."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from nas_plugins.errors import OutputError
from nas_plugins.results import SearchResult

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
    "write_folder",
    "write_html",
]
