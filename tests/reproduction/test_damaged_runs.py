"""Kept runs that somebody has changed are done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas_plugins.reproduction.llm_nas.runs import SearchRun

SOUND: dict[str, Any] = {
    "cells": [1, -1],
    "searched": [[1.0, 2.0], [None, None]],
    "seconds": 1.5,
    "spearman": None,
    "calls": 2,
    "tokens": [10, 20],
    "call_seconds": 0.5,
    "counts": {"proposed": 3},
    "origins": {},
    "fallbacks": {},
}


def test_a_sound_run_is_read(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(SOUND))
    run = SearchRun.read(file)
    assert run is not None
    assert (run.cells, run.tokens) == ((1, -1), (10, 20))


@pytest.mark.parametrize(
    "change",
    [
        {"cells": ["a", 1]},
        {"searched": [[1.0], [2.0, 1.0]]},
        {"searched": [[10**400, 1.0]]},
        {"seconds": None},
        {"calls": "a"},
        {"tokens": [1]},
        {"tokens": [None, 1]},
    ],
)
def test_a_changed_run_is_not_believed(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**SOUND, **change}))
    assert SearchRun.read(file) is None
