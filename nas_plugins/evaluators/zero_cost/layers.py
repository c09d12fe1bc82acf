"""The layers of a network, whatever they are called: the weights that they use, their work.

A layer multiplies what it is given by a weight: a convolution of any dimension, transposed or not,
a linear or bilinear map, the projections of attention, recurrent ones, a product with a parameter.
Its weight is a parameter that a module declares as such, a parameter that reaches one of PyTorch's
functions, or a tensor that `forward` computes of parameters. Where `forward` computes it of the
weight of a layer's module, as in weight standardisation, that weight is meant, as published.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.evaluators.zero_cost.calls import (
    NORMS,
    RECURRENT,
    CallMode,
    Function,
    flattened,
    layer_call,
    norm_options,
)

_aten: Any = torch.ops.aten
_SCRIPTED = frozenset(
    {"Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
     "Linear", "Bilinear"}
)  # fmt: skip
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
# Operations of PyTorch that multiply matrices, and that it has no count for.
_UNCOUNTED = frozenset(
    {_aten._trilinear, _aten._cdist_forward, _aten._native_multi_head_attention,
     _aten._transformer_encoder_layer_fwd, _aten.mkldnn_rnn_layer, _aten._cudnn_rnn,
     _aten._scaled_dot_product_flash_attention_for_cpu}
)  # fmt: skip
_PLAIN = ("aten", "prim", "prims", "profiler", "torchvision")


def declared_weights(module: nn.Module) -> dict[str, Tensor]:
    """Weights that a module of PyTorch's own layers multiplies by, by their names."""
    kind = getattr(module, "original_name", "")
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear)) or kind in _SCRIPTED:
        names: Iterable[str] = ("weight",)
    elif isinstance(module, nn.MultiheadAttention):
        names = _ATTENTION
    elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        names = [name for name in own if name.startswith("weight_")]
    else:
        names = ()
    return {name: own[name] for name in names if name in own}


