"""The passes over the batch: one forward and what is differentiated of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from nas_plugins._torch import Tensor, functional, torch
from nas_plugins.evaluators.zero_cost.network_state import kept_buffers, pass_generator
from nas_plugins.evaluators.zero_cost.proxy import Need
from nas_plugins.evaluators.zero_cost.recording import Recording, Tensors
from nas_plugins.evaluators.zero_cost.second_order import TwiceDifferentiable
from nas_plugins.evaluators.zero_cost.tracing import Blocks, LayerTracer, flat, logits_of

LOSS = frozenset({Need.LOSS_GRADIENT, Need.OUTPUT_GRADIENT, Need.HESSIAN_GRADIENT})
BLOCKS = frozenset({Need.BLOCKS, Need.BLOCK_GRADIENTS})
DIFFERENTIATED = LOSS | {Need.INPUT_GRADIENT, Need.BLOCK_GRADIENTS}
WATCHED = frozenset(
    {Need.MACS, Need.RELU_GRAM, Need.RELU_PATTERNS, Need.MAPS, Need.OUTPUT_GRADIENT}
)
SHARED = WATCHED | BLOCKS | DIFFERENTIATED


class DeadError(Exception):
    """The output does not depend on the input."""


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
        self.inputs = inputs.detach().requires_grad_(Need.INPUT_GRADIENT in self.needs)
        self.seed = seed
        self.labels = recording.batch.labels.to(inputs.device)

    def run(self) -> None:
        """Runs the forward pass.

        Raises:
            DeadError: All images have the same logits, and these no gradient at the input.
            Exception: Whatever the network raises.
        """
        network, weights = self.recording.network, self.recording.weights
        kind = TwiceDifferentiable if Need.HESSIAN_GRADIENT in self.needs else LayerTracer
        tracer = kind(self.needs, weights)
        watch = Blocks(network, self.inputs) if self.needs & BLOCKS else None
        pass_generator(self.seed, "forward", self.inputs.device)
        try:
            with torch.set_grad_enabled(self.differentiated), tracer:
                output = network(self.inputs)
        finally:
            if watch is not None:
                watch.remove()
        self.logits = _widened(logits_of(output))
        self.tracer, self.watch = tracer, watch
        self._check()
        self._keep()

    def _check(self) -> None:
        logits = self.logits.detach()
        if len(logits) != len(self.inputs):
            raise ValueError(
                f"the network returned {len(logits)} rows of logits for {len(self.inputs)} images"
            )
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the logits are not finite")
        if bool((logits == logits[:1]).all()) and not self._moves():
            raise DeadError("dead network: its output does not depend on its input")

    def _moves(self) -> bool:
        """Whether the logits depend on the input after all; equal rows may be rounding."""
        inputs = self.inputs.detach().requires_grad_()
        with torch.enable_grad(), kept_buffers(self.recording.network):
            logits = _widened(logits_of(self.recording.network(inputs)))
            # Any one image's logits: their sum over a batch may be free of the input through
            # batch normalisation.
            return logits.requires_grad and _nonzero(logits[0].square().sum(), inputs)

    def _keep(self) -> None:
        made, seen = self.recording.made, self.tracer
        if Need.MACS in self.needs:
            made[Need.MACS] = round(seen.macs / len(self.inputs))
        if Need.MAPS in self.needs:
            made[Need.MAPS] = tuple(seen.maps)
        for need, found in ((Need.RELU_GRAM, seen.gram), (Need.RELU_PATTERNS, seen.patterns)):
            if need in self.needs and (found is None or found == []):
                self.recording.reasons[need] = "no ReLU was called"
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
        self.recording.made[Need.BLOCKS] = tuple(f.detach() for f in watch.features)

    def input_gradient(self) -> None:
        """Gradient of the sum of all logits at the images."""
        self.tracer.wanted.weights = False
        later = bool(self.needs & (LOSS | {Need.BLOCK_GRADIENTS}))
        (gradient,) = torch.autograd.grad(self.logits.sum(), self.inputs, retain_graph=later)
        self.recording.made[Need.INPUT_GRADIENT] = gradient.reshape(len(gradient), -1)

    def loss_gradient(self) -> None:
        """Gradients of the mean cross-entropy at weights and layers' outputs, and of these."""
        weights, seen = self.recording.weights, self.tracer
        outputs = [output for _, output, _ in seen.outputs]
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
        gradients = [_or_zeros(g, w) for g, w in zip(found, weights, strict=False)]
        self.recording.made[Need.LOSS_GRADIENT] = tuple(g.detach() for g in gradients)
        if Need.OUTPUT_GRADIENT in self.needs:
            if any(output._version != version for _, output, version in seen.outputs):
                self.recording.reasons[Need.OUTPUT_GRADIENT] = (
                    "the output of a layer is overwritten in place"
                )
            else:
                products = zip(seen.outputs, found[len(weights) :], strict=True)
                self.recording.made[Need.OUTPUT_GRADIENT] = tuple(
                    (index, _product(output.detach(), g.detach()))
                    for (index, output, _), g in products
                    if g is not None
                )
        if twice:
            self._hessian(gradients)

    def _hessian(self, gradients: list[Tensor]) -> None:
        weights = self.recording.weights
        inner = torch.stack([(g.detach() * g).sum() for g in gradients]).sum()
        if not inner.requires_grad:
            raise ValueError("the loss has no second derivative")
        later = Need.BLOCK_GRADIENTS in self.needs
        found = torch.autograd.grad(inner, weights, retain_graph=later, allow_unused=True)
        self.recording.made[Need.HESSIAN_GRADIENT] = tuple(
            _or_zeros(g, w) for g, w in zip(found, weights, strict=True)
        )

    def block_gradients(self) -> None:
        """Random signs at each block's output, brought back to the output of the one before."""
        if self.watch is None or Need.BLOCK_GRADIENTS in self.recording.reasons:
            return
        generator = pass_generator(self.seed, "blocks", self.inputs.device)
        features, pairs = self.watch.features, []
        self.tracer.wanted.weights = False
        for earlier, later in pairwise(features):
            draw = torch.randint(0, 2, later.shape, generator=generator, dtype=torch.int8)
            signs = (2 * draw - 1).to(later)
            if not (earlier.requires_grad and later.requires_grad):
                continue
            (found,) = torch.autograd.grad(
                later, earlier, signs, retain_graph=True, allow_unused=True
            )
            if found is not None:
                pairs.append((signs, found))
        self.recording.made[Need.BLOCK_GRADIENTS] = tuple(pairs)


