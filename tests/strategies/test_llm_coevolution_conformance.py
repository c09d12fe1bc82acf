"""LLM co-evolution passes the conformance kit, with the null model in the model's place."""

from __future__ import annotations

import pytest

import nas_plugins as nap
from nas_plugins.history import History
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.strategies.llm_coevolution.log import coevolution_log
from nas_plugins.testing.strategies import StrategyTestCase, objectives, search


class TestDefaults(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("llm-coevolution", llm="null")


class TestBatchesFromTheStart(StrategyTestCase):
    """Short initial phases, so that most proposals of the kit come from replies."""

    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy(
            "llm-coevolution", llm="null", n_initial=1, n_niches=3, children=3, classical_share=0.3
        )

    def test_most_trials_are_the_models(self, strategy: nap.Strategy, space: SearchSpace) -> None:
        log = coevolution_log(search(strategy, History(space, objectives(2)), 40))
        assert log is not None
        assert log.origins["llm"] > 20
        assert log.origins["hybrid"] > 5
        assert log.counts["legal"] == log.counts["asked"]


class TestWithoutModel(StrategyTestCase):
    @pytest.fixture
    def strategy(self) -> nap.Strategy:
        return nap.strategy("llm-coevolution", llm="off", n_initial=1)


def test_repeats_itself_where_it_may() -> None:
    space = nap.space("categorical", decisions={"x": [0, 1], "y": [0, 1]})
    strategy = nap.strategy(
        "llm-coevolution", llm="null", n_niches=2, n_initial=1, avoid_duplicates=False
    )
    history = search(strategy, History(space, objectives(1)), 40)
    assert len(history) == 40
    assert len(history.seen) == 4
