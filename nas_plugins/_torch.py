"""PyTorch for whatever builds or runs networks, or a clear sentence when it is absent.

Modules that define ``nn.Module`` classes need PyTorch when they are imported; they are imported
only when a network is asked for. They write ``from nas_plugins._torch import nn, torch``.
"""

from __future__ import annotations

from nas_plugins.errors import needing

with needing(
    "networks are built and run with PyTorch, which cannot be imported", "'nas-plugins[torch]'"
):
    import torch
    from torch import Tensor, nn
    from torch.nn import functional


def usable_device(name: str) -> torch.device:
    """The device of a name, once PyTorch has put something on it.

    Raises:
        ValueError: There is no such device, or PyTorch cannot use it here.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # What PyTorch raises depends on whether the name, the build or the driver is at fault.
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        why = str(error).strip().splitlines()[0]
        raise ValueError(f"`device` must be usable here, got {name!r}: {why}") from error
    return device


def chosen_device(name: str) -> torch.device:
    """As `usable_device`; ``"auto"`` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return usable_device(name)


__all__ = ["Tensor", "chosen_device", "functional", "nn", "torch", "usable_device"]
