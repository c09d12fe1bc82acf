"""Proxies that count: parameters, multiply-accumulates, layers, norm of the weights.

They stand for networks that are dead, too.
"""

from __future__ import annotations

from nas_plugins._torch import torch
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording

_SUITE = "Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS 2022"


@proxy("params", source=_SUITE)
def params(recording: Recording) -> float:
    """Number of all parameters, in millions.

    With those of batch normalisation and the layers of branches that lead nowhere.
    """
    return sum(p.numel() for p in recording.network.parameters()) / 1e6


@proxy("flops", needs=[Need.MACS], source=_SUITE)
def flops(recording: Recording) -> float:
    """Multiply-accumulates of convolutions and linear layers for one image, in millions.

    NAS-Bench-Suite-Zero adds an operation for every element of a normalisation, activation or
    pooling; the benchmarks themselves do not.
    """
    return recording.macs / 1e6


@proxy("n_layers", source="Tybl and Neumann, VKDNW, CVPR 2025, table 1 (as a baseline)")
def n_layers(recording: Recording) -> float:
    """Number of convolutions and linear layers."""
    return len(recording.weights)


@proxy("l2_norm", source="Abdelfattah et al., Zero-cost proxies, ICLR 2021")
def l2_norm(recording: Recording) -> float:
    """Sum over layers of the Euclidean norm of their weights, not squared."""
    if not recording.weights:
        raise NoValueError("the network has no convolution or linear layer")
    norms = torch._foreach_norm([weight.detach() for weight in recording.weights])
    return float(torch.stack(list(norms)).sum(dtype=torch.float64))
