"""Optuna's own test suite for samplers, all three classes, on every sampler of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    GraphGPSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    StrategySampler,
)


class _Suite(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """126 cases: 66 basic, 44 relative, 16 multi-objective."""


class TestStrategySampler(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: StrategySampler("random", seed=0)


class TestRandomArchitectureSampler(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: RandomArchitectureSampler(seed=0)


class TestLocalSearchSampler(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: LocalSearchSampler(seed=0)


class TestRegularizedEvolutionSampler(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: RegularizedEvolutionSampler(seed=0, population_size=2)


class TestArchiveEvolutionSampler(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ArchiveEvolutionSampler(seed=0, n_initial=1)


class TestGraphGPSampler(_Suite):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: GraphGPSampler(seed=0, n_initial=2)


class TestArchVQSampler(_Suite):
    """The spaces of these studies are so small that no model is needed."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: ArchVQSampler(seed=0, n_initial=2, n_candidates=16)


class TestLLMCoEvolutionSampler(_Suite):
    """With uniform draws in the model's place, through the same path."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: LLMCoEvolutionSampler(seed=0, llm="null", n_niches=2, n_initial=1)
