"""The passes that see no images: synflow and zen, with other weights than the network's own.

Other weights are put in with `torch.func.functional_call`; the network's are not touched.
"""

from __future__ import annotations

from typing import Any

from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.evaluators.zero_cost.network_state import pass_generator
from nas_plugins.evaluators.zero_cost.proxy import Need
from nas_plugins.evaluators.zero_cost.recording import Recording, theta
from nas_plugins.evaluators.zero_cost.tracing import (
    NORMS,
    Function,
    LastFeatures,
    logits_of,
)

ZEN_IMAGES = 16
_MIXUP = 0.01
_MOMENTUM = 0.1


def synflow(recording: Recording, inputs: Tensor) -> None:
    """abs(w) * dR/dw for R = the sum of the outputs for an image of ones.

    Weights, biases and buffers are replaced by their absolute values in float64 (float32
    overflows on deep networks) and batch normalisation by the identity, so that with ReLU the
    network is linear with positive weights. Layers that are not called count as zeros.

    Args:
        recording: Where the result goes.
        inputs: Images that give the shape and the device.
    """
    network = recording.network
    state = {
        name: value.detach().abs().double() if value.is_floating_point() else value
        for name, value in (*network.named_parameters(), *network.named_buffers())
    }
    names = _names(network)
    leaves = [state[name].requires_grad_() for name in names]
    image = torch.ones((1, *inputs.shape[1:]), dtype=torch.float64, device=inputs.device)
    with torch.enable_grad(), _WithoutNorms():
        output = logits_of(functional_call(network, state, (image,)))
    found = torch.autograd.grad(output.sum(), leaves, allow_unused=True)
    recording.made[Need.SYNFLOW] = tuple(
        torch.zeros_like(leaf) if g is None else leaf.detach() * g
        for leaf, g in zip(leaves, found, strict=True)
    )


def perturbation(recording: Recording, inputs: Tensor, seed: int) -> None:
    """Features of random images x and of x + 0.01 e, with random weights.

    Weights are drawn from N(0, 1), biases are 0; every batch normalisation uses the statistics
    of its batch and neither scales nor shifts. Its running variance starts at 1 and has the
    momentum 0.1, whatever the network's own settings and history.

    Args:
        recording: Where the result goes.
        inputs: Images that give the shape; at most `ZEN_IMAGES` are drawn.
        seed: Of weights and images.
    """
    network = recording.network
    generator = pass_generator(seed, "zen", inputs.device)
    state = {name: _random(value, generator) for name, value in _parameters(network).items()}
    shape = (min(len(inputs), ZEN_IMAGES), *inputs.shape[1:])
    image, noise = (torch.randn(shape, generator=generator).to(inputs) for _ in range(2))
    seen: list[tuple[Tensor, list[Tensor]]] = []
    for images in (image, image + _MIXUP * noise):
        watch = _FreshNorms()
        with torch.no_grad(), watch:
            functional_call(network, state, (_laid_out(images, inputs),))
        if watch.features is None:
            raise ValueError("neither global pooling nor a linear layer was called")
        seen.append((watch.features.float(), watch.variances))
    (first, before), (second, after) = seen
    difference = (first - second).abs()
    variances = tuple(
        (1 - _MOMENTUM) * ((1 - _MOMENTUM) + _MOMENTUM * a) + _MOMENTUM * b
        for a, b in zip(before, after, strict=True)
    )
    recording.made[Need.PERTURBATION] = (difference.flatten(1).sum(1), variances)


class _WithoutNorms(TorchFunctionMode):
    """Batch normalisation returns its input."""

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if func in NORMS:
            return args[0] if args else options["input"]
        return func(*args, **options)


class _FreshNorms(LastFeatures):
    """Batch normalisation by the batch alone, whose variances are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.variances: list[Tensor] = []

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Replaces batch normalisation."""
        if func not in NORMS:
            return func(*args, **kwargs)
        values: Tensor = args[0] if args else kwargs["input"]
        eps = kwargs.get("eps", args[-1] if isinstance(args[-1], float) else 1e-5)
        width = values.shape[1]
        result, _, inverse = torch.native_batch_norm(
            values, None, None, None, None, True, _MOMENTUM, eps
        )
        count = values.numel() / width
        # The running variance of PyTorch is the unbiased one.
        variance = (inverse.float() ** -2 - eps) * count / (count - 1)
        self.variances.append(variance.mean())
        return result


def _names(network: nn.Module) -> list[str]:
    """Names of the weights of `theta`, in its order."""
    by_weight = {id(value): name for name, value in network.named_parameters()}
    return [by_weight[id(weight)] for weight in theta(network)]


def _parameters(network: nn.Module) -> dict[str, Tensor]:
    """Parameters of convolutions and linear layers, by name."""
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    return {
        f"{name}.{part}" if name else part: value
        for name, module in layers
        for part, value in module.named_parameters(recurse=False)
    }


def _random(value: Tensor, generator: torch.Generator) -> Tensor:
    if value.ndim == 1:
        return torch.zeros_like(value)
    return torch.randn(value.shape, generator=generator).to(value)


def _laid_out(images: Tensor, like: Tensor) -> Tensor:
    last = torch.channels_last
    if like.is_contiguous(memory_format=last) and not like.is_contiguous():
        return images.contiguous(memory_format=last)
    return images.contiguous()
