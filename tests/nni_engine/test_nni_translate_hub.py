"""The published cells of NNI's hub, translated exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nni")

import torch
from nni.mutable import SampleValidationError
from nni.nas.hub.pytorch import DARTS, NasBench101, NasBench201
from nni.nas.hub.pytorch.nasnet import NDS
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import SimplifiedModelSpace, model_context
from nni_helpers import searched
from numpy.random import RandomState

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.nni import ArchVQ, Translator, translator
from nas_plugins.nni._translate.composed import ComposedSpace
from nas_plugins.spaces import Architecture, space_from_json
from nas_plugins.strategies.arch_vq import loading

N_SAMPLES = 2000


def drawn(space: Any, n: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Valid samples as NNI draws them."""
    state = RandomState(seed)
    while n > 0:
        sample: dict[str, Any] = {}
        try:
            space.random(sample, state)
        except SampleValidationError:
            continue
        n -= 1
        yield sample


def executable(space: ModelSpace) -> SimplifiedModelSpace:
    return SimplifiedModelSpace.from_model(space)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def rows_round_trip(translate: Translator, models: SimplifiedModelSpace, n: int) -> None:
    """From architectures to samples that NNI takes, and back to the same architectures."""
    space = translate.space
    architectures = space.architectures(space.random(n, np.random.default_rng(1)))
    for architecture in architectures:
        sample = translate.sample(architecture)
        assert all(type(label) is str for label in sample)
        assert translate.architecture(sample) == architecture
    for architecture in architectures[:200]:
        models.validate(translate.sample(architecture))


# -- NAS-Bench-201 -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nb201() -> SimplifiedModelSpace:
    return executable(NasBench201(stem_out_channels=8, num_modules_per_stack=1))


def test_nb201_is_the_published_space(nb201: SimplifiedModelSpace) -> None:
    translate = translator(nb201)
    assert translate.space == nap.space("nasbench201")
    rows_round_trip(translate, nb201, N_SAMPLES)
    for sample in drawn(nb201, N_SAMPLES):
        assert translate.sample(translate.architecture(sample)) == sample


def test_nb201_edges_and_operations_mean_the_same() -> None:
    translate = translator(NasBench201(stem_out_channels=8, num_modules_per_stack=1))
    for row in translate.space.random(12, np.random.default_rng(2)):
        architecture = translate.space.architectures(row[None])[0]
        with model_context(translate.sample(architecture)):
            network = NasBench201(stem_out_channels=8, num_modules_per_stack=1)
        assert (
            parameters(network)
            == architecture.space.complexity(architecture, channels=8, cells=1).params
        )
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    assert translate.sample(translate.space.parse(text)) == {
        "cell/0_1": "conv_3x3",
        "cell/0_2": "none",
        "cell/1_2": "skip_connect",
        "cell/0_3": "avg_pool_3x3",
        "cell/1_3": "conv_1x1",
        "cell/2_3": "none",
    }


def test_nb201_refuses_what_is_no_cell(nb201: SimplifiedModelSpace) -> None:
    translate = translator(nb201)
    sample = next(drawn(nb201, 1))
    with pytest.raises(
        InvalidArchitectureError, match=r"label 'cell/0_1'.*did you mean 'conv_3x3'"
    ):
        translate.architecture({**sample, "cell/0_1": "nor_conv_3x3"})
    del sample["cell/2_3"]
    with pytest.raises(InvalidArchitectureError, match=r"lacks the label 'cell/2_3'"):
        translate.architecture(sample)
    other = nap.space("darts").sample(np.random.default_rng(0))
    with pytest.raises(InvalidArchitectureError, match=r"space 'nasbench201'.*got one of 'darts'"):
        translate.sample(other)


# -- NAS-Bench-101 -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nb101() -> SimplifiedModelSpace:
    return executable(NasBench101(stem_out_channels=16, num_modules_per_stack=1))


def test_nb101_is_the_published_space(nb101: SimplifiedModelSpace) -> None:
    translate = translator(nb101)
    assert translate.space == nap.space("nasbench101")
    rng = np.random.default_rng(3)
    rows = np.concatenate([translate.space.random(1000, rng), _cells(1000)])
    again: list[Architecture] = []
    for architecture in translate.space.architectures(rows):
        sample = translate.sample(architecture)
        assert len(sample) == 12
        again.append(translate.architecture(sample))
        assert translate.sample(again[-1]) == sample
        if not len(again) % 20:
            assert str(again[-1]) == str(architecture)  # the vertices keep their order
            nb101.validate(sample)
    keys = translate.space.keys(translate.space.rows(again))
    assert np.array_equal(keys, translate.space.keys(rows))


