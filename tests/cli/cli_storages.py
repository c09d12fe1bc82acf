"""What a storage holds, read beside the process that writes it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

OWNER = "nas_plugins:owner"
URLS = {"sqlite": "sqlite:///s.db", "journal": "journal:///s.log"}
FILES = {"sqlite": "s.db", "journal": "s.log"}


def reader(kind: str, folder: Path) -> BaseStorage | None:
    """Opens the storage for reading; ``None`` while there is none."""
    file = folder / FILES[kind]
    if not file.exists():
        return None
    try:
        if kind == "journal":
            return JournalStorage(JournalFileBackend(str(file)))
        return RDBStorage(f"sqlite:///{file}", skip_table_creation=True)
    except Exception:  # half made: the search is still creating it
        return None


def trials_of(storage: BaseStorage | None, study: str = "a") -> list[FrozenTrial]:
    """The trials of the study but the waiting ones; none while it does not exist."""
    if storage is None:
        return []
    try:
        study_id = storage.get_study_id_from_name(study)
        trials = storage.get_all_trials(study_id)
    except (KeyError, optuna.exceptions.StorageInternalError):
        return []
    return [trial for trial in trials if trial.state != TrialState.WAITING]


def finished(trials: list[FrozenTrial]) -> dict[int, tuple[Any, ...]]:
    """What must never change again, by number."""
    return {
        t.number: (t.state, t.values, tuple(sorted(t.params.items())))
        for t in trials
        if t.state.is_finished()
    }


def wait_until(
    kind: str,
    folder: Path,
    process: subprocess.Popen[str],
    enough: Callable[[list[FrozenTrial]], bool],
    *,
    seconds: float = 120.0,
) -> list[FrozenTrial]:
    """Reads the storage that `process` writes, again and again until its trials are `enough`."""
    storage, until = None, time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.communicate()}")
        storage = storage or reader(kind, folder)
        trials = trials_of(storage)
        if enough(trials):
            return trials
        time.sleep(0.05)
    process.send_signal(signal.SIGABRT)  # with faulthandler it shows where it hangs
    shown = process.communicate()[1]
    raise TimeoutError(f"{shown}\n{kind}: {len(trials_of(storage))} trials after {seconds} s")
