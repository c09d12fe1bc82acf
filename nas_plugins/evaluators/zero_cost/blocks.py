"""The blocks of a network, and the feature maps between them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nas_plugins._torch import Tensor, nn

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# Some libraries' own have parts, such as the activation that follows: they are layers still.
_LAYERS = (
    nn.modules.batchnorm._NormBase,
    nn.modules.conv._ConvNd,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.Linear,
)
_POOLS = (nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)


class Blocks:
    """Forward hooks that keep the feature maps between the blocks of a network.

    Blocks are the modules with parts of their own that are left when the network's plain
    containers (``nn.Sequential``, ``nn.ModuleList``, ``nn.ModuleDict``), what wraps a whole
    network and what returns no feature map but an object are opened: cells, residual blocks, the
    layers of a transformer. A global pooling is none, whatever its parts are. The input of the
    first block is kept, too, unless it is the image. Tokens `(B, N, C)` and rows `(B, C, N)` are
    maps of one column.

    Args:
        network: The network.
        images: Its input.
        holders: See `nas_plugins.evaluators.zero_cost.layers.Layers`.
        apart: Whether the network goes on with copies, so that what it does in place does not
            reach the maps that are kept.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        holders: Collection[int] = (),
        *,
        apart: bool = False,
    ) -> None:
        self._images, self._apart = images, apart
        self.features: list[Tensor] = []
        self._versions: list[int] = []
        self._axes: list[int] = []
        self._inputs: list[tuple[Tensor, int]] = []
        self._handed: Tensor | None = None  # the last feature, as the network goes on with it
        self._handles: list[Any] = []
        for block in blocks(network, holders):
            self._handles += [
                block.register_forward_pre_hook(self._begin, with_kwargs=True),
                block.register_forward_hook(self._end),
            ]

    @property
    def overwritten(self) -> bool:
        """Whether a later operation in place has changed one of `features`."""
        return [feature._version for feature in self.features] != self._versions

    def remove(self) -> None:
        """Takes the hooks off the network."""
        for handle in self._handles:
            handle.remove()

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Remembers what the first block is given, before the block may overwrite it."""
        if self.features:
            # What takes a map knows, too, which side it normalises.
            if any(value is self._handed for value in (*args, *kwargs.values())):
                self._axes[-1] = max(self._axes[-1], _channel_axis(module, self.features[-1]))
            return None
        given = [v for v in (*args, *kwargs.values()) if _is_map(v) and v is not self._images]
        self._inputs = [(value, value._version) for value in given]
        if not self._apart:
            return None
        copies = {id(value): value.clone() for value in given}
        named = {name: copies.get(id(value), value) for name, value in kwargs.items()}
        return tuple(copies.get(id(value), value) for value in args), named

    def _end(self, module: nn.Module, args: Any, output: Any) -> Any:
        found = output[0] if isinstance(output, tuple) and output else output
        if not self.features:
            # Masks are maps as well, but of other dimensions than what comes out.
            sides = found.ndim if _is_map(found) else 0
            alike = [pair for pair in self._inputs if pair[0].ndim == sides]
            for value, version in (alike or self._inputs)[-1:]:
                self._add(module, value, version)
        if not _is_map(found) or _pools(module, args, found):
            return None
        self._add(module, found, found._version)
        self._handed = found.clone() if self._apart else found
        if not self._apart:
            return None
        return (self._handed, *output[1:]) if isinstance(output, tuple) else self._handed

    def _add(self, module: nn.Module, feature: Tensor, version: int) -> None:
        self.features.append(feature)
        self._versions.append(version)
        self._axes.append(_channel_axis(module, feature))

    def as_map(self, index: int, values: Tensor) -> Tensor:
        """A feature, or what has its shape, as `(B, C, H, W)`."""
        values = values.movedim(self._axes[index], 1)
        return values.unsqueeze(3) if values.ndim == 3 else values


def blocks(network: nn.Module, holders: Collection[int] = ()) -> list[nn.Module]:
    """The blocks of a network in the order of their definition, see `Blocks`."""
    found = _opened(unwrapped(network), holders)
    while len(found) == 1 and len(inner := _opened(found[0], holders)) > 0:
        found = inner
    return found


def _opened(network: nn.Module, holders: Collection[int]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for child in map(unwrapped, network.children()):
        if type(child) in _CONTAINERS or id(child) in holders:
            found += _opened(child, holders)
        elif next(child.children(), None) is not None and not isinstance(child, _LAYERS):
            found.append(child)
    return found


def unwrapped(network: nn.Module) -> nn.Module:
    """What `torch.compile` and the data-parallel wrappers hold."""
    while True:
        held: Any = getattr(network, "_orig_mod", None)
        if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            held = network.module
        if not isinstance(held, nn.Module):
            return network
        network = held


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim in (3, 4) and value.is_floating_point()


def _pools(module: nn.Module, args: Any, output: Tensor) -> bool:
    """Whether a module is the global pooling, which some libraries build of parts."""
    if next(module.parameters(), None) is not None or output.shape[2:].numel() > 1:
        return False
    # Maps may have one position already: what is built to pool them tells then.
    built = any(isinstance(part, _POOLS) for part in module.modules())
    return built or any(_is_map(v) and v.shape[2:].numel() > 1 for v in args)


def _channel_axis(module: nn.Module, feature: Tensor) -> int:
    """Which side of a map is that of the channels: the last, or the second.

    The last of `(B, H, W, C)` is what the block normalises. Tokens are `(B, N, C)`, what
    convolutions of rows return is `(B, C, N)`.
    """
    last, parts = feature.ndim - 1, list(module.modules())
    norms = [m.normalized_shape for m in parts if isinstance(m, nn.LayerNorm)]
    normed = {shape[0] for shape in norms if len(shape) == 1}
    if feature.ndim == 4:
        return last if feature.shape[last] in normed and feature.shape[1] not in normed else 1
    rows = {m.out_channels for m in parts if isinstance(m, (nn.Conv1d, nn.ConvTranspose1d))}
    if not rows:
        return last
    linear = {m.out_features for m in parts if isinstance(m, nn.Linear)}
    tokens = feature.shape[last] in rows | normed | linear and feature.shape[1] not in rows
    return last if tokens else 1
