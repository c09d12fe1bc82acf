"""The examples run as the documentation says, here in short forms."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("nni_*.py"))
TEXT = (ROOT / "docs" / "nni.md").read_text(encoding="utf-8")
TIMEOUT_S = 240  # a busy machine; each takes some 10 to 25 s


def run(*arguments: str) -> str:
    """Runs an example in a process of its own, without tables; what it prints."""
    pytest.importorskip("nni")
    script, *options = arguments
    environment = {k: v for k, v in os.environ.items() if k != "NAS_PLUGINS_DATA"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *options],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documentation_shows_the_command(name: str) -> None:
    assert re.search(rf"^\$ python examples/{re.escape(name)}\b", TEXT, re.MULTILINE)


def test_what_the_documentation_runs_is_there() -> None:
    commands = re.findall(r"python ((?:examples|benchmarks)/\S+\.py)", TEXT)
    assert commands
    for path in commands:
        assert (ROOT / path).is_file(), path


@pytest.mark.slow
def test_table() -> None:
    output = run("nni_table.py")
    assert "best by the first objective: {'cell/0_1':" in output


@pytest.mark.slow
def test_darts_zero_cost() -> None:
    output = run("nni_darts_zero_cost.py", "--trials", "3", "--resolution", "8")
    assert "3 of 3 networks scored" in output
    assert re.search(r"ready to train: [\d,]+ parameters", output)


@pytest.mark.slow
def test_own_space() -> None:
    output = run("nni_own_space.py", "--trials", "3", "--epochs", "1")
    assert "3 different networks in 3 trials" in output
    assert re.search(r"^ +\d+\.\d\d +\d+\.\d\d  width (8|16): (conv|pool)", output, re.MULTILINE)


@pytest.mark.slow
def test_multi_objective() -> None:
    output = run("nni_multi_objective.py", "--trials", "12", "--seeds", "2")
    rows = re.findall(r"^(.+?) +(0\.\d+) ± 0\.\d+ +(\d+\.\d+) ± ", output, re.MULTILINE)
    names = [name for name, *_ in rows]
    assert names[0] == "NNI Random"
    assert {"NNI RegularizedEvolution", "ArchiveEvolution", "LocalSearch"} <= {*names}
    assert all(0 < float(volume) <= 1 and 50 < float(best) < 95 for _, volume, best in rows)


@pytest.mark.slow
def test_resume() -> None:
    output = run("nni_resume.py", "--trials", "90")
    assert "equal: {'trials': True, 'front': True, 'top models': True}" in output
    found = re.search(r"(\d+) trials were restored and (\d+) evaluated", output)
    assert found is not None
    restored, evaluated = map(int, found.groups())
    assert restored > 0
    assert evaluated > 0
    assert restored + evaluated == 90
