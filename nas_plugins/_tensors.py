"""Reading tensors in the safetensors format."""

from __future__ import annotations

from nas_plugins._reading import json_value, refusing
from nas_plugins._torch import Tensor, torch
from nas_plugins.errors import DataError, needing

_LENGTH = 8
_METADATA = "__metadata__"


def tensors_in(data: bytes, origin: object) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and the texts in its header.

    Args:
        data: The whole file.
        origin: Its name, for messages.

    Raises:
        DataError: It is torn, or claims more than there is.
        MissingDependencyError: safetensors is not installed.
    """
    with needing("checkpoints need safetensors, which cannot be imported", "'nas-plugins[torch]'"):
        from safetensors.torch import load
    with refusing(origin, "a readable file of tensors"):
        length, there = int.from_bytes(data[:_LENGTH], "little"), len(data) - _LENGTH
        if not 0 < length <= there:
            raise ValueError(
                f"its header claims {length:,} bytes, and there are {max(there, 0):,}"
            )
        header = json_value(data[_LENGTH : _LENGTH + length]).get(_METADATA, {})
        return load(data), {str(name): str(text) for name, text in header.items()}


def check_finite_tensors(tensors: dict[str, Tensor], origin: object) -> None:
    """Refuses NaN and infinities.

    Raises:
        DataError: Names the first tensor that has some.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise DataError(f"{origin}: the tensor `{name}` must be finite, got NaN or infinity")
