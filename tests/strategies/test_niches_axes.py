"""Axes: what they measure on every space, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.errors import UnknownNameError
from nas_plugins.strategies.llm_coevolution.axes import CountAxis, auto_name, axis, axis_names
from nas_plugins.testing.spaces import registered_space

NB201 = nap.space("nasbench201")
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
DEVICE = "hw-nas-bench/cifar10/edgetpu"


def value(spec, architecture) -> float:
    return float(axis(spec, architecture.space).measure([architecture])[0])


def test_counts_of_a_cell() -> None:
    cell = NB201.parse(CELL)
    assert value("n_nor_conv_3x3", cell) == 2
    assert value("n_none", cell) == 1
    found = axis("n_nor_conv_3x3", NB201)
    assert isinstance(found, CountAxis)
    assert found.choice == "nor_conv_3x3"
    assert found.whole == (0, 1, 2, 3, 4, 5, 6)
    assert not isinstance(axis("flops", NB201), CountAxis)


def test_sizes_and_depth_of_a_cell() -> None:
    cell = NB201.parse(CELL)
    size = NB201.complexity(cell)
    assert value("params", cell) == size.params / 1e6
    assert value("flops", cell) == size.flops / 1e6
    # nor_conv_3x3, nor_conv_3x3 and nor_conv_1x1 follow one another.
    assert value("depth", cell) == 3
    assert value("depth", NB201.architectures([[0] * 6])[0]) == 0
    assert value("depth", NB201.architectures([[1] * 6])[0]) == 0
    assert value("depth", NB201.architectures([[3] * 6])[0]) == 3


@pytest.mark.parametrize("name", registry.names("space"))
def test_every_space_has_an_automatic_axis_and_all_that_are_listed(name: str) -> None:
    space = registered_space(name)
    rows = space.random(20, np.random.default_rng(0))
    for spec in axis_names(space):
        found = axis(spec, space)
        values = found.measure_rows(rows)
        assert values.shape == (20,)
        assert np.isfinite(values).all()
        assert np.array_equal(values, found.measure(space.architectures(rows)))
        if found.whole is not None:
            assert set(values.tolist()) <= set(map(float, found.whole))
    assert axis("auto", space).name == auto_name(space)


@pytest.mark.parametrize("name", registry.names("space"))
def test_equal_keys_have_equal_values(name: str) -> None:
    """Decisions that have no effect on an architecture have none on any axis either."""
    space = registered_space(name)
    rng = np.random.default_rng(1)
    rows = space.random(20, rng)
    others = rows.copy()
    inactive = ~space.active(rows)
    others[inactive] = rng.integers(space.cardinalities, size=rows.shape)[inactive]
    same = space.valid(others) & (space.keys(rows) == space.keys(others))
    if name in ("nasbench101", "vit", "nni-model-space"):
        assert inactive.any()
    for spec in axis_names(space):
        found = axis(spec, space)
        if spec == "depth" and name == "nni-model-space":
            continue  # its graph is a chain of all decisions, in use or not
        measured = found.measure_rows(rows[same]), found.measure_rows(others[same])
        assert np.allclose(*measured), spec


def test_pruned_vertices_do_not_count() -> None:
    space = nap.space("nasbench101")
    text = '{"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "%s", "output"]}'
    cell = space.parse(text % "conv3x3-bn-relu")
    assert value("n_conv3x3_bn_relu", cell) == 1
    assert value("n_conv3x3-bn-relu", cell) == 1
    assert value("n_conv3x3_bn_relu", space.parse(text % "maxpool3x3")) == 0


def test_layers_beyond_the_depth_do_not_count() -> None:
    space = nap.space("vit")
    row = np.zeros((1, 30), dtype=np.int16)  # depth 12, three heads everywhere
    assert axis("n_3", space).measure_rows(row)[0] == 12
    assert axis("depth", space).measure_rows(row)[0] == 12
    assert axis("embed_dim", space).measure_rows(row)[0] == 192


def test_level_of_numbers_is_their_rank() -> None:
    space = nap.CategoricalSpace({"width": [64, 16, 32], "op": ["a", "b", "c"]})
    assert auto_name(space) == "level"
    levels = axis("level", space).measure_rows(np.array([[1, 0], [2, 2], [0, 1]]))
    assert levels.tolist() == [0.0, 0.75, 1.0]


def test_a_function_is_an_axis() -> None:
    def edges(architecture) -> float:
        return float(sum(i > 0 for i in architecture.indices))

    found = axis(edges, NB201)
    assert found.name == "edges"
    assert found.measure([NB201.parse(CELL)]).tolist() == [5.0]
    assert axis(found, NB201) is found
    with pytest.raises(
        ValueError, match="`axis` must be one of 'fbnet', got one of 'nasbench201'"
    ):
        axis(found, nap.space("fbnet"))


def test_an_evaluators_metric_is_an_axis() -> None:
    found = axis("complexity.flops_m", NB201)
    cell = NB201.parse(CELL)
    assert found.unit == "M"
    assert found.measure([cell, cell]).tolist() == [value("flops", cell)] * 2


def test_a_benchmarks_metric_is_an_axis_with_gaps() -> None:
    table = Path(os.environ.get("NAS_PLUGINS_DATA", "")) / "hwnasbench_nb201.npz"
    if not os.environ.get("NAS_PLUGINS_DATA") or not table.is_file():
        pytest.skip("NAS_PLUGINS_DATA does not name a folder with hwnasbench_nb201.npz")
    values = axis(f"{DEVICE}.latency_ms", NB201).measure_rows(next(NB201.enumerate()))
    assert np.isnan(values).sum() == 4699
    assert values[np.isfinite(values)].min() > 0
    assert axis(f"{DEVICE}.latency_ms", NB201).phrase(1.0, 2.5) == (
        "latency_ms between 1 and 2.5 ms"
    )
    with pytest.raises(UnknownNameError, match="did you mean 'latency_ms'"):
        axis(f"{DEVICE}.latency", NB201)
    with pytest.raises(ValueError, match="which measures 'nasbench201'"):
        axis(f"{DEVICE}.latency_ms", nap.space("fbnet"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("n_nor_conv3x3", "unknown axis 'n_nor_conv3x3'; did you mean 'n_nor_conv_3x3'"),
        ("flop", "unknown axis 'flop'; did you mean 'flops'"),
        ("complexty.flops_m", "unknown benchmark or evaluator 'complexty'"),
        ("complexity.flops", "did you mean 'flops_m'"),
    ],
)
def test_unknown_names_suggest_the_nearest(spec: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        axis(spec, NB201)


def test_refuses_what_is_no_axis() -> None:
    space = nap.CategoricalSpace({"op": ["conv-3", "conv_3", "x"]})
    with pytest.raises(ValueError, match=r"`axis` 'n_CONV_3' must mean one choice, got"):
        axis("n_CONV_3", space)
    found = axis("n_conv-3", space)
    assert isinstance(found, CountAxis)
    assert found.choice == "conv-3"
    with pytest.raises(TypeError, match="`axis` must be a name or a function, got 3"):
        axis(3, space)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="defines no complexity"):
        axis("flops", space)


@pytest.mark.parametrize(
    ("low", "high", "phrase"),
    [
        (2, 3, "exactly 2 of the 6 edges are nor_conv_3x3"),
        (1, 2, "exactly 1 of the 6 edges is nor_conv_3x3"),
        (5, np.inf, "at least 5 of the 6 edges are nor_conv_3x3"),
        (6, np.inf, "exactly 6 of the 6 edges are nor_conv_3x3"),
        (-np.inf, 3, "at most 2 of the 6 edges are nor_conv_3x3"),
        (1.5, 3.5, "2 to 3 of the 6 edges are nor_conv_3x3"),
    ],
)
def test_counts_in_words(low: float, high: float, phrase: str) -> None:
    found = axis("n_nor_conv_3x3", NB201)
    assert isinstance(found, CountAxis)
    assert found.phrase(low, high) == phrase


def test_sizes_in_words() -> None:
    found = axis("flops", NB201)
    assert found.phrase(35.1, 52.7) == "FLOPs between 35.1 and 52.7 M"
    assert found.phrase(-np.inf, 52.7) == "FLOPs below 52.7 M"
    assert found.phrase(52.7, np.inf) == "FLOPs of at least 52.7 M"
    assert axis("params", NB201).phrase(-np.inf, np.inf) == "any parameters"
    assert axis("embed_dim", nap.space("vit")).phrase(200, 300) == "embed_dim is 216 or 240"
