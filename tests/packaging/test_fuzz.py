"""The short form of `scripts/fuzz.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz.py"
FILES = ("result.json", "table.npz", "HW-NAS-Bench.pickle", "cell.pickle.pbz2", "nb101.tfrecord")
RECORDS = ("recording", "ledger", "NB101 architecture", "attributes")
RUNS = ("compared run", "reproduced run")


@pytest.mark.parametrize("kinds", [FILES, (*RECORDS, *RUNS)])
def test_damaged_files_are_refused_or_read(kinds: tuple[str, ...]) -> None:
    words = [sys.executable, str(SCRIPT), "--files", "40", "--seed", "1", "--kinds", *kinds]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "before it was changed" not in done.stdout
    found = [line.split()[-6] for line in done.stdout.splitlines()[1:]]
    assert found == ["40"] * len(kinds)
