"""A training that was interrupted goes on to the same numbers, whatever became of its file."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from training_helpers import Toy, steady, trainer

import nas_plugins as nap
from nas_plugins.evaluators.training import TrainingEvaluator

OPTIONS: Mapping[str, Any] = {"epochs": 6, "learning_rate": 0.05}
ARCHITECTURE = Toy().pick("dropout", 8)


class Killed(BaseException):
    pass


def kill_after(evaluator: TrainingEvaluator, epoch: int, architecture: nap.Architecture) -> None:
    """Ends a training in the middle, as a signal would."""

    def report(step: int, values: Mapping[str, float]) -> None:
        if step == epoch:
            raise Killed

    with pytest.raises(Killed):
        evaluator.evaluate_reporting(architecture, report)


def _steps(evaluator: TrainingEvaluator, architecture: nap.Architecture) -> list[int]:
    steps: list[int] = []
    evaluator.evaluate_reporting(architecture, lambda step, values: steps.append(step))
    return steps


@pytest.mark.parametrize("epoch", [1, 3, 5])
@pytest.mark.parametrize("patience", [None, 3])
def test_a_killed_training_goes_on_to_the_same_numbers(
    tmp_path: Path, epoch: int, patience: int | None
) -> None:
    options = {**OPTIONS, "patience": patience}
    whole: list[tuple[int, dict[str, float]]] = []
    row = trainer(**options).evaluate_reporting(
        ARCHITECTURE, lambda step, values: whole.append((step, dict(values)))
    )
    if epoch >= row["epochs"]:
        pytest.skip("early stop was earlier")
    kill_after(trainer(**options, checkpoints=tmp_path), epoch, ARCHITECTURE)
    (file,) = tmp_path.iterdir()
    before = load_file(file)
    assert any(name.startswith("momentum.") for name in before)
    again: list[tuple[int, dict[str, float]]] = []
    resumed = trainer(**options, checkpoints=tmp_path).evaluate_reporting(
        ARCHITECTURE, lambda step, values: again.append((step, dict(values)))
    )
    assert steady(resumed) == steady(row)
    assert again == whole  # the earlier epochs are reported again, for the pruner
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert not any(name.startswith("momentum.") for name in load_file(file))


def test_a_training_that_has_ended_is_not_repeated(tmp_path: Path) -> None:
    evaluator = trainer(checkpoints=tmp_path)
    row = evaluator.evaluate([ARCHITECTURE])[0]
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    assert trainer(checkpoints=tmp_path).evaluate([ARCHITECTURE])[0] == row
    assert file.stat().st_mtime_ns == written
    assert _steps(evaluator, ARCHITECTURE) == [1]


def test_every_setting_architecture_and_data_set_has_its_own_file(tmp_path: Path) -> None:
    for options in ({}, {"seed": 1}, {"epochs": 1}, {"resolution": 5}, {"patience": 4}):
        trainer(checkpoints=tmp_path, **options).evaluate([ARCHITECTURE])
    trainer(checkpoints=tmp_path).evaluate([Toy().pick("plain")])
    assert len(list(tmp_path.iterdir())) == 6


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 0xFF
    path.write_bytes(content)


def _foreign(path: Path) -> None:
    trainer(checkpoints=path.parent / "other", **{**OPTIONS, "seed": 9}).evaluate([ARCHITECTURE])
    (other,) = (path.parent / "other").iterdir()
    shutil.copy(other, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-40]),
            "readable file of tensors",
        ),
        (lambda path: path.write_bytes(b""), "readable file of tensors"),
        (
            lambda path: path.write_bytes(b"something else entirely"),
            "readable file of tensors",
        ),
        (_flip, "its checksum does not fit"),
        (_foreign, "a checkpoint of another training"),
        (lambda path: save_file(load_file(path), path), "a checkpoint of another training"),
    ],
)
def test_a_torn_or_foreign_file_is_named_and_training_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any, words: str
) -> None:
    row = steady(trainer(**OPTIONS).evaluate([ARCHITECTURE])[0])
    folder = tmp_path / "kept"
    evaluator = trainer(**OPTIONS, checkpoints=folder)
    kill_after(evaluator, 3, ARCHITECTURE)
    (file,) = folder.glob("*.safetensors")
    damage(file)
    with caplog.at_level(logging.WARNING, logger="nas_plugins"):
        assert steady(evaluator.evaluate([ARCHITECTURE])[0]) == row
    assert words in caplog.text
    assert file.name in caplog.text
    assert "training begins anew" in caplog.text
    assert _steps(evaluator, ARCHITECTURE) == [1, 2, 3, 4, 5]  # mended


def test_a_network_whose_code_has_changed_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = trainer(**OPTIONS, checkpoints=tmp_path)
    kill_after(evaluator, 2, ARCHITECTURE)
    build = Toy.network

    def wider(self: Toy, architecture: nap.Architecture, **options: Any) -> Any:
        return build(self, self.pick("dropout", 4), **options)

    monkeypatch.setattr(Toy, "network", wider)
    with caplog.at_level(logging.WARNING, logger="nas_plugins"):
        assert evaluator.evaluate([ARCHITECTURE])[0]["epochs"] == 6
    assert "it does not fit the network" in caplog.text


def test_a_failed_training_leaves_nothing_behind(tmp_path: Path) -> None:
    assert trainer(checkpoints=tmp_path).evaluate([Toy().pick("nan")]) == [{}]
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_hold_the_trained_weights(tmp_path: Path) -> None:
    trainer(checkpoints=tmp_path).evaluate([ARCHITECTURE])
    (file,) = tmp_path.iterdir()
    network = Toy().network(ARCHITECTURE, classes=3, in_channels=1)
    weights = {name.removeprefix("network."): t for name, t in load_file(file).items()}
    assert network.load_state_dict(weights)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_training_to_go_on_with(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from training_helpers import Toy, trainer\n"
        "def report(step, values):\n"
        "    if step == 3:\n"
        "        os.kill(os.getpid(), 9)\n"
        "evaluator = trainer(epochs=6, learning_rate=0.05, checkpoints=sys.argv[2])\n"
        "evaluator.evaluate_reporting(Toy().pick('dropout', 8), report)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -9
    evaluator = trainer(**OPTIONS, checkpoints=tmp_path)
    (file,) = tmp_path.iterdir()
    assert any(name.startswith("momentum.") for name in load_file(file))
    row = trainer(**OPTIONS).evaluate([ARCHITECTURE])[0]
    assert steady(evaluator.evaluate([ARCHITECTURE])[0]) == steady(row)
