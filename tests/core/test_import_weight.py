"""`import nas_plugins` stays light, and the shared folders cannot be imported twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "nni", "xgboost", "optuna", "plotly", "pandas", "scipy")


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import nas_plugins",
        "import nas_plugins as nap; nap.space('nasbench201')",
        "import nas_plugins as nap; nap.strategy('archive-evolution')",
        "import nas_plugins as nap; nap.strategy('arch-vq')",
        "import nas_plugins.cli",
    ],
)
def test_no_heavy_module_is_loaded(statement: str) -> None:
    assert not _modules_after(statement) & set(HEAVY)


def test_the_samplers_load_no_torch() -> None:
    assert "torch" not in _modules_after("import nas_plugins.optuna")


def test_the_bare_package_does_without_numpy() -> None:
    assert "numpy" not in _modules_after("import nas_plugins")


@pytest.mark.parametrize("folder", ["strategies", "evaluators"])
def test_a_source_folder_is_not_a_second_package(folder: str) -> None:
    command = [sys.executable, "-c", f"import {folder}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode != 0
    assert f"import nas_plugins.{folder} instead" in done.stderr


def test_every_public_name_resolves() -> None:
    import nas_plugins

    for name in nas_plugins.__all__:
        assert getattr(nas_plugins, name) is not None
    assert set(nas_plugins.__all__) <= set(dir(nas_plugins))
    with pytest.raises(AttributeError, match="no attribute 'spaec'"):
        nas_plugins.spaec  # noqa: B018