def half_gradients(recording: Recording, inputs: Tensor, seed: int) -> None:
    """Weight gradients of either half of the batch, each with its own batch statistics."""
    half = len(inputs) // 2
    labels = recording.batch.labels.to(inputs.device)
    pass_generator(seed, "halves", inputs.device)
    found: list[Tensors] = []
    for part in (slice(0, half), slice(half, None)):
        with torch.enable_grad():
            logits = _widened(logits_of(recording.network(inputs[part])))
            loss = cross_entropy(logits, labels[part])
        gradients = torch.autograd.grad(loss, recording.weights, allow_unused=True)
        pairs = zip(gradients, recording.weights, strict=True)
        found.append(tuple(_or_zeros(g, w) for g, w in pairs))
    recording.made[Need.HALF_GRADIENTS] = tuple(found)


def macs(recording: Recording, inputs: Tensor) -> None:
    """Multiply-accumulates alone: one image in evaluation mode."""
    tracer = LayerTracer({Need.MACS}, recording.weights)
    network = recording.network
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), tracer:
            network(inputs[:1])
    finally:
        for module, training in modes:
            module.training = training
    recording.made[Need.MACS] = tracer.macs


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy.

    Raises:
        ValueError: A label is not below the number of logits.
    """
    if int(labels.max()) >= logits.shape[1]:
        raise ValueError(
            f"label {int(labels.max())} does not fit the network's {logits.shape[1]} logits"
        )
    return functional.cross_entropy(logits, labels)


def _widened(logits: Tensor) -> Tensor:
    """Half precisions as float32."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def _product(output: Tensor, gradient: Tensor) -> Tensor:
    """Sums over positions of output times gradient, `(B, C)`."""
    if output.ndim == 2:
        return output * gradient
    if output.ndim == 4:
        return (output * gradient).sum((2, 3))
    return (output * gradient).flatten(1, -2).sum(1)


def _or_zeros(gradient: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if gradient is None else gradient


def _nonzero(value: Tensor, at: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(value, at, allow_unused=True)
    return gradient is not None and bool((gradient != 0).any())


__all__ = ["DIFFERENTIATED", "LOSS", "SHARED", "DeadError", "SharedForward", "cross_entropy",
           "flat", "half_gradients", "macs"]  # fmt: skip
