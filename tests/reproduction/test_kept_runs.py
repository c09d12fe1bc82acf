"""Kept runs that somebody has changed are done again, whatever stands in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import DataError
from nas_plugins.reproduction.llm_nas.cases import read_predictions
from nas_plugins.reproduction.llm_nas.runs import SearchRun
from nas_plugins.reproduction.seed_runs import Competitor, SeedJob, kept_run

COMPARED = {
    "searched": [[1.0], [None]],
    "reported": [[1.0], [None]],
    "distinct": [1, 2],
    "seconds": [0.1, 0.2],
}
REPRODUCED = {
    "cells": [1, 2],
    "searched": [[1.0, 2.0], [None, 1.0]],
    "seconds": 0.5,
    "spearman": None,
    "calls": 1,
    "tokens": [1, 2],
    "call_seconds": 0.1,
    "counts": {"asked": 3},
    "origins": {},
    "fallbacks": {},
}
WRONG: tuple[Any, ...] = ("x", {}, 10**400, [10**400], [[1]], [1, "x"], [[]])


def _compared(file: Path) -> object:
    goals = (nap.Objective("a", "max"),)
    return kept_run(SeedJob(Competitor("a", "random"), "b", goals, goals, 2, 0, file))


def test_sound_ones_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(json.dumps(COMPARED))
    (tmp_path / "b").write_text(json.dumps(REPRODUCED))
    assert _compared(tmp_path / "a") is not None
    assert SearchRun.read(tmp_path / "b") is not None


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("value", [*WRONG, [1]])
def test_a_changed_comparison(tmp_path: Path, name: str, value: Any) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**COMPARED, name: value}))
    assert _compared(file) is None


@pytest.mark.parametrize("name", REPRODUCED)
@pytest.mark.parametrize("value", [*WRONG[3:], "x"])
def test_a_changed_reproduction(tmp_path: Path, name: str, value: Any) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**REPRODUCED, name: value}))
    assert SearchRun.read(file) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"values": np.full(15_625, np.nan)},
        {"values": np.zeros(3)},
        {"values": np.array(["x"] * 15_625)},
        {"is_label": np.zeros(15_625)},
    ],
)
def test_changed_predictions_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    file = tmp_path / "surrogate.npz"
    sound = {"values": np.zeros(15_625), "is_label": np.zeros(15_625, dtype=bool)}
    np.savez(file, **sound)
    assert read_predictions(file)[0].shape == (15_625,)
    np.savez(file, **{**sound, **changed})
    with pytest.raises(DataError, match=r"surrogate\.npz"):
        read_predictions(file)
