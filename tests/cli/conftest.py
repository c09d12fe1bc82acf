"""A distribution of plug-ins made for these tests, and ways to run the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ran, Run, captured, install

_PLUGINS = '''
"""Plug-ins of the tests."""
import math, os, time
from nas_plugins.protocols import Metric


class Sum:
    """Adds the choice indices up, or misbehaves as told."""

    def __init__(self, *, seconds=0.0, score=None, fail_from=None, fail_below=-1, die_at=None,
                 token="", loses=None):
        self.seconds, self.score, self.fail_from = seconds, score, fail_from
        self.fail_below, self.die_at, self.token = fail_below, die_at, token
        self.loses, self.calls = loses, 0

    @property
    def metrics(self):
        return (
            Metric("score", "", "max", "sum of the indices"),
            Metric("cost", "ms", "min", "weighted sum of the indices"),
        )

    def evaluate(self, architectures):
        return [self._one(a) for a in architectures]

    def _one(self, architecture):
        time.sleep(self.seconds)
        self.calls += 1
        if self.loses is not None and self.calls == 3:
            os.unlink(self.loses)
        score = float(sum(architecture.indices))
        if self.die_at is not None and score == self.die_at:
            os.kill(os.getpid(), 9)
        if self.fail_from is not None and score >= self.fail_from or score < self.fail_below:
            raise RuntimeError(f"no memory for {architecture}{self.token}")
        cost = sum((i + 1) * index for i, index in enumerate(architecture.indices))
        return {"score": score if self.score is None else float(self.score), "cost": float(cost)}


class Broken:
    """Fails at once."""

    def __init__(self):
        raise ValueError("`model` must be given, got None")
'''

_EVALUATORS = """sum = cli_test_plugins:Sum
broken = cli_test_plugins:Broken
absent = cli_test_plugins_absent:Thing"""


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds an installed distribution ``cli-test-plugins``."""
    folder = tmp_path_factory.mktemp("site")
    return install(folder, "cli_test_plugins", _PLUGINS, _EVALUATORS)


_DATA = os.environ.get("NAS_PLUGINS_DATA", "")


@pytest.fixture
def data_folder() -> Path:
    """The folder of benchmark files that the tests were started with."""
    if not _DATA:
        pytest.skip("NAS_PLUGINS_DATA is not set")
    return Path(_DATA)


@pytest.fixture
def placed(plugin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts this process into a folder of its own, with the plug-ins."""
    monkeypatch.syspath_prepend(str(plugin_folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_PLUGINS_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path / "no-cache"))


@pytest.fixture
def run(placed: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process, in a folder of its own."""
    return captured(capsys)


@pytest.fixture
def run_overheard(placed: None, capfd: pytest.CaptureFixture[str]) -> Run:
    """The same, with what worker processes write."""
    return captured(capfd)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(plugin_folder: Path, tmp_path: Path) -> Start:
    """Starts the command line as a process of its own group."""

    def call(*words: object) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(plugin_folder), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, "-m", "nas_plugins", *map(str, words)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": path.rstrip(os.pathsep),
                "PYTHONFAULTHANDLER": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return call


def ended(process: subprocess.Popen[str], *, seconds: float = 120.0) -> Ran:
    """Waits for a process."""
    out, err = process.communicate(timeout=seconds)
    return Ran(process.returncode, out, err)


@pytest.fixture(name="ended")
def _ended() -> Callable[..., Ran]:
    return ended
