"""Searches on NNI against the golden copies of the other engine; see ``test_golden.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_helpers import SEED, TABLE, TWO, Run, golden, searched
from test_golden import STRATEGIES

pytest.importorskip("nni", reason="NNI is not installed")


@pytest.fixture(autouse=True)
def nni_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps NNI's files out of the home folder."""
    from nni.tools.nnictl.config_utils import Experiments

    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NNI_CONFIG_DIR", str(home / "nni-config"))
    folder = str(home / "nni-experiments")
    monkeypatch.setattr(Experiments.__init__, "__defaults__", (folder,))


@pytest.mark.parametrize(
    "strategy", ["archive-evolution", "local-search", "regularized-evolution", "llm-null"]
)
def test_the_other_engine_searches_alike(run: Run, strategy: str) -> None:
    words = (*TABLE, *TWO, *STRATEGIES[strategy], "--engine", "nni", "--trials", 20, *SEED)
    found = searched(run, *words)
    assert found["code"] == 0, found["err"]
    assert found["trials"] == golden(f"search-{strategy}-two")["trials"][:20]
