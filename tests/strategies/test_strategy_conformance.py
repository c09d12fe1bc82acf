"""Every strategy passes the conformance kit."""

from __future__ import annotations

import pytest

import nas_plugins as nap
from nas_plugins.testing.strategies import StrategyTestCase


class TestRandomSearch(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("random")


class TestLocalSearch(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("local-search")


class TestRegularizedEvolution(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("regularized-evolution")


class TestArchiveEvolution(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("archive-evolution")


class TestGraphGP(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("graph-gp", start="random")  # else networks of cells are scored
