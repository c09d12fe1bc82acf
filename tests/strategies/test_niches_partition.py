"""Partitions: niches that cover the space, none of them empty, the same in every process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.errors import UnknownNameError
from nas_plugins.pareto import front_mask
from nas_plugins.strategies.llm_coevolution.niches import automatic_bounds, partition
from nas_plugins.testing.spaces import registered_space

NB201 = nap.space("nasbench201")
CELLS = next(NB201.enumerate())

_SPAWNED = """
import pickle, sys
from nas_plugins.strategies.llm_coevolution.niches import partition
space, arguments, rows = pickle.load(sys.stdin.buffer)
p = partition(space, **arguments)
pickle.dump((p.niches, p.niche_of_rows(rows).tolist()), sys.stdout.buffer)
"""


def data(name: str) -> None:
    folder = os.environ.get("NAS_PLUGINS_DATA", "")
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"NAS_PLUGINS_DATA does not name a folder with {name}")


def test_the_default_on_nasbench201_has_the_papers_niches() -> None:
    made = partition(NB201)
    assert made.axis is not None
    assert made.axis.name == "n_nor_conv_3x3"
    niches = made.niches
    assert [niche.size for niche in niches] == [4096, 6144, 3840, 1280, 240, 25]
    assert niches[2].label == "exactly 2 of the 6 edges are nor_conv_3x3"
    assert niches[5].label == "at least 5 of the 6 edges are nor_conv_3x3"
    assert partition(NB201, axis="n_nor_conv_3x3", n_niches=7).niches[6].size == 1


def test_bounds_on_flops() -> None:
    made = partition(NB201, axis="flops")
    assert [niche.size for niche in made.niches] == [2187, 1909, 1458, 4686, 3840, 1545]
    assert made.niches[1].label == "FLOPs between 13.7 and 37.3 M"


@pytest.mark.parametrize("name", registry.names("space"))
@pytest.mark.parametrize("kind", ["axis", "random", "none"])
def test_niches_cover_every_space_and_none_is_empty(name: str, kind: str) -> None:
    space = registered_space(name)
    made = partition(space, kind=kind)
    assert len(made.niches) + len(made.notes) >= (1 if kind == "none" else 6)
    assert [niche.index for niche in made.niches] == list(range(len(made.niches)))
    assert len({niche.label for niche in made.niches}) == len(made.niches)
    found = made.niche_of_rows(made.sample)
    assert set(found.tolist()) == set(range(len(made.niches)))
    rows = space.random(50, np.random.default_rng(0))
    places = made.niche_of_rows(rows)
    assert places.dtype == np.int64
    assert np.array_equal(places, made.niche_of(space.architectures(rows)))
    if kind == "axis":
        for row_value, place in zip(made.values(rows), places, strict=True):
            assert made.niches[place].low <= row_value < made.niches[place].high


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "fbnet", "vit", "darts-cell"])
def test_shares_of_the_niches_are_fair(name: str) -> None:
    """No niche of an automatic partition is a sliver of what is drawn."""
    made = partition(registered_space(name), axis="params" if name != "nasbench101" else "level")
    shares = np.bincount(made.niche_of_rows(made.sample)) / len(made.sample)
    assert shares.min() > 0.03
    assert shares.max() < 0.5


@pytest.mark.parametrize(
    ("space", "arguments"),
    [
        (NB201, {"axis": "flops"}),
        (NB201, {"kind": "random", "n_niches": 4}),
        (nap.space("vit"), {}),
        (nap.space("fbnet"), {"kind": "random"}),
        (nap.space("darts"), {"axis": "n_sep_conv_3x3"}),
    ],
)
def test_another_process_makes_the_same(space: nap.SearchSpace, arguments: dict) -> None:
    rows = space.random(100, np.random.default_rng(0))
    done = subprocess.run(
        [sys.executable, "-c", _SPAWNED],
        input=pickle.dumps((space, arguments, rows)),
        env={**os.environ, "PYTHONHASHSEED": "54321"},
        stdout=subprocess.PIPE,
        check=True,
    )
    made = partition(space, **arguments)
    assert pickle.loads(done.stdout) == (made.niches, made.niche_of_rows(rows).tolist())


def test_random_niches_are_balanced() -> None:
    made = partition(NB201, kind="random")
    assert {niche.size for niche in made.niches} == {2604, 2605}
    large = partition(nap.space("fbnet"), kind="random")
    rows = nap.space("fbnet").random(6000, np.random.default_rng(0))
    counts = np.bincount(large.niche_of_rows(rows))
    assert counts.min() > 900
    assert counts.max() < 1100
    # A hash of the key, not of how it is written.
    vit = nap.space("vit")
    rows = vit.random(50, np.random.default_rng(0))
    spare = np.where(vit.active(rows), rows, 1 - np.minimum(rows, 1))
    groups = partition(vit, kind="random")
    assert np.array_equal(groups.niche_of_rows(rows), groups.niche_of_rows(spare))


def test_tiny_spaces_have_as_many_niches_as_they_can_fill() -> None:
    space = nap.CategoricalSpace({"x": [0, 1], "y": ["only"]})
    for kind in ("axis", "random"):
        made = partition(space, kind=kind)
        assert [niche.size for niche in made.niches] == [1, 1]
        assert "2 niches instead of 6" in made.notes[0]
    single = partition(nap.CategoricalSpace({"x": ["only"]}))
    assert len(single.niches) == 1
    assert single.niche_of_rows(np.zeros((1, 1), dtype=np.int16)).tolist() == [0]


def test_given_bounds() -> None:
    made = partition(NB201, axis="flops", bounds=(50, 100))
    assert [niche.label for niche in made.niches] == [
        "FLOPs below 50 M",
        "FLOPs between 50 and 100 M",
        "FLOPs of at least 100 M",
    ]
    values = made.values(CELLS)
    assert np.array_equal(made.niche_of_rows(CELLS), (values >= 50) * 1 + (values >= 100))
    counted = partition(NB201, axis="n_none", bounds=(2, 4)).counted(made.niches[0])
    assert counted == ("none", range(0, 7))


def test_given_bounds_beyond_the_space_make_fewer_niches() -> None:
    made = partition(NB201, axis="flops", bounds=(1, 50, 1000))
    assert [niche.label for niche in made.niches] == ["FLOPs below 50 M", "FLOPs of at least 50 M"]
    assert made.notes == (
        "2 niches instead of 4: no architecture was found for others on the axis 'flops'",
    )


def test_given_bounds_of_rare_niches_in_a_large_space() -> None:
    made = partition(nap.space("fbnet"), axis="flops", bounds=(12, 150))
    assert len(made.niches) == 3
    assert not made.notes
    assert set(made.niche_of_rows(made.sample).tolist()) == {0, 1, 2}


def test_counts_of_a_niche_and_sizes_in_large_spaces() -> None:
    made = partition(nap.space("fbnet"), axis="n_skip")
    counted = [made.counted(niche) for niche in made.niches]
    assert [n for _, counts in filter(None, counted) for n in counts] == list(range(23))
    assert sum(niche.size for niche in made.niches) == 9**22
    assert made.independent
    assert not partition(nap.space("vit")).independent
    assert partition(NB201, axis="flops").counted(made.niches[0]) is None


def test_gaps_are_filled_from_the_nearest() -> None:
    data("hwnasbench_nb201.npz")
    made = partition(NB201, axis="hw-nas-bench/cifar10/edgetpu.latency_ms")
    assert sum(niche.size for niche in made.niches) == 15625
    values = made.values(CELLS)
    assert np.isfinite(values).all()
    assert min(niche.size for niche in made.niches) > 500


def test_gaps_are_filled_with_the_mean_of_neighbours() -> None:
    def known(architecture) -> float:
        count = sum(i == 3 for i in architecture.indices)
        return float("nan") if architecture.indices == (3, 3, 0, 0, 0, 0) else float(count)

    made = partition(NB201, axis=known)
    missing = np.array([[3, 3, 0, 0, 0, 0]], dtype=np.int16)
    # Of the 24 neighbours 8 have a convolution less and 4 have one more.
    assert made.values(missing)[0] == pytest.approx(2 + (4 - 8) / 24)

    def nothing(architecture) -> float:
        return float("nan")

    with pytest.raises(ValueError, match="`axis` 'nothing' has no finite value for any of 15625"):
        partition(NB201, axis=nothing)


def test_the_true_front_is_spread_over_the_niches() -> None:
    """Why the bounds are what they are, and what the count costs: CIFAR-10, six devices."""
    data("hwnasbench_nb201.npz")

    def spread(made, rows) -> tuple[float, int]:
        counts = np.bincount(made.niche_of_rows(rows), minlength=len(made.niches))
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum() / np.log(len(counts))), int(
            (counts == 0).sum()
        )

    fronts = []
    for device in ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga"):
        table = nap.benchmark(f"hw-nas-bench/cifar10/{device}")
        losses = np.stack([-table.column("val_accuracy"), table.column("latency_ms")], axis=1)
        known = np.isfinite(losses).all(axis=1)
        fronts.append(table.rows[known][front_mask(losses[known])])
    by_flops = np.array([spread(partition(NB201, axis="flops"), rows) for rows in fronts])
    counted = partition(NB201, axis="n_nor_conv_3x3")
    by_count = np.array([spread(counted, rows) for rows in fronts])
    assert by_flops.mean(axis=0) == pytest.approx([0.907, 0], abs=0.001)
    assert by_count.mean(axis=0) == pytest.approx([0.690, 10 / 6], abs=0.001)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.integers(1, 8),
)
def test_automatic_bounds_split_any_values(values: list[float], n: int) -> None:
    array = np.array(values)
    bounds = automatic_bounds(array, n)
    assert bounds == sorted(set(bounds))
    assert len(bounds) == min(n, len(set(values))) - 1
    assert len(np.unique(np.searchsorted(bounds, array, side="right"))) == len(bounds) + 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "axes"}, UnknownNameError, "did you mean 'axis'"),
        ({"n_niches": 0}, ValueError, "`n_niches` must be a whole number >= 1, got 0"),
        ({"n_niches": True}, ValueError, "`n_niches` must be a whole number >= 1, got True"),
        ({"bounds": ()}, ValueError, "`bounds` must be finite, ascending and different"),
        ({"bounds": (2, 1)}, ValueError, "`bounds` must be finite, ascending and different"),
        ({"bounds": (1, np.inf)}, ValueError, "`bounds` must be finite"),
        ({"kind": "none", "bounds": (1,)}, ValueError, "`bounds` must be None for a partition"),
    ],
)
def test_refuses_wrong_arguments(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        partition(NB201, **arguments)


def test_a_partition_without_axis_has_no_values() -> None:
    with pytest.raises(ValueError, match="a partition of kind 'none' has no values"):
        partition(NB201, kind="none").values(CELLS[:1])
