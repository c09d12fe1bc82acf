"""Operators inside a niche: what they return lies in it and is new, until nothing is left."""

from __future__ import annotations

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.history import History, Objective
from nas_plugins.sampling import FreshDraws
from nas_plugins.strategies.llm_coevolution.niches import Partition, partition
from nas_plugins.strategies.llm_coevolution.operators import (
    cross_in,
    exhausted,
    mutate_in,
    sample_in,
)
from nas_plugins.testing.spaces import registered_space

NB201 = nap.space("nasbench201")
COUNTED = partition(NB201, axis="n_nor_conv_3x3")


def fresh(space: nap.SearchSpace, seed: int = 0, **options: bool) -> FreshDraws:
    history = History(space, (Objective("accuracy"),))
    return FreshDraws(history, np.random.default_rng(seed), **options)


def cases() -> list[tuple[str, dict]]:
    kinds = [{}, {"kind": "random"}, {"kind": "none"}]
    plain = [(name, kind) for name in registry.names("space") for kind in kinds]
    return [
        *plain,
        ("nasbench201", {"axis": "n_nor_conv_3x3"}),
        ("darts", {"axis": "n_sep_conv_3x3"}),
        ("fbnet", {"axis": "n_skip"}),
        ("vit", {"axis": "embed_dim"}),
        ("nasbench101", {"axis": "depth"}),
    ]


@pytest.mark.parametrize(("name", "arguments"), cases())
def test_what_comes_lies_in_the_niche_and_is_new(name: str, arguments: dict) -> None:
    space = registered_space(name)
    made = partition(space, **arguments)
    draws = fresh(space)
    for niche in made.niches:
        drawn = [sample_in(made, niche, draws) for _ in range(2)]
        parents = [a for a in drawn if a is not None]
        assert parents
        mutated = mutate_in(made, niche, parents[0], draws)
        crossed = cross_in(made, niche, (parents[0], parents[-1]), draws)
        children = [a for a in (*parents, mutated, crossed) if a is not None]
        assert set(made.niche_of(children).tolist()) == {niche.index}
        assert len({a.key for a in children}) == len(children)
        assert {a.key for a in children} <= draws.taken
        assert all(space.violation(a.indices) is None for a in children)
        if niche.size is None or niche.size > 10:
            assert len(children) == 4


def test_same_generator_same_results() -> None:
    def run() -> list:
        draws = fresh(NB201, 7)
        found = []
        for niche in COUNTED.niches:
            first = sample_in(COUNTED, niche, draws)
            second = mutate_in(COUNTED, niche, first, draws)
            found += [first, second, cross_in(COUNTED, niche, (first, second), draws)]
        return found

    assert run() == run()


@pytest.mark.parametrize("index", [4, 5])
def test_a_niche_is_drawn_to_the_last_cell(index: int) -> None:
    niche = COUNTED.niches[index]
    draws = fresh(NB201)
    for n in range(niche.size):
        assert not exhausted(COUNTED, niche, draws.taken)
        assert sample_in(COUNTED, niche, draws) is not None
        assert len(draws.taken) == n + 1
    assert exhausted(COUNTED, niche, draws.taken)
    assert sample_in(COUNTED, niche, draws) is None
    parent = NB201.architectures([[3] * 6])[0]
    assert mutate_in(COUNTED, niche, parent, draws) is None
    assert cross_in(COUNTED, niche, (parent, parent), draws) is None
    assert not exhausted(COUNTED, COUNTED.niches[0], draws.taken)


def test_mutations_reach_the_whole_niche() -> None:
    niche = COUNTED.niches[5]
    draws = fresh(NB201)
    parent = sample_in(COUNTED, niche, draws)
    found = {parent}
    while (child := mutate_in(COUNTED, niche, parent, draws)) is not None:
        found.add(child)
    assert len(found) == 25


@pytest.mark.parametrize("index", range(6))
def test_parents_outside_the_niche_are_repaired_into_it(index: int) -> None:
    niche = COUNTED.niches[index]
    draws = fresh(NB201)
    outside = NB201.architectures([[0] * 6, [3] * 6])
    draws.take(outside)
    for parent in outside:
        child = mutate_in(COUNTED, niche, parent, draws)
        assert COUNTED.niche_of([child]).tolist() == [index]
    child = cross_in(COUNTED, niche, outside, draws)
    assert COUNTED.niche_of([child]).tolist() == [index]


def test_mutations_change_little() -> None:
    niche = COUNTED.niches[2]
    draws = fresh(NB201)
    parent = sample_in(COUNTED, niche, draws)
    children = [mutate_in(COUNTED, niche, parent, draws) for _ in range(40)]
    changes = [int((child.row != parent.row).sum()) for child in children]
    assert max(changes) <= 3
    assert {1, 2} <= set(changes)
    moved = [(child.row == 3).tolist() != (parent.row == 3).tolist() for child in children]
    assert 5 < sum(moved) < 40  # the convolutions move too, by compensating changes


def test_children_of_two_parents_are_mixtures_where_they_can_be() -> None:
    niche = COUNTED.niches[3]
    draws = fresh(NB201)
    first, second = NB201.architectures([[3, 3, 3, 0, 0, 0], [1, 1, 2, 3, 3, 3]])
    draws.take([first, second])
    for _ in range(4):
        child = cross_in(COUNTED, niche, (first, second), draws)
        pairs = zip(child.indices, first.indices, second.indices, strict=True)
        assert all(c in (a, b) for c, a, b in pairs)


def test_draws_are_uniform_where_the_space_is_listed() -> None:
    niche = COUNTED.niches[5]
    draws = fresh(NB201, avoid_duplicates=False)
    found = [sample_in(COUNTED, niche, draws).key for _ in range(2500)]
    counts = np.unique(found, return_counts=True)[1]
    assert len(counts) == 25
    assert counts.min() > 60
    assert counts.max() < 145


def test_constructed_counts_are_uniform() -> None:
    """Over the architectures of a niche: by the counts in it as often as they occur."""
    space = nap.CategoricalSpace.macro(20, ("a", "b", "c"))
    made = partition(space, axis="n_a", bounds=(3, 6, 18))
    draws = fresh(space, avoid_duplicates=False)
    rare = [sample_in(made, made.niches[3], draws) for _ in range(200)]
    counts = np.bincount([a.indices.count(0) for a in rare], minlength=21)
    # 18: 190 * 4 of 801, 19: 20 * 2, 20: 1
    assert counts[:18].sum() == 0
    assert counts[18] == pytest.approx(200 * 760 / 801, abs=12)
    firsts = np.mean([a.indices[0] == 0 for a in rare])
    assert firsts == pytest.approx(0.9, abs=0.07)


def test_an_exhausted_niche_that_cannot_be_listed_says_so_by_none() -> None:
    space = nap.CategoricalSpace.macro(20, ("a", "b"))
    made = partition(space, axis="n_a", bounds=(19,))
    niche = made.niches[1]
    assert niche.size == 21
    draws = fresh(space)
    found = 0
    while sample_in(made, niche, draws) is not None:
        found += 1
    assert found == 21
    assert not exhausted(made, made.niches[0], draws.taken)


def test_rare_niches_of_large_spaces_are_found() -> None:
    made: Partition = partition(nap.space("fbnet"), axis="flops", bounds=(12, 150))
    draws = fresh(made.space)
    for niche in (made.niches[0], made.niches[2]):
        found = [sample_in(made, niche, draws) for _ in range(3)]
        assert all(a is not None for a in found)
        assert set(made.niche_of(found).tolist()) == {niche.index}
