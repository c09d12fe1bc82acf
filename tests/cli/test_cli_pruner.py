"""``nas-plugins search --pruner``: really training, really pruned."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.protocols import Metric
from nas_plugins.runner.signals import Interruptible, Stop

pytest.importorskip("torch")

TOY = ("search", "--space", "nasbench201", "--strategy", "random", "--seed", 0)


@pytest.fixture
def training(tmp_path: Path) -> tuple[str, ...]:
    """Options that train for three epochs on 24 images of three patterns."""
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = rng.normal(size=(3, 1, 4, 4))[labels] + rng.normal(size=(24, 1, 4, 4))
    file = tmp_path / "tiny.npz"
    np.savez(file, train_images=images, train_labels=labels, val_images=images, val_labels=labels)
    words = (f"dataset={file}", "epochs=3", "batch_size=12", 'network={"channels": 2, "cells": 1}')
    return ("--evaluator", "training", *(x for w in words for x in ("--evaluator-option", w)))


def test_hopeless_trials_are_pruned_with_a_reason(run, training):
    ran = run(*TOY, *training, "--objective", "val_accuracy", "--trials", 20,
              "--pruner", "median", "--json", "--quiet")  # fmt: skip
    assert ran.code == 0
    counts = ran.json["counts"]
    assert counts["complete"] + counts["pruned"] == 20
    assert counts["pruned"] > 0
    assert ran.json["settings"]["pruner"] == "median"
    assert all("by MedianPruner" in reason for reason in ran.json["failures"])


def test_nothing_is_pruned_by_default(run, training):
    ran = run(*TOY, *training, "--objective", "val_accuracy", "--trials", 8, "--json", "--quiet")
    assert ran.json["counts"]["complete"] == 8
    assert ran.json["settings"]["pruner"] == "none"


def test_failed_trainings_do_not_end_the_search(run, training):
    ran = run(*TOY, *training, "--evaluator-option", "learning_rate=1e30",
              "--objective", "val_accuracy", "--trials", 6, "--json", "--quiet")  # fmt: skip
    document = ran.json
    assert document["counts"]["failed"] > 0
    assert document["counts"]["failed"] + document["counts"]["complete"] == 6
    assert any("training diverged in epoch" in reason for reason in document["failures"])


def test_wrong_pruners_are_told(run):
    words = (*TOY, "--evaluator", "sum", "--objective", "score", "--trials", 3)
    ran = run(*words, "--pruner", "medan")
    assert ran.code == 2
    assert "unknown pruner 'medan'; did you mean 'median'?" in ran.err
    ran = run(*words, "--objective", "cost", "--pruner", "median")
    assert ran.code == 2
    assert "--pruner median goes with one objective" in ran.err
    ran = run(*words, "--pruner", "hyperband")
    assert ran.code == 0
    assert "note: the evaluator reports nothing on the way" in ran.err


def test_a_resumed_search_keeps_its_pruner(run):
    words = (*TOY, "--evaluator", "sum", "--objective", "score", "--study", "s",
             "--storage", "journal:///log")  # fmt: skip
    assert run(*words, "--trials", 2, "--pruner", "median").code == 0
    ran = run(*words, "--trials", 4, "--resume")
    assert ran.code != 0
    assert "was begun with pruner 'median', not 'none'" in ran.err
    assert run(*words, "--trials", 4, "--resume", "--pruner", "median").code == 0


class Reporter:
    """Reports three times."""

    metrics = (Metric("score", "", "max"),)

    def evaluate(self, architectures):
        pytest.fail("evaluated without reports")

    def evaluate_reporting(self, architecture, report):
        for step in (1, 2, 3):
            report(step, {"score": 0.0})
        return {"score": 1.0}


def test_a_second_interrupt_waits_for_the_report_that_is_being_written():
    stop, written = Stop(), []

    def report(step, metrics):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        written.append(step)

    cell = nap.space("nasbench201").architectures([[0] * 6])[0]
    with stop.listening(signal.SIGINT), pytest.raises(KeyboardInterrupt):
        Interruptible(Reporter(), stop).evaluate_reporting(cell, report)
    assert written == [1, 2]
    assert stop


@pytest.mark.slow
def test_workers_prune_too(run, training):
    ran = run(*TOY, *training, "--objective", "val_accuracy", "--trials", 20, "--workers", 2,
              "--pruner", "median", "--json", "--quiet")  # fmt: skip
    assert ran.code == 0
    assert ran.json["counts"]["pruned"] > 0
