"""Standard streams that are full, closed or no longer read cost nothing that was found."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import nas_plugins as nap

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the shell's redirections are POSIX")

SEARCH = "search --space nasbench201 --evaluator sum --objective score:max --trials 3 --out out"


@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        ("2>&-", 0),
        ("2>/dev/full", 0),
        (">&- 2>&-", 0),
        (">/dev/full", 5),
        ("--json >/dev/full 2>/dev/full", 5),
        ("| exec 0<&-", 0),
    ],
)
def test_a_stream_never_costs_the_result(
    plugin_folder: Path, tmp_path: Path, redirected: str, code: int
) -> None:
    if "/dev/full" in redirected and not os.path.exists("/dev/full"):
        pytest.skip("only Linux has a device that is always full")
    command = f"{shlex.quote(sys.executable)} -m nas_plugins {SEARCH} {redirected}"
    path = os.pathsep.join([str(plugin_folder), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    if code and "2>" not in redirected:
        assert "error: standard output cannot be written: No space left" in ran.stderr
    assert len(nap.SearchResult.load(tmp_path / "out").history.complete) == 3