@dataclass(eq=False)
class Layers:
    """The weights of a network.

    Attributes:
        weights: Each once: those that modules declare, in the order of the modules, then those
            that only the forward pass shows.
        computed: Indices in `weights` of those that no parameter holds, by what they are computed
            of.
        biases: Identities of the parameters that layers add.
        macs: Multiply-accumulates of one image in evaluation mode.
        uncounted: Why there are none.
        hidden: Why the outputs of some layer are not seen; empty if all are.
        weight_norms: Whether a batch normalisation normalises weights.
        products: Whether a product with a parameter is a layer.
        relus: Of every ReLU, in the order of the calls, the function and the shape of what it
            returned for one image; empty where that did not depend on the image.
        calls: The same of the layers.
        scripted: Whether a part of the network is TorchScript, which shows no calls.
        holders: Identities of the modules that return neither a tensor nor tensors in a row, as
            an encoder that returns an object: no feature map, but what they hold may return one.
    """

    weights: list[Tensor]
    computed: dict[tuple[frozenset[int], tuple[int, ...]], list[int]] = field(default_factory=dict)
    biases: set[int] = field(default_factory=set)
    macs: int = 0
    uncounted: str = ""
    hidden: str = ""
    weight_norms: bool = False
    products: bool = False
    scripted: bool = False
    relus: list[tuple[Any, ...]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    holders: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.index = {id(weight): i for i, weight in enumerate(self.weights)}

    @classmethod
    def declared(cls, network: nn.Module) -> Layers:
        """What the modules alone tell."""
        found: dict[int, Tensor] = {}
        biases: set[int] = set()
        for module in network.modules():
            weights = declared_weights(module)
            found.update((id(weight), weight) for weight in weights.values())
            if weights:
                others = module.named_parameters(recurse=False)
                biases |= {id(p) for name, p in others if name not in weights and p.ndim == 1}
        scripted = any(isinstance(m, torch.jit.ScriptModule) for m in network.modules())
        return cls(list(found.values()), biases=biases, scripted=scripted)

    @property
    def computed_indices(self) -> frozenset[int]:
        """Indices of the weights that no parameter holds."""
        return frozenset(i for indices in self.computed.values() for i in indices)

    @property
    def parameters(self) -> list[tuple[int, Tensor]]:
        """Those that are parameters, with their indices."""
        computed = self.computed_indices
        return [(i, w) for i, w in enumerate(self.weights) if i not in computed]

    def find(
        self,
        weight: Tensor,
        origins: Origins,
        alias: Mapping[int, int],
        *,
        product: bool = False,
        add: bool = False,
    ) -> int | None:
        """The index of a tensor that a layer is called with; ``None`` if it is no weight.

        Args:
            weight: The tensor.
            origins: Of the pass.
            alias: Identities of the parameters that stand in for the network's in this pass.
            product: Whether it is an operand of a product. Not every one is a layer's then: a
                query that only depends on parameters is none, nor is a table of positions.
            add: Whether a weight that is not known yet is taken up.
        """

        base = weight._base if weight._is_view() else None
        known = [alias.get(id(tensor), id(tensor)) for tensor in (weight, base)]
        found = next((self.index[tensor] for tensor in known if tensor in self.index), None)
        if found is not None:
            return found
        leaves = origins.leaves(weight)
        if not leaves or (product and not origins.same_size(weight, leaves)):
            return None
        leaves = frozenset(alias.get(leaf, leaf) for leaf in leaves)
        declared = {self.index[leaf] for leaf in leaves if leaf in self.index}
        if len(declared) == 1 and self.weights[min(declared)].numel() == weight.numel():
            return declared.pop()
        candidates = self.computed.get((leaves, tuple(weight.shape)), [])
        values = weight.detach()
        equal = [i for i in candidates if torch.equal(self.weights[i], values.to(self.weights[i]))]
        if equal or not add:
            return next(iter(equal or candidates), None)
        return self._added(weight, base, leaves)

    def _added(self, weight: Tensor, base: Tensor | None, leaves: frozenset[int]) -> int:
        index = len(self.weights)
        for tensor in (weight, base):
            if tensor is not None and tensor.grad_fn is None and tensor.requires_grad:
                self.index[id(tensor)] = index
                self.weights.append(tensor)
                return index
        self.computed.setdefault((leaves, tuple(weight.shape)), []).append(index)
        self.weights.append(weight.detach().clone())
        return index


class Origins:
    """What tensors are computed of, read from the graph of a forward pass.

    Args:
        data: The input of the network, which requires a gradient unless it is token ids: what
            is computed of these has to be told, see `follow`.
    """

    def __init__(self, data: Tensor) -> None:
        self._data = data
        self._of: dict[Any, frozenset[int] | None] = {}
        self._sizes: dict[int, int] = {}
        # What is computed of token ids and has no graph; kept, so that no other has its identity.
        self._ids: dict[int, Tensor] = {}

    def begin(self, given: Tensor) -> Tensor:
        """Takes up what the network is given in the place of the data."""
        if not given.is_floating_point():
            self._ids[id(given)] = given
        return given

    def follow(self, given: Iterable[Any], result: Any) -> None:
        """Notes what a call has computed of token ids: an embedding is data, not a weight."""
        if not self._ids or not any(id(value) in self._ids for value in flattened(given)):
            return
        for found in flattened([result]):
            if isinstance(found, Tensor) and found.grad_fn is not None:
                self._of[found.grad_fn] = None
            elif isinstance(found, Tensor) and not found.requires_grad:
                self._ids[id(found)] = found

    def leaves(self, tensor: Tensor) -> frozenset[int] | None:
        """Identities of the parameters that a tensor is computed of; ``None`` if of the input.

        Empty for a constant.
        """
        if tensor.grad_fn is None:
            return self._leaf(tensor) if tensor.requires_grad else frozenset()
        waiting: list[Any] = [tensor.grad_fn]
        while waiting:
            node = waiting[-1]
            parts = [part for part, _ in node.next_functions if part is not None]
            missing = [part for part in parts if part not in self._of]
            if node not in self._of and missing:
                waiting += missing
                continue
            waiting.pop()
            if node not in self._of:
                self._of[node] = self._joined(node, parts)
        return self._of[tensor.grad_fn]

    def of_weights(self, tensor: Tensor) -> bool:
        """Whether a tensor is computed of parameters only."""
        return bool(self.leaves(tensor))

    def same_size(self, tensor: Tensor, leaves: frozenset[int]) -> bool:
        """Whether a tensor may be one parameter in another form: a matrix of its elements."""
        (leaf, *others) = leaves
        return not others and tensor.ndim > 1 and self._sizes[leaf] == tensor.numel()

    def _leaf(self, tensor: Tensor) -> frozenset[int] | None:
        self._sizes[id(tensor)] = tensor.numel()
        return None if tensor is self._data else frozenset({id(tensor)})

    def _joined(self, node: Any, parts: list[Any]) -> frozenset[int] | None:
        if type(node).__name__ == "AccumulateGrad":
            return self._leaf(node.variable)
        found = [self._of[part] for part in parts]
        if None in found:
            return None
        return frozenset().union(*(leaves for leaves in found if leaves is not None))


def survey(network: nn.Module, image: Tensor) -> Layers:
    """The layers of a network: what its modules declare and what one image shows.

    Args:
        network: The network. Its modes are put back.
        image: `(1, C, H, W)`.

    Raises:
        Exception: Whatever the network raises.
    """
    layers = Layers.declared(network)
    data = image.detach().requires_grad_(image.is_floating_point())
    counter = _MacCounter()
    modes = [(module, module.training) for module in network.modules()]
    network.eval()

    def note(module: nn.Module, args: Any, output: Any) -> None:
        if not isinstance(output, (Tensor, tuple, list)):
            layers.holders.add(id(module))

    handles = [
        module.register_forward_hook(note)
        for module, _ in modes
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        origins = Origins(data)
        seen, given = _Survey(layers, origins), origins.begin(data.clone())
        with torch.enable_grad(), _without_fused_kernels(network), seen, counter:
            network(given)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    layers.macs, layers.uncounted = counter.macs, counter.reason
    return layers


class _Survey(CallMode):
    def __init__(self, layers: Layers, origins: Origins) -> None:
        super().__init__()
        self._layers, self._origins = layers, origins

    def call(self, func: Function, args: Any, kwargs: Any) -> Any:
        layers, origins = self._layers, self._origins
        result = func(*args, **kwargs)
        origins.follow((*args, *kwargs.values()), result)
        found = layer_call(func, args, kwargs, origins.of_weights)
        if found is not None:
            index = layers.find(found.weight, origins, {}, product=found.product, add=True)
            if index is not None:
                layers.calls.append((func, tuple(result.shape)))
                layers.products |= found.product
                layers.hidden = layers.hidden or found.hidden
                if found.bias is not None:
                    layers.biases.add(id(found.bias))
        elif func in RECURRENT:
            layers.hidden = "the outputs of a recurrent layer's products are not seen"
        elif func in NORMS and origins.of_weights(norm_options(func, args, kwargs)["input"]):
            layers.weight_norms = True
        elif self.is_activation(func, args, kwargs):
            given = origins.leaves(result) is None
            layers.relus.append((func, tuple(result.shape)) if given else ())
        return result


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Multiply-accumulates as `torch.utils.flop_counter` counts them, half as many."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.reason = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in flop_registry:
            self.macs += flop_registry[packet](*args, **(kwargs or {}), out_val=result) // 2
        elif packet in (_aten.mv, _aten.dot, _aten.vdot):
            self.macs += args[0].numel()
        elif packet is _aten.addmv:
            self.macs += args[1].numel()
        elif packet in _UNCOUNTED or func.namespace not in _PLAIN:
            self.reason = f"the multiply-accumulates of {packet} are not known"
        return result


@contextmanager
def _without_fused_kernels(network: nn.Module) -> Iterator[None]:
    """Attention and recurrence in products: one kernel for the whole would not be counted."""
    recurrent = any(isinstance(m, (nn.RNNBase, torch.jit.ScriptModule)) for m in network.modules())
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if recurrent:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # PyTorch's, of processors that are not here
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


@contextmanager
def swapped(network: nn.Module, values: Mapping[int, Tensor]) -> Iterator[None]:
    """Puts other tensors in the place of a network's parameters and buffers.

    Args:
        network: The network.
        values: By the identity of the tensor that each replaces, wherever it is.
    """
    kept: list[tuple[Any, str, Any]] = []
    flat: list[tuple[Any, list[Any]]] = []
    try:
        for module in network.modules():
            for own in (module._parameters, module._buffers):
                for name, tensor in own.items():
                    if id(tensor) in values:
                        kept.append((own, name, tensor))
            if isinstance(module, nn.RNNBase):
                flat.append((module, module._flat_weights))
                module._flat_weights = [values.get(id(w), w) for w in module._flat_weights]
        for own, name, tensor in kept:
            own[name] = values[id(tensor)]
        yield
    finally:
        for own, name, tensor in kept:
            own[name] = tensor
        for module, weights in flat:
            module._flat_weights = weights
