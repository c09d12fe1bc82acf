"""Images have their channels first, and everything in a search measures networks for the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.errors import DataError, UsageError

pytest.importorskip("torch")

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


def test_a_fitted_latency_model_of_another_input_is_refused() -> None:
    training = nap.evaluator("training", dataset=_data(1, 8, 8), epochs=1)
    fitted = nap.evaluator("latency-model", space=SPACE, n=40, repeats=2, warmup=0, channels=4,
                           cells=1, shape=(3, 8, 8))  # fmt: skip
    with pytest.raises(ValueError, match="latency"):
        nap.combine({"training": training, "latency-model": fitted})
