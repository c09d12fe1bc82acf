"""Runs the command line in this process, where no data and nothing cached is to be found."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run, captured, install

_PLUGIN = '''
"""An evaluator of the golden tests."""
from nas_plugins.protocols import Metric


class Sum:
    """Adds the choice indices up, and fails where the sum is large."""

    def __init__(self, *, fail_from=None):
        self.fail_from = fail_from

    def __repr__(self):
        return "Sum()"

    @property
    def metrics(self):
        return (
            Metric("score", "", "max", "sum of the indices"),
            Metric("cost", "ms", "min", "weighted sum of the indices"),
        )

    def evaluate(self, architectures):
        return [self._one(a.indices) for a in architectures]

    def _one(self, indices):
        score = float(sum(indices))
        if self.fail_from is not None and score >= self.fail_from:
            raise RuntimeError("no memory")
        return {"score": score, "cost": float(sum((i + 1) * n for i, n in enumerate(indices)))}
'''


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``sys.path`` with a distribution whose evaluator is called ``golden-sum``."""
    folder = tmp_path_factory.mktemp("golden-site")
    entry = "golden-sum = golden_test_plugin:Sum"
    return install(folder, "golden_test_plugin", _PLUGIN, entry)


@pytest.fixture
def run(
    plugin_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs the command line in a folder of its own."""
    monkeypatch.syspath_prepend(str(plugin_folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_PLUGINS_DATA", "no-data")
    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path / "no-cache"))
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")

    return captured(capsys)
