"""The FBNet search space: 22 layers with one of nine blocks each.

Wu et al., "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture
Search", CVPR 2019, with the CIFAR setting of HW-NAS-Bench (Li et al., ICLR 2021).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._checks import at_least
from nas_plugins._images import square_image_options
from nas_plugins.errors import InvalidArchitectureError, unknown_name
from nas_plugins.spaces.base import Architecture, Complexity, Decision, SearchSpace
from nas_plugins.spaces.decision_features import decision_features
from nas_plugins.spaces.graph import Graph, chain_labels

BLOCKS = (
    "k3_e1",
    "k3_e1_g2",
    "k3_e3",
    "k3_e6",
    "k5_e1",
    "k5_e1_g2",
    "k5_e3",
    "k5_e6",
    "skip",
)
"""Block names in the index order of HW-NAS-Bench: kernel, expansion, groups."""

SKIP = "skip"
NODE_OPERATIONS = ("input", *BLOCKS, "output")
"""Node labels of the chain graph."""

STEM_CHANNELS = 16
N_LAYERS = 22

_STAGE_LAYERS = (1, 4, 4, 4, 4, 4, 1)
_STAGE_CHANNELS = (16, 24, 32, 64, 112, 184, 352)
_MAX_LENGTH = 10_000


@dataclass(frozen=True)
class _Setting:
    stem_stride: int
    stage_strides: tuple[int, ...]
    head_channels: int
    classes: int
    resolution: int


_SETTINGS: Mapping[str, _Setting] = {
    "cifar": _Setting(1, (1, 1, 2, 2, 1, 2, 1), 1504, 100, 32),
    "imagenet": _Setting(2, (1, 2, 2, 2, 1, 2, 1), 1984, 1000, 224),
}


@dataclass(frozen=True)
class FBNetLayer:
    """Input and output of one layer.

    Attributes:
        inputs: Input channels.
        outputs: Output channels.
        stride: 1 or 2.
    """

    inputs: int
    outputs: int
    stride: int

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the input's shape, so that a residual can be added."""
        return self.inputs == self.outputs and self.stride == 1


@dataclass(frozen=True)
class FBNetShape:
    """The macro structure around the 22 blocks.

    Attributes:
        stem_stride: Stride of the 3x3 convolution to 16 channels.
        layers: Input and output of every layer.
        head_channels: Channels of the 1x1 convolution before the pooling.
        classes: Outputs of the classifier.
        resolution: Input height and width in pixels.
        in_channels: Channels of the input.
    """

    stem_stride: int
    layers: tuple[FBNetLayer, ...]
    head_channels: int
    classes: int
    resolution: int
    in_channels: int = 3

    @classmethod
    def of(
        cls,
        *,
        stem: str = "cifar",
        classes: int | None = None,
        resolution: int | None = None,
        in_channels: int = 3,
    ) -> FBNetShape:
        """Returns the ``"cifar"`` or the ``"imagenet"`` setting.

        Args:
            stem: ``"cifar"``: HW-NAS-Bench's setting, strides 2 at layers 5, 9 and 17, head of
                1504 channels; ``"imagenet"``: the paper's, stem and layer 1 of stride 2 too,
                head of 1984 channels.
            classes: Outputs of the classifier; 100 or 1000 if ``None``.
            resolution: Input height and width in pixels; 32 or 224 if ``None``.
            in_channels: Channels of the input.

        Raises:
            UnknownNameError: `stem` is neither.
            ValueError: A number is not positive.
        """
        if stem not in _SETTINGS:
            raise unknown_name("`stem`", stem, _SETTINGS)
        setting = _SETTINGS[stem]
        numbers = {
            "classes": setting.classes if classes is None else classes,
            "resolution": setting.resolution if resolution is None else resolution,
            "in_channels": in_channels,
        }
        at_least(1, **numbers)
        return cls(
            stem_stride=setting.stem_stride,
            layers=_layers(setting.stage_strides),
            head_channels=setting.head_channels,
            **numbers,
        )


