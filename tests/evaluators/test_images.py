"""Images have their channels first, and everything in a search measures networks for the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import DataError, UsageError

pytest.importorskip("torch")

from nas_plugins.evaluators.latency.additive import LatencyModel
from nas_plugins.evaluators.latency.measured import LatencyEvaluator
from nas_plugins.evaluators.training.dataset import Dataset

SPACE = nap.space("nasbench201")
CELL = SPACE.sample(np.random.default_rng(0))
LABELS = np.arange(8) % 2


def _data(*shape: int) -> Dataset:
    images = np.random.default_rng(0).normal(size=(8, *shape))
    return Dataset.from_arrays((images, LABELS), (images, LABELS))


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (48, 64, 3), (16, 16, 4)])
def test_channels_last_are_refused_with_the_transpose_to_write(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape("images.transpose(0, 3, 1, 2)")) as caught:
        _data(*shape)
    assert "`train` images must have the channels first" in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 3, 3), (4, 4, 4), (16, 8, 8)])
def test_channels_first_are_taken(shape: tuple[int, ...]) -> None:
    assert _data(*shape).shape == shape


def test_the_advice_is_right() -> None:
    images = np.zeros((8, 10, 12, 3))
    images[:, :, :, 1] = 1
    data = Dataset.from_arrays(
        (images.transpose(0, 3, 1, 2), LABELS),
        (images.transpose(0, 3, 1, 2), LABELS),
        standardise=False,
    )
    assert data.shape == (3, 10, 12)
    assert data.train.images[:, 1].min() == 1


def test_grey_images_without_channels_are_told_how_to_get_them() -> None:
    with pytest.raises(ValueError, match=re.escape("images[:, None]")):
        _data(8, 8)


def test_items_files_and_batches_are_held_to_it_too(tmp_path) -> None:
    image = np.zeros((8, 8, 3))
    with pytest.raises(ValueError, match="channels first"):
        Dataset.from_items([(image, 0), (image, 1)], [(image, 0)])
    images = np.zeros((8, 8, 8, 3))
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=LABELS, val_images=images,
             val_labels=LABELS)  # fmt: skip
    with pytest.raises(DataError, match="channels first"):
        Dataset.from_file(tmp_path / "own.npz")
    with pytest.raises(ValueError, match="channels first"):
        nap.evaluator("zero-cost", batch=images)
    with pytest.raises(ValueError, match="channels first"):
        LatencyEvaluator(shape=(32, 32, 3))


def test_latency_is_that_of_networks_for_the_data_that_is_trained_on() -> None:
    training = nap.evaluator("training", dataset=_data(1, 8, 8), epochs=1)
    latency = nap.evaluator("latency", repeats=2, warmup=0, channels=4, cells=1)
    both = nap.combine({"training": training, "latency": latency}, ["val_accuracy", "latency_ms"])
    assert "input 1x1x8x8" in both.source
    assert both.evaluate([CELL])[0]["latency_ms"] > 0  # its network takes one channel
    assert "input 1x3x32x32" in latency.source  # the user's own object is as it was


def test_a_shape_that_was_given_and_is_another_is_refused() -> None:
    training = nap.evaluator("training", dataset=_data(1, 8, 8), epochs=1)
    latency = nap.evaluator("latency", shape=(3, 32, 32))
    with pytest.raises(UsageError, match=r"latency is 3x32x32.* images of 1x8x8.*\[1, 8, 8\]"):
        nap.search(
            SPACE,
            {"training": training, "latency": latency},
            objectives=["val_accuracy:max", "latency_ms:min"],
            trials=1,
        )
    with pytest.raises(ValueError, match=r"1x8x8 .* data set of 3x16x16"):
        nap.combine({"a": nap.evaluator("training", dataset=_data(3, 16, 16)), "b": training})


SHAPE = (1, 8, 8)


def _training() -> nap.Evaluator:
    return nap.evaluator("training", dataset=_data(*SHAPE), epochs=1)


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "darts", "darts-cell", "fbnet"])
def test_sizes_are_those_of_networks_for_the_data_that_is_trained_on(name: str) -> None:
    space = nap.space(name)
    cell = space.sample(np.random.default_rng(0))
    counted = nap.combine({"training": _training(), "complexity": nap.evaluator("complexity")})
    assert "images of 1x8x8" in counted.sources["complexity"].source
    found = counted.sources["complexity"].evaluate([cell])[0]
    network = space.network(cell, in_channels=1)
    classes = {} if name != "fbnet" else {"classes": 100}
    whole = nap.evaluator("complexity", **classes).evaluate([cell])[0]
    assert found["params_m"] * 1e6 == pytest.approx(
        sum(p.numel() for p in network.parameters() if p.requires_grad), abs=0.5
    )
    assert found["flops_m"] < 0.2 * whole["flops_m"]


def test_proxies_see_images_as_the_data_that_is_trained_on_are() -> None:
    proxies = nap.evaluator(
        "zero-cost", proxies=["params", "synflow"], preset="smoke", cache=False
    )
    both = nap.combine({"training": _training(), "zero-cost": proxies}, ["params", "synflow"])
    assert "noise 8x1x8x8" in both.source
    shown = nap.evaluator("zero-cost", proxies=["params", "synflow"], preset="smoke", cache=False,
                          batch=both.sources["zero-cost"]._batch)  # fmt: skip
    assert both.evaluate([CELL]) == shown.evaluate([CELL])
    assert "8x3x8x8" in proxies.source  # the user's own object is as it was
    digits = nap.evaluator("zero-cost", input="digits", preset="smoke").for_data((2, 12, 6))
    assert "digits 8x2x12x6" in digits.source


def test_what_hides_a_data_set_tells_its_shape() -> None:
    latency = {"latency": nap.evaluator("latency")}
    surrogate = nap.evaluator("surrogate", truth=_training(), labels=2, proxies=None)
    for hiding in (surrogate, nap.combine({"training": _training()}), _Foreign(_training())):
        both = nap.combine({"hiding": hiding, **latency})
        assert both.sources["latency"].input_shape == SHAPE
        assert both.data_shape == SHAPE
    inner = nap.combine({"latency": nap.evaluator("latency")})
    assert inner.for_data(SHAPE).input_shape == SHAPE
    timed = nap.evaluator("surrogate", truth=latency["latency"], metric="latency_ms", proxies=None)
    assert timed.for_data(SHAPE).input_shape == SHAPE
    assert timed.input_shape == (3, 32, 32)


class _Foreign:
    """An evaluator that is no subclass of ours."""

    def __init__(self, given: nap.Evaluator) -> None:
        self.metrics, self.evaluate = given.metrics, given.evaluate
        self.data_shape = given.data_shape


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("complexity", {"resolution": 32}, "`resolution` of the complexity is 32.*1x8x8.*give 8"),
        ("complexity", {"in_channels": 3}, "`in_channels` of the complexity is 3.*give 1"),
        ("zero-cost", {"resolution": 16}, "`resolution` of zero-cost gives images of 3x16x16"),
        ("zero-cost", {"batch": np.zeros((4, 3, 8, 8))}, "`batch` of zero-cost .* 3x8x8"),
    ],
)
def test_sizes_and_proxies_told_another_shape_are_refused(
    name: str, options: dict[str, object], told: str
) -> None:
    evaluators = {"training": _training(), name: nap.evaluator(name, **options)}
    metric = {"complexity": "params_m", "zero-cost": "synflow"}[name]
    with pytest.raises(UsageError, match=told):
        nap.search(SPACE, evaluators, objectives=["val_accuracy:max", metric], trials=1)


def test_a_closed_form_that_does_not_know_of_images_is_refused() -> None:
    class Own(nap.CategoricalSpace):
        def complexity(self, architecture: nap.Architecture, **options: object):
            return SPACE.complexity(CELL)

        def network(self, architecture: nap.Architecture, **options: object):
            raise AssertionError("not reached")

    own = Own({"a": [1, 2]})
    with pytest.raises(ValueError, match=r"does not tell .* 1x8x8 here.*`complexity_options`"):
        nap.evaluator("complexity").for_data(SHAPE).check(own)
    nap.evaluator("complexity").check(own)
    with pytest.raises(ValueError, match="square images, got images of 3x8x16"):
        nap.evaluator("complexity").for_data((3, 8, 16)).check(SPACE)


def test_a_saved_latency_model_remembers_the_input(tmp_path) -> None:
    space = nap.CategoricalSpace({"a": [1, 2]})
    cells = [space.architecture({"a": 1 + i % 2}) for i in range(6)]
    times = [1.0, 2.0] * 3
    for shape in (SHAPE, (3, 32, 32), None):
        LatencyModel.fit(cells, times, shape=shape).save(tmp_path / "model.json")
        loaded = nap.evaluator("latency-model", model=tmp_path / "model.json")
        assert loaded.input_shape == shape
        if shape == (3, 32, 32):
            with pytest.raises(ValueError, match="another input"):
                loaded.for_data(SHAPE)
        else:
            assert loaded.for_data(SHAPE) is loaded


def test_a_fitted_latency_model_of_another_input_is_refused() -> None:
    training = nap.evaluator("training", dataset=_data(1, 8, 8), epochs=1)
    fitted = nap.evaluator("latency-model", space=SPACE, n=40, repeats=2, warmup=0, channels=4,
                           cells=1, shape=(3, 8, 8))  # fmt: skip
    with pytest.raises(ValueError, match="latency"):
        nap.combine({"training": training, "latency-model": fitted})
