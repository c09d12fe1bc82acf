"""The outputs in the documentation are what the commands print."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "documented_outputs.py"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("documented_outputs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = _script()
BLOCKS = [
    block for file in script.FILES for block in script.blocks(file.read_text(encoding="utf-8"))
]


def test_there_are_outputs_to_check() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.words[:60])
def test_an_output_is_not_stale(block: Any) -> None:
    now = script.printed(block.words)
    assert script.same(block.output, now), f"run {SCRIPT.name}; the command prints:\n{now}"


TEXT = f"""before
{script.MARK}
```console
$ nas-plugins search --space categorical \\
    --evaluator none
stale
```
```console
$ nas-plugins unmarked
kept
```
"""


def test_a_stale_output_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.md"
    file.write_text(TEXT, encoding="utf-8")
    asked = []
    monkeypatch.setattr(script, "printed", lambda words: asked.append(words) or "new; 1.5 s\n")
    monkeypatch.setattr(sys, "argv", ["script", "--check", str(file)])
    assert script.main() == 1
    assert file.read_text(encoding="utf-8") == TEXT
    monkeypatch.setattr(sys, "argv", ["script", str(file)])
    assert script.main() == 0
    assert file.read_text(encoding="utf-8") == TEXT.replace("stale", "new; 1.5 s")
    assert [" ".join(words.split()) for words in set(asked)] == [
        "nas-plugins search --space categorical --evaluator none"
    ]


def test_times_and_progress_may_differ() -> None:
    one = "1/9 trials · 0.1 trials/s · 0:00:09 left\n9/9 trials · 3.2 trials/s\n9 trials; 0.9 s\n"
    assert script.same(one, "9/9 trials · 88 trials/s\n9 trials; 12 s\n")
    assert script.same(one, "9/9 trials · 88 trials/s\nwriting · 0:00:02\n9 trials; 12 s\n")
    assert not script.same(one, "9/9 trials · 88 trials/s\n8 trials; 12 s\n")
