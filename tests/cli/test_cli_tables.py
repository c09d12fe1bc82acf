"""Tables on narrow terminals: architectures are parted behind an operation, never inside one."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

import nas_plugins as nap
from nas_plugins.cli import _console

COLUMNS = ["trial", "val_accuracy \N{UPWARDS ARROW} [%]", "latency_ms [ms]", "architecture"]


def _printed(architecture: str, width: int, monkeypatch, capsys) -> str:
    monkeypatch.setattr(_console, "console", lambda: Console(width=width, highlight=False))
    rows = [["12", "89.123", "11.23", architecture]]
    _console.print_table("Pareto front", COLUMNS, rows, right=COLUMNS[:-1])
    return str(capsys.readouterr().out)


@pytest.mark.parametrize("width", [200, 120, 80, 60, 48])
@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts", "fbnet"])
def test_no_word_of_an_architecture_is_broken(name: str, width: int, monkeypatch, capsys) -> None:
    architecture = str(nap.space(name).sample(np.random.default_rng(0)))
    printed = _printed(architecture, width, monkeypatch, capsys)
    assert max(map(len, printed.splitlines())) <= width
    words = set(printed.split())
    pieces = [
        piece
        for part in architecture.replace("=[", "=[ ").split()
        for piece in part.split("|")
        if piece
    ]
    assert all(
        any(piece in word for word in words) for part in pieces for piece in part.split(",")
    )
    assert "89.123" in printed


def test_what_fits_stays_on_one_line(monkeypatch, capsys) -> None:
    architecture = str(nap.space("nasbench201").sample(np.random.default_rng(0)))
    assert f" {architecture}" in _printed(architecture, 200, monkeypatch, capsys)


def test_a_line_is_parted_where_it_can_be() -> None:
    assert _console.broken("|a~0|+|bb~0|c~1|", 8) == "|a~0|+|\nbb~0|\nc~1|"
    assert _console.broken("a, bb, ccc", 6) == "a, bb,\nccc"
    assert _console.broken("unbreakable", 4) == "unbreakable"
    assert _console.broken("", 4) == ""


def test_a_row_stays_on_one_line_in_a_pipe(monkeypatch, capsys) -> None:
    architecture = str(nap.space("darts").sample(np.random.default_rng(0)))
    rows = [["12", "89.123", "11.23", architecture]]
    _console.print_table("Pareto front", COLUMNS, rows, whole=True)
    assert architecture in capsys.readouterr().out
