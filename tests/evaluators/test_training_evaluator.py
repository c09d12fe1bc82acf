"""Training: conformance, the same numbers everywhere, early stop, failures with reasons."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_helpers import Toy, arrays, steady, tiny, trainer

import nas_plugins as nap
from nas_plugins.errors import (
    EvaluationError,
    MetricUnavailableError,
    MissingDependencyError,
    UnknownNameError,
)
from nas_plugins.evaluators.training import Dataset, TrainingEvaluator
from nas_plugins.testing.evaluators import EvaluatorTestCase

SPACE = nap.space("nasbench201")
NETWORK = {"channels": 4, "cells": 1}


def cells(n: int) -> list[nap.Architecture]:
    return SPACE.architectures(SPACE.random(n, np.random.default_rng(0)))


class _OnCells(EvaluatorTestCase):
    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return cells(2)


class TestTrainingEvaluator(_OnCells):
    deterministic = False  # the seconds

    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return trainer(network=NETWORK)


class TestTrainingEvaluatorWithCheckpoints(_OnCells):
    """Trainings that have ended are not repeated, so even the seconds stay."""

    @pytest.fixture
    def evaluator(self, tmp_path: Path) -> nap.Evaluator:
        return trainer(network=NETWORK, checkpoints=tmp_path)


def test_it_is_registered_and_trains_the_digits_out_of_the_box() -> None:
    evaluator = nap.evaluator("training", epochs=2, device="cpu")
    assert evaluator.reports
    row = evaluator.evaluate(SPACE.architectures([[3, 0, 1, 0, 0, 3]]))[0]
    assert row["val_accuracy"] > 80
    assert row["test_accuracy"] > 80
    assert row["val_loss"] > 0
    assert row["epochs"] == 2
    assert row["train_seconds"] > 0
    assert 0.1 < row["peak_memory_mb"] < 100
    assert "digits (1,078/360/359 images, 1x8x8)" in evaluator.source


def test_the_same_numbers_in_any_order_and_for_every_instance() -> None:
    first, second = cells(2)
    rows = [steady(row) for row in trainer(network=NETWORK).evaluate([first, second])]
    again = [steady(row) for row in trainer(network=NETWORK).evaluate([second, first])]
    assert again == rows[::-1]
    assert rows[0] != rows[1]


def test_the_same_numbers_in_another_process() -> None:
    row = steady(trainer().evaluate([Toy().pick("dropout")])[0])
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); torch.manual_seed(5)\n"
        "from training_helpers import Toy, steady, trainer\n"
        "print(steady(trainer().evaluate([Toy().pick('plain'), Toy().pick('dropout')])[1]))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(row)


def test_the_seed_changes_the_numbers() -> None:
    architecture = Toy().pick("plain")
    rows = [steady(trainer(seed=seed).evaluate([architecture])[0]) for seed in (0, 1)]
    assert rows[0]["val_loss"] != rows[1]["val_loss"]


def test_pytorch_is_left_as_it_was() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(7)
    trainer(threads=2).evaluate([Toy().pick("plain"), Toy().pick("memory")])
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("nasbench101", {"stem_channels": 8, "modules_per_stack": 1}),
        ("darts", {"channels": 2, "layers": 3}),
        ("fbnet", {}),
    ],
)
def test_every_space_trains(name: str, network: dict[str, Any]) -> None:
    space = nap.space(name)
    evaluator = trainer(epochs=1, batch_size=24, network=network, learning_rate=0.01)
    row = evaluator.evaluate([space.sample(np.random.default_rng(0))])[0]
    assert 0 <= row["val_accuracy"] <= 100
    assert row["peak_memory_mb"] > 0


def test_without_a_test_part_there_is_no_test_accuracy() -> None:
    evaluator = trainer(dataset=tiny(test=False))
    assert "test_accuracy" not in [metric.name for metric in evaluator.metrics]
    assert "test_accuracy" not in evaluator.evaluate([Toy().pick("plain")])[0]


def test_training_learns_what_there_is_to_learn() -> None:
    row = trainer(epochs=12, learning_rate=0.2).evaluate([Toy().pick("plain", 8)])[0]
    assert row["val_accuracy"] > 70  # a third at random


def test_memory_grows_with_the_batch_and_the_network() -> None:
    toy = Toy()
    small = trainer().evaluate([toy.pick("plain", 4)])[0]["peak_memory_mb"]
    wide = trainer().evaluate([toy.pick("plain", 8)])[0]["peak_memory_mb"]
    many = trainer(batch_size=48).evaluate([toy.pick("plain", 4)])[0]["peak_memory_mb"]
    assert small < wide
    assert many > 2 * small


# -- early stop ----------------------------------------------------------------------------


def test_patience_ends_training_with_the_values_of_the_best_epoch() -> None:
    reports: list[tuple[int, float]] = []
    evaluator = trainer(epochs=40, patience=2, learning_rate=0.3)
    row = evaluator.evaluate_reporting(
        Toy().pick("plain"), lambda step, values: reports.append((step, values["val_accuracy"]))
    )
    assert row["epochs"] < 40
    assert [step for step, _ in reports] == list(range(1, int(row["epochs"])))
    assert row["val_accuracy"] == max(accuracy for _, accuracy in reports)
    assert row["val_accuracy"] >= reports[-1][1]
    assert "test_accuracy" in row


# -- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("memory", "out of memory in epoch 1: CUDA out of memory. Tried to allocate 2.00 GiB"),
        ("cpu-memory", "out of memory in epoch 1: "),
        ("nan", "training diverged in epoch 1: the loss is nan"),
        ("broken", "the network fails before the first epoch: RuntimeError: it cannot be built"),
        ("shape", "it must map images (16, 1, 4, 4) to logits (16, 3), got shape (16, 2)"),
        ("text", "it must map images (16, 1, 4, 4) to logits (16, 3), got str"),
    ],
)
def test_one_failure_has_a_reason_and_leaves_the_others_their_values(
    kind: str, reason: str
) -> None:
    toy = Toy()
    evaluator = trainer()
    rows = evaluator.evaluate([toy.pick("plain"), toy.pick(kind), toy.pick("plain", 8)])
    assert [len(row) for row in rows] == [6, 0, 6]
    with pytest.raises(MetricUnavailableError) as caught:
        rows[1]["val_accuracy"]
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(EvaluationError) as direct:
        evaluator.evaluate_reporting(toy.pick(kind), lambda step, values: None)
    assert str(direct.value) == str(caught.value)


def test_an_absurd_learning_rate_diverges() -> None:
    evaluator = trainer(learning_rate=1e30, network={"channels": 4, "cells": 1}, epochs=4)
    with pytest.raises(EvaluationError, match=r"training diverged in epoch \d: the loss is"):
        evaluator.evaluate_reporting(cells(1)[0], lambda step, values: None)


def test_what_the_report_raises_passes_through() -> None:
    class EnoughError(Exception):
        pass

    def report(step: int, values: Any) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        trainer().evaluate_reporting(Toy().pick("plain"), report)


def test_a_wrong_network_option_is_told_at_once() -> None:
    with pytest.raises(UnknownNameError, match="'chanels'; did you mean 'channels'"):
        trainer(network={"chanels": 8}).evaluate(cells(1))
    with pytest.raises(UnknownNameError, match="network option"):
        trainer(network={"depth": 8}).evaluate([Toy().pick("plain")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` must be a whole number >= 1, got 0"),
        ({"epochs": 1.5}, "`epochs` must be a whole number >= 1, got 1.5"),
        ({"batch_size": True}, "`batch_size` must be a whole number"),
        ({"patience": 0}, "`patience` must be a whole number >= 1"),
        ({"seed": -1}, "`seed` must be a whole number >= 0, got -1"),
        ({"learning_rate": 0.0}, "`learning_rate` must be > 0 and finite, got 0.0"),
        ({"learning_rate": "fast"}, "`learning_rate` must be a number, got 'fast'"),
        ({"momentum": 1.0}, r"`momentum` must be in \[0, 1\), got 1.0"),
        ({"momentum": 0.0}, "`nesterov` needs a `momentum` > 0"),
        ({"weight_decay": -1.0}, "`weight_decay` must be >= 0"),
        ({"norm_momentum": 2.0}, r"`norm_momentum` must be in \(0, 1\]"),
        ({"network": 3}, "`network` must map names of options to values, got 3"),
        ({"device": "gpu"}, "`device` must be usable here, got 'gpu'"),
        ({"resolution": 0}, "`resolution` must be a whole number >= 1, got 0"),
        ({"dataset": "mnist"}, "`dataset` must be 'digits', the path of an .npz file or a"),
        ({"dataset": np.zeros(3000)}, "`dataset` must be 'digits', the path of an .npz file or a"),
        ({"checkpoints": __file__}, "`checkpoints` must be a folder"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(**options)


def test_the_digits_need_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"nas-plugins\[training\]"):
        TrainingEvaluator()


def test_the_images_are_interpolated() -> None:
    evaluator = trainer(resolution=7)
    assert evaluator.dataset.shape == (1, 7, 7)
    assert "1x7x7" in evaluator.source
    assert len(evaluator.evaluate([Toy().pick("plain")])[0]) == 6


def test_colour_images_and_many_classes_reach_the_network() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(30, 3, 5, 6)), rng.integers(0, 12, 30)
    data = Dataset.from_arrays((images, labels), (images, labels), classes=12)
    row = trainer(dataset=data, network=NETWORK).evaluate(cells(1))[0]
    assert 0 <= row["val_accuracy"] <= 100
    assert arrays(3)[0].shape == (3, 1, 4, 4)
