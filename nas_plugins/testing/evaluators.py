"""What every evaluator must do, as tests to inherit.

Subclass `EvaluatorTestCase` and give it an ``evaluator`` and an ``architectures`` fixture::

    class TestMyEvaluator(EvaluatorTestCase):
        @pytest.fixture
        def evaluator(self):
            return MyEvaluator()

        @pytest.fixture
        def architectures(self):
            space = nap.space("nasbench201")
            return space.architectures(space.random(5, np.random.default_rng(0)))
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence

import pytest

from nas_plugins.history import DIRECTIONS
from nas_plugins.protocols import Evaluator
from nas_plugins.spaces.base import Architecture


class EvaluatorTestCase:
    """Inherit this and define the fixtures ``evaluator`` and ``architectures``.

    Attributes:
        deterministic: Whether the same architecture always gets the same values.
    """

    deterministic = True

    @pytest.fixture
    def evaluator(self) -> Evaluator:
        """The evaluator under test; override this."""
        raise NotImplementedError("define an `evaluator` fixture")

    @pytest.fixture
    def architectures(self) -> Sequence[Architecture]:
        """At least two architectures that it can evaluate; override this."""
        raise NotImplementedError("define an `architectures` fixture")

    def test_is_an_evaluator(self, evaluator: Evaluator) -> None:
        assert isinstance(evaluator, Evaluator)

    def test_metrics_say_what_they_are(self, evaluator: Evaluator) -> None:
        names = [metric.name for metric in evaluator.metrics]
        assert len(set(names)) == len(names) > 0
        for metric in evaluator.metrics:
            assert metric.name
            assert metric.direction in DIRECTIONS
            assert isinstance(metric.unit, str)

    def test_one_dictionary_per_architecture(
        self, evaluator: Evaluator, architectures: Sequence[Architecture]
    ) -> None:
        results = evaluator.evaluate(architectures)
        assert len(results) == len(architectures)
        names = {metric.name for metric in evaluator.metrics}
        for result in results:
            # A metric may be missing for one architecture, but none may be undeclared.
            assert len(result) > 0
            assert set(result) <= names
            for value in result.values():
                assert isinstance(value, float)
                assert not math.isnan(value)

    def test_an_empty_batch_is_fine(self, evaluator: Evaluator) -> None:
        assert evaluator.evaluate([]) == []

    def test_results_follow_the_order_of_the_batch(
        self, evaluator: Evaluator, architectures: Sequence[Architecture]
    ) -> None:
        if not self.deterministic:
            pytest.skip("values are not deterministic")
        results = evaluator.evaluate(architectures)
        assert evaluator.evaluate(architectures[::-1]) == results[::-1]
        assert [evaluator.evaluate([a])[0] for a in architectures] == results
        assert evaluator.evaluate([architectures[0]] * 2) == [results[0]] * 2

    def test_results_are_fresh_dictionaries(
        self, evaluator: Evaluator, architectures: Sequence[Architecture]
    ) -> None:
        if not self.deterministic:
            pytest.skip("values are not deterministic")
        first = evaluator.evaluate(architectures[:1])
        expected = dict(first[0])
        first[0].clear()
        assert evaluator.evaluate(architectures[:1]) == [expected]

    def test_reports_lead_to_the_same_result(
        self, evaluator: Evaluator, architectures: Sequence[Architecture]
    ) -> None:
        if not evaluator.reports:
            pytest.skip("the evaluator does not report")
        steps: list[int] = []
        names = {metric.name for metric in evaluator.metrics}

        def report(step: int, metrics: Mapping[str, float]) -> None:
            assert set(metrics) <= names
            steps.append(step)

        result = evaluator.evaluate_reporting(architectures[0], report)
        assert steps == sorted(set(steps))
        assert all(step >= 1 for step in steps)
        expected = evaluator.evaluate(architectures[:1])[0]
        assert set(result) == set(expected)
        if self.deterministic:
            assert result == expected

    def test_what_a_report_raises_passes_through(
        self, evaluator: Evaluator, architectures: Sequence[Architecture]
    ) -> None:
        if not evaluator.reports:
            pytest.skip("the evaluator does not report")
        calls: list[int] = []

        def report(step: int, metrics: Mapping[str, float]) -> None:
            calls.append(step)
            raise ZeroDivisionError

        try:
            evaluator.evaluate_reporting(architectures[0], report)
        except ZeroDivisionError:
            assert len(calls) == 1
        else:
            assert not calls

    def test_pickles(self, evaluator: Evaluator, architectures: Sequence[Architecture]) -> None:
        copy = pickle.loads(pickle.dumps(evaluator))
        assert copy.metrics == evaluator.metrics
        if self.deterministic:
            assert copy.evaluate(architectures) == evaluator.evaluate(architectures)
