"""The images and labels that proxies are computed on."""

from __future__ import annotations

from dataclasses import dataclass

from nas_plugins._torch import Tensor, torch


@dataclass(frozen=True, eq=False)
class Batch:
    """One minibatch.

    Attributes:
        inputs: `(B, C, H, W)` images, float32, at least two.
        labels: `(B,)` class indices, int64, from 0.

    Raises:
        TypeError: `inputs` or `labels` is not a tensor, or has another type of number.
        ValueError: A shape is wrong, a label is negative, or an input is not finite.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check("inputs", self.inputs, torch.float32)
        _check("labels", self.labels, torch.int64)
        if self.inputs.ndim != 4 or 0 in self.inputs.shape or len(self.inputs) < 2:
            raise ValueError(
                "`inputs` must have shape (B, C, H, W) with B >= 2, "
                f"got {tuple(self.inputs.shape)}"
            )
        if self.labels.shape != (len(self.inputs),):
            raise ValueError(
                f"`labels` must have shape ({len(self.inputs)},), got {tuple(self.labels.shape)}"
            )
        if int(self.labels.min()) < 0:
            raise ValueError(f"`labels` must be >= 0, got {int(self.labels.min())}")
        if not bool(torch.isfinite(self.inputs).all()):
            raise ValueError("`inputs` must be finite, got NaN or infinity")

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Batch:
        """Returns the batch on `device`."""
        return Batch(self.inputs.to(device), self.labels.to(device))


def _check(name: str, value: object, dtype: torch.dtype) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"`{name}` must be a torch.Tensor, got {type(value).__name__}")
    if value.dtype != dtype:
        raise TypeError(f"`{name}` must be {dtype}, got {value.dtype}")
