"""Small networks that the tests of the zero-cost engine score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import nas_plugins as nap
from nas_plugins.evaluators.zero_cost.batch import Batch

CELLS = {"live": (4, 0, 3, 1, 2, 3), "dead": (0, 0, 3, 0, 3, 0), "identity": (0, 0, 0, 1, 0, 0)}


def batch(images: int = 8, pixels: int = 12, classes: int = 4) -> Batch:
    """Noise, the same each time."""
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn((images, 3, pixels, pixels), generator=generator)
    return Batch(inputs, torch.arange(images) % classes)


def cell(name: str = "live") -> nn.Module:
    """A small network of a NAS-Bench-201 cell."""
    torch.manual_seed(0)
    space = nap.space("nasbench201")
    return space.network(space.architectures([CELLS[name]])[0], channels=4, cells=1)


def network(name: str) -> nn.Module:
    """A small network of a space, or a user's own."""
    if name == "nasbench201":
        return cell()
    torch.manual_seed(0)
    if name == "own":
        return Own()
    space, options = nap.space(name), {
        "nasbench101": {"stem_channels": 8, "modules_per_stack": 1},
        "darts": {"channels": 4, "layers": 3},
    }[name]  # fmt: skip
    return space.network(space.sample(np.random.default_rng(1)), **options)


class Own(nn.Module):
    """A user's network: ReLU in place right after a convolution, bias, several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 6, 3, padding=1, groups=2),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.block = nn.Sequential(Residual(6), Residual(6))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and features that nothing should read."""
        maps = self.block(self.features(images))
        return self.head(self.pool(maps).flatten(1)), maps


class Residual(nn.Module):
    """A convolution beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """Keeps the shape."""
        return inputs + self.relu(self.norm(self.convolution(inputs)))


class Functional(nn.Module):
    """The same network twice: ReLU as a module or as a function."""

    def __init__(self, module: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, 4)
        self.relu = nn.ReLU() if module else functional.relu
        self.pool = nn.AdaptiveAvgPool2d(1) if module else None

    def forward(self, images: Tensor) -> Tensor:
        """Pools with a module or by the mean."""
        maps = self.relu(self.convolution(images))
        return self.head(maps.mean((2, 3)) if self.pool is None else self.pool(maps).flatten(1))
