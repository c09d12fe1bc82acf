"""The passes that see no images: synflow and zen, with other weights than the network's own.

Other weights are put in the place of the network's, which are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas_plugins._torch import Tensor, torch
from nas_plugins.evaluators.zero_cost.calls import NORMS, Function, norm_options
from nas_plugins.evaluators.zero_cost.layers import Layers, Origins, swapped
from nas_plugins.evaluators.zero_cost.logits import logits_of, widened
from nas_plugins.evaluators.zero_cost.network_state import pass_generator
from nas_plugins.evaluators.zero_cost.passes import used_weights
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError
from nas_plugins.evaluators.zero_cost.recording import Recording
from nas_plugins.evaluators.zero_cost.tracing import LastFeatures, LayerTracer

ZEN_IMAGES = 16
_MIXUP = 0.01
_MOMENTUM = 0.1


def synflow(recording: Recording, inputs: Tensor, seed: int) -> None:
    """abs(w) * dR/dw for R = the sum of the outputs for an image of ones.

    Weights, biases and buffers are replaced by their absolute values in float64 (float32
    overflows on deep networks) and batch normalisation by the identity, so that with ReLU the
    network is linear with positive weights. Layers that are not called count as zeros.

    Args:
        recording: Where the result goes.
        inputs: Images that give the shape and the device.
        seed: Of dropout.
    """
    network, layers = recording.network, recording.layers
    values = {
        id(tensor): tensor.detach().abs().double()
        for tensor in (*network.parameters(), *network.buffers())
        if tensor.is_floating_point()
    }
    _check_registered(layers, values)
    # A weight that is computed, and a normalisation of one, is told by what it is computed of.
    told = bool(layers.computed) or layers.weight_norms
    if told:
        for parameter in network.parameters():
            if id(parameter) in values:
                values[id(parameter)].requires_grad_()
    leaves = {i: values[id(w)].requires_grad_() for i, w in layers.parameters}
    alias = {id(value): known for known, value in values.items()}
    shape = (1, *inputs.shape[1:])
    image = torch.ones(shape, dtype=torch.float64, device=inputs.device, requires_grad=told)
    pass_generator(seed, "synflow", inputs.device)
    tracer = _WithoutNorms(layers, image, alias)
    with torch.enable_grad(), swapped(network, values), tracer:
        output = logits_of(network(image.clone()))
    targets = [(i, leaves.get(i, tensor)) for i, tensor in used_weights(layers, tracer)]
    found = torch.autograd.grad(output.sum(), [t for _, t in targets], allow_unused=True)
    recording.made[Need.SYNFLOW] = tuple(
        torch.zeros_like(tensor) if g is None else tensor.detach() * g
        for (_, tensor), g in zip(targets, found, strict=True)
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
    network, layers = recording.network, recording.layers
    if layers.computed:
        raise NoValueError("a layer's weight is computed in the forward pass: it cannot be drawn")
    generator = pass_generator(seed, "zen", inputs.device)
    weights = {id(weight) for weight in layers.weights}
    state = {
        id(value): _drawn(value, generator)
        for value in network.parameters()
        if id(value) in weights or id(value) in layers.biases
    }
    _check_registered(layers, state)
    for value in state.values():
        value.requires_grad_(layers.weight_norms)
    shape = (min(len(inputs), ZEN_IMAGES), *inputs.shape[1:])
    image, noise = (_noise(shape, generator).to(inputs) for _ in range(2))
    seen: list[tuple[Tensor, list[Tensor]]] = []
    for images in (image, image + _MIXUP * noise):
        given = _laid_out(images, inputs)
        if layers.weight_norms:
            given.requires_grad_()
        watch = _FreshNorms(Origins(given) if layers.weight_norms else None)
        with torch.set_grad_enabled(layers.weight_norms), swapped(network, state), watch:
            network(given.clone() if layers.weight_norms else given)
        if watch.features is None:
            raise ValueError("neither global pooling nor a linear layer was called")
        seen.append((widened(watch.features.detach()), watch.variances))
    (first, before), (second, after) = seen
    difference = (first - second).abs()
    variances = tuple(
        (1 - _MOMENTUM) * ((1 - _MOMENTUM) + _MOMENTUM * a) + _MOMENTUM * b
        for a, b in zip(before, after, strict=True)
    )
    recording.made[Need.PERTURBATION] = (difference.flatten(1).sum(1), variances)


def _check_registered(layers: Layers, values: dict[int, Tensor]) -> None:
    if any(id(weight) not in values for _, weight in layers.parameters):
        raise NoValueError("a layer's weight is no parameter of the network")


class _WithoutNorms(LayerTracer):
    """Batch normalisation returns its input, except where it normalises weights."""

    def __init__(self, layers: Layers, image: Tensor, alias: dict[int, int]) -> None:
        super().__init__((), layers, image, alias)
        self._of_weights_normed = self._origins.of_weights if layers.weight_norms else None

    def replaced(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Replaces batch normalisation."""
        if func in NORMS:
            values = norm_options(func, args, kwargs)["input"]
            if self._of_weights_normed is None or not self._of_weights_normed(values):
                return values
        return func(*args, **kwargs)


class _FreshNorms(LastFeatures):
    """Batch normalisation by the batch alone, whose variances are kept.

    Args:
        origins: Tells the normalisation of weights, which stays; ``None`` if there is none.
    """

    def __init__(self, origins: Origins | None) -> None:
        super().__init__()
        self.variances: list[Tensor] = []
        self._origins = origins

    def replaced(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Replaces batch normalisation."""
        if func not in NORMS:
            return func(*args, **kwargs)
        options = norm_options(func, args, kwargs)
        values: Tensor = options["input"]
        if self._origins is not None and self._origins.of_weights(values):
            return func(*args, **kwargs)
        eps = options.get("eps", 1e-5)
        width = values.shape[1]
        result, _, inverse = torch.native_batch_norm(
            values, None, None, None, None, True, _MOMENTUM, eps
        )
        count = values.numel() / width
        # The running variance of PyTorch is the unbiased one.
        variance = (widened(inverse) ** -2 - eps) * count / (count - 1)
        self.variances.append(variance.detach().mean())
        return result


def _drawn(value: Tensor, generator: torch.Generator) -> Tensor:
    if value.ndim == 1:
        return torch.zeros_like(value)
    return _noise(value.shape, generator).to(value)


def _noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal numbers, whatever PyTorch makes by default."""
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def _laid_out(images: Tensor, like: Tensor) -> Tensor:
    last = torch.channels_last
    if like.is_contiguous(memory_format=last) and not like.is_contiguous():
        return images.contiguous(memory_format=last)
    return images.contiguous()
