"""The network of a NAS-Bench-201 cell: three stages of cells with residual blocks between.

Dong and Yang, "NAS-Bench-201", ICLR 2020, section 2.1 and figure 1. The blocks are those the
benchmark trained (ReLU, convolution, batch normalisation with affine parameters), so that
parameters and FLOPs equal the published tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas_plugins._checks import at_least
from nas_plugins._torch import nn, torch
from nas_plugins.networks._blocks import Zero, checked_space
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201


def build(
    architecture: Architecture,
    *,
    channels: int = 16,
    cells: int = 5,
    classes: int = 10,
    in_channels: int = 3,
) -> nn.Module:
    """Builds the benchmark's network of a cell; maps `(B, C, H, W)` to logits `(B, classes)`.

    Weights are drawn by PyTorch's default initialisation from the global generator
    (``torch.manual_seed``), as in the benchmark.

    Args:
        architecture: An architecture of ``nasbench201``.
        channels: Width of the first stage; doubled twice. The benchmark has 16.
        cells: Cells per stage. The benchmark has 5.
        classes: Outputs of the classifier.
        in_channels: Channels of the input images.

    Raises:
        ValueError: A number is not positive, or the architecture is of another space.
    """
    checked_space(architecture, NASBench201)
    at_least(1, channels=channels, cells=cells, classes=classes, in_channels=in_channels)
    operations = [OPERATIONS[i] for i in architecture.indices]
    return NASBench201Network(operations, channels, cells, classes, in_channels)


class NASBench201Network(nn.Module):
    """Stem, three stages of equal cells, global average pooling and a linear classifier.

    Args:
        operations: The operation of each edge, in the order of `EDGES`.
        channels: Width of the first stage.
        cells: Cells per stage.
        classes: Outputs of the classifier.
        in_channels: Channels of the input images.
    """

    def __init__(
        self,
        operations: Sequence[str],
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        body: list[nn.Module] = []
        for stage in range(3):
            width = channels * 2**stage
            if stage:
                body.append(ReductionBlock(width // 2, width))
            body += [NASBench201Cell(operations, width) for _ in range(cells)]
        self.body = nn.Sequential(*body)
        self.head = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps `(B, C, H, W)` images to `(B, classes)` logits."""
        logits: torch.Tensor = self.classifier(self.head(self.body(self.stem(images))))
        return logits


class NASBench201Cell(nn.Module):
    """Four nodes; each one is the sum of its labelled edges from all earlier nodes."""

    def __init__(self, operations: Sequence[str], width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(_BUILDERS[name](width) for name in operations)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Keeps the shape `(B, width, H, W)`."""
        nodes: dict[int, torch.Tensor] = {0: inputs}
        for edge, (source, target) in zip(self.edges, EDGES, strict=True):
            term = edge(nodes[source])
            nodes[target] = nodes[target] + term if target in nodes else term
        return nodes[3]


class ReductionBlock(nn.Module):
    """Residual block that halves the resolution and changes the width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _relu_conv_bn(inputs, outputs, 3, stride=2), _relu_conv_bn(outputs, outputs, 3)
        )
        # Rounds an odd resolution up, as the strided convolution does.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(inputs, outputs, 1, bias=False)
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Maps `(B, inputs, H, W)` to `(B, outputs, ceil(H/2), ceil(W/2))`."""
        total: torch.Tensor = self.shortcut(inputs) + self.residual(inputs)
        return total


def _relu_conv_bn(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


_BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: Zero(),
    "skip_connect": lambda width: nn.Identity(),
    "nor_conv_1x1": lambda width: _relu_conv_bn(width, width, 1),
    "nor_conv_3x3": lambda width: _relu_conv_bn(width, width, 3),
    "avg_pool_3x3": lambda width: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
}
