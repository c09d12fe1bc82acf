"""The one batch that all architectures see: noise, digits, or the user's own."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._images import check_channels_first
from nas_plugins._torch import torch
from nas_plugins.errors import needing
from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.settings import Settings

_SIDE = 8  # of scikit-learn's digits, in pixels


def make_batch(
    settings: Settings, given: Any = None, shape: tuple[int, ...] | None = None
) -> Batch:
    """Returns the batch that the settings describe, or the user's own after a check.

    Args:
        settings: `input`, `batch_size`, `resolution`, `classes` and `seed` count.
        shape: Channels, height and width of noise and digits; by default three channels of
            `resolution`.
        given: ``None``; or images `(B, C, H, W)`, sequences, rows or token ids, see `Batch`; or
            a pair of these and labels `(B,)`; or a `Batch`. Tensors or anything that numpy
            reads. Inputs without labels get labels as noise has them.

    Raises:
        ValueError: Images or labels have the wrong shape, are not finite or out of range.
        TypeError: `given` is something else.
        MissingDependencyError: The digits need scikit-learn, which is not installed.
    """
    if given is not None:
        return _given(given, settings)
    size = shape or (3, settings.resolution, settings.resolution)
    if settings.input == "digits":
        return _digits(settings, size)
    generator = torch.Generator().manual_seed(settings.seed)
    all_sizes = (settings.batch_size, *size)
    return Batch(
        torch.randn(all_sizes, generator=generator, dtype=torch.float32, device="cpu"),
        balanced_labels(settings.batch_size, settings.classes),
    )


def balanced_labels(n: int, classes: int) -> torch.Tensor:
    """Labels in turn, of so few classes that each comes at least twice where possible, `(n,)`.

    epe_nas compares images of one class, and needs two.
    """
    return torch.arange(n) % max(1, min(classes, n // 2))


def batch_digest(batch: Batch) -> str:
    """16 hexadecimal digits of a batch's content."""
    state = hashlib.sha256(repr((tuple(batch.inputs.shape), batch.inputs.dtype)).encode())
    for tensor in (batch.inputs, batch.labels):
        state.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()[:16]


def _digits(settings: Settings, size: tuple[int, ...]) -> Batch:
    """Digits with mean 0 and variance 1, scaled to a size, the same grey in every channel."""
    owner = "the input 'digits' is scikit-learn's"
    with needing(f"{owner}, which cannot be imported", "'nas-plugins[surrogate]'"):
        from sklearn.datasets import load_digits
    pixels, digits = load_digits(return_X_y=True)
    wanted = balanced_labels(settings.batch_size, min(settings.classes, 10))
    chosen = _of_classes(digits, wanted.numpy(), np.random.default_rng(settings.seed))
    images = (pixels[chosen] - pixels.mean()) / pixels.std()
    grey = torch.from_numpy(images.astype(np.float32)).reshape(-1, 1, _SIDE, _SIDE)
    channels, *sides = size
    scaled = torch.nn.functional.interpolate(grey, sides, mode="bilinear", align_corners=False)
    return Batch(scaled.repeat(1, channels, 1, 1), wanted)


def _of_classes(
    digits: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], rng: np.random.Generator
) -> list[int]:
    """A different image for each label while there are any."""
    waiting = {d: rng.permutation(np.flatnonzero(digits == d)).tolist() for d in range(10)}
    taken = dict.fromkeys(waiting, 0)
    chosen: list[int] = []
    for label in wanted.tolist():
        images = waiting[label]
        chosen.append(images[taken[label] % len(images)])
        taken[label] += 1
    return chosen


def _given(given: Any, settings: Settings) -> Batch:
    inputs, labels = _parts(given)
    images = _tensor(inputs, "images")
    whole = not images.is_floating_point() and images.dtype != torch.bool
    images = images.to(torch.int64 if whole and images.ndim == 2 else torch.float32)
    if images.ndim == 4:
        check_channels_first("`batch`", images.shape)
    if labels is None:
        return _checked(
            images, balanced_labels(len(images) if images.ndim else 0, settings.classes)
        )
    numbers = _tensor(labels, "labels")
    if numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise TypeError(f"`batch` must have integer labels, got {numbers.dtype}")
    batch = _checked(images, numbers.to(torch.int64))
    most = int(batch.labels.max())
    if most >= settings.classes:
        raise ValueError(
            f"`batch` must have labels below `classes`, which is {settings.classes}, got {most}"
        )
    return batch


def _checked(images: torch.Tensor, labels: torch.Tensor) -> Batch:
    try:
        return Batch(images, labels)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`batch`: {error}") from error


def _parts(given: Any) -> tuple[Any, Any]:
    if isinstance(given, Batch):
        return given.inputs, given.labels
    if isinstance(given, (tuple, list)) and not hasattr(given, "shape"):
        if len(given) != 2:
            raise TypeError(f"`batch` must be images and labels, got {len(given)} parts")
        return given[0], given[1]
    return given, None


def _tensor(data: Any, what: str) -> torch.Tensor:
    if isinstance(data, torch.Tensor):
        return data.detach().cpu()
    try:
        return torch.from_numpy(np.array(data))
    except (TypeError, ValueError) as error:
        raise TypeError(f"`batch` must have {what} that numpy can read: {error}") from error
