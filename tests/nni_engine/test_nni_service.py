"""A whole experiment on NNI's training service: two workers, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nni")

import psutil

import nas_plugins as nap
from nas_plugins.errors import DataError

PROGRAM = Path(__file__).with_name("nni_service.py")
N_TRIALS = 7
TIMEOUT_S = 400


class Search:
    """The program and everything it has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: dict[int, psutil.Process] = {}
        self.log = ""

    def run(self, action: str, n_trials: int, *, until: int | None = None) -> dict[str, Any]:
        """Runs the program; kills it all once `until` trials are complete.

        Returns:
            The last line of JSON that it has printed.
        """
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        command = [sys.executable, str(PROGRAM), action, str(self.folder / "experiments")]
        command += ["killed", str(n_trials), str(port)]
        log = self.folder / f"{action}.log"
        deadline = time.monotonic() + TIMEOUT_S
        last: dict[str, Any] = {}
        with log.open("w", encoding="utf-8") as output:
            program = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        while program.poll() is None:
            self._look(program.pid)
            if time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"not done in {TIMEOUT_S} s:\n{log.read_text()[-4000:]}")
            last = _last(log)
            if until is not None and last.get("complete", 0) >= until:
                self.kill()
                program.wait()
                return last
            time.sleep(0.2)
        assert program.returncode == 0, log.read_text()[-4000:]
        return _last(log)

    def _look(self, pid: int) -> None:
        try:
            here = psutil.Process(pid)
            for process in [here, *here.children(recursive=True)]:
                self.started[process.pid] = process
        except psutil.NoSuchProcess:
            return

    def left(self) -> list[psutil.Process]:
        """Processes of the program that are still there."""
        for pid in list(self.started):
            self._look(pid) if self.started[pid].is_running() else None
        return [
            process
            for process in self.started.values()
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]

    def kill(self) -> None:
        """Kills all of them, the service and its trials included."""
        for process in self.left():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


def _last(log: Path) -> dict[str, Any]:
    for line in reversed(log.read_text(encoding="utf-8").splitlines()):
        if line.startswith("{"):
            try:
                found: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:  # half written
                continue
            return found
    return {}


@pytest.fixture
def search(tmp_path: Path, nni_home: Path) -> Iterator[Search]:
    """A search in a folder of its own, of which nothing is left running."""
    try:
        nap.benchmark("nasbench201/cifar10")
    except DataError as error:
        pytest.skip(str(error))
    found = Search(tmp_path)
    yield found
    found.kill()


@pytest.mark.slow
def test_a_killed_search_is_resumed_with_all_its_trials(search: Search) -> None:
    before = search.run("run", 4, until=2)
    assert before["complete"] >= 2
    result = search.run("resume", N_TRIALS)["result"]  # a larger budget, not even for two workers
    assert result["states"] == ["complete"] * N_TRIALS
    assert len(set(result["keys"])) == N_TRIALS
    complete = range(N_TRIALS)
    assert len(result["top"]) == len(complete)
    assert result["top"] == sorted(result["top"], reverse=True)
    assert result["front"]
    assert set(result["front"]) <= set(complete)
    for i in complete:
        assert {"default", "val_accuracy", "latency_ms", "params_m"} <= set(result["metrics"][i])
    deadline = time.monotonic() + 20
    while search.left() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert search.left() == []
