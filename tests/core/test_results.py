"""A search result is one value that survives a file, and refuses a torn one."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import DataError
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.protocols import Metric
from nas_plugins.results import SearchResult


def _result(*points: tuple[float, ...], front: tuple[tuple[float, ...], ...] = ()) -> SearchResult:
    space = nap.space("nasbench201")
    rng = np.random.default_rng(0)
    objectives = (Objective("accuracy"), Objective("latency", "min"))[: len(points[0])]
    trials = [Trial(i, space.sample(rng), values=point) for i, point in enumerate(points)]
    trials.append(Trial(len(trials), trials[0].architecture, TrialState.FAILED))
    return SearchResult(
        History(space, objectives, tuple(trials)),
        settings=FrozenDict({"seed": 0, "strategy": "random"}),
        metrics=(Metric("accuracy", "%", "max"),),
        true_front=front,
        source="a test",
    )


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    result = _result((90.0, math.inf), (80.0, 1.0), front=((90.0, 2.0), (80.0, 1.0)))
    result.save(tmp_path / "result.json")
    assert SearchResult.load(tmp_path / "result.json") == result
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_the_summary_is_strict_json_and_counts() -> None:
    summary = _result((90.0, math.inf), (80.0, 1.0)).summary()
    text = json.dumps(summary, allow_nan=False)
    assert json.loads(text) == summary
    assert summary["counts"] == {
        "trials": 3, "running": 0, "complete": 2, "failed": 1, "pruned": 0,
        "distinct": 2, "infeasible": 0,
    }  # fmt: skip
    assert [row["trial"] for row in summary["front"]] == [0, 1]
    assert "hv_ratio" not in summary


def test_a_file_must_be_named_by_a_path() -> None:
    given: Any = 3
    for use in (SearchResult.load, _result((1.0,)).save, _result((1.0,)).report):
        with pytest.raises(TypeError, match=r"^`path` must be a path, got 3$"):
            use(given)


def test_quality_needs_the_true_front() -> None:
    front = ((90.0, 3.0), (85.0, 2.0), (80.0, 1.0))
    found = _result(*front, front=front).quality()
    assert found["hv_ratio"] == pytest.approx(1.0)
    assert found["hv_ratio_ref1"] == pytest.approx(1.0)
    assert found["igd"] == found["igd_plus"] == 0.0
    assert _result((89.0,), (88.0,), front=((90.0,),)).quality() == {"regret": 1.0}
    assert _result((89.0,)).quality() == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
def test_torn_and_foreign_files_are_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"result\.json|`format`"):
        SearchResult.load(path)
    with pytest.raises(DataError, match=r"absent\.json"):
        SearchResult.load(tmp_path / "absent.json")


def _limited(*latencies: float, bound: str = "12") -> SearchResult:
    """A search for accuracy alone, where the more accurate is the slower."""
    space = nap.space("nasbench201")
    rng = np.random.default_rng(0)
    trials = [
        Trial(
            i,
            space.sample(rng),
            values=(80.0 + latency,),
            constraints=FrozenDict({f"latency_ms<={bound}": latency - float(bound)}),
        )
        for i, latency in enumerate(latencies)
    ]
    return SearchResult(
        History(space, (Objective("accuracy"),), tuple(trials)),
        settings=FrozenDict({"strategy": "random", "constraints": [f"latency_ms<={bound}"]}),
        metrics=(Metric("accuracy", "%", "max"), Metric("latency_ms", "ms", "min")),
        true_front=((91.5,),),
    )


def test_a_limited_metric_is_a_column_beside_its_violation(tmp_path: Path) -> None:
    result = _limited(9.653912345, 14.1, 11.5)
    result.save(tmp_path / "out")
    with open(tmp_path / "out" / "trials.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["latency_ms"]) for row in rows] == [9.653912345, 14.1, 11.5]
    assert [float(row["latency_ms<=12"]) > 0 for row in rows] == [False, True, False]
    assert result.summary()["front"][0]["metrics"] == {"latency_ms": 11.5}
    for text in (repr(result), result._repr_html_()):
        assert "latency_ms" in text
        assert "11.5" in text
        assert "under latency_ms" in text


def test_a_note_that_looks_like_a_formula_is_text_in_the_table(tmp_path: Path) -> None:
    result = _limited(9.0)
    (trial,) = result.history.trials
    trial = replace(trial, notes=FrozenDict({"@said": "=1+1", "share": "-0.5"}))
    SearchResult(replace(result.history, trials=(trial,))).save(tmp_path)
    with open(tmp_path / "trials.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["'@said"] == "'=1+1"
    assert row["share"] == "-0.5"


def test_a_limited_objective_has_one_column(tmp_path: Path) -> None:
    result = _limited(9.0, 14.0)
    trials = [
        Trial(t.number, t.architecture, values=(t.values[0], 1.0), constraints=t.constraints)
        for t in result.history.trials
    ]
    objectives = (Objective("accuracy"), Objective("latency_ms", "min"))
    result = SearchResult(History(result.history.space, objectives, tuple(trials)))
    assert result.limited == ()
    result.save(tmp_path / "out")
    heading = (tmp_path / "out" / "trials.csv").read_text(encoding="utf-8").splitlines()[0]
    assert heading.split(",").count("latency_ms") == 1


def test_what_violates_a_constraint_is_never_best() -> None:
    result = _limited(9.0, 14.0, 11.5)
    assert result.best is not None
    assert result.best.number == 2
    nothing = _limited(13.0, 14.0)
    assert nothing.best is None
    assert "none feasible under latency_ms<=12" in repr(nothing)
    assert [t.number for t in nothing.front] == [0]  # the nearest


def test_the_plot_of_the_front_greys_what_violates_a_constraint() -> None:
    traces = {t.name: t for t in _limited(9.0, 14.0, 11.5).plot_front().data}
    assert list(traces["infeasible"].x) == [1]
    assert list(traces["front"].x) == [2]
    assert traces["infeasible"].marker.color == "#9ca6b0"
    assert "infeasible" not in [t.name for t in _limited(9.0).plot_front().data]


def test_the_file_holds_the_front(tmp_path: Path) -> None:
    result = _result((80.0, 1.0), (90.0, 2.0), (70.0, 3.0))
    result.save(tmp_path / "result.json")
    data = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [row["trial"] for row in data["front"]] == [1, 0]  # best in the first objective first
    assert data["front"][0]["values"] == {"accuracy": 90.0, "latency": 2.0}
    assert data["front"][0]["architecture"] == str(result.history.trials[1].architecture)
    del data["front"]  # as older versions wrote it
    assert SearchResult.from_json(data) == result


def test_the_front_in_the_file_has_the_limited_metric() -> None:
    assert _limited(9.0, 14.0, 11.5).to_json()["front"] == [
        {
            "trial": 2,
            "architecture": str(_limited(9.0, 14.0, 11.5).history.trials[2].architecture),
            "values": {"accuracy": 91.5},
            "constraints": {"latency_ms<=12": -0.5},
            "metrics": {"latency_ms": 11.5},
        }
    ]
