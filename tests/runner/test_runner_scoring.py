"""`nap.score`: the figures of the command line, networks of one's own, what is refused."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.cli import main
from nas_plugins.errors import MissingDependencyError, UnknownNameError, UsageError

torch = pytest.importorskip("torch")

SPACE = nap.space("nasbench201")
CELLS = SPACE.architectures(SPACE.random(3, np.random.default_rng(0)))
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
LIGHT: dict[str, Any] = {
    "proxies": ["params", "meco", "synflow"],
    "preset": "smoke",
    "progress": False,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path / "cache"))


class Net(torch.nn.Module):
    """A network of a user's own."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, width, 3, padding=1)
        self.linear = torch.nn.Linear(width, 10)

    def forward(self, images: Any) -> Any:
        return self.linear(torch.relu(self.convolution(images)).mean((2, 3)))


class Broken(Net):
    """Fails in its forward pass."""

    def forward(self, images: Any) -> Any:
        raise RuntimeError("no such layer")


def without_times(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what differs from run to run."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in document["rows"]]
    return {**document, "seconds": 0, "rows": rows}


def test_the_figures_are_those_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score", "--space", "nasbench201", "--preset", "smoke", "--no-cache", "--json", "-q",
             "--proxies", "params,meco,synflow", "--option", "cells=2"]  # fmt: skip
    assert main([*words, "-n", "4", "--seed", "3"]) == 0
    shown = json.loads(capsys.readouterr().out)
    found = nap.score("nasbench201", n=4, seed=3, cache=False, cells=2, **LIGHT)
    assert without_times(found.to_json()) == without_times(shown)
    # Weights of another seed, the same architectures.
    assert main([*words, "-n", "4", "--seed", "3", "--option", "seed=5"]) == 0
    shown = json.loads(capsys.readouterr().out)
    other = nap.score("nasbench201", n=4, seed=3, weights_seed=5, cache=False, cells=2, **LIGHT)
    assert without_times(other.to_json()) == without_times(shown)
    assert [row.text for row in other.rows] == [row.text for row in found.rows]
    assert other.rows[0].values["meco"] != found.rows[0].values["meco"]


def test_architectures_as_text_and_as_such_and_what_is_none() -> None:
    found = nap.score(SPACE, [str(CELLS[0]), CELLS[1], "nonsense", DEAD, CELLS[1]], **LIGHT)
    assert [row.text for row in found.rows] == [
        str(CELLS[0]), str(CELLS[1]), "nonsense", DEAD, str(CELLS[1])
    ]  # fmt: skip
    assert set(found.rows[2].reasons) == {"meco", "params", "synflow"}
    assert "3 nodes joined by '+'" in found.rows[2].reasons["meco"]
    assert found.failed == (found.rows[2],)
    assert math.isnan(found.rank_sums[2])
    assert found.best is not None
    assert found.best.text in {str(CELLS[0]), str(CELLS[1])}
    assert "dead network" in found.rows[3].reasons["synflow"]
    assert not found.interrupted


def test_networks_of_ones_own_and_a_broken_one() -> None:
    torch.manual_seed(0)
    found = nap.score(Net(), **LIGHT)
    (row,) = found.rows
    assert row.text == "Net"
    assert row.values["params"] == pytest.approx((3 * 9 * 8 + 8 + 80 + 10) / 1e6)
    assert found.space is None
    assert found.to_json()["space"] is None
    named = nap.score({"wide": lambda: Net(16), "broken": Broken(), "none": lambda: 3}, **LIGHT)
    assert [row.text for row in named.rows] == ["wide", "broken", "none"]
    assert named.rows[0].values["params"] > row.values["params"]
    assert "no such layer" in named.rows[1].reasons["synflow"]
    assert "got int instead" in named.rows[2].reasons["synflow"]
    assert [row.text for row in nap.score([Net(), Net(16)], **LIGHT).rows] == ["Net #0", "Net #1"]


