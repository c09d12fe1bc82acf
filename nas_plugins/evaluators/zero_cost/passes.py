"""The passes over the batch: one forward and what is differentiated of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

from torch.nn.attention import SDPBackend, sdpa_kernel

from nas_plugins._torch import Tensor, torch
from nas_plugins.evaluators.zero_cost.blocks import Blocks
from nas_plugins.evaluators.zero_cost.layers import Layers
from nas_plugins.evaluators.zero_cost.logits import (
    ZeroWeightsError,
    check_logits,
    cross_entropy,
    input_gradient,
    logits_of,
    widened,
)
from nas_plugins.evaluators.zero_cost.network_state import pass_generator
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError
from nas_plugins.evaluators.zero_cost.recording import Recording, Tensors
from nas_plugins.evaluators.zero_cost.second_order import TwiceDifferentiable
from nas_plugins.evaluators.zero_cost.tracing import (
    LayerOutput,
    LayerTracer,
)

LOSS = frozenset({Need.LOSS_GRADIENT, Need.OUTPUT_GRADIENT, Need.HESSIAN_GRADIENT})
OF_LOGITS = LOSS | {Need.INPUT_GRADIENT}
BLOCKS = frozenset({Need.BLOCKS, Need.BLOCK_GRADIENTS})
DIFFERENTIATED = LOSS | {Need.INPUT_GRADIENT, Need.BLOCK_GRADIENTS}
WATCHED = frozenset({Need.RELU_GRAM, Need.RELU_PATTERNS, Need.MAPS, Need.OUTPUT_GRADIENT})
_MISSING = re.compile(r"derivative for aten::_*(\w+?)(?:_backward)? is not implemented")
SHARED = WATCHED | BLOCKS | DIFFERENTIATED


class SharedForward:
    """One forward pass in training mode, and what is computed from it.

    Args:
        recording: Where results go.
        needs: All needs; those that belong to this pass are served.
        inputs: The images, in the layout and on the device of the pass.
        seed: Of the random signs and of dropout.
    """

    def __init__(
        self, recording: Recording, needs: Iterable[Need], inputs: Tensor, seed: int
    ) -> None:
        self.recording = recording
        self.needs = frozenset(needs) & SHARED
        self.differentiated = bool(self.needs & DIFFERENTIATED)
        pixels = inputs.is_floating_point()
        self.inputs = inputs.detach().requires_grad_(self.differentiated and pixels)
        self.seed = seed
        self.overwritten = False
        self.labels = recording.batch.labels.to(inputs.device)

    def run(self, *, apart: bool = False) -> None:
        """Runs the forward pass; `overwritten` tells whether it has to be run again, apart.

        Args:
            apart: Whether the network goes on with copies of what is kept, see `LayerTracer`.

        Raises:
            DeadError: All images have the same logits, and these no gradient at the input.
            Exception: Whatever the network raises.
        """
        network, layers = self.recording.network, self.recording.layers
        kind = TwiceDifferentiable if Need.HESSIAN_GRADIENT in self.needs else LayerTracer
        tracer = kind(self.needs, layers, self.inputs, apart=apart)
        # A network may normalise its input in place.
        with torch.set_grad_enabled(self.differentiated):
            images = tracer.begin(self.inputs.clone())
        blocks = self.needs & BLOCKS
        watch = Blocks(network, images, layers.holders, apart=apart) if blocks else None
        pass_generator(self.seed, "forward", self.inputs.device)
        try:
            with torch.set_grad_enabled(self.differentiated), self._kernels(), tracer:
                output = network(images)
        finally:
            if watch is not None:
                watch.remove()
        self.overwritten = tracer.overwritten or (watch is not None and watch.overwritten)
        if self.overwritten and not apart:
            return
        self.logits = widened(logits_of(output))
        self.tracer, self.watch = tracer, watch
        try:
            check_logits(self.logits, network, self.inputs, layers)
        except ZeroWeightsError as error:
            # What the network computes before that layer stands.
            self.recording.reasons.update(dict.fromkeys(OF_LOGITS, str(error)))
        self._keep()

    def _kernels(self) -> AbstractContextManager[object]:
        """Attention in products where a second derivative is wanted: fused, it has none."""
        twice = Need.HESSIAN_GRADIENT in self.needs
        return sdpa_kernel(SDPBackend.MATH) if twice else nullcontext()

    def _keep(self) -> None:
        made, seen = self.recording.made, self.tracer
        if Need.MAPS in self.needs:
            made[Need.MAPS] = tuple(seen.maps)
        for need, found in ((Need.RELU_GRAM, seen.gram), (Need.RELU_PATTERNS, seen.patterns)):
            missing = "no ReLU was called" if found is None or found == [] else ""
            if need in self.needs and (seen.unclear or missing):
                self.recording.reasons[need] = seen.unclear or missing
        if seen.gram is not None:
            made[Need.RELU_GRAM] = seen.gram
        if seen.patterns:
            made[Need.RELU_PATTERNS] = torch.cat(seen.patterns)
        if self.watch is not None:
            self._keep_blocks(self.watch)

    def _keep_blocks(self, watch: Blocks) -> None:
        reason = None
        if watch.overwritten:
            reason = "a feature map between blocks is overwritten in place"
        elif len(watch.features) < 2:
            reason = "the network has no blocks: modules with parts of their own"
        if reason is not None:
            self.recording.reasons.update(dict.fromkeys(BLOCKS, reason))
            return
        self.recording.made[Need.BLOCKS] = tuple(
            watch.as_map(i, feature.detach()) for i, feature in enumerate(watch.features)
        )

    def input_gradient(self) -> None:
        """Gradient of the sum of all logits at the images."""
        self.tracer.wanted.weights = False
        gradient = input_gradient(self.logits, self.inputs)
        self.recording.made[Need.INPUT_GRADIENT] = gradient.reshape(len(gradient), -1)

    def loss_gradient(self) -> None:
        """Gradients of the mean cross-entropy at weights and layers' outputs, and of these."""
        seen = self.tracer
        outputs = [found.output for found in seen.outputs]
        self.targets = used_weights(self.recording.layers, seen)
        weights = [tensor for _, tensor in self.targets]
        twice = Need.HESSIAN_GRADIENT in self.needs
        seen.wanted.weights = True
        loss = cross_entropy(self.logits, self.labels)
        found = torch.autograd.grad(
            loss,
            [*weights, *outputs],
            create_graph=twice,
            retain_graph=twice or Need.BLOCK_GRADIENTS in self.needs,
            allow_unused=True,
        )
        gradients = _per_weight(self.recording, self.targets, found)
        self.recording.made[Need.LOSS_GRADIENT] = tuple(g.detach() for g in gradients)
        if Need.OUTPUT_GRADIENT in self.needs:
            self._keep_products(found[len(weights) :])
        if twice:
            self._hessian(gradients)

    def _keep_products(self, gradients: tuple[Tensor | None, ...]) -> None:
        seen = self.tracer.outputs
        reason = self.recording.layers.hidden
        if self.overwritten:
            reason = "the output of a layer is overwritten in place"
        if reason:
            self.recording.reasons[Need.OUTPUT_GRADIENT] = reason
            return
        self.recording.made[Need.OUTPUT_GRADIENT] = tuple(
            _product(found, gradient.detach(), len(self.inputs))
            for found, gradient in zip(seen, gradients, strict=True)
            if gradient is not None
        )

    def _hessian(self, gradients: list[Tensor]) -> None:
        weights = [tensor for _, tensor in self.targets]
        inner = torch.stack([(g.detach() * g).sum() for g in gradients]).sum()
        if not inner.requires_grad:
            raise ValueError("the loss has no second derivative")
        later = Need.BLOCK_GRADIENTS in self.needs
        try:
            found = torch.autograd.grad(inner, weights, retain_graph=later, allow_unused=True)
        except RuntimeError as error:
            missing = _MISSING.match(str(error))
            if missing is None:
                raise
            raise NoValueError(f"PyTorch has no second derivative of {missing[1]}") from error
        self.recording.made[Need.HESSIAN_GRADIENT] = tuple(
            _per_weight(self.recording, self.targets, found)
        )

    def block_gradients(self) -> None:
        """Random signs at each block's output, brought back to the output of the one before."""
        if self.watch is None or Need.BLOCK_GRADIENTS in self.recording.reasons:
            return
        generator = pass_generator(self.seed, "blocks", self.inputs.device)
        features, pairs = self.watch.features, []
        self.tracer.wanted.weights = False
        for index, (earlier, later) in enumerate(pairwise(features)):
            draw = torch.randint(
                0, 2, later.shape, generator=generator, dtype=torch.int8, device="cpu"
            )
            signs = (2 * draw - 1).to(later)
            if not (earlier.requires_grad and later.requires_grad):
                continue
            (found,) = torch.autograd.grad(
                later, earlier, signs, retain_graph=True, allow_unused=True
            )
            if found is not None:
                watch = self.watch
                pairs.append((watch.as_map(index + 1, signs), watch.as_map(index, found)))
        self.recording.made[Need.BLOCK_GRADIENTS] = tuple(pairs)


