"""The script that measures our search beside everything else, in its short form."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "win.py"


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_short_form_prints_cases_and_goals_and_is_resumed(tmp_path: Path) -> None:
    done = _run("--quick", "--folder", tmp_path)
    assert done.returncode == 0, done.stderr
    for text in (
        "one/nasbench201/cifar10: val_accuracy:max",
        "graph-gp, random start",
        "against the best of the others",
        "mixed/conditional",
        "cost/proposal",
        "goals: 0 of ",  # twelve trials tell nothing of what is reached after hundred
        "not measured",
    ):
        assert text in done.stdout
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {"one/nasbench201/cifar10", "mixed/conditional"} <= {row["benchmark"] for row in lines}
    assert {row["seed"] for row in lines} == {"0", "1"}
    assert "plotly" in (tmp_path / "curves.html").read_text(encoding="utf-8")
    assert "goals" in (tmp_path / "tables.md").read_text(encoding="utf-8")

    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").iterdir()}
    again = _run("--quick", "--folder", tmp_path, "--only", "^one/", "--only", "^mixed/")
    assert again.returncode == 0, again.stderr
    assert kept == {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").iterdir()}


def test_what_matches_no_case_is_refused(tmp_path: Path) -> None:
    done = _run("--only", "nasbench99", "--folder", tmp_path)
    assert done.returncode == 2
    assert "`--only` must match a case, got ['nasbench99']" in done.stderr
