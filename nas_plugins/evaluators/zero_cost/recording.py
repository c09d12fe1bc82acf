"""What the passes record of a network; proxies read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.evaluators.zero_cost.batch import Batch
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError

T = TypeVar("T")
Tensors = tuple[Tensor, ...]


@dataclass(eq=False)
class Recording:
    """A network, a batch, and what the passes that were needed have recorded.

    Reading a recording that the proxy's `needs` do not name is an error. All tensors are
    detached; the network must not be changed or run.

    Attributes:
        network: The network, in training mode.
        batch: The images and labels.
        weights: Weights of all convolutions and linear layers, those that count as theta in
            the published proxies: no biases, no normalisation.
        made: The recordings, by need.
        reasons: Why one could not be made.
    """

    network: nn.Module
    batch: Batch
    weights: Tensors
    made: dict[Need, object] = field(default_factory=dict)
    reasons: dict[Need, str] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image."""
        return self._get(Need.MACS, int)

    @property
    def relu_gram(self) -> Tensor:
        """`(B, B)` float64: on how many ReLU units two images agree, on both on or both off."""
        return self._get(Need.RELU_GRAM, Tensor)

    @property
    def relu_patterns(self) -> Tensor:
        """`(units, words)` int64: bit b of word w tells whether image 64 w + b turns it on."""
        return self._get(Need.RELU_PATTERNS, Tensor)

    @property
    def maps(self) -> Tensors:
        """Per layer's call, its feature map of the first image, `(C, H * W)`."""
        return self._get(Need.MAPS, tuple)

    @property
    def blocks(self) -> Tensors:
        """Feature maps between the blocks, `(B, C, H, W)`, in the order of computation."""
        return self._get(Need.BLOCKS, tuple)

    @property
    def block_gradients(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Per two consecutive `blocks` that are connected, random signs at the later one and
        what of them arrives at the earlier one."""
        return self._get(Need.BLOCK_GRADIENTS, tuple)

    @property
    def input_gradient(self) -> Tensor:
        """`(B, C * H * W)`: gradient of the sum of all logits at each image."""
        return self._get(Need.INPUT_GRADIENT, Tensor)

    @property
    def weight_gradients(self) -> Tensors:
        """Per weight, the gradient of the mean cross-entropy; zeros where there is none."""
        return self._get(Need.LOSS_GRADIENT, tuple)

    @property
    def output_products(self) -> tuple[tuple[int, Tensor], ...]:
        """Per call of a layer, the index of its weight, and the sums over positions of its output
        times the loss's gradient there, `(B, C)`."""
        return self._get(Need.OUTPUT_GRADIENT, tuple)

    @property
    def half_gradients(self) -> tuple[Tensors, Tensors]:
        """`weight_gradients` of the first and of the second half of the batch alone."""
        return self._get(Need.HALF_GRADIENTS, tuple)

    @property
    def hessian_gradients(self) -> Tensors:
        """Per weight, the Hessian of the loss times its gradient."""
        return self._get(Need.HESSIAN_GRADIENT, tuple)

    @property
    def synflow(self) -> Tensors:
        """Per weight, abs(w) times its gradient of the sum of the outputs of the linearised
        network for an image of ones, float64; see `data_free.synflow`."""
        return self._get(Need.SYNFLOW, tuple)

    @property
    def perturbation(self) -> tuple[Tensor, Tensors]:
        """How noise on the input moves the features f of a network with random weights.

        Sums over the features of abs(f(x) - f(x + noise)), `(b,)`; and per batch normalisation,
        in the order of their calls, the mean over its channels of the running variance after
        both passes. See `data_free.perturbation`.
        """
        return self._get(Need.PERTURBATION, tuple)

    def _get(self, need: Need, kind: type[T]) -> T:
        if need in self.reasons:
            raise NoValueError(self.reasons[need])
        if need not in self.made:
            raise LookupError(f"reads `{need.value}` without Need.{need.name} among its `needs`")
        value = self.made[need]
        if not isinstance(value, kind):
            raise TypeError(f"`{need.value}` is a {type(value).__name__}")
        return value


def theta(network: nn.Module) -> Tensors:
    """Weights of all convolutions and linear layers of a network, each once."""
    weights = (m.weight for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    return tuple({id(w): w for w in weights if isinstance(w, Tensor)}.values())


def total(values: Tensors) -> Tensor:
    """Sum of the elements of all tensors, in float64, `()`."""
    if not values:
        raise NoValueError("the network has no convolution or linear layer")
    return torch.stack([value.sum(dtype=torch.float64) for value in values]).sum()
