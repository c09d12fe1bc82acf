"""scikit-learn's digits: 1,797 images of 8x8 pixels, a data set that needs no download."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import needing
from nas_plugins.evaluators.training.dataset import Dataset

_SHARES = (0.6, 0.8)  # the rest is the test part


def digits() -> Dataset:
    """The digits in 60 % to train, 20 % to validate and 20 % to test.

    The split is the same for every seed, and every class has the same shares in it.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its
    test part, as scikit-learn ships it).

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    with needing(
        "the digits come with scikit-learn, which cannot be imported", "'nas-plugins[training]'"
    ):
        from sklearn.datasets import load_digits
    bunch = load_digits()
    images = (np.asarray(bunch.images, dtype=np.float32) / 16)[:, None]
    labels = np.asarray(bunch.target, dtype=np.int64)
    train, val, test = ((images[rows], labels[rows]) for rows in _stratified(labels))
    return Dataset.from_arrays(train, val, test, name="digits")


def _stratified(labels: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Positions of the three parts."""
    rng = np.random.default_rng(0)
    parts: list[list[npt.NDArray[np.int64]]] = [[], [], []]
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        cuts = [round(share * len(rows)) for share in _SHARES]
        for part, piece in zip(parts, np.split(rows, cuts), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(pieces)) for pieces in parts]