class FBNet(SearchSpace):
    """The FBNet space: 22 layers with one of 9 blocks each, 9**22 = 9.8e20 architectures.

    A block ``k5_e3`` is an inverted residual: a 1x1 convolution to 3 times the channels, a 5x5
    depthwise convolution, a 1x1 convolution, and the input added where the shape stays; ``_g2``
    has 1x1 convolutions in two groups with a channel shuffle between. ``skip`` is the identity
    where the shape stays; in layers 1, 5, 9, 13, 17 and 21, which change channels or resolution,
    it is a 1x1 convolution with batch normalisation and ReLU, as in HW-NAS-Bench. So every
    combination is an architecture.

    The notation is the 22 block names joined by commas; HW-NAS-Bench's list of indices or names
    is read too. Keys are the bytes of the choices, as the space is too large for 64 bits. The
    graph is a chain of 24 nodes: input, the layers, output.
    """

    default_axis = "flops"
    decision_noun = "layers"
    latency_table = "fbnet/{device}"
    complexity_settings = ("stem", "classes", "resolution", "in_channels")
    latency_datasets = ("cifar100",)

    def __init__(self) -> None:
        super().__init__("fbnet", [Decision(f"layer_{i}", BLOCKS) for i in range(N_LAYERS)])

    def blocks(self, architecture: Architecture) -> tuple[str, ...]:
        """The 22 block names."""
        return tuple(BLOCKS[i] for i in architecture.indices)

    def format(self, architecture: Architecture) -> str:
        """Writes the block names joined by commas."""
        return ",".join(self.blocks(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads block names joined by commas, or a list ``[0, 8, ...]`` of indices or names."""
        entries = _entries(text)
        if len(entries) != N_LAYERS:
            raise InvalidArchitectureError(
                f"an FBNet architecture has {N_LAYERS} blocks, got {len(entries)}"
            )
        return Architecture(self, tuple(_index(i, entry) for i, entry in enumerate(entries)))

    @property
    def node_operations(self) -> tuple[str, ...]:
        """``input``, the nine blocks, ``output``."""
        return NODE_OPERATIONS

    def graphs(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
        """Chains of a batch: `(B, 24, 24)` and `(B, 24)`."""
        n, nodes = len(rows), N_LAYERS + 2
        operations = np.zeros((n, nodes), dtype=np.int16)
        operations[:, 1:-1] = np.asarray(rows) + 1
        operations[:, -1] = NODE_OPERATIONS.index("output")
        return np.broadcast_to(_CHAIN, (n, nodes, nodes)).copy(), operations

    def features(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """The blocks, and how often each occurs, per stage and in all: `(B, 22)` to `(B, F)`."""
        ends = np.cumsum(_STAGE_LAYERS).tolist()
        starts = [0, *ends[:-1]]
        stages = [range(start, end) for start, end in zip(starts, ends, strict=True)]
        labels = [np.arange(len(BLOCKS))] * N_LAYERS
        groups = [*stages, range(N_LAYERS)]
        return decision_features(self.decisions, labels, rows, counted=groups)

    def from_graph(self, graph: Graph) -> Architecture:
        """Reads a chain back, strictly."""
        labels = chain_labels(graph, N_LAYERS + 2)
        return Architecture(self, tuple(_index(i, b) for i, b in enumerate(labels)))

    def complexity_options(self, shape: tuple[int, ...]) -> Mapping[str, Any]:
        """The side and the channels of square images."""
        return square_image_options(shape)

    def complexity(
        self,
        architecture: Architecture,
        *,
        stem: str = "cifar",
        classes: int | None = None,
        resolution: int | None = None,
        in_channels: int = 3,
        **options: Any,
    ) -> Complexity:
        """Parameters and FLOPs of the network.

        FLOPs are the multiply-accumulates of convolutions and the classifier without its bias;
        batch normalisation, activations, sums and pooling are not counted.

        Args:
            architecture: The blocks.
            stem: ``"cifar"`` or ``"imagenet"``; see `FBNetShape.of`.
            classes: Outputs of the classifier; 100 or 1000 if ``None``.
            resolution: Input height and width in pixels; 32 or 224 if ``None``.
            in_channels: Channels of the input.
            **options: None is known; raises ``TypeError``.
        """
        if options:
            raise TypeError(f"unknown options of complexity: {sorted(options)}")
        shape = FBNetShape.of(
            stem=stem, classes=classes, resolution=resolution, in_channels=in_channels
        )
        return _complexity(self.blocks(architecture), shape)


def block_settings(block: str) -> tuple[int, int, int]:
    """Kernel size, expansion and groups of a block other than ``skip``."""
    kernel, expansion, *groups = (int(part[1:]) for part in block.split("_"))
    return kernel, expansion, groups[0] if groups else 1


_CHAIN = np.eye(N_LAYERS + 2, k=1, dtype=np.uint8)


def _layers(strides: tuple[int, ...]) -> tuple[FBNetLayer, ...]:
    layers, inputs = [], STEM_CHANNELS
    for n, outputs, stride in zip(_STAGE_LAYERS, _STAGE_CHANNELS, strides, strict=True):
        for i in range(n):
            layers.append(FBNetLayer(inputs, outputs, 1 if i else stride))
            inputs = outputs
    return tuple(layers)


def _entries(text: str) -> list[Any]:
    stripped = text.strip()
    if not stripped.startswith("["):
        return [name.strip() for name in stripped.split(",")]
    try:
        if len(stripped) > _MAX_LENGTH:
            raise ValueError(f"{len(stripped)} characters")
        entries = ast.literal_eval(stripped)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise InvalidArchitectureError(
            f"expected a list of {N_LAYERS} block indices or names, got {stripped[:80]!r}"
        ) from error
    # A bracket that closes early, as in "[0], [1]", makes a tuple.
    return list(entries)


def _index(layer: int, entry: Any) -> int:
    if isinstance(entry, str):
        if entry not in BLOCKS:
            hint = unknown_name("block", entry, BLOCKS)
            raise InvalidArchitectureError(f"layer {layer}: {hint}")
        return BLOCKS.index(entry)
    if not isinstance(entry, int) or isinstance(entry, bool) or not 0 <= entry < len(BLOCKS):
        raise InvalidArchitectureError(
            f"layer {layer} takes a block name or an index in 0..{len(BLOCKS) - 1}, got {entry!r}"
        )
    return entry


def _complexity(blocks: tuple[str, ...], shape: FBNetShape) -> Complexity:
    side = _strided(shape.resolution, shape.stem_stride)
    stem = 9 * shape.in_channels * STEM_CHANNELS
    params, flops = stem + 2 * STEM_CHANNELS, stem * side**2
    for block, layer in zip(blocks, shape.layers, strict=True):
        before, side = side**2, _strided(side, layer.stride)
        if block != SKIP:
            kernel, expansion, groups = block_settings(block)
            hidden = layer.inputs * expansion
            expand = layer.inputs * hidden // groups
            rest = kernel**2 * hidden + hidden * layer.outputs // groups
            params += expand + rest + 2 * (2 * hidden + layer.outputs)
            flops += expand * before + rest * side**2
        elif not layer.keeps_shape:
            weights = layer.inputs * layer.outputs
            params += weights + 2 * layer.outputs
            flops += weights * side**2
    last, head = shape.layers[-1].outputs, shape.head_channels
    params += last * head + 2 * head + (head + 1) * shape.classes
    return Complexity(params, flops + last * head * side**2 + head * shape.classes)


def _strided(side: int, stride: int) -> int:
    return -(-side // stride)
