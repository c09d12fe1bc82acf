"""PyTorch for the network builders, or a clear sentence when it is absent.

The builders define ``nn.Module`` classes, so they need PyTorch when they are imported; they
are imported only when a network is asked for. They write
``from nas_plugins.networks._torch import nn, torch``.
"""

from __future__ import annotations

from nas_plugins.errors import MissingDependencyError

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingDependencyError(
        "networks are built with PyTorch, which cannot be imported "
        f"({error}); run: pip install 'nas-plugins[torch]'"
    ) from error

__all__ = ["nn", "torch"]
