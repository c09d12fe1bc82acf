"""PyTorch for the proxies, or a clear sentence when it is absent."""

from __future__ import annotations

from nas_plugins.errors import MissingDependencyError

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise MissingDependencyError(
        "zero-cost proxies are computed with PyTorch, which cannot be imported "
        f"({error}); run: pip install 'nas-plugins[torch]'"
    ) from error

__all__ = ["Tensor", "functional", "nn", "torch"]
