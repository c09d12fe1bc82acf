"""The network of a NAS-Bench-101 cell: three stacks of cells with max pooling between.

Ying et al., "NAS-Bench-101", ICML 2019, section 2. Channel counts, projections and batch
normalisation are the benchmark's, so that the parameters equal its tables. It is built from
the canonical form of the cell: where the output's channels do not divide evenly among the
vertices, which of them gets one more depends on their order, and that form is the one the
benchmark trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from nas_plugins._checks import at_least
from nas_plugins._torch import nn, torch
from nas_plugins.networks._blocks import checked_space
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.nasbench101 import Matrix, NASBench101, vertex_channels

# Standard deviation of a standard normal that is cut off at two standard deviations.
_TRUNCATED_STD = 0.87962566103423978


def build(
    architecture: Architecture,
    *,
    stem_channels: int = 128,
    stacks: int = 3,
    modules_per_stack: int = 3,
    classes: int = 10,
    in_channels: int = 3,
) -> nn.Module:
    """Builds the benchmark's network of a cell; maps `(B, C, H, W)` to logits `(B, classes)`.

    Convolutions are drawn from a truncated normal of variance 1 / fan-in, as in the
    benchmark, from PyTorch's global generator (``torch.manual_seed``).

    Args:
        architecture: An architecture of ``nasbench101``.
        stem_channels: Width of the stem and the first stack; doubled at each later one.
        stacks: Stacks of cells, with a halving of the resolution between them.
        modules_per_stack: Cells per stack.
        classes: Outputs of the classifier.
        in_channels: Channels of the input images.

    Raises:
        ValueError: A number is not positive, `stem_channels` is less than the number of
            vertices that feed the output, or the architecture is of another space.
    """
    space = checked_space(architecture, NASBench101)
    at_least(
        1,
        stem_channels=stem_channels,
        stacks=stacks,
        modules_per_stack=modules_per_stack,
        classes=classes,
        in_channels=in_channels,
    )
    matrix, operations = space.cell(space.canonical(architecture))
    layers: list[nn.Module] = [ConvBNReLU(in_channels, stem_channels, 3)]
    inputs = outputs = stem_channels
    for stack in range(stacks):
        if stack:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            outputs *= 2
        for _ in range(modules_per_stack):
            layers.append(NASBench101Cell(matrix, operations, inputs, outputs))
            inputs = outputs
    return NASBench101Network(layers, outputs, classes)


class NASBench101Network(nn.Module):
    """The layers, global average pooling and a linear classifier.

    Args:
        layers: Stem, cells and pooling, applied in order.
        width: Channels that the last layer puts out.
        classes: Outputs of the classifier.
    """

    def __init__(self, layers: Sequence[nn.Module], width: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps `(B, C, H, W)` images to `(B, classes)` logits."""
        logits: torch.Tensor = self.classifier(self.pool(self.layers(images)))
        return logits


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU; keeps the resolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        std = (inputs * kernel**2) ** -0.5 / _TRUNCATED_STD
        nn.init.trunc_normal_(convolution.weight, std=std, a=-2 * std, b=2 * std)
        # TensorFlow's decay of 0.997 is a momentum of 0.003 here.
        super().__init__(convolution, nn.BatchNorm2d(outputs, momentum=0.003), nn.ReLU())


class NASBench101Cell(nn.Module):
    """One pruned cell.

    Inner vertices add up what they receive: the cell's input through a 1x1 projection, other
    vertices with surplus channels cut off. The output concatenates the vertices that feed it
    and adds the projected input if there is such an edge.

    Args:
        matrix: `(V, V)` adjacency.
        operations: V operations, from ``input`` to ``output``.
        inputs: Channels of the cell's input.
        outputs: Channels of the cell's output.
    """

    def __init__(
        self, matrix: Matrix, operations: Sequence[str], inputs: int, outputs: int
    ) -> None:
        super().__init__()
        last = len(matrix) - 1
        self.channels = vertex_channels(matrix, inputs, outputs)
        self.sources = [[u for u in range(1, v) if matrix[u, v]] for v in range(last + 1)]
        self.projections = nn.ModuleDict(
            {
                str(v): ConvBNReLU(inputs, self.channels[v], 1)
                for v in range(1, last + 1)
                if matrix[0, v]
            }
        )
        self.vertices = nn.ModuleList(
            _operation(operations[v], self.channels[v]) for v in range(1, last)
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Maps `(B, inputs, H, W)` to `(B, outputs, H, W)`."""
        values = [inputs]
        for v, vertex in enumerate(self.vertices, start=1):
            terms = [values[u][:, : self.channels[v]] for u in self.sources[v]]
            values.append(vertex(reduce(torch.add, terms + self._projected(inputs, v))))
        last = len(values)
        parts = [values[u] for u in self.sources[last]]
        joined = [torch.cat(parts, dim=1)] if parts else []
        return reduce(torch.add, joined + self._projected(inputs, last))

    def _projected(self, inputs: torch.Tensor, v: int) -> list[torch.Tensor]:
        return [self.projections[str(v)](inputs)] if str(v) in self.projections else []


def _operation(name: str, width: int) -> nn.Module:
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return ConvBNReLU(width, width, 3 if name == "conv3x3-bn-relu" else 1)