def test_it_reads_well_and_is_saved(tmp_path: Path) -> None:
    found = nap.score(SPACE, [CELLS[0], "<nonsense>", DEAD], **LIGHT)
    lines = repr(found).splitlines()
    assert lines[0].split() == [
        "rank_sum", "↑", "meco", "↑", "params", "↑", "[M]", "synflow", "↑", "architecture"
    ]  # fmt: skip
    assert lines[1].endswith(str(CELLS[0]))
    assert lines[4] == "2 of 3 scored, 1 failed"
    assert "&lt;nonsense&gt;" in found._repr_html_()
    assert "<nonsense>" not in found._repr_html_()
    assert json.loads(found.save(tmp_path / "a.json").read_text()) == found.to_json()
    with found.save(str(tmp_path / "a.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["architecture"] for row in rows] == [str(CELLS[0]), "<nonsense>", DEAD]
    assert float(rows[0]["params"]) == found.rows[0].values["params"]
    formula = nap.score(SPACE, ["=1+1"], **LIGHT).save(tmp_path / "b.csv")
    assert formula.read_text().splitlines()[1].startswith("'=1+1,")
    with pytest.raises(UsageError, match=r"`path` must end in \.csv or \.json"):
        found.save(tmp_path / "a.txt")
    many = nap.score(SPACE, [CELLS[0]] * 12, **LIGHT)
    assert "... and 2 more" in repr(many)


def test_a_data_frame_has_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = nap.score(SPACE, [CELLS[0], "nonsense"], **LIGHT)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        found.to_dataframe()
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    frame = found.to_dataframe()
    assert list(frame["architecture"]) == [str(CELLS[0]), "nonsense"]
    assert frame["params"].dtype == float
    assert pandas.isna(frame["params"][1])


def test_ctrl_c_returns_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from nas_plugins.evaluators.zero_cost.evaluator import ZeroCostEvaluator

    computed = ZeroCostEvaluator._computed

    def pressed(self: ZeroCostEvaluator, *given: Any) -> Iterator[Any]:
        yield next(iter(computed(self, *given)))
        raise KeyboardInterrupt

    monkeypatch.setattr(ZeroCostEvaluator, "_computed", pressed)
    found = nap.score(SPACE, ["nonsense", *CELLS], workers=1, cache=False, **LIGHT)
    assert found.interrupted
    assert [row.text for row in found.rows] == ["nonsense", str(CELLS[0])]
    assert found.wanted == 4
    assert found.to_json()["status"] == "interrupted"


@pytest.mark.parametrize(
    ("subject", "options", "error", "message"),
    [
        ("nasbench21", {"n": 1}, UnknownNameError, "did you mean 'nasbench201'"),
        (SPACE, {"n": 0}, UsageError, "`n` must be >= 1, got 0"),
        (SPACE, {"n": 1, "seed": -1}, UsageError, "`seed` must be >= 0, got -1"),
        (SPACE, {"n": 1, "workers": 0}, UsageError, "`workers` must be >= 1, got 0"),
        (SPACE, {"n": 1, "architectures": [DEAD]}, UsageError, "not both"),
        (SPACE, {}, UsageError, "give a list of `architectures`, or `n`"),
        (SPACE, {"architectures": DEAD}, UsageError, "give a list of `architectures`"),
        (SPACE, {"architectures": [3]}, TypeError, r"`architectures\[0\]` must be text or an"),
        (SPACE, {"n": 1, "batch_size": 1}, ValueError, "`batch_size` must be >= 2, got 1"),
        (SPACE, {"n": 1, "bach_size": 1}, UnknownNameError, "did you mean 'batch_size'"),
        (Net, {"n": 1}, TypeError, "`n` go with a space, got type as `subject`"),
        ({}, {}, UsageError, "`subject` must hold at least one network"),
        ([CELLS[0]], {}, TypeError, "give architectures as `architectures`, and their space"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    subject: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        nap.score(subject, **LIGHT, **options)
