"""A search result is one value that survives a file, and refuses a torn one."""

from __future__ import annotations

import json
import math
from pathlib import Path

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
