"""What the network builders share."""

from __future__ import annotations

from typing import TypeVar

from nas_plugins._torch import nn, torch
from nas_plugins.spaces.base import Architecture, SearchSpace

S = TypeVar("S", bound=SearchSpace)


def checked_space(architecture: Architecture, kind: type[S]) -> S:
    """Returns the architecture's space, which must be a `kind`.

    Raises:
        ValueError: `architecture` belongs to another space.
    """
    space = architecture.space
    if not isinstance(space, kind):
        raise ValueError(
            f"`architecture` must belong to a {kind.__name__} space, got one of {space.name!r}"
        )
    return space


class Zero(nn.Module):
    """Zeros at the resolution of the stride, through which zero gradients still flow."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Maps `(B, C, H, W)` to `(B, C, ceil(H / stride), ceil(W / stride))`."""
        return inputs[:, :, :: self.stride, :: self.stride] * 0.0
