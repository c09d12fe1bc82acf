"""Keeps NNI's files of the tests out of the home folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nni_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder of the test's own, also for what NNI has read of it at its import."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NNI_CONFIG_DIR", str(home / "nni-config"))
    if find_spec("nni") is not None:
        from nni.tools.nnictl.config_utils import Experiments

        folder = str(home / "nni-experiments")
        monkeypatch.setattr(Experiments.__init__, "__defaults__", (folder,))
    yield home
    # NNI installs a handler per experiment, and some tests raise the level.
    logging.getLogger("nni").setLevel(logging.NOTSET)
