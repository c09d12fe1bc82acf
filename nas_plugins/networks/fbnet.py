"""FBNet networks: a stem, 22 inverted residual blocks, a 1x1 convolution and a classifier.

Wu et al., "FBNet", CVPR 2019, table 1 and figure 3; the CIFAR setting is HW-NAS-Bench's (Li et
al., ICLR 2021).
"""

from __future__ import annotations

from nas_plugins._checks import at_least
from nas_plugins._torch import nn, torch
from nas_plugins.networks._blocks import checked_space
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.fbnet import (
    SKIP,
    STEM_CHANNELS,
    FBNet,
    FBNetLayer,
    FBNetShape,
    block_settings,
)


def build(
    architecture: Architecture,
    *,
    stem: str = "cifar",
    classes: int | None = None,
    in_channels: int = 3,
) -> FBNetNetwork:
    """Builds the network of an architecture; maps `(B, C, H, W)` to logits `(B, classes)`.

    Args:
        architecture: An architecture of ``fbnet``.
        stem: ``"cifar"`` or ``"imagenet"``: strides and the width of the head, see
            `nas_plugins.spaces.fbnet.FBNetShape.of`.
        classes: Outputs of the classifier; 100 or 1000 if ``None``.
        in_channels: Channels of the input images.

    Raises:
        UnknownNameError: `stem` is not known.
        ValueError: A number is not positive, or the architecture is of another space.
    """
    space = checked_space(architecture, FBNet)
    at_least(1, in_channels=in_channels)
    shape = FBNetShape.of(stem=stem, classes=classes)
    return FBNetNetwork(space.blocks(architecture), shape, in_channels)


class FBNetNetwork(nn.Module):
    """Stem, blocks, head, global average pooling and a linear classifier.

    Args:
        blocks: The 22 block names.
        shape: Strides, channels and classes; the resolution does not matter here.
        in_channels: Channels of the input images.
    """

    def __init__(self, blocks: tuple[str, ...], shape: FBNetShape, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_conv_bn(in_channels, STEM_CHANNELS, 3, stride=shape.stem_stride), nn.ReLU()
        )
        self.layers = nn.Sequential(
            *(_block(name, layer) for name, layer in zip(blocks, shape.layers, strict=True))
        )
        self.head = nn.Sequential(
            *_conv_bn(shape.layers[-1].outputs, shape.head_channels, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(shape.head_channels, shape.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps `(B, C, H, W)` images to `(B, classes)` logits."""
        logits: torch.Tensor = self.classifier(self.head(self.layers(self.stem(images))))
        return logits


class InvertedResidual(nn.Module):
    """1x1 convolution, depthwise convolution, 1x1 convolution, plus the input where it fits.

    Args:
        layer: Channels and stride.
        kernel: Side of the depthwise convolution, which has the stride.
        expansion: Channels of the depthwise convolution per input channel.
        groups: Groups of both 1x1 convolutions; the channels are shuffled after the first.
    """

    def __init__(self, layer: FBNetLayer, kernel: int, expansion: int, groups: int) -> None:
        super().__init__()
        hidden = layer.inputs * expansion
        self.residual = layer.keeps_shape
        self.body = nn.Sequential(
            *_conv_bn(layer.inputs, hidden, 1, groups=groups),
            nn.ReLU(),
            nn.ChannelShuffle(groups) if groups > 1 else nn.Identity(),
            *_conv_bn(hidden, hidden, kernel, stride=layer.stride, groups=hidden),
            nn.ReLU(),
            *_conv_bn(hidden, layer.outputs, 1, groups=groups),
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Maps `(B, inputs, H, W)` to `(B, outputs, ceil(H / stride), ceil(W / stride))`."""
        outputs: torch.Tensor = self.body(inputs)
        return inputs + outputs if self.residual else outputs


def _block(name: str, layer: FBNetLayer) -> nn.Module:
    if name != SKIP:
        kernel, expansion, groups = block_settings(name)
        return InvertedResidual(layer, kernel, expansion, groups)
    if layer.keeps_shape:
        return nn.Identity()
    return nn.Sequential(*_conv_bn(layer.inputs, layer.outputs, 1, stride=layer.stride), nn.ReLU())


def _conv_bn(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
