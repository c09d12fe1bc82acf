"""Sees the layers of a network as they are called, without changing the network.

A `TorchFunctionMode` sees every call of a PyTorch function, so a ReLU that is called as a
function counts like a module, and nothing has to be hooked into the network or removed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch.overrides import TorchFunctionMode

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.evaluators.zero_cost.proxy import Need

Function = Callable[..., Any]

RELUS: frozenset[Function] = frozenset(
    {
        functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_,
        functional.relu6, functional.leaky_relu, functional.leaky_relu_, functional.prelu,
        torch.prelu, functional.rrelu, functional.rrelu_,
    }
)  # fmt: skip
LAYERS: frozenset[Function] = frozenset({functional.conv2d, functional.linear})
NORMS: frozenset[Function] = frozenset({functional.batch_norm, torch.batch_norm})
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


class LayerTracer(TorchFunctionMode):
    """Records layers and ReLUs while it is active.

    Args:
        needs: What to record.
        weights: Weights of the layers that count.
    """

    def __init__(self, needs: Iterable[Need], weights: Iterable[Tensor]) -> None:
        super().__init__()
        self.needs = frozenset(needs)
        self.wanted = BackwardTargets()
        self.index = {id(weight): i for i, weight in enumerate(weights)}
        self.macs = 0
        self.units = 0
        self.gram: Tensor | None = None
        self.patterns: list[Tensor] = []
        self.maps: list[Tensor] = []
        self.outputs: list[tuple[int, Tensor, int]] = []
        self._signs = bool(self.needs & {Need.RELU_GRAM, Need.RELU_PATTERNS})

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls the function and records what it returns."""
        result = self.call(func, args, kwargs or {})
        if func in LAYERS:
            self._layer(func, args, kwargs or {}, result)
        elif func in RELUS and self._signs:
            self._relu(result)
        return result

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function; a subclass may replace it."""
        return func(*args, **kwargs)

    def _layer(self, func: Function, args: Any, kwargs: Any, result: Tensor) -> None:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        if Need.MACS in self.needs:
            per_output = weight[0].numel() if func is functional.conv2d else weight.shape[-1]
            self.macs += result.numel() * per_output
        if Need.MAPS in self.needs and result.ndim == 4:
            self.maps.append(result.detach()[0].flatten(1).float().clone())
        if Need.OUTPUT_GRADIENT in self.needs and id(weight) in self.index:
            self.outputs.append((self.index[id(weight)], result, result._version))

    def _relu(self, result: Tensor) -> None:
        values = (flat(result.detach()) > 0).float()
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


def _per_channel(given: Tensor, result: Tensor) -> bool:
    return result.numel() == given.shape[0] * given.shape[1]


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
            powers = torch.pow(2.0, torch.arange(len(part), device=on.device))
            with torch.autocast(on.device.type, enabled=False):
                word += (powers @ part).long() << (first - start)
        words.append(word)
    return torch.stack(words, dim=1)


class LastFeatures(TorchFunctionMode):
    """Keeps the feature map that goes into the last global pooling of a network.

    Without one it keeps what goes into the last linear layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pooled: Tensor | None = None
        self.linear: Tensor | None = None

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls the function and keeps its input if it is a global pooling."""
        result = self.call(func, args, kwargs or {})
        if args and isinstance(args[0], Tensor) and isinstance(result, Tensor):
            self._keep(func, args[0], result)
        return result

    def _keep(self, func: Function, given: Tensor, result: Tensor) -> None:
        if func is functional.linear:
            self.linear = given
        elif func is functional.conv2d and result[0, 0].numel() > 1:
            self.pooled = None  # what was pooled before was no head, but squeeze and excitation
        elif func in POOLS | MEANS and given.ndim == 4 and _per_channel(given, result):
            self.pooled = given

    @property
    def features(self) -> Tensor | None:
        """The feature map, `(B, ...)`."""
        return self.linear if self.pooled is None else self.pooled

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        """Calls the function; a subclass may replace it."""
        return func(*args, **kwargs)


def logits_of(output: Any) -> Tensor:
    """The logits in what a network returns: a tensor, the first of several, or ``.logits``.

    Raises:
        ValueError: There is no tensor of two dimensions.
    """
    found = getattr(output, "logits", output)
    if isinstance(found, dict):
        found = found.get("logits", next(iter(found.values()), None))
    while isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor) or found.ndim != 2:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the network must return logits (batch, classes), got {got}")
    return found


class Blocks:
    """Forward hooks that keep the feature maps between the blocks of a network.

    Blocks are the modules with parts of their own that are left when the network's plain
    containers (``nn.Sequential``, ``nn.ModuleList``, ``nn.ModuleDict``) are opened: cells,
    residual blocks. The input of the first block is kept, too, unless it is the image.

    Args:
        network: The network.
        images: Its input.
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self._images = images
        self.features: list[Tensor] = []
        self._versions: list[int] = []
        self._handles = [
            block.register_forward_hook(self._keep, with_kwargs=True) for block in blocks(network)
        ]

    @property
    def overwritten(self) -> bool:
        """Whether a later operation in place has changed one of `features`."""
        return [feature._version for feature in self.features] != self._versions

    def remove(self) -> None:
        """Takes the hooks off the network."""
        for handle in self._handles:
            handle.remove()

    def _keep(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not self.features:
            inputs = [v for v in (*args, *kwargs.values()) if _is_map(v)]
            self._add([v for v in inputs[-1:] if v is not self._images])
        if _is_map(output):
            self._add([output])

    def _add(self, maps: list[Tensor]) -> None:
        self.features += maps
        self._versions += [feature._version for feature in maps]


def blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks of a network in the order of their definition, see `Blocks`."""
    found: list[nn.Module] = []
    for child in network.children():
        if type(child) in (nn.Sequential, nn.ModuleList, nn.ModuleDict):
            found += blocks(child)
        elif next(child.children(), None) is not None:
            found.append(child)
    return found


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4
