"""Several processes share a study: no note is lost and no architecture comes twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from engine_helpers import SPACE, FirstUnseen, long_note, open_storage, serve, work

from nas_plugins.optuna import StrategySampler, create_study, history, suggest

_CONTEXT = multiprocessing.get_context("spawn")


@contextmanager
def _shared(kind: str, folder: Path) -> Iterator[str]:
    """Yields the URL under which workers reach the storage."""
    url = f"sqlite:///{folder}/study.db"
    create_study(SPACE, ["worth:max"], strategy="random", storage=open_storage(url), name="shared")
    if kind == "sqlite":
        yield url
        return
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    server = _CONTEXT.Process(target=serve, args=(url, port), daemon=True)
    server.start()
    try:
        yield f"grpc://localhost:{port}"
    finally:
        server.terminate()
        server.join()


def _run(url: str, n_workers: int, n_trials: int) -> None:
    start = time.time() + 3  # so that all have imported what they need
    workers = [
        _CONTEXT.Process(target=work, args=(url, n_trials, start)) for _ in range(n_workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * n_workers


def _check(folder: Path, n_trials: int) -> None:
    study = optuna.load_study(
        study_name="shared", storage=open_storage(f"sqlite:///{folder}/study.db")
    )
    found = history(study)
    assert len(found.complete) == len(study.trials) == n_trials
    assert len({json.dumps(t.params, sort_keys=True) for t in study.trials}) == n_trials
    for trial in found.trials:
        if "fallback" not in trial.notes:
            assert trial.notes == {"why": long_note(str(trial.architecture))}
    # The strategy makes its workers collide wherever they can; even so most claims succeed.
    assert sum("why" in trial.notes for trial in found.trials) > n_trials / 2


@pytest.mark.parametrize("kind", ["sqlite", "grpc"])
def test_three_workers_repeat_nothing_and_lose_nothing(kind: str, tmp_path: Path) -> None:
    with _shared(kind, tmp_path) as url:
        _run(url, n_workers=3, n_trials=15)
    _check(tmp_path, 45)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "grpc"])
def test_four_workers_of_fifty_trials(kind: str, tmp_path: Path) -> None:
    with _shared(kind, tmp_path) as url:
        _run(url, n_workers=4, n_trials=50)
    _check(tmp_path, 200)


def test_a_killed_worker_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    with _shared("sqlite", tmp_path) as url:
        victim = _CONTEXT.Process(target=work, args=(url, 10_000, 0.0))
        victim.start()
        storage = open_storage(url)
        sampler = StrategySampler(FirstUnseen(), space=SPACE, seed=0)
        study = optuna.load_study(study_name="shared", storage=storage, sampler=sampler)
        deadline = time.time() + 60
        while len(study.trials) < 3 and time.time() < deadline:
            time.sleep(0.05)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        left = len(study.trials)
        study.optimize(lambda t: float(len(str(suggest(t, SPACE)))), n_trials=5)
        found = history(study)
        assert len(study.trials) == left + 5
        assert len(found.seen) == len(found.trials) >= left + 4  # one may have had no choices yet
