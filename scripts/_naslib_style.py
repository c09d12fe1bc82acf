"""The 13 proxies of NAS-Bench-Suite-Zero the plain way: one after the other, each on a copy.

Written from the published definitions, in the manner of the suite's own code: every proxy copies
the network, runs its own passes with ``backward`` and reads the ``.grad`` of the layers. The
benchmark times it, the tests compare values with it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Images = tuple[Tensor, Tensor]
Measure = Callable[[nn.Module, Images], float]


def layers(network: nn.Module) -> list[Any]:
    """Convolutions and linear layers."""
    return [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def trained_copy(network: nn.Module) -> nn.Module:
    """A copy in training mode without operations in place."""
    twin = copy.deepcopy(network).train()
    for module in twin.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return twin


def with_gradients(network: nn.Module, images: Images) -> list[Any]:
    """Layers of a copy whose weights have the gradient of the loss."""
    twin = trained_copy(network)
    twin.zero_grad()
    functional.cross_entropy(twin(images[0]), images[1]).backward()
    return [layer for layer in layers(twin) if layer.weight.grad is not None]


def params(network: nn.Module, images: Images) -> float:
    """Parameters in millions."""
    return sum(p.numel() for p in network.parameters()) / 1e6


def flops(network: nn.Module, images: Images) -> float:
    """Multiply-accumulates in millions, by hooks on a copy."""
    twin = copy.deepcopy(network).eval()
    counts: list[int] = []

    def count(layer: Any, inputs: Any, output: Tensor) -> None:
        counts.append(output.numel() * layer.weight[0].numel())

    for layer in layers(twin):
        layer.register_forward_hook(count)
    with torch.no_grad():
        twin(images[0][:1])
    return sum(counts) / 1e6


def l2_norm(network: nn.Module, images: Images) -> float:
    """Norms of the weights."""
    return sum(float(layer.weight.detach().norm()) for layer in layers(network))


def grad_norm(network: nn.Module, images: Images) -> float:
    """Norms of the gradients."""
    return sum(float(layer.weight.grad.norm()) for layer in with_gradients(network, images))


def plain(network: nn.Module, images: Images) -> float:
    """Weights times gradients."""
    found = with_gradients(network, images)
    return sum(float((layer.weight.detach() * layer.weight.grad).sum()) for layer in found)


def snip(network: nn.Module, images: Images) -> float:
    """Absolute values of weights times gradients."""
    found = with_gradients(network, images)
    return sum(float((layer.weight.detach() * layer.weight.grad).abs().sum()) for layer in found)


def fisher(network: nn.Module, images: Images) -> float:
    """Squared products of outputs and their gradients."""
    twin = trained_copy(network)
    kept: list[tuple[Any, Tensor]] = []

    def keep(layer: Any, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append((layer, output))

    for layer in layers(twin):
        layer.register_forward_hook(keep)
    functional.cross_entropy(twin(images[0]), images[1]).backward()
    score = 0.0
    for layer, output in kept:
        if output.grad is not None:
            product = output.detach() * output.grad
            per_image = product.sum((2, 3)) if product.ndim == 4 else product
            score += float(per_image.pow(2).mean(0).sum()) / 2 * layer.weight[0].numel()
    return score


def grasp(network: nn.Module, images: Images) -> float:
    """Weights times the Hessian times the gradient, from two passes."""
    twin = trained_copy(network)
    weights = [layer.weight for layer in layers(twin)]
    loss = functional.cross_entropy(twin(images[0]), images[1])
    first = torch.autograd.grad(loss, weights, allow_unused=True)
    loss = functional.cross_entropy(twin(images[0]), images[1])
    second = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    pairs = zip(first, second, strict=True)
    torch.stack([(a * b).sum() for a, b in pairs if a is not None]).sum().backward()
    return -sum(float((w.detach() * w.grad).sum()) for w in weights if w.grad is not None)


def input_jacobian(network: nn.Module, images: Images) -> npt.NDArray[np.float32]:
    """Gradients of the sum of the logits at the images, one row each."""
    twin = trained_copy(network)
    inputs = images[0].clone().requires_grad_()
    logits = twin(inputs)
    logits.backward(torch.ones_like(logits))
    return inputs.grad.reshape(len(inputs), -1).cpu().numpy()


def jacov(network: nn.Module, images: Images) -> float:
    """Spectrum of the correlations of the rows."""
    values = np.linalg.eigvalsh(np.corrcoef(input_jacobian(network, images))) + 1e-5
    return float(-np.sum(np.log(values) + 1 / values))


def epe_nas(network: nn.Module, images: Images) -> float:
    """Correlations of the rows within each class."""
    rows, labels = input_jacobian(network, images), images[1].cpu().numpy()
    score = 0.0
    for label in np.unique(labels):
        correlations = np.corrcoef(rows[labels == label])
        score += abs(float(np.sum(np.log(np.abs(correlations) + 1e-5))))
    return score


def nwot(network: nn.Module, images: Images) -> float:
    """Agreement of the ReLU units, by hooks and two products per layer."""
    twin = copy.deepcopy(network).train()
    kernel = np.zeros((len(images[0]), len(images[0])))

    def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal kernel
        on = (output.detach().reshape(len(output), -1) > 0).float()
        kernel = kernel + (on @ on.t() + (1 - on) @ (1 - on).t()).cpu().numpy()

    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(add)
    twin(images[0])
    return float(np.linalg.slogdet(kernel)[1])


def synflow(network: nn.Module, images: Images) -> float:
    """Flow of ones through absolute weights, in float64."""
    twin = trained_copy(network).double()
    with torch.no_grad():
        for value in (*twin.parameters(), *twin.buffers()):
            value.abs_()
    for module in twin.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.forward = lambda inputs: inputs  # type: ignore[method-assign]
    ones = torch.ones_like(images[0][:1], dtype=torch.float64)
    twin(ones).sum().backward()
    found = [layer.weight for layer in layers(twin) if layer.weight.grad is not None]
    return math.log(sum(float((w.detach() * w.grad).abs().sum()) for w in found))


def zen(network: nn.Module, images: Images, *, generator: torch.Generator | None = None) -> float:
    """Features of x and x + 0.01 e on a copy with random weights."""
    twin = trained_copy(network)
    with torch.no_grad():
        for layer in layers(twin):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
            if layer.bias is not None:
                layer.bias.zero_()
        norms = [m for m in twin.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_parameters()
            norm.momentum = 0.1
        features: list[Tensor] = []
        pools = [m for m in twin.modules() if isinstance(m, nn.AdaptiveAvgPool2d)]
        pools[-1].register_forward_hook(lambda module, inputs, output: features.append(inputs[0]))
        draws = [torch.randn(images[0].shape, generator=generator) for _ in range(2)]
        image, noise = (draw.to(images[0]) for draw in draws)
        twin(image)
        twin(image + 0.01 * noise)
        distance = (features[0] - features[1]).abs().sum((1, 2, 3)).mean()
        scale = sum(float(norm.running_var.mean().sqrt().log()) for norm in norms)
    return float(distance.log()) + scale


MEASURES: dict[str, Measure] = {
    "epe_nas": epe_nas, "fisher": fisher, "flops": flops, "grad_norm": grad_norm,
    "grasp": grasp, "jacov": jacov, "l2_norm": l2_norm, "nwot": nwot, "params": params,
    "plain": plain, "snip": snip, "synflow": synflow, "zen": zen,
}  # fmt: skip
"""The 13 of NAS-Bench-Suite-Zero by name."""
