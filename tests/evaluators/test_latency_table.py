"""Published latency tables by the device's name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.benchmarks.files import DATA_VARIABLE
from nas_plugins.errors import InvalidArchitectureError, MetricUnavailableError, UnknownNameError
from nas_plugins.evaluators.latency.table import LatencyTableEvaluator, devices
from nas_plugins.history import Objective
from nas_plugins.testing.evaluators import EvaluatorTestCase

CELLS = "hwnasbench_nb201.npz"
BLOCKS = "fbnet_cifar100_help.npz"


def need(name: str) -> None:
    """Skips the test where the real table is absent."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} is not set; the test needs {name}")
    if not Path(folder, name).exists():
        pytest.skip(f"{name} is absent in {DATA_VARIABLE}")


def draw(space: str, n: int, seed: int = 0) -> list[nap.Architecture]:
    found = nap.space(space)
    return found.architectures(found.random(n, np.random.default_rng(seed)))


class TestConformsOnCells(EvaluatorTestCase):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        need(CELLS)
        return nap.evaluator("latency-table", device="fpga")

    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return draw("nasbench201", 6)


class TestConformsOnBlocks(EvaluatorTestCase):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        need(BLOCKS)
        return nap.evaluator("latency-table", space="fbnet", device="raspi4")

    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return draw("fbnet", 6)


@pytest.mark.parametrize("device", ["edgegpu", "raspi4", "pixel3", "eyeriss", "fpga"])
def test_values_of_cells_are_exactly_the_tables(device: str) -> None:
    need(CELLS)
    evaluator = LatencyTableEvaluator(device, dataset="cifar100")
    cells = draw("nasbench201", 8)
    bench = nap.benchmark(f"hw-nas-bench/cifar100/{device}")
    names = [metric.name for metric in evaluator.metrics]
    assert names == ["latency_ms", "energy_mj"][: 1 + (device in ("edgegpu", "eyeriss", "fpga"))]
    for values, known in zip(evaluator.evaluate(cells), bench.evaluate(cells), strict=True):
        assert values == {name: known[name] for name in names}
    assert "accuracy" not in evaluator.source
    assert device in evaluator.source


@pytest.mark.parametrize("device", ["raspi4", "pixel3"])
def test_values_of_blocks_are_exactly_the_tables(device: str) -> None:
    need(BLOCKS)
    evaluator = LatencyTableEvaluator(device, space="fbnet", dataset="cifar100")
    blocks = draw("fbnet", 5)
    assert evaluator.evaluate(blocks) == nap.benchmark(f"fbnet/{device}").evaluate(blocks)
    assert evaluator.measured_rows is None
    best = evaluator.front([Objective("latency_ms", "min")])
    assert best is not None
    assert min(values["latency_ms"] for values in evaluator.evaluate(blocks)) > best[0, 0]


def test_measured_architectures_are_named() -> None:
    need(BLOCKS)
    evaluator = LatencyTableEvaluator("pixel2", space=nap.space("fbnet"))
    assert evaluator.measured_rows is not None
    known = evaluator.space.architectures(evaluator.measured_rows[:2])
    assert all(values["latency_ms"] > 0 for values in evaluator.evaluate(known))
    (missing,) = evaluator.evaluate(draw("fbnet", 1))
    with pytest.raises(MetricUnavailableError, match="the table holds 5,000 architectures"):
        missing["latency_ms"]


def test_what_the_edge_tpu_did_not_run_has_a_reason() -> None:
    need(CELLS)
    evaluator = LatencyTableEvaluator("edgetpu")
    results = evaluator.evaluate(draw("nasbench201", 40))
    missing = [values for values in results if not values]
    assert 0 < len(missing) < 40
    assert all(values["latency_ms"] > 0 for values in results if values)
    with pytest.raises(MetricUnavailableError, match="Google Edge TPU did not run it"):
        missing[0]["latency_ms"]
    with pytest.raises(UnknownNameError, match="'latency_ms'"):
        missing[0]["latency"]


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'edgegpu'"):
        LatencyTableEvaluator("edgegpuu")
    with pytest.raises(UnknownNameError, match="device of space 'fbnet' 'edgetpu'; did you mean"):
        LatencyTableEvaluator("edgetpu", space="fbnet")
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        LatencyTableEvaluator(space="nasbench101")
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10"):
        LatencyTableEvaluator(dataset="cifar1")
    with pytest.raises(UnknownNameError, match="did you mean 'cifar100'"):
        LatencyTableEvaluator("raspi4", space="fbnet", dataset="cifar10")
    assert devices(nap.space("nasbench101")) == ()


def test_other_metrics_and_spaces_are_refused() -> None:
    need(CELLS)
    evaluator = LatencyTableEvaluator("fpga")
    with pytest.raises(UnknownNameError, match="'test_accuracy'; known: energy_mj, latency_ms"):
        evaluator.front([Objective("test_accuracy", "max")])
    front = evaluator.front([Objective("latency_ms", "min"), Objective("energy_mj", "min")])
    assert front is not None
    with pytest.raises(InvalidArchitectureError, match="must be of space 'nasbench201'"):
        evaluator.evaluate(draw("fbnet", 1))
