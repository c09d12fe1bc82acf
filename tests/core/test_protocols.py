"""Roles have defaults, and objects with the required methods alone are taken too."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

import nas_plugins as nap
from nas_plugins._public import evaluator_class, strategy_class
from nas_plugins.protocols import as_benchmark, as_evaluator, as_strategy

SPACE = nap.space("nasbench201")


class Proposer:
    """Has one method."""

    def propose(self, history: nap.History, n: int, rng: Any) -> list[nap.Proposal]:
        return []


class Stubborn(Proposer):
    """Has a default of its own."""

    avoid_duplicates = False


class Counter:
    """Has what an evaluator must have."""

    metrics = (nap.Metric("count", "", "min"),)

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        return [{"count": 1.0} for _ in architectures]


@dataclass
class Fields(nap.Evaluator):
    """Members of the role as fields and attributes."""

    metrics: tuple[nap.Metric, ...]
    space: nap.SearchSpace = field(default_factory=lambda: SPACE)

    def __post_init__(self) -> None:
        self.source = "a field"

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        return [{} for _ in architectures]


def test_an_object_with_the_required_methods_is_taken_with_the_defaults() -> None:
    strategy = as_strategy(Proposer())
    assert strategy.avoid_duplicates
    strategy.prepare(SPACE)
    assert not as_strategy(Stubborn()).avoid_duplicates
    assert pickle.loads(pickle.dumps(strategy)).propose(None, 1, None) == []
    counter = as_evaluator(Counter())
    cell = SPACE.architectures([[0] * 6])[0]
    assert counter.evaluate_reporting(cell, lambda step, metrics: None) == {"count": 1.0}
    assert (counter.space, counter.reports, counter.measured_rows) == (None, False, None)
    assert counter.source == repr(counter)
    assert as_evaluator(counter) is counter


@pytest.mark.parametrize("adapt", [as_strategy, as_evaluator, as_benchmark])
def test_what_lacks_a_required_method_is_refused(adapt: Any) -> None:
    with pytest.raises(TypeError, match="must have"):
        adapt(object())


def test_members_may_be_fields_or_attributes() -> None:
    with pytest.raises(TypeError, match="metrics"):
        Fields()  # type: ignore[call-arg]
    evaluator = Fields(Counter.metrics)
    assert (evaluator.space, evaluator.source, evaluator.metrics) == (
        SPACE,
        "a field",
        Counter.metrics,
    )


def test_what_is_declared_can_be_asked_before_anything_is_built() -> None:
    assert strategy_class("llm-coevolution").asks_language_model
    assert not strategy_class("random").takes_task
    assert evaluator_class("zero-cost").judges_networks
    assert evaluator_class("zero-cost").options_for("ranking", ("params",)) == {
        "proxies": ("params",)
    }
    assert evaluator_class("latency-table").takes_space
    assert evaluator_class("complexity").options_for("ranking") == {}
