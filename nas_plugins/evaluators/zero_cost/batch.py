"""The inputs and labels that proxies are computed on."""

from __future__ import annotations

from dataclasses import dataclass

from nas_plugins._torch import Tensor, torch


@dataclass(frozen=True, eq=False)
class Batch:
    """One minibatch.

    Attributes:
        inputs: At least two, float32: images `(B, C, H, W)`, sequences `(B, L, C)`, rows
            `(B, N)`; or token ids `(B, L)`, int64.
        labels: `(B,)` class indices, int64, from 0.

    Raises:
        TypeError: `inputs` or `labels` is not a tensor, or has another type of number.
        ValueError: A shape is wrong, a label is negative, or an input is not finite.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check("inputs", self.inputs, torch.float32, torch.int64)
        _check("labels", self.labels, torch.int64)
        if self.inputs.ndim < 2 or 0 in self.inputs.shape or len(self.inputs) < 2:
            raise ValueError(
                "`inputs` must be images (B, C, H, W), sequences (B, L, C), rows (B, N) or token "
                f"ids (B, L) with B >= 2, got the shape {tuple(self.inputs.shape)}"
            )
        if self.has_tokens and (self.inputs.ndim != 2 or int(self.inputs.min()) < 0):
            raise ValueError(
                "`inputs` of integers must be token ids (B, L) from 0, got the shape "
                f"{tuple(self.inputs.shape)} and {int(self.inputs.min())} as the least"
            )
        if self.labels.shape != (len(self.inputs),):
            raise ValueError(
                f"`labels` must have shape ({len(self.inputs)},), got {tuple(self.labels.shape)}"
            )
        if int(self.labels.min()) < 0:
            raise ValueError(f"`labels` must be >= 0, got {int(self.labels.min())}")
        if not bool(torch.isfinite(self.inputs).all()):
            raise ValueError("`inputs` must be finite, got NaN or infinity")

    @property
    def has_tokens(self) -> bool:
        """Whether the inputs are token ids, at which there is no gradient."""
        return not self.inputs.is_floating_point()

    def given(self, dtype: torch.dtype) -> Tensor:
        """Returns the inputs as a network of this type of numbers takes them."""
        return self.inputs if self.has_tokens else self.inputs.to(dtype)

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Batch:
        """Returns the batch on `device`."""
        return Batch(self.inputs.to(device), self.labels.to(device))

    def own(self) -> Batch:
        """Returns the batch in tensors that take part in gradients, wherever it was made."""
        if not self.inputs.is_inference() and not self.labels.is_inference():
            return self
        return Batch(self.inputs.clone(), self.labels.clone())


def _check(name: str, value: object, *dtypes: torch.dtype) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"`{name}` must be a torch.Tensor, got {type(value).__name__}")
    if value.dtype not in dtypes:
        words = " or ".join(map(str, dtypes))
        raise TypeError(f"`{name}` must be {words}, got {value.dtype}")