def half_gradients(recording: Recording, inputs: Tensor, seed: int) -> None:
    """Weight gradients of either half of the batch, each with its own batch statistics."""
    half = len(inputs) // 2
    labels = recording.batch.labels.to(inputs.device)
    pass_generator(seed, "halves", inputs.device)
    found: list[Tensors] = []
    for part in (slice(0, half), slice(half, None)):
        follows = bool(recording.layers.computed) and inputs.is_floating_point()
        images = inputs[part].detach().requires_grad_(follows)
        tracer = LayerTracer((), recording.layers, images)
        with torch.enable_grad(), tracer:
            logits = widened(logits_of(recording.network(tracer.begin(images.clone()))))
        check_logits(logits, recording.network, images, recording.layers)
        loss = cross_entropy(logits, labels[part])
        targets = used_weights(recording.layers, tracer)
        weights = [tensor for _, tensor in targets]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        found.append(tuple(_per_weight(recording, targets, gradients)))
    recording.made[Need.HALF_GRADIENTS] = tuple(found)


def used_weights(layers: Layers, tracer: LayerTracer) -> list[tuple[int, Tensor]]:
    """The tensors of a pass that are the weights, with their indices.

    Raises:
        NoValueError: There is none.
    """
    parameters = layers.parameters
    computed = [(i, tensor) for i, tensors in tracer.used.items() for tensor in tensors]
    if not parameters and not computed:
        raise NoValueError("the network has no convolution or linear layer")
    return parameters + computed


