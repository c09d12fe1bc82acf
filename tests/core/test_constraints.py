"""Limits on metrics are values that read and write as text."""

from __future__ import annotations

import math
import pickle

import pytest

from nas_plugins.constraints import Constraint, constraints_of, limits_in


@pytest.mark.parametrize(
    ("text", "name", "relation", "bound"),
    [
        ("latency_ms<=5", "latency_ms", "<=", 5.0),
        (" val_accuracy >= 90.125 ", "val_accuracy", ">=", 90.125),
        ("a<=1e-07", "a", "<=", 1e-7),
        ("x<=-3", "x", "<=", -3.0),
    ],
)
def test_constraints_round_trip_as_text(text: str, name: str, relation: str, bound: float) -> None:
    constraint = Constraint.parse(text)
    assert constraint == Constraint(name, relation, bound)
    assert Constraint.parse(str(constraint)) == constraint
    assert pickle.loads(pickle.dumps(constraint)) == constraint
    assert str(constraint) == text.replace(" ", "")


def test_the_excess_is_positive_beyond_the_limit() -> None:
    assert Constraint.parse("a<=5").excess(7) == 2
    assert Constraint.parse("a<=5").excess(5) == 0
    assert Constraint.parse("a>=5").excess(7) == -2


@pytest.mark.parametrize(
    "text", ["", "a", "a<5", "a=5", "<=5", "a<=", "a<=five", "a<=inf", "a<=nan"]
)
def test_malformed_constraints_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="constraint"):
        Constraint.parse(text)


def test_constraints_differ() -> None:
    assert constraints_of(["a<=1", Constraint("a", "<=", 2)])[1].bound == 2
    with pytest.raises(ValueError, match="`constraints` must differ"):
        constraints_of(["a<=1", "a <= 1.0"])


@pytest.mark.parametrize("relation", ["<=", ">="])
@pytest.mark.parametrize("value", [9.653912345, 1e-5, 12.0, 0.1, 123456.789, -3.25, math.inf])
def test_the_metric_is_known_from_the_excess(relation: str, value: float) -> None:
    limit = Constraint("a", relation, 12.3)
    assert limit.value(limit.excess(value)) == value


def test_names_that_are_no_limits_are_left_out() -> None:
    assert limits_in(["a<=5", "c", "0", "b>=x", "b >= 1"]) == {
        "a<=5": Constraint("a", "<=", 5.0),
        "b >= 1": Constraint("b", ">=", 1.0),
    }
