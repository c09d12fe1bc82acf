"""What all tables share: look-up, gaps, fronts, errors."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_plugins.benchmarks.base import Table, TabularBenchmark
from nas_plugins.errors import InvalidArchitectureError, MetricUnavailableError, UnknownNameError
from nas_plugins.history import Objective
from nas_plugins.protocols import Benchmark, Metric, MetricValues
from nas_plugins.spaces.categorical import CategoricalSpace

SPACE = CategoricalSpace.macro(3, ["a", "b", "c"])
ROWS = np.concatenate(list(SPACE.enumerate()))
METRICS = (Metric("score", "%", "max"), Metric("cost", "ms", "min"))


def toy(score: np.ndarray, cost: np.ndarray, rows: np.ndarray = ROWS) -> TabularBenchmark:
    columns = {"score": np.asarray(score, float), "cost": np.asarray(cost, float)}
    table = Table(rows, columns, METRICS, "a test", gaps={"cost": "the device was lost"})
    return TabularBenchmark("toy/one", SPACE, table)


def shuffled() -> TabularBenchmark:
    order = np.random.default_rng(0).permutation(len(ROWS))
    return toy(order * 1.0, order * 2.0, ROWS[order])


def test_rows_are_found_whatever_their_order() -> None:
    bench = shuffled()
    assert isinstance(bench, Benchmark)
    architectures = SPACE.architectures(ROWS)
    scores = [values["score"] for values in bench.evaluate(architectures)]
    assert scores == list(range(27))
    assert bench.evaluate([]) == []


def test_an_unmeasured_metric_is_left_out_and_says_why_when_read() -> None:
    cost = np.full(27, 5.0)
    cost[3] = np.nan
    bench = toy(np.arange(27.0), cost)
    architecture = bench.architecture(3)
    values = bench.evaluate([architecture])[0]
    assert dict(values) == {"score": 3.0}
    assert "cost" not in values
    assert values.get("cost") is None
    message = r"'toy/one' has no 'cost' for \{.*\}: the device was lost"
    with pytest.raises(MetricUnavailableError, match=message):
        values["cost"]
    with pytest.raises(MetricUnavailableError, match=message):
        bench.query(architecture, "cost")
    assert bench.query(architecture, "score") == 3.0


def test_an_architecture_that_is_not_in_the_table_has_no_metric() -> None:
    bench = toy(np.arange(5.0), np.arange(5.0), ROWS[:5])
    values = bench.evaluate([SPACE.architectures(ROWS[-1:])[0]])[0]
    assert values == {}
    with pytest.raises(MetricUnavailableError, match="holds 5 architectures and not this one"):
        values["score"]
    assert bench.indices(SPACE.architectures(ROWS[[4, 26]])).tolist() == [4, -1]


def test_an_unknown_metric_suggests_the_nearest() -> None:
    bench = shuffled()
    with pytest.raises(UnknownNameError, match="'scores'; did you mean 'score'"):
        bench.evaluate([bench.architecture(0)])[0]["scores"]
    with pytest.raises(UnknownNameError, match="did you mean 'cost'"):
        bench.front([Objective("costs", "min")])
    with pytest.raises(UnknownNameError, match="did you mean 'cost'"):
        bench.column("coast")


def test_values_are_a_plain_dictionary_for_json_and_pickle() -> None:
    values = MetricValues({"score": 1.5}, gaps={"cost": "lost"}, known=("score", "cost"))
    assert json.loads(json.dumps(values)) == {"score": 1.5}
    again = pickle.loads(pickle.dumps(values))
    assert again == {"score": 1.5}
    with pytest.raises(MetricUnavailableError, match="lost"):
        again["cost"]


def test_an_architecture_of_another_space_is_refused() -> None:
    bench = shuffled()
    other = CategoricalSpace.macro(2, ["a", "b"]).sample(np.random.default_rng(0))
    with pytest.raises(InvalidArchitectureError, match=r"`architectures\[1\]` must be of space"):
        bench.evaluate([bench.architecture(0), other])
    with pytest.raises(TypeError, match=r"must be an Architecture, got str; read text with"):
        bench.evaluate(["a,b,c"])  # type: ignore[list-item]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=27, max_size=27))
def test_the_front_is_the_one_found_by_comparing_all_pairs(points: list[tuple[int, int]]) -> None:
    score, cost = np.array(points, float).T
    cost[0] = np.nan
    front = toy(score, cost).front([Objective("score"), Objective("cost", "min")])
    known = sorted(set(points[1:]))
    expected = [
        (s, c) for s, c in known if not any(o != (s, c) and o[0] >= s and o[1] <= c for o in known)
    ]
    assert front is not None
    assert front.tolist() == [list(point) for point in expected]


def test_optimum_is_the_first_best_measured_architecture() -> None:
    cost = np.arange(27.0, 0.0, -1.0)
    cost[26] = np.nan
    bench = toy(np.zeros(27), cost)
    architecture, value = bench.optimum(Objective("cost", "min"))
    assert (architecture.indices, value) == (tuple(ROWS[25]), 2.0)
    assert bench.optimum(Objective("score"))[0].indices == tuple(ROWS[0])


def test_keys_of_a_space_beyond_64_bits_work_too() -> None:
    space = CategoricalSpace.macro(40, [0, 1, 2])
    rows = space.random(50, np.random.default_rng(0))
    table = Table(rows, {"score": np.arange(50.0)}, METRICS[:1], "a test")
    bench = TabularBenchmark("wide", space, table)
    assert bench.indices(space.architectures(rows)).tolist() == list(range(50))
    other = space.sample(np.random.default_rng(1))
    assert bench.indices([other]).tolist() == [-1]


def test_a_benchmark_survives_pickling() -> None:
    bench = shuffled()
    again = pickle.loads(pickle.dumps(bench))
    architectures = SPACE.architectures(ROWS[::5])
    assert again.evaluate(architectures) == bench.evaluate(architectures)


def test_columns_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        shuffled().column("score")[0] = 1.0


def test_a_table_must_be_whole() -> None:
    with pytest.raises(ValueError, match=r"column 'score' must have shape \(27,\), got \(3,\)"):
        Table(ROWS, {"score": np.zeros(3)}, METRICS[:1], "")
    with pytest.raises(ValueError, match="must be those of `metrics`"):
        Table(ROWS, {"cost": np.zeros(27)}, METRICS[:1], "")
