"""Every notebook runs from its script, and the kept notebook is that script with outputs."""

from __future__ import annotations

import runpy
from pathlib import Path

import jupytext
import nbformat
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs_as_a_notebook(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_PLUGINS_EXAMPLES", "short")
    runner = runpy.run_path(str(EXAMPLES / "execute.py"))
    if reason := runner["missing"](script):
        pytest.skip(reason)
    notebook = runner["execute"](script, timeout=300)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert outputs
    assert not [o for o in outputs if o.output_type == "error"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_kept_notebook_is_the_script_with_outputs(script: Path) -> None:
    kept = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    written = jupytext.read(script)
    assert [c.source for c in kept.cells] == [c.source for c in written.cells]
    code = [c for c in kept.cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code)
    assert any(c.outputs for c in code)
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert "/home/" not in text
