"""Several evaluators as one: names, what comes along, reasons, reports."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.composition import Combined
from nas_plugins.errors import MetricUnavailableError, UnknownNameError
from nas_plugins.protocols import Metric, Report
from nas_plugins.testing.evaluators import EvaluatorTestCase

SPACE = nap.space("nasbench201")


class Constant:
    """Gives every architecture the same values."""

    def __init__(self, **values: float) -> None:
        self.values = values
        self.calls = 0

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(name, "%", "max", f"is {v}") for name, v in self.values.items())

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        self.calls += 1
        return [dict(self.values) for _ in architectures]


class Refusing(Constant):
    """Tells why it has no ``accuracy``."""

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        return [Refusal({"seconds": 1.0}) for _ in architectures]


class Refusal(dict[str, float]):
    def __missing__(self, name: str) -> float:
        raise MetricUnavailableError(f"{name}: no memory")


class Trainer(Constant):
    """Reports two steps."""

    def evaluate_reporting(
        self, architecture: nap.Architecture, report: Report
    ) -> dict[str, float]:
        for step in (1, 2):
            report(step, {"accuracy": self.values["accuracy"] * step / 2, "loss": 1.0})
        return dict(self.values)


@pytest.fixture
def cells() -> list[nap.Architecture]:
    return SPACE.architectures(SPACE.random(3, np.random.default_rng(0)))


def names(combined: Combined) -> list[str]:
    return [metric.name for metric in combined.metrics]


class TestConformance(EvaluatorTestCase):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        small = nap.evaluator("complexity", resolution=16)
        return nap.combine({"large": nap.evaluator("complexity"), "small": small})

    @pytest.fixture
    def architectures(self, cells: list[nap.Architecture]) -> list[nap.Architecture]:
        return cells


def test_a_plain_name_is_the_first_ones_and_a_qualified_one_is_exact(
    cells: list[nap.Architecture],
) -> None:
    one, two = Constant(accuracy=1.0), Constant(accuracy=2.0, size=3.0)
    combined = nap.combine({"one": one, "two": two}, ["accuracy", "two.accuracy", "size"])
    assert combined.evaluate(cells) == [{"accuracy": 1.0, "two.accuracy": 2.0, "size": 3.0}] * 3
    assert names(combined) == ["accuracy", "two.accuracy", "size"]
    assert {m.unit for m in combined.metrics} == {"%"}
    assert combined.origin("two.accuracy").source == "two"


def test_without_a_choice_every_metric_is_there_once(cells: list[nap.Architecture]) -> None:
    combined = nap.combine({"one": Constant(a=1.0, b=2.0), "two": Constant(b=3.0, c=4.0)})
    assert combined.evaluate(cells[:1]) == [{"a": 1.0, "b": 2.0, "two.b": 3.0, "c": 4.0}]


def test_other_metrics_of_those_asked_come_along(cells: list[nap.Architecture]) -> None:
    """So every trial says whether its value was predicted, and how surely."""
    surrogate = Constant(accuracy=1.0, accuracy_std=0.1, predicted=1.0, seconds=0.0)
    table, idle = Constant(accuracy=2.0, seconds=5.0), Constant(latency=1.0)
    sources = {"surrogate": surrogate, "table": table, "idle": idle}
    combined = nap.combine(sources, ["surrogate.accuracy"])
    # The name that two have stays apart even if one of them is not asked.
    extra = {"accuracy_std": 0.1, "predicted": 1.0, "surrogate.seconds": 0.0}
    assert combined.evaluate(cells) == [{"surrogate.accuracy": 1.0, **extra}] * 3
    assert (surrogate.calls, table.calls, idle.calls) == (1, 0, 0)
    assert names(combined) == ["surrogate.accuracy", *extra]


def test_a_missing_metric_keeps_its_reason_and_spares_the_rest(
    cells: list[nap.Architecture],
) -> None:
    refusing = Refusing(accuracy=0.0, seconds=0.0)
    combined = nap.combine({"t": refusing, "c": Constant(size=1.0)}, ["t.accuracy", "size"])
    row = combined.evaluate(cells)[0]
    assert dict(row) == {"size": 1.0, "seconds": 1.0}
    assert row.get("t.accuracy") is None
    with pytest.raises(MetricUnavailableError, match="accuracy: no memory"):
        row["t.accuracy"]
    with pytest.raises(KeyError):
        row["else"]


def test_reports_pass_through_under_the_names_here(cells: list[nap.Architecture]) -> None:
    sources = {"t": Trainer(accuracy=0.5), "c": Constant(size=1.0)}
    combined = nap.combine(sources, ["t.accuracy", "size"])
    assert combined.reports
    assert not nap.combine(sources, ["size"]).reports
    seen: list[tuple[int, Mapping[str, float]]] = []
    row = combined.evaluate_reporting(cells[0], lambda step, metrics: seen.append((step, metrics)))
    assert row == {"t.accuracy": 0.5, "size": 1.0}
    assert seen == [(1, {"t.accuracy": 0.25}), (2, {"t.accuracy": 0.5})]


def test_it_says_where_the_numbers_come_from() -> None:
    sources = {"c": nap.evaluator("complexity"), "k": Constant(a=1.0)}
    assert nap.combine(sources, ["params_m"]).source == "ComplexityEvaluator()"


def test_it_pickles(cells: list[nap.Architecture]) -> None:
    combined = nap.combine({"c": nap.evaluator("complexity")}, ["c.params_m"])
    before = combined.evaluate(cells)
    assert pickle.loads(pickle.dumps(combined)).evaluate(cells) == before


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: nap.combine("complexity"), "`evaluators` must be a dictionary .* 'complexity'"),  # type: ignore[arg-type]
        (lambda: nap.benchmark(3), "`name` must be the name of a benchmark, got 3"),  # type: ignore[arg-type]
        (lambda: nap.space(None), "`name` must be the name of a space, got None"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_is_no_name_and_no_dictionary_is_told(wrong: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        wrong()


def test_mistakes_are_told() -> None:
    sources = {"one": Constant(accuracy=1.0), "two": Constant(accuracy=2.0)}
    with pytest.raises(UnknownNameError, match=r"did you mean 'two\.accuracy'"):
        nap.combine(sources, ["two.acuracy"])
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        nap.combine(sources, ["acuracy"])
    for wrong in ({}, {"": Constant(a=1.0)}):
        with pytest.raises(ValueError, match="`sources` must"):
            nap.combine(wrong, ["a"])
    with pytest.raises(ValueError, match="`wanted` must name each metric once"):
        nap.combine(sources, ["accuracy", "accuracy"])
    with pytest.raises(ValueError, match="`wanted` must not be empty"):
        nap.combine(sources, [])