def test_nb101_samples_of_nni_keep_their_key(nb101: SimplifiedModelSpace) -> None:
    translate = translator(nb101)
    sizes = set()
    read: list[Architecture] = []
    again: list[Architecture] = []
    for sample in drawn(nb101, 400):
        read.append(translate.architecture(sample))
        sizes.add(sample["cell/num_nodes"])
        written = translate.sample(read[-1])
        again.append(translate.architecture(written))
        # NNI prunes to the very same cell.
        final = {k.removeprefix("cell/"): v for k, v in written.items()}
        pruned = sample["cell/final"]
        assert {name: final[name] for name in pruned} == pruned
        assert written["cell/num_nodes"] == 1 + sum(n.startswith("input") for n in pruned)
    assert sizes == {2, 3, 4, 5, 6, 7}
    keys = [translate.space.keys(translate.space.rows(found)) for found in (read, again)]
    assert np.array_equal(*keys)


def test_nb101_needs_only_the_vertices_there_are(nb101: SimplifiedModelSpace) -> None:
    translate = translator(nb101)
    sample = {
        "cell/num_nodes": 3,
        "cell/op1": "maxpool3x3",
        "cell/input1": (0,),
        "cell/input2": np.array([1, 0]),
    }
    matrix, operations = nap.space("nasbench101").cell(translate.architecture(sample))
    assert matrix.tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert operations == ("input", "maxpool3x3", "output")


def test_nb101_cells_mean_the_same() -> None:
    make = lambda: NasBench101(stem_out_channels=16, num_modules_per_stack=1)  # noqa: E731
    translate = translator(make())
    for architecture in translate.space.architectures(_cells(5)):
        with model_context(translate.sample(architecture)):
            network = make()
        network(torch.zeros(2, 3, 8, 8)).sum().backward()
        # NNI also builds a projection for every vertex that does not read the cell's input.
        used = sum(p.numel() for p in network.parameters() if p.grad is not None)
        options = {"stem_channels": 16, "modules_per_stack": 1}
        assert used == architecture.space.complexity(architecture, **options).params


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell/num_nodes": 8}, "must be in 2..7, got 8"),
        ({"cell/input2": [2]}, r"takes different inputs in 0..1, got \[2\]"),
        ({"cell/input2": [1, 1]}, "takes different inputs"),
        ({"cell/input2": "01"}, "takes a list of inputs"),
        ({"cell/op1": "conv3x3"}, "did you mean 'conv3x3-bn-relu'"),
        ({"cell/input3": []}, "no path leads from the input to the output"),
    ],
)
def test_nb101_refuses_what_is_no_cell(
    nb101: SimplifiedModelSpace, change: dict[str, Any], message: str
) -> None:
    translate = translator(nb101)
    sample = {"cell/num_nodes": 4, "cell/op1": "maxpool3x3", "cell/op2": "maxpool3x3"}
    sample |= {"cell/input1": [0], "cell/input2": [1], "cell/input3": [2]}
    assert translate.architecture(sample).space.name == "nasbench101"
    with pytest.raises(InvalidArchitectureError, match=message):
        translate.architecture({**sample, **change})


def test_nb101_of_another_size_is_searched_as_labels() -> None:
    models = executable(NasBench101(8, 1, 1, max_num_vertices=5, max_num_edges=6))
    translate = translator(models)
    assert isinstance(translate.space, ComposedSpace)
    rows_round_trip(translate, models, 200)
    invalid = dict.fromkeys((f"cell/op{i}" for i in (1, 2, 3)), "maxpool3x3")
    invalid |= {f"cell/input{i}": [] for i in (1, 2, 3, 4)} | {"cell/num_nodes": 5}
    with pytest.raises(InvalidArchitectureError, match=r"constraint 'cell/final'.*not connected"):
        translate.architecture(invalid)


def _cells(n: int) -> Any:
    space: Any = nap.space("nasbench101")
    return space.random_cells(n, np.random.default_rng(4))


# -- DARTS ---------------------------------------------------------------------------------------


def test_darts_of_one_size_is_the_published_space() -> None:
    models = executable(DARTS(width=4, num_cells=3))
    translate = translator(models)
    assert translate.space == nap.space("darts")
    rows_round_trip(translate, models, N_SAMPLES)


