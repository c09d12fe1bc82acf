"""Categorical spaces with choices of any kind, with order and with excluded combinations."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError, UsageError
from nas_plugins.spaces.base import Choice, Decision


def small(choices: dict[str, Choice]) -> bool:
    return bool(choices["a"] + choices["b"] <= 4)


def space() -> nap.CategoricalSpace:
    return nap.CategoricalSpace({"a": range(5), "b": range(5)}, valid=small)


def test_excluded_combinations_are_never_drawn() -> None:
    own = space()
    assert own.size == 15
    rng = np.random.default_rng(0)
    found = [own.sample(rng) for _ in range(100)]
    found += [own.mutate(parent, rng) for parent in found]
    found += own.neighbours(found[0])
    assert all(small(architecture.choices) for architecture in found)
    with pytest.raises(InvalidArchitectureError, match=r"`valid` excludes \{'a': 4, 'b': 4\}"):
        own.architecture({"a": 4, "b": 4})


def test_a_rule_goes_to_other_processes_when_it_can() -> None:
    own = space()
    assert pickle.loads(pickle.dumps(own)) == own
    lambda_space = nap.CategoricalSpace({"a": [1, 2]}, valid=lambda c: c["a"] < 2)
    with pytest.raises(pickle.PicklingError, match="`valid` of space 'categorical' must be"):
        pickle.dumps(lambda_space)


def test_a_rule_that_admits_nothing_or_fails_is_told() -> None:
    with pytest.raises(ValueError, match="`valid` of space 'categorical' must admit some"):
        nap.CategoricalSpace({"a": [1, 2]}, valid=lambda c: False)
    with pytest.raises(UsageError, match=r"failed for \{'a': 1\}: KeyError: 'width'"):
        nap.CategoricalSpace({"a": [1, 2]}, valid=lambda c: c["width"] > 1)


def test_ordered_decisions_mutate_to_neighbours_first() -> None:
    own = nap.CategoricalSpace([Decision("n", tuple(range(1000)), ordered=True)])
    middle = own.architecture({"n": 500})
    rng = np.random.default_rng(0)
    assert {own.mutate(middle, rng).choices["n"] for _ in range(40)} == {499, 501}
    near = [architecture.choices["n"] for architecture in own.neighbours(middle)]
    assert {499, 501, 498, 502, 496, 504} <= set(near)
    assert len(near) <= 20


def test_a_name_that_is_no_decision_cannot_be_ordered() -> None:
    with pytest.raises(LookupError, match="widht"):
        nap.CategoricalSpace({"width": [1, 2]}, ordered=["widht"])