def _per_weight(
    recording: Recording, targets: list[tuple[int, Tensor]], found: tuple[Tensor | None, ...]
) -> list[Tensor]:
    """Sums over the uses of each weight; zeros where a weight is not used."""
    gradients: list[Tensor | None] = [None] * len(recording.layers.weights)
    for (index, _), gradient in zip(targets, found, strict=False):
        if gradient is not None:
            before = gradients[index]
            gradients[index] = gradient if before is None else before + gradient
    pairs = zip(gradients, recording.layers.weights, strict=True)
    return [torch.zeros_like(w) if g is None else g for g, w in pairs]


def _product(found: LayerOutput, gradient: Tensor, images: int) -> tuple[int, Tensor, int]:
    """Sums over positions of output times gradient."""
    product, axis = found.output.detach() * gradient, found.axis
    if found.columns:  # within attention, where positions come first
        product = product.reshape(-1, found.columns, product.shape[-1]).sum(0)
    else:
        if found.channels == 1 and axis == 0 and product.ndim > 2:
            product = product.sum(tuple(range(2, product.ndim)))
        elif found.channels < product.ndim - 1:
            product, axis = product.movedim(found.channels, -1), axis - (axis > found.channels)
        rows = product.movedim(axis, 0)
        # Windows, frames or positions of one image that stand for images of their own.
        parts = images if len(rows) % images == 0 else len(rows)
        product = rows.reshape(parts, -1, rows.shape[-1]).sum(1)
    return found.weight, product, found.size // product.shape[1]