@pytest.mark.parametrize(
    "given",
    [{"width": (4, 8)}, {"num_cells": (3, 6, 9)}, {"width": (4, 8), "num_cells": (3, 6)}],
)
def test_darts_of_several_sizes_has_more_decisions(given: dict[str, Any]) -> None:
    models = executable(DARTS(**{"width": 4, "num_cells": 3, **given}))
    translate = translator(models)
    labels = [{"width": "width", "num_cells": "depth"}[name] for name in given]
    assert isinstance(translate.space, ComposedSpace)
    assert [d.name for d in translate.space.decisions[22:]] == labels
    assert [d.choices for d in translate.space.decisions[22:]] == list(given.values())
    assert translate.space.size == nap.space("darts").size * np.prod([*map(len, given.values())])
    rows_round_trip(translate, models, N_SAMPLES // 3)
    assert space_from_json(translate.space.to_json()) == translate.space


def test_darts_cells_and_sizes_mean_the_same() -> None:
    make = lambda: DARTS(width=(4, 8), num_cells=(3, 5))  # noqa: E731
    translate = translator(make())
    space = translate.space
    for architecture in space.architectures(space.random(6, np.random.default_rng(5))):
        sample = translate.sample(architecture)
        with model_context(sample):
            network = make()
        assert parameters(network) == space.complexity(architecture).params
    with pytest.raises(TypeError, match="`channels` must be left out, the decision 'width'"):
        space.complexity(architecture, channels=36)


def test_darts_of_several_sizes_is_searched_on_the_shipped_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(space: Any) -> Any:
        raise AssertionError(f"a model is trained of {space!r}")

    monkeypatch.setattr(loading, "trained", refuse)
    search = searched(ArchVQ(seed=0, n_initial=3, n_candidates=32), 5, space=DARTS())
    complete = search.history.complete
    assert len({trial.architecture.key for trial in complete}) == 5
    assert {len(trial.architecture.indices) for trial in complete} == {24}


def test_darts_genotypes_with_equal_cells_have_equal_keys() -> None:
    translate = translator(executable(DARTS(width=(4, 8), num_cells=3)))
    sample = translate.sample(translate.space.sample(np.random.default_rng(6)))
    # Nodes 2 and 3 of the normal cell, both on the cell's inputs, trade places.
    for slot in (0, 1):
        sample[f"normal/input_2_{slot}"] = sample[f"normal/input_3_{slot}"] = [slot]
        sample[f"normal/op_2_{slot}"], sample[f"normal/op_3_{slot}"] = (
            "skip_connect",
            "max_pool_3x3",
        )
        for node in (4, 5):
            sample[f"normal/input_{node}_{slot}"] = [slot]
    other = dict(sample)
    for slot in (0, 1):
        other[f"normal/op_2_{slot}"], other[f"normal/op_3_{slot}"] = "max_pool_3x3", "skip_connect"
    first, second = translate.architecture(sample), translate.architecture(other)
    assert first != second
    assert first.key == second.key
    other["width"] = {4: 8, 8: 4}[other["width"]]
    assert translate.architecture(other).key != first.key


def test_darts_reads_the_inputs_in_any_order_and_refuses_equal_ones() -> None:
    models = executable(DARTS(width=4, num_cells=3))
    translate = translator(models)
    read = refused = 0
    rng = np.random.default_rng(7)
    for _ in range(N_SAMPLES):
        sample: dict[str, Any] = {
            label: [int(rng.choice(mutable.values))]
            if "input" in label
            else str(rng.choice(mutable.values))
            for label, mutable in models.simplify().items()
        }
        coincide = any(
            sample[f"{cell}/input_{node}_0"] == sample[f"{cell}/input_{node}_1"]
            for cell in ("normal", "reduce")
            for node in (2, 3, 4, 5)
        )
        if coincide:
            refused += 1
            with pytest.raises(InvalidArchitectureError, match="must read two different inputs"):
                translate.architecture(sample)
            continue
        written = translate.sample(translate.architecture(sample))
        assert _edges(written) == _edges(sample)
        if not read % 20:
            models.validate(sample)
            models.validate(written)
        read += 1
    assert read > 50  # 1 in 25
    assert refused > 1800


def test_cells_of_other_families_are_searched_as_labels() -> None:
    models = executable(NDS(["skip_connect", "sep_conv_3x3"], width=4, num_cells=3))
    translate = translator(models)
    assert translate.space.name == "categorical"
    rows_round_trip(translate, models, 200)


def _edges(sample: dict[str, Any]) -> set[tuple[str, ...]]:
    return {
        (
            cell,
            str(node),
            str(sample[f"{cell}/input_{node}_{slot}"]),
            sample[f"{cell}/op_{node}_{slot}"],
        )
        for cell in ("normal", "reduce")
        for node in (2, 3, 4, 5)
        for slot in (0, 1)
    }
