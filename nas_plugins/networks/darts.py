"""DARTS networks for CIFAR and ImageNet, as they are trained from scratch for a genotype.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, section 3 and
appendix A.
"""

from __future__ import annotations

from nas_plugins._checks import at_least
from nas_plugins._torch import nn, torch
from nas_plugins.networks._blocks import Zero
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.darts import DARTSNetworkShape, Genotype, GenotypeSpace, Pairs


def build(
    architecture: Architecture,
    *,
    stem: str = "cifar",
    channels: int | None = None,
    layers: int | None = None,
    classes: int | None = None,
    in_channels: int = 3,
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> DARTSNetwork:
    """Builds the network of a genotype; maps `(B, C, H, W)` to logits `(B, classes)`.

    Args:
        architecture: An architecture of ``darts`` or ``darts-cell``.
        stem: ``"cifar"``: one 3x3 convolution to three times `channels`; ``"imagenet"``: three
            3x3 convolutions of stride 2. Also sets what is left at ``None``.
        channels: Channels of an operation in the first cells, even; 36 or 48.
        layers: Number of cells; 20 or 14. Those at a third and two thirds halve the resolution.
        classes: Outputs of the classifier; 10 or 1000.
        in_channels: Channels of the input images.
        auxiliary: Whether to add the head for training; see
            `DARTSNetwork.forward_with_auxiliary`.
        drop_path: Probability with which training drops the output of an operation other than
            the identity, per sample (Larsson et al., ICLR 2017). The network's attribute of
            the same name may be set between epochs.

    Raises:
        UnknownNameError: `stem` is not known.
        ValueError: A number is out of range, or the architecture is of another space.
    """
    space = architecture.space
    if not isinstance(space, GenotypeSpace):
        raise ValueError(f"`architecture` must be a DARTS genotype, got one of {space.name!r}")
    at_least(1, in_channels=in_channels)
    if not 0 <= drop_path < 1:
        raise ValueError(f"`drop_path` must be in [0, 1), got {drop_path}")
    shape = DARTSNetworkShape.of(
        stem=stem, channels=channels, layers=layers, classes=classes, auxiliary=auxiliary
    )
    return DARTSNetwork(space.genotype(architecture), shape, in_channels, drop_path)


class DARTSNetwork(nn.Module):
    """A stack of normal and reduction cells between a stem and a linear classifier.

    Args:
        genotype: Both cells.
        shape: Stem, width, depth and classes; the resolution does not matter here.
        in_channels: Channels of the input images.
        drop_path: Probability of dropping an operation's output while training.
    """

    def __init__(
        self,
        genotype: Genotype,
        shape: DARTSNetworkShape,
        in_channels: int,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.auxiliary_layer = shape.auxiliary_layer
        self.stem, self.second_stem, width = _stems(shape, in_channels)
        previous, last, channels = width, width, shape.channels
        # The second ImageNet stem halves the resolution between the first cell's inputs.
        halved = shape.stem == "imagenet"
        cells: list[nn.Module] = []
        for layer in range(shape.layers):
            reduction = layer in shape.reductions
            channels *= 2 if reduction else 1
            pairs = genotype.reduce if reduction else genotype.normal
            cells.append(DARTSNetworkCell(pairs, (previous, last), channels, reduction, halved))
            previous, last, halved = last, len(pairs) // 2 * channels, reduction
            if layer == shape.auxiliary_layer:
                auxiliary_width = last
        self.cells = nn.ModuleList(cells)
        self.auxiliary = _auxiliary_head(auxiliary_width, shape) if shape.auxiliary else None
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(last, shape.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps `(B, C, H, W)` images to `(B, classes)` logits."""
        return self._run(images)[0]

    def forward_with_auxiliary(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the classifier and of the auxiliary head, each `(B, classes)`.

        Raises:
            ValueError: The network was built without the auxiliary head.
        """
        if self.auxiliary is None:
            raise ValueError("the network has no auxiliary head; build it with auxiliary=True")
        logits, features = self._run(images)
        auxiliary: torch.Tensor = self.auxiliary(features)
        return logits, auxiliary

    def _run(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        previous = self.stem(images)
        last = features = self.second_stem(previous)
        drop_path = self.drop_path if self.training else 0.0
        for layer, cell in enumerate(self.cells):
            previous, last = last, cell(previous, last, drop_path)
            if layer == self.auxiliary_layer:
                features = last
        logits: torch.Tensor = self.classifier(self.pool(last))
        return logits, features


class DARTSNetworkCell(nn.Module):
    """Four nodes, each the sum of two operations; the output is their concatenation.

    Args:
        pairs: The eight (operation, input) of the genotype.
        inputs: Channels of the outputs of the last but one and of the last cell.
        channels: Channels of every operation.
        reduction: Whether operations on the cell's inputs have stride 2.
        halved: Whether the last but one cell's output has twice the resolution of the last's.
    """

    def __init__(
        self,
        pairs: Pairs,
        inputs: tuple[int, int],
        channels: int,
        reduction: bool,
        halved: bool,
    ) -> None:
        super().__init__()
        adapt = FactorizedReduce if halved else _relu_conv_bn
        self.adapt_previous = adapt(inputs[0], channels)
        self.adapt_last = _relu_conv_bn(inputs[1], channels)
        self.inputs = tuple(source for _, source in pairs)
        self.operations = nn.ModuleList(
            _operation(name, channels, 2 if reduction and source < 2 else 1)
            for name, source in pairs
        )

    def forward(
        self, previous: torch.Tensor, last: torch.Tensor, drop_path: float = 0.0
    ) -> torch.Tensor:
        """Maps the outputs of the last two cells to `(B, 4 * channels, H', W')`."""
        states = [self.adapt_previous(previous), self.adapt_last(last)]
        terms: list[torch.Tensor] = []
        for operation, source in zip(self.operations, self.inputs, strict=True):
            term = operation(states[source])
            if drop_path > 0 and not isinstance(operation, nn.Identity):
                term = _dropped(term, drop_path)
            terms.append(term)
            if len(terms) == 2:
                states.append(terms[0] + terms[1])
                terms.clear()
        return torch.cat(states[2:], dim=1)


class FactorizedReduce(nn.Module):
    """Halves the resolution by two 1x1 convolutions on alternate pixels; an odd one rounds up."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.even = nn.Conv2d(inputs, half, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Maps `(B, inputs, H, W)` to `(B, outputs, ceil(H/2), ceil(W/2))`."""
        active = nn.functional.relu(inputs)
        # The padding only matters for an odd side, where the shifted pixels are one too few.
        shifted = nn.functional.pad(active, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = torch.cat([self.even(active), self.odd(shifted)], dim=1)
        reduced: torch.Tensor = self.norm(halves)
        return reduced


def _dropped(term: torch.Tensor, probability: float) -> torch.Tensor:
    kept = torch.empty(len(term), 1, 1, 1, device=term.device, dtype=term.dtype)
    return term * kept.bernoulli_(1 - probability) / (1 - probability)


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    kind, _, kernel = name.rpartition("_")
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    size = int(kernel[0])
    if kind == "max_pool":
        return nn.MaxPool2d(size, stride, padding=size // 2)
    if kind == "avg_pool":
        return nn.AvgPool2d(size, stride, padding=size // 2, count_include_pad=False)
    if kind == "dil_conv":
        return nn.Sequential(*_depthwise(channels, size, stride, dilation=2))
    return nn.Sequential(*_depthwise(channels, size, stride), *_depthwise(channels, size, 1))


def _depthwise(channels: int, kernel: int, stride: int, *, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(
            channels,
            channels,
            kernel,
            stride,
            padding,
            dilation=dilation,
            groups=channels,
            bias=False,
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


def _relu_conv_bn(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
    )


def _conv_bn(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def _stems(shape: DARTSNetworkShape, in_channels: int) -> tuple[nn.Module, nn.Module, int]:
    """The modules before the first cell's two inputs, and the channels of both."""
    if shape.stem == "cifar":
        width = 3 * shape.channels
        return nn.Sequential(*_conv_bn(in_channels, width, 1)), nn.Identity(), width
    width, half = shape.channels, shape.channels // 2
    first = [*_conv_bn(in_channels, half, 2), nn.ReLU(), *_conv_bn(half, width, 2)]
    return nn.Sequential(*first), nn.Sequential(nn.ReLU(), *_conv_bn(width, width, 2)), width


def _auxiliary_head(channels: int, shape: DARTSNetworkShape) -> nn.Module:
    cifar = shape.stem == "cifar"
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, stride=3 if cifar else 2, count_include_pad=False),
        nn.Conv2d(channels, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        # The DARTS code leaves this one out on ImageNet, as its published runs did.
        nn.BatchNorm2d(768) if cifar else nn.Identity(),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(768, shape.classes),
    )
