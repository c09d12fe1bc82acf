"""Sees the layers of a network as they are called, without changing the network.

A `TorchFunctionMode` sees every call of a PyTorch function, so a ReLU that is called as a
function counts like a module, and nothing has to be hooked into the network or removed again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nas_plugins._torch import Tensor, functional, torch
from nas_plugins.evaluators.zero_cost.calls import (
    CONVOLUTIONS,
    RELUS,
    CallMode,
    Function,
    LayerCall,
    image_axis,
    layer_call,
)
from nas_plugins.evaluators.zero_cost.layers import Layers, Origins
from nas_plugins.evaluators.zero_cost.logits import widened
from nas_plugins.evaluators.zero_cost.proxy import Need

POOLS: frozenset[Function] = frozenset({functional.adaptive_avg_pool2d, functional.avg_pool2d})
MEANS: frozenset[Function] = frozenset({torch.mean, Tensor.mean})
_WORD = 64  # images in one int64 of a pattern
_CHUNK = 16  # a sum of so many powers of two is exact in float32


@dataclass
class BackwardTargets:
    """What a backward pass is to compute.

    Only the layers of `second_order` need to be told; PyTorch's find out. They keep this and
    not the tracer, which keeps their outputs: memory would only be freed by the garbage
    collector.

    Attributes:
        weights: Whether gradients at weights are wanted.
    """

    weights: bool = True


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """The output of one call of a layer.

    Attributes:
        weight: Index of its weight.
        output: Of the call.
        version: Of the output when it was new.
        channels: Which dimension is that of the channels.
        columns: See `CallMode`.
        axis: Which dimension is that of the images.
        size: Numbers in the weight.
    """

    weight: int
    output: Tensor
    version: int
    channels: int
    columns: int
    axis: int
    size: int


class LayerTracer(CallMode):
    """Records layers and ReLUs while it is active.

    Args:
        needs: What to record.
        layers: The layers of the network.
        data: The input of the pass; requires a gradient if weights are computed.
        alias: Identities of the parameters that stand in for the network's.
        apart: Whether the network goes on with copies of the layers' outputs, so that what it
            does in place does not reach those that are kept.
    """

    def __init__(
        self,
        needs: Iterable[Need],
        layers: Layers,
        data: Tensor,
        alias: dict[int, int] | None = None,
        *,
        apart: bool = False,
    ) -> None:
        super().__init__()
        self._apart = apart
        self.needs = frozenset(needs)
        self.wanted = BackwardTargets()
        self.gram: Tensor | None = None
        self.patterns: list[Tensor] = []
        self.maps: list[Tensor] = []
        self.outputs: list[LayerOutput] = []
        self.images = len(data)
        self.unclear = ""
        self._relus, self._calls = 0, 0
        self.used: dict[int, list[Tensor]] = {}
        self._layers, self._origins = layers, Origins(data)
        self._alias = {} if alias is None else alias
        self._of_weights = self._origins.of_weights if layers.products else None
        self._signs = bool(self.needs & {Need.RELU_GRAM, Need.RELU_PATTERNS})
        self._follows = bool(layers.computed) or Need.OUTPUT_GRADIENT in self.needs

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function and records what it returns."""
        result = self.replaced(func, args, kwargs)
        if func in CONVOLUTIONS and Need.MAPS in self.needs:
            self.maps.append(widened(result.detach()[0].flatten(1)).clone())
        if self._signs and self.is_activation(func, args, kwargs):
            self._relu(func, result)
        if self._follows and torch.is_grad_enabled():
            self._origins.follow((*args, *kwargs.values()), result)
            found = layer_call(func, args, kwargs, self._of_weights)
            if found is not None:
                self._layer(func, found, result)
                if self._apart:
                    return result.clone()
        return result

    def begin(self, given: Tensor) -> Tensor:
        """Takes up what the network is given: a copy of the data."""
        return self._origins.begin(given)

    @property
    def overwritten(self) -> bool:
        """Whether a later operation in place has changed one of `outputs`."""
        return any(found.output._version != found.version for found in self.outputs)

    def replaced(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function; a subclass may replace it."""
        return func(*args, **kwargs)

    def _layer(self, func: Function, found: LayerCall, result: Tensor) -> None:
        weight = found.weight
        index = self._layers.find(weight, self._origins, self._alias, product=found.product)
        if index is None:
            return
        if index in self._layers.computed_indices:
            self.used.setdefault(index, []).append(weight)
        then = _nth(self._layers.calls, self._calls)
        self._calls += 1
        if Need.OUTPUT_GRADIENT in self.needs:
            axis = image_axis(func, result, then or (), self.images) or 0
            channels = result.ndim - 1 if func not in CONVOLUTIONS else 1
            if found.left:
                channels = max(0, result.ndim - 2)
            self.outputs.append(
                LayerOutput(index, result, result._version, channels, self.columns, axis,
                            weight.numel())
            )  # fmt: skip

    def _relu(self, func: Function, result: Tensor) -> None:
        then = _nth(self._layers.relus, self._relus)
        self._relus += 1
        if then == ():
            return  # of weights
        axis = image_axis(func, result, then or (), self.images)
        if axis is None:
            # A bound on something small may be no activation.
            if func in RELUS:
                self.unclear = "a ReLU is called with what has no dimension for the images"
            return
        found = result.detach().movedim(axis, 0)
        if len(found) != self.images:  # parts of each image
            found = found.reshape(self.images, -1)
        values = (flat(found) > 0).float()
        if Need.RELU_GRAM in self.needs:
            counts = values.sum(1)
            # Counts are exact in float32, not in what autocast would choose.
            with torch.autocast(values.device.type, enabled=False):
                both = values @ values.T
            # Both off: units - on in the one - on in the other + on in both.
            agree = (2 * both - counts[:, None] - counts[None, :]).double() + values.shape[1]
            self.gram = agree if self.gram is None else self.gram + agree
        if Need.RELU_PATTERNS in self.needs:
            self.patterns.append(_packed(values))


def _nth(found: list[tuple[Any, ...]], position: int) -> tuple[Any, ...] | None:
    return found[position] if position < len(found) else None


def _per_channel(given: Tensor, result: Tensor) -> bool:
    """Whether a result is one number per image and channel, the channels second."""
    return result.shape[:2] == given.shape[:2] and result.shape[2:].numel() == 1


def _per_last(given: Tensor, result: Tensor) -> bool:
    """The same, the channels last."""
    wanted = (given.shape[0], given.shape[3])
    return (result.shape[0], result.shape[-1]) == wanted and result[0, ..., 0].numel() == 1


def flat(values: Tensor) -> Tensor:
    """`(B, ...)` to `(B, -1)` without a copy; the order of the columns does not matter."""
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)


def _packed(on: Tensor) -> Tensor:
    """`(B, units)` of 0 and 1 to `(units, ceil(B / 64))` int64, an image a bit."""
    words = []
    for start in range(0, len(on), _WORD):
        word = torch.zeros(on.shape[1], dtype=torch.int64, device=on.device)
        for first in range(start, min(start + _WORD, len(on)), _CHUNK):
            part = on[first : min(first + _CHUNK, start + _WORD)]
            powers = torch.pow(2.0, torch.arange(len(part), device=on.device)).to(on)
            with torch.autocast(on.device.type, enabled=False):
                word += (powers @ part).long() << (first - start)
        words.append(word)
    return torch.stack(words, dim=1)


class LastFeatures(CallMode):
    """Keeps the feature map that goes into the last global pooling of a network.

    Without one it keeps what goes into the last linear layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pooled: Tensor | None = None
        self.linear: Tensor | None = None

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function and keeps its input if it is a global pooling."""
        result = self.replaced(func, args, kwargs)
        if args and isinstance(args[0], Tensor) and isinstance(result, Tensor):
            self._keep(func, args[0], result)
        return result

    def _keep(self, func: Function, given: Tensor, result: Tensor) -> None:
        if func is functional.linear:
            self.linear = given
        elif func is functional.conv2d and result[0, 0].numel() > 1:
            self.pooled = None  # what was pooled before was no head, but squeeze and excitation
        elif given.ndim == 4 and (
            (func in POOLS | MEANS and _per_channel(given, result))
            or (func in MEANS and _per_last(given, result))
        ):
            self.pooled = given

    @property
    def features(self) -> Tensor | None:
        """The feature map, `(B, ...)`."""
        return self.linear if self.pooled is None else self.pooled

    def replaced(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function; a subclass may replace it."""
        return func(*args, **kwargs)
