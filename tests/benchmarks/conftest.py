"""Where the real tables are, and an empty data folder for everything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nas_plugins.benchmarks.files import CACHE_VARIABLE, DATA_VARIABLE


@pytest.fixture
def table() -> Callable[[str], Path]:
    """Returns the path of a real table, or skips the test that needs it."""

    def find(name: str) -> Path:
        folder = os.environ.get(DATA_VARIABLE)
        if not folder:
            pytest.skip(f"{DATA_VARIABLE} is not set; the test needs {name}")
        path = Path(folder, name)
        if not path.exists():
            pytest.skip(f"{path} is absent")
        return path

    return find


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder and an empty cache; returns the data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return folder
