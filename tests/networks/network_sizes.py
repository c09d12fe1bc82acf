"""Sizes measured on a module while it runs, independent of any closed form."""

from __future__ import annotations

import pytest

from nas_plugins.spaces import Complexity

torch = pytest.importorskip("torch")
nn = torch.nn


def measured(network: nn.Module, resolution: int, *, count_bias: bool = False) -> Complexity:
    """Counts trainable weights, and multiply-accumulates of the layers that ran.

    Args:
        network: Takes three input channels; left in evaluation mode.
        resolution: Height and width of the input.
        count_bias: Count a linear layer's bias too, as the tables of NAS-Bench-201 do.
    """
    flops = []

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        flops.append(output[0].numel() * module.weight[0].numel())
        if count_bias and isinstance(module, nn.Linear):
            flops.append(module.bias.numel())

    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, resolution, resolution))
    for hook in hooks:
        hook.remove()
    params = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Complexity(params, sum(flops))
