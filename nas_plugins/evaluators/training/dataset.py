"""Labelled images in memory, cut into training, validation and test parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nas_plugins._arrays import arrays
from nas_plugins._checks import integers
from nas_plugins._images import check_channels_first
from nas_plugins._reading import refusing
from nas_plugins._torch import nn, torch

_LARGEST_FILE = 1 << 36
_NAMES = ("train", "val", "test")


class Items(Protocol):
    """A PyTorch data set, or any other sequence of pairs (image, label)."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Part:
    """Images and their labels.

    Attributes:
        images: `(N, C, H, W)`, float32, finite.
        labels: `(N,)`, int64, the class of each image, from 0.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, name: str, images: Any, labels: Any) -> Part:
        """Reads anything that NumPy or PyTorch takes for arrays.

        Args:
            name: Of the part, for messages.
            images: `(N, C, H, W)` numbers.
            labels: `(N,)` whole numbers >= 0.

        Raises:
            ValueError: Shape, type or a value is wrong.
        """
        x, y = _tensor(f"{name} images", images), _tensor(f"{name} labels", labels)
        if x.ndim != 4:
            advice = "; write `images[:, None]` for grey images (N, H, W)" if x.ndim == 3 else ""
            raise ValueError(
                f"`{name}` images must have the shape (N, C, H, W), got {tuple(x.shape)}{advice}"
            )
        check_channels_first(f"`{name}` images", x.shape)
        if y.ndim != 1 or len(y) != len(x):
            raise ValueError(
                f"`{name}` labels must have the shape ({len(x)},), one per image, "
                f"got {tuple(y.shape)}"
            )
        if not x.numel():
            raise ValueError(f"`{name}` must hold images, got the shape {tuple(x.shape)}")
        if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
            raise ValueError(f"`{name}` labels must be whole numbers, got {y.dtype}")
        if x.is_complex():
            raise ValueError(f"`{name}` images must be real numbers, got {x.dtype}")
        x, y = x.to(torch.float32), y.to(torch.int64)
        wrong = ~torch.isfinite(x).flatten(1).all(1)
        if wrong.any():
            raise ValueError(
                f"`{name}` images must be finite, got NaN or infinity in {int(wrong.sum())} of "
                f"{len(x)}, first in image {int(wrong.nonzero()[0])}"
            )
        if y.min() < 0:
            raise ValueError(f"`{name}` labels must be >= 0, got {int(y.min())}")
        return cls(x.contiguous(), y.contiguous())

    @classmethod
    def read(cls, name: str, items: Items) -> Part:
        """Reads pairs (image `(C, H, W)`, label) one after the other, once.

        Raises:
            ValueError: There are none, or one of them is no such pair.
        """
        images, labels = [], []
        for position in range(len(items)):
            try:
                image, label = items[position]
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"`{name}` must hold pairs (image, label), got something else at "
                    f"{position}: {error}"
                ) from error
            images.append(_tensor(f"{name} image {position}", image))
            labels.append(_label(name, position, label))
        shapes = {tuple(image.shape) for image in images}
        if len(shapes) != 1:
            found = ", ".join(map(str, sorted(shapes))) or "no image"
            raise ValueError(f"`{name}` images must all have one shape (C, H, W), got {found}")
        return cls.of(name, torch.stack(images), torch.tensor(labels))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images: what is trained on, what is validated on, and perhaps a test part.

    Build it with `from_arrays`, `from_items` or `from_file`, which check everything.

    Attributes:
        name: For reports.
        classes: Number of classes; labels are less.
        train: Trained on.
        val: ``val_accuracy`` is measured on it, and early stopping watches it.
        test: ``test_accuracy`` is measured on it, where there is one.
    """

    name: str
    classes: int
    train: Part
    val: Part
    test: Part | None = None

    def __post_init__(self) -> None:
        if len(self.train) < 2:
            raise ValueError("`train` must hold at least 2 images, got 1")
        shape = self.shape
        for name, part in self.parts():
            if tuple(part.images.shape[1:]) != shape:
                raise ValueError(
                    f"`{name}` images must have the shape of those in `train`, {shape}, "
                    f"got {tuple(part.images.shape[1:])}"
                )
            if part.labels.max() >= self.classes:
                raise ValueError(
                    f"`{name}` labels must be less than `classes` ({self.classes}), "
                    f"got {int(part.labels.max())}"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of every image."""
        return tuple(self.train.images.shape[1:])

    def parts(self) -> Iterator[tuple[str, Part]]:
        """The parts there are, with their names."""
        for name in _NAMES:
            part = getattr(self, name)
            if part is not None:
                yield name, part

    @classmethod
    def from_arrays(
        cls,
        train: tuple[Any, Any],
        val: tuple[Any, Any],
        test: tuple[Any, Any] | None = None,
        *,
        classes: int | None = None,
        standardise: bool = True,
        name: str = "own data",
    ) -> Dataset:
        """Takes arrays or tensors, pairs (images `(N, C, H, W)`, labels `(N,)`).

        Args:
            train: To train on.
            val: To validate on.
            test: To test on, or ``None``.
            classes: Number of classes; one more than the largest label if ``None``.
            standardise: Whether to subtract the mean of the training images and divide by
                their standard deviation, per channel. Pixels from 0 to 255 need it.
            name: For reports.

        Raises:
            ValueError: A shape, type or value is wrong; names the part.
        """
        given = {"train": train, "val": val, **({} if test is None else {"test": test})}
        for part, pair in given.items():
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ValueError(
                    f"`{part}` must be a pair (images, labels), got {type(pair).__name__}"
                )
        return cls._of(
            {part: Part.of(part, *pair) for part, pair in given.items()},
            classes=classes,
            standardise=standardise,
            name=name,
        )

    @classmethod
    def from_items(
        cls,
        train: Items,
        val: Items,
        test: Items | None = None,
        *,
        classes: int | None = None,
        standardise: bool = True,
        name: str = "own data",
    ) -> Dataset:
        """Takes PyTorch data sets, or anything with a length and pairs (image, label) in it.

        Every item is read once, now, into memory: a random augmentation is thereby frozen.

        Args:
            train: To train on; images `(C, H, W)`.
            val: To validate on.
            test: To test on, or ``None``.
            classes: Number of classes; one more than the largest label if ``None``.
            standardise: As in `from_arrays`.
            name: For reports.

        Raises:
            ValueError: A shape, type or value is wrong; names the part and the item.
        """
        given = {"train": train, "val": val, **({} if test is None else {"test": test})}
        return cls._of(
            {part: Part.read(part, items) for part, items in given.items()},
            classes=classes,
            standardise=standardise,
            name=name,
        )

    @classmethod
    def from_file(cls, path: str | Path, *, standardise: bool = True) -> Dataset:
        """Reads an ``.npz`` file with arrays ``train_images``, ``train_labels``, ``val_...``.

        ``test_images`` and ``test_labels`` are optional. Pickled content is refused.

        Raises:
            DataError: The file is absent, no such file, or an array is missing or wrong.
        """
        path = Path(path)
        with refusing(path, "a file of images to train on"):
            held = arrays(path, most=_LARGEST_FILE)
            names = [n for n in _NAMES if n != "test" or f"{n}_images" in held]
            given = {n: (held[f"{n}_images"], held[f"{n}_labels"]) for n in names}
            parts = {n: Part.of(n, *pair) for n, pair in given.items()}
            return cls._of(parts, classes=None, standardise=standardise, name=path.name)

    @classmethod
    def _of(
        cls, parts: dict[str, Part], *, classes: int | None, standardise: bool, name: str
    ) -> Dataset:
        if classes is not None:
            integers(classes=classes)
        else:
            classes = max(int(part.labels.max()) for part in parts.values()) + 1
        dataset = cls(name, classes, parts["train"], parts["val"], parts.get("test"))
        return dataset.standardised() if standardise else dataset

    def standardised(self) -> Dataset:
        """The same with mean 0 and deviation 1 of the training images, per channel."""
        images = self.train.images.double()
        mean = images.mean((0, 2, 3), keepdim=True)
        deviation = images.std((0, 2, 3), correction=0, keepdim=True)
        deviation[deviation == 0] = 1.0  # a constant channel tells nothing, whatever its scale
        return self._with(
            lambda part: Part(((part.images.double() - mean) / deviation).float(), part.labels)
        )

    def resized(self, resolution: int) -> Dataset:
        """The same in squares of `resolution` pixels, interpolated bilinearly.

        Raises:
            ValueError: `resolution` is no whole number >= 1.
        """
        if not isinstance(resolution, int) or isinstance(resolution, bool) or resolution < 1:
            raise ValueError(f"`resolution` must be a whole number >= 1, got {resolution!r}")
        if self.shape[1:] == (resolution, resolution):
            return self
        size = (resolution, resolution)

        def resize(part: Part) -> Part:
            images = nn.functional.interpolate(part.images, size, mode="bilinear", antialias=True)
            return Part(images.contiguous(), part.labels)

        return self._with(resize)

    def to(self, device: torch.device) -> Dataset:
        """The same on another device."""
        return self._with(lambda part: Part(part.images.to(device), part.labels.to(device)))

    @cached_property
    def digest(self) -> str:
        """Follows from every image and label."""
        content = hashlib.sha256()
        for name, part in self.parts():
            content.update(f"{name} {tuple(part.images.shape)}".encode())
            content.update(part.images.numpy().tobytes())
            content.update(part.labels.numpy().tobytes())
        return content.hexdigest()

    def _with(self, change: Callable[[Part], Part]) -> Dataset:
        test = None if self.test is None else change(self.test)
        return replace(self, train=change(self.train), val=change(self.val), test=test)

    def __str__(self) -> str:
        sizes = "/".join(f"{len(part):,}" for _, part in self.parts())
        channels, height, width = self.shape
        return f"{self.name} ({sizes} images, {channels}x{height}x{width})"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


def _tensor(name: str, values: Any) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach().cpu()
    try:
        return torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be an array of numbers: {error}") from error


def _label(name: str, position: int, label: Any) -> int:
    value = label.item() if hasattr(label, "item") else label
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"`{name}` label {position} must be a whole number, got {label!r}")
    return value
