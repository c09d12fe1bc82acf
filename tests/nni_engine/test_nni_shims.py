"""What is changed in NNI: only version 3.0, only what is needed, once, and with a log."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nni")

import filelock
import nni
import torch
from nni.experiment import launcher
from nni.mutable.utils import label
from nni.nas.experiment import NasExperiment
from nni.runtime.tuner_command_channel.channel import TunerCommandChannel
from nni.runtime.tuner_command_channel.command_type import CommandType, RequestTrialJobs
from nni.tools.nnictl import config_utils

from nas_plugins.nni import _shims, apply_shims


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the next call apply everything once more, and takes that back afterwards."""
    apply_shims()
    monkeypatch.delattr(nni, _shims._MARK)
    monkeypatch.setattr(TunerCommandChannel, "receive", TunerCommandChannel.receive)
    for name in ("load_checkpoint", "save_checkpoint", "_start_engine_and_strategy"):
        monkeypatch.setattr(NasExperiment, name, getattr(NasExperiment, name))
    monkeypatch.setattr(config_utils, "get_file_lock", config_utils.get_file_lock)
    monkeypatch.setattr(launcher, "_check_rest_server", launcher._check_rest_server)


def test_changes_are_made_once_and_logged(fresh: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="nas_plugins"):
        first = apply_shims()
        receive, start = TunerCommandChannel.receive, NasExperiment._start_engine_and_strategy
        assert apply_shims() == first
    assert TunerCommandChannel.receive is receive
    assert NasExperiment._start_engine_and_strategy is start
    assert len(caplog.records) == 1
    for shim in _shims.SHIMS:
        assert (shim.name in first) == (f"{shim.name} ({shim.reason})" in caplog.text)
    assert {"unknown-commands", "checkpoints"} <= set(first)


def test_another_version_is_left_alone(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = TunerCommandChannel.receive
    monkeypatch.setattr(_shims, "_nni_version", lambda: "3.1")
    assert apply_shims() == ()
    assert TunerCommandChannel.receive is receive


@pytest.mark.parametrize(("version", "needed"), [("3.11.0", False), ("3.12.0", True)])
def test_the_lock_is_replaced_where_it_would_hang(
    version: str, needed: bool, fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_shims, "version", lambda package: version)
    before = config_utils.get_file_lock
    assert _shims.file_lock() is needed
    assert (config_utils.get_file_lock is before) is not needed
    if needed:
        lock = config_utils.get_file_lock(str(tmp_path / "manifest"), stale=2)
        assert isinstance(lock, filelock.FileLock)
        with lock, lock:
            assert (tmp_path / "manifest.flock").exists()
        config_utils.Experiments(str(tmp_path)).add_experiment("a", 1, 2, "local", "name")
        assert "a" in config_utils.Experiments(str(tmp_path)).get_all_experiments()


def test_labels_and_arrays_load_from_checkpoints(tmp_path: Path) -> None:
    import numpy as np

    apply_shims()
    state = {"sample": {label("a"): 1}, "seen": [frozenset({("a", 1)})], "rng": np.arange(3)}
    torch.save(state, tmp_path / "state")
    found = torch.load(tmp_path / "state", weights_only=True)
    assert found["sample"] == {"a": 1}
    assert found["seen"] == state["seen"]
    assert found["rng"].tolist() == [0, 1, 2]


def test_commands_that_are_not_known_do_not_end_the_listener() -> None:
    apply_shims()
    sent: list[tuple[Any, str]] = [
        (CommandType.ImportData, "[]"),
        (CommandType.AddCustomizedTrialJob, "[]"),
        (CommandType.RequestTrialJobs, "2"),
        (CommandType.RequestTrialJobs, '"two"'),
    ]
    channel = TunerCommandChannel("ws://localhost:1/tuner")
    channel._receive = lambda: sent.pop(0)
    assert channel.receive() == RequestTrialJobs(2)
    with pytest.raises(TypeError, match="must be an integer"):
        channel.receive()


def test_a_stand_in_for_pkg_resources_is_there_only_while_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "pkg_resources", raising=False)
    monkeypatch.setattr(_shims, "find_spec", lambda name: None)
    with _shims.pkg_resources():
        found = importlib.import_module("pkg_resources")
        assert found.get_distribution("nni").version == "3.0"
        with pytest.raises(found.ResolutionError):
            found.get_distribution("no-such-package-anywhere")
    assert "pkg_resources" not in sys.modules


def test_nnictl_starts(nni_home: Path) -> None:
    command = [sys.executable, "-m", "nas_plugins.nni", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3.0"


def test_a_service_that_starts_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    apply_shims()
    asked: list[int] = []

    def get(port: int, api: str, prefix: str | None) -> None:
        asked.append(port)
        if len(asked) < 20:
            raise ConnectionError("nothing listens yet")

    monkeypatch.setattr(launcher.rest, "get", get)
    monkeypatch.setattr(launcher.time, "sleep", lambda seconds: None)
    launcher._check_rest_server(8080, url_prefix=None)
    assert asked == [8080] * 20
