"""Computed weights as plain ones: the same function, without what computes the weights.

A parametrisation (`torch.nn.utils.parametrize`), a pruning mask and the older weight and spectral
normalisation compute a layer's weight anew before it is used, from parameters that no layer sees.
While a network is scored, such a weight is a parameter in their place, so the network has the
values of one that was written with these weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from nas_plugins._torch import Tensor, nn, torch


def plain_weights(network: nn.Module) -> None:
    """Replaces computed parameters by their values.

    Not undone here: the caller puts attributes, classes and dictionaries back. Values are those
    of evaluation mode, in which a spectral norm does not iterate. Weights that `forward` itself
    computes are left alone.
    """
    for module in list(network.modules()):
        changed = _parametrised(module) | _hooked(module)
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.is_inference():
                changed[name] = parameter.clone()
        if not changed:
            continue
        plain = {name: nn.Parameter(value) for name, value in changed.items()}
        # In front of the others, where a layer's constructor puts its weight.
        rest = {n: p for n, p in module._parameters.items() if n not in plain}
        module._parameters.clear()
        module._parameters.update({**plain, **rest})
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [getattr(module, n) for n in module._flat_weights_names]


def _parametrised(module: nn.Module) -> dict[str, Tensor]:
    if not parametrize.is_parametrized(module):
        return {}
    parts: Any = module.parametrizations
    modes = [(part, part.training) for part in parts.modules()]
    parts.eval()
    with torch.no_grad():
        values = {name: getattr(module, name).detach().clone() for name in parts}
    for part, training in modes:
        part.training = training
    del module._modules["parametrizations"]
    module.__class__ = type(module).__bases__[0]
    floating = {name: value for name, value in values.items() if value.is_floating_point()}
    module._buffers.update({n: value for n, value in values.items() if n not in floating})
    return floating


def _hooked(module: nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, hook in list(module._forward_pre_hooks.items()):
        compute, name = _computing(hook, module)
        if compute is None:
            continue
        with torch.no_grad():
            found[name] = compute().detach().clone()
        del module._forward_pre_hooks[key]
        vars(module).pop(name, None)
        for end in ("_orig", "_g", "_v", "_mask", "_u"):
            module._parameters.pop(name + end, None)
            module._buffers.pop(name + end, None)
    return found


def _computing(given: object, module: nn.Module) -> tuple[Callable[[], Tensor] | None, str]:
    """What a hook computes, and the name that it gives to it."""
    hook: Any = given
    if isinstance(given, BasePruningMethod):
        return (lambda: hook.apply_mask(module)), hook._tensor_name
    if isinstance(given, WeightNorm):
        return (lambda: hook.compute_weight(module)), hook.name
    if isinstance(given, SpectralNorm):
        return (lambda: hook.compute_weight(module, do_power_iteration=False)), hook.name
    return None, ""
