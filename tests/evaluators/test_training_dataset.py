"""Data sets of the user: what is accepted, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_helpers import Toy, arrays, steady, tiny, trainer

from nas_plugins.errors import DataError
from nas_plugins.evaluators.training import Dataset
from nas_plugins.evaluators.training.digits import digits

X, Y = arrays(12)


class Pairs:
    """What PyTorch calls a map-style data set."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Any:
        return self.items[position]


def test_the_digits_are_split_the_same_way_always_with_every_class_in_proportion() -> None:
    data = digits()
    assert [len(part) for _, part in data.parts()] == [1078, 360, 359]
    assert data.classes == 10
    assert data.digest == digits().digest
    for _, part in data.parts():
        counts = torch.bincount(part.labels) / len(part)
        assert float(counts.min()) > 0.09
        assert float(counts.max()) < 0.11
    images = data.train.images
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std()) - 1) < 1e-3
    rows = torch.cat([part.images for _, part in data.parts()]).flatten(1)
    assert len(torch.unique(rows, dim=0)) == 1797  # no image in two parts


def test_arrays_tensors_items_and_files_are_the_same(tmp_path: Path) -> None:
    train, val, test = arrays(48, seed=0), arrays(24, seed=1), arrays(24, seed=2)
    tensors = [(torch.tensor(x), torch.tensor(y)) for x, y in (train, val, test)]
    items = [Pairs(list(zip(x, y.tolist(), strict=True))) for x, y in (train, val, test)]
    torch_items = [torch.utils.data.TensorDataset(x, y) for x, y in tensors]
    names = ("train", "val", "test")
    parts = dict(zip(names, (train, val, test), strict=True))
    file = tmp_path / "own.npz"
    np.savez(
        file,
        **{f"{n}_images": x for n, (x, _) in parts.items()},
        **{f"{n}_labels": y for n, (_, y) in parts.items()},
    )
    found = [
        tiny(),
        Dataset.from_arrays(*tensors),
        Dataset.from_items(*items),
        Dataset.from_items(*torch_items),
        Dataset.from_file(file),
    ]
    assert len({data.digest for data in found}) == 1
    assert str(found[-1]) == "own.npz (48/24/24 images, 1x4x4)"
    rows = [trainer(dataset=data).evaluate([Toy().pick("plain")])[0] for data in found[:3]]
    assert steady(rows[0]) == steady(rows[1]) == steady(rows[2])
    by_name = trainer(dataset=str(file)).evaluate([Toy().pick("plain")])[0]
    assert steady(by_name) == steady(rows[0])


def test_pixels_are_standardised_per_channel_unless_told_otherwise() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    images[:, 2] = 7
    labels = np.arange(20) % 2
    data = Dataset.from_arrays((images, labels), (images, labels))
    x = data.train.images
    assert x.dtype == torch.float32
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x[:, :2].std((0, 2, 3), correction=0), torch.ones(2), atol=1e-5)
    assert (x[:, 2] == 0).all()  # a constant channel
    raw = Dataset.from_arrays((images, labels), (images, labels), standardise=False)
    assert float(raw.train.images.max()) == images.max()


def test_the_arrays_of_the_user_stay_as_they_are() -> None:
    images, labels = X.astype(np.float32), Y.astype(np.int64)
    kept = images.copy()
    data = Dataset.from_arrays((images, labels), (images, labels))
    data.train.images.zero_()
    assert np.array_equal(images, kept)


def _bad(**changed: Any) -> dict[str, Any]:
    return {"train": (X, Y), "val": (X, Y), **changed}


NAN = X.copy()
NAN[3, 0, 1, 2] = np.nan


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (_bad(train=(X[:, 0], Y)), r"`train` images must have the shape \(N, C, H, W\), got"),
        (_bad(val=(X, Y[:-1])), r"`val` labels must have the shape \(12,\), .* got \(11,\)"),
        (_bad(val=(X[:0], Y[:0])), "`val` must hold images, got the shape"),
        (_bad(train=(X[:1], Y[:1])), "`train` must hold at least 2 images, got 1"),
        (_bad(train=(NAN, Y)), "`train` images must be finite, .* in 1 of 12, first in image 3"),
        (_bad(val=(X, Y - 1)), "`val` labels must be >= 0, got -1"),
        (_bad(val=(X, Y * 0.5)), "`val` labels must be whole numbers, got"),
        (_bad(val=(X, Y > 1)), "`val` labels must be whole numbers, got"),
        (_bad(val=(X + 1j, Y)), "`val` images must be real numbers"),
        (_bad(classes=2), r"`train` labels must be less than `classes` \(2\), got 2"),
        (_bad(val=(X[:, :, :3], Y)), r"`val` images must have the shape of those in `train`"),
        (_bad(test=(X, Y, Y)), r"`test` must be a pair \(images, labels\), got tuple"),
        (_bad(train=X), r"`train` must be a pair \(images, labels\), got ndarray"),
        (_bad(train=([["a"]], Y)), "`train images` must be an array of numbers"),
        (_bad(train=([[1, 2], [3]], Y)), "`train images` must be an array of numbers"),
    ],
)
def test_wrong_arrays_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(**parts)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "`train` images must all have one shape .* got no image"),
        ([X[0]], r"`train` must hold pairs \(image, label\), got something else at 0"),
        ([3], r"`train` must hold pairs \(image, label\), got something else at 0"),
        ([(X[0], 1), (X[0][:, :2], 1)], "`train` images must all have one shape"),
        ([(X[0], 1), (X[0], 0.5)], "`train` label 1 must be a whole number, got 0.5"),
    ],
)
def test_wrong_items_are_refused(items: list[Any], message: str) -> None:
    good = Pairs(list(zip(X, Y.tolist(), strict=True)))
    with pytest.raises(ValueError, match=message):
        Dataset.from_items(Pairs(items), good)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 torn"])
def test_files_that_are_none_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"own\.npz is not a readable numpy archive"):
        trainer(dataset=path)


def test_absent_and_incomplete_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.npz is not a readable"):
        trainer(dataset=tmp_path / "absent.npz")
    np.savez(tmp_path / "half.npz", train_images=X, train_labels=Y)
    with pytest.raises(DataError, match="val_images"):
        Dataset.from_file(tmp_path / "half.npz")
    objects = np.array([{}, {}], dtype=object)
    np.savez(tmp_path / "pickled.npz", train_images=objects, train_labels=objects)
    with pytest.raises(DataError, match="holds Python objects"):
        Dataset.from_file(tmp_path / "pickled.npz")
