"""Parameters and multiply-accumulates of DARTS networks in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least
from nas_plugins.errors import unknown_name
from nas_plugins.spaces.darts_cell import NODES

_DEFAULTS: Mapping[str, tuple[int, int, int, int]] = {
    "cifar": (36, 20, 10, 32),
    "imagenet": (48, 14, 1000, 224),
}
_SKIP = "skip_connect"
_STEM_MULTIPLIER = 3
_AUXILIARY_WIDTHS = (128, 768)


@dataclass(frozen=True)
class DARTSNetworkShape:
    """The macro structure around the two cells.

    Attributes:
        stem: ``"cifar"``: one 3x3 convolution to ``3 * channels``; ``"imagenet"``: three 3x3
            convolutions of stride 2.
        channels: Channels of each operation in the first cells; doubled at each reduction cell.
            Even. Default 36 (``"cifar"``) or 48 (``"imagenet"``).
        layers: Number of cells; the cells at a third and two thirds are reduction cells.
            Default 20 or 14.
        classes: Outputs of the classifier. Default 10 or 1000.
        resolution: Input height and width in pixels. Default 32 or 224.
        in_channels: Channels of the input.
        auxiliary: Whether the auxiliary head for training is there.
    """

    stem: str = "cifar"
    channels: int = 0
    layers: int = 0
    classes: int = 0
    resolution: int = 0
    in_channels: int = 3
    auxiliary: bool = False

    @classmethod
    def of(
        cls,
        *,
        stem: str = "cifar",
        channels: int | None = None,
        layers: int | None = None,
        classes: int | None = None,
        resolution: int | None = None,
        in_channels: int = 3,
        auxiliary: bool = False,
    ) -> DARTSNetworkShape:
        """Fills in what is ``None`` from the settings of the DARTS paper for `stem`.

        Raises:
            UnknownNameError: `stem` is neither ``"cifar"`` nor ``"imagenet"``.
            ValueError: A number is not positive or `channels` is odd.
        """
        if stem not in _DEFAULTS:
            raise unknown_name("`stem`", stem, _DEFAULTS)
        given = {
            "channels": channels,
            "layers": layers,
            "classes": classes,
            "resolution": resolution,
        }
        numbers = {
            name: default if value is None else value
            for (name, value), default in zip(given.items(), _DEFAULTS[stem], strict=True)
        }
        at_least(1, in_channels=in_channels, **numbers)
        if numbers["channels"] % 2:
            raise ValueError(f"`channels` must be even, got {numbers['channels']}")
        return cls(stem=stem, in_channels=in_channels, auxiliary=auxiliary, **numbers)

    @property
    def reductions(self) -> tuple[int, ...]:
        """Indices of the reduction cells."""
        return tuple(sorted({self.layers // 3, 2 * self.layers // 3}))

    @property
    def auxiliary_layer(self) -> int:
        """Index of the cell whose output the auxiliary head reads."""
        return 2 * self.layers // 3


@dataclass
class _Tally:
    """Running sums: what every architecture has, and what each operation adds per kind of cell.

    The tables have one row per operation and the columns parameters, multiply-accumulates.
    """

    operations: tuple[str, ...]
    params: int = 0
    macs: int = 0
    normal: npt.NDArray[np.int64] = field(init=False)
    reduce: npt.NDArray[np.int64] = field(init=False)
    strided: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        empty = np.zeros((len(self.operations), 2), dtype=np.int64)
        self.normal, self.reduce, self.strided = empty, empty.copy(), empty.copy()

    def convolution(self, weights: int, area: int, normalised: int) -> None:
        """Counts a convolution without bias and its batch normalisation of some channels."""
        self.params += weights + 2 * normalised
        self.macs += weights * area

    def cell(self, channels: int, area: int, *, reduction: bool) -> None:
        """Counts one cell's operations at the resolution of its output."""
        for row, name in enumerate(self.operations):
            weights, normalised = _operation_size(name, channels)
            size = (weights + 2 * normalised, weights * area)
            if not reduction:
                self.normal[row] += size
                continue
            self.reduce[row] += size
            if name == _SKIP:
                size = (channels**2 + 2 * channels, channels**2 * area)
            self.strided[row] += size


def network_sizes(
    normal: npt.NDArray[np.int64],
    reduce: npt.NDArray[np.int64],
    strided: npt.NDArray[np.bool_],
    operations: tuple[str, ...],
    shape: DARTSNetworkShape,
) -> npt.NDArray[np.int64]:
    """Parameters and multiply-accumulates of a batch, `(B, 2)`.

    Args:
        normal: Operation indices of the normal cell, `(B, 8)`.
        reduce: Operation indices of the reduction cell, `(B, 8)`.
        strided: Which operations of the reduction cell read one of the cell's inputs and so
            halve the resolution, `(B, 8)`.
        operations: Names of the operations in index order.
        shape: The network around the cells.
    """
    tally = _count(operations, shape)
    fixed = np.array([tally.params, tally.macs], dtype=np.int64)
    reduced = np.where(strided[..., None], tally.strided[reduce], tally.reduce[reduce])
    total: npt.NDArray[np.int64] = fixed + tally.normal[normal].sum(axis=1) + reduced.sum(axis=1)
    return total


def _count(operations: tuple[str, ...], shape: DARTSNetworkShape) -> _Tally:
    tally = _Tally(operations)
    previous, last, side = _count_stem(tally, shape)
    channels = shape.channels
    for layer in range(shape.layers):
        reduction = layer in shape.reductions
        channels *= 2 if reduction else 1
        # Both inputs come out of their 1x1 convolutions at the resolution of the last cell.
        tally.convolution((previous + last) * channels, side**2, 2 * channels)
        side = _halved(side) if reduction else side
        tally.cell(channels, side**2, reduction=reduction)
        previous, last = last, len(NODES) * channels
        if shape.auxiliary and layer == shape.auxiliary_layer:
            tally.params += _auxiliary_params(last, shape)
    tally.params += (last + 1) * shape.classes
    tally.macs += last * shape.classes
    return tally


def _count_stem(tally: _Tally, shape: DARTSNetworkShape) -> tuple[int, int, int]:
    """Returns the channels of the first cell's two inputs and the side of the second."""
    width, side = shape.channels, shape.resolution
    if shape.stem == "cifar":
        width *= _STEM_MULTIPLIER
        tally.convolution(9 * shape.in_channels * width, side**2, width)
        return width, width, side
    half = width // 2
    for inputs, outputs in ((shape.in_channels, half), (half, width), (width, width)):
        side = _halved(side)
        tally.convolution(9 * inputs * outputs, side**2, outputs)
    return width, width, side


def _operation_size(name: str, channels: int) -> tuple[int, int]:
    """Convolution weights and normalised channels of an operation of stride 1."""
    kind, _, kernel = name.rpartition("_")
    if kind not in ("sep_conv", "dil_conv"):
        return 0, 0
    pair = int(kernel[0]) ** 2 * channels + channels**2
    return (2 * pair, 2 * channels) if kind == "sep_conv" else (pair, channels)


def _auxiliary_params(channels: int, shape: DARTSNetworkShape) -> int:
    narrow, wide = _AUXILIARY_WIDTHS
    # The ImageNet head of the DARTS code has no normalisation after its second convolution.
    normalised = narrow + (wide if shape.stem == "cifar" else 0)
    weights = channels * narrow + 4 * narrow * wide
    return weights + 2 * normalised + (wide + 1) * shape.classes


def _halved(side: int) -> int:
    return (side + 1) // 2
