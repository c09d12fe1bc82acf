"""Every proxy the plain way, for networks of any kind: what `zero_cost_networks.py` compares with.

Written from the published definitions. Each works on a copy of its own, takes its own passes,
reads weights off modules and outputs off PyTorch's functions, which are replaced for one pass.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import _naslib_style as naslib
import numpy as np
import torch
from _public_networks import PublicNetwork
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from nas_plugins.evaluators.zero_cost.network_state import pass_generator

Images = tuple[Tensor, Tensor]
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
LOGITS = ("epe_nas", "fisher", "grad_norm", "grasp", "jacov", "plain", "snip", "zico")
RELUS = ("relu", "relu6", "hardtanh", "leaky_relu", "prelu")
CPU = torch.device("cpu")


class Logits(nn.Module):
    """The logits alone of whatever a network returns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        found: Any = self.network(images)
        found = getattr(found, "logits", found)
        return found[0] if isinstance(found, tuple) else found


def twin(network: nn.Module) -> nn.Module:
    """A copy in training mode, without operations in place or computed weights."""
    made: Any = naslib.trained_copy(Logits(network))
    for module in list(made.modules()):
        if hasattr(module, "_requires_grad"):
            module._requires_grad = False  # asks for gradients where only a leaf may
        if parametrize.is_parametrized(module):
            values = {name: getattr(module, name).detach() for name in module.parametrizations}
            del module._modules["parametrizations"]
            module.__class__ = type(module).__bases__[0]  # the copy shares its class
            for name, value in values.items():
                setattr(module, name, nn.Parameter(value.clone()))
    return made


def layer_weights(network: nn.Module) -> list[Tensor]:
    """The weights of convolutions, linear layers, attention and recurrent layers, each once."""
    found: dict[int, Tensor] = {}
    for module in network.modules():
        names: list[str] = []
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)) or _is_hf_conv1d(module):
            names = ["weight"]
        elif isinstance(module, nn.MultiheadAttention):
            names = ["in_proj_weight"]
        elif isinstance(module, nn.RNNBase):
            names = [name for name, _ in module.named_parameters() if name.startswith("weight")]
        for name in names:
            weight = getattr(module, name)
            found[id(weight)] = weight
    return list(found.values())


def _is_hf_conv1d(module: nn.Module) -> bool:
    """Hugging Face's linear layer with a turned weight."""
    return type(module).__name__ == "Conv1D"


@contextmanager
def replaced(names: tuple[str, ...], see: Callable[[str, Any, Tensor], None]) -> Iterator[None]:
    """Shows what functions of `torch.nn.functional` return, not those that they call."""
    inside: list[str] = []

    def watched(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            inside.append(name)
            try:
                result = function(*args, **kwargs)
            finally:
                inside.pop()
            if not inside:
                see(name, (*args, *kwargs.values()), result)
            return result

        return call

    with ExitStack() as stack:
        for name in names:
            function = watched(name, getattr(functional, name))
            stack.enter_context(patch.object(functional, name, function))
        yield


def params(network: nn.Module, images: Images) -> float:
    """Parameters in millions."""
    return naslib.params(network, images)


def n_layers(network: nn.Module, images: Images) -> float:
    """Weights of layers."""
    return len(layer_weights(twin(network)))


def l2_norm(network: nn.Module, images: Images) -> float:
    """Norms of the weights."""
    return sum(float(weight.detach().norm()) for weight in layer_weights(twin(network)))


def flops(network: nn.Module, images: Images) -> float:
    """Half of what PyTorch counts, attention and recurrence in products."""
    made, counter = copy.deepcopy(network).eval(), FlopCounterMode(display=False)
    # In one kernel for the whole, PyTorch would not count them.
    with sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False), counter:
        made(images[0][:1].clone().requires_grad_())
    return counter.get_total_flops() / 2 / 1e6


def loss_gradients(network: nn.Module, images: Images) -> list[tuple[Tensor, Tensor]]:
    """Weights and the gradients of the mean cross-entropy, of those that have one."""
    made = twin(network)
    weights = layer_weights(made)
    loss = functional.cross_entropy(made(images[0]), images[1])
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [(w.detach(), g) for w, g in zip(weights, found, strict=True) if g is not None]


def grad_norm(network: nn.Module, images: Images) -> float:
    """Norms of the gradients."""
    return sum(float(g.norm()) for _, g in loss_gradients(network, images))


def snip(network: nn.Module, images: Images) -> float:
    """Absolute values of weights times gradients."""
    return sum(float((w * g).abs().sum()) for w, g in loss_gradients(network, images))


def plain(network: nn.Module, images: Images) -> float:
    """Weights times gradients."""
    return sum(float((w * g).sum()) for w, g in loss_gradients(network, images))


def fisher(network: nn.Module, images: Images) -> float:
    """Squared sums over an image's positions of outputs times gradients."""
    if any(isinstance(module, nn.RNNBase) for module in network.modules()):
        return math.nan  # what its products return is not to be seen
    made, outputs = twin(network), list[tuple[Tensor, int, int]]()

    def keep(name: str, args: Any, result: Tensor) -> None:
        outputs.append((result, 1 if name in CONVOLUTIONS else -1, args[1].numel()))

    def hook(module: Any, inputs: Any, output: Tensor) -> None:
        outputs.append((output, -1, module.weight.numel()))

    for module in made.modules():
        if _is_hf_conv1d(module):
            module.register_forward_hook(hook)
    with replaced((*CONVOLUTIONS, "linear"), keep), _Products(made, outputs):
        loss = functional.cross_entropy(made(images[0]), images[1])
    found = torch.autograd.grad(loss, [output for output, _, _ in outputs], allow_unused=True)
    score = 0.0
    for (output, channels, size), gradient in zip(outputs, found, strict=True):
        if gradient is not None:
            rows = _by_image(output.detach() * gradient, channels, len(images[0]))
            score += float(rows.sum(1).square().mean(0).sum()) / 2 * size / rows.shape[2]
    return score


class _Products(TorchFunctionMode):
    """Sees products with a layer's weight on the left: channels before positions."""

    def __init__(self, network: nn.Module, outputs: list[tuple[Tensor, int, int]]) -> None:
        super().__init__()
        self.weights = {id(weight) for weight in layer_weights(network)}
        self.outputs = outputs

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (Tensor.__matmul__, torch.matmul) and id(args[0]) in self.weights:
            self.outputs.append((result, -2, args[0].numel()))
        return result


def _by_image(values: Tensor, channels: int, images: int) -> Tensor:
    """`(B, positions, C)`; what no image has a part of counts as of one image."""
    values = values.movedim(channels, -1)
    if len(values) % images and values.ndim > 2 and values.shape[1] == images:
        values = values.transpose(0, 1)  # the sequence comes first
    rows = images if len(values) % images == 0 else 1
    return values.reshape(rows, -1, values.shape[-1])


def zico(network: nn.Module, images: Images) -> float:
    """Mean over deviation of the gradients of two halves."""
    half = len(images[0]) // 2
    parts = [
        loss_gradients(network, (images[0][rows], images[1][rows]))
        for rows in (slice(0, half), slice(half, None))
    ]
    score = 0.0
    for pair in zip(*parts, strict=True):
        both = np.stack([gradient.numpy().ravel() for _, gradient in pair])
        deviation, mean = both.std(axis=0), np.abs(both).mean(axis=0)
        used = deviation > 0
        if used.any():
            score += float(np.log(np.sum(mean[used] / deviation[used])))
    return score


def grasp(network: nn.Module, images: Images) -> float:
    """Weights times the Hessian times the gradient."""
    made = twin(network)
    weights = layer_weights(made)
    gate = patch.object(functional, "hardsigmoid", lambda x, _=False: functional.relu6(x + 3) / 6)
    with sdpa_kernel(SDPBackend.MATH), gate:  # no other has a second derivative
        loss = functional.cross_entropy(made(images[0]), images[1])
    first = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    inner = torch.stack([(g.detach() * g).sum() for g in first if g is not None]).sum()
    second = torch.autograd.grad(inner, weights, allow_unused=True)
    pairs = zip(weights, second, strict=True)
    return -sum(float((w.detach() * h).sum()) for w, h in pairs if h is not None)


def cancels(network: nn.Module, images: Images) -> bool:
    """Whether the gradients of the sum of the logits are rounding, unlike those of one image."""
    given = images[0].clone().requires_grad_()
    logits = twin(network)(given)
    (of_sum,) = torch.autograd.grad(logits.sum(), given, retain_graph=True)
    (of_one,) = torch.autograd.grad(logits[0].sum(), given)
    return bool(of_sum.abs().max() < 1e-9 * of_one.abs().max())


def is_dead(network: nn.Module, images: Images) -> bool:
    """Whether other images have the same logits."""
    made = twin(network)
    with torch.no_grad():
        return torch.equal(made(images[0]), made(images[0].flip(0) * 2))


def jacov(network: nn.Module, images: Images) -> float:
    """Spectrum of the correlations of the images' gradients."""
    if cancels(network, images):
        return math.nan
    return naslib.jacov(twin(network), images)


def epe_nas(network: nn.Module, images: Images) -> float:
    """The same within the classes."""
    if cancels(network, images):
        return math.nan
    return naslib.epe_nas(twin(network), images)


def relus(network: nn.Module, images: Images) -> Tensor:
    """Which units are on, `(B, units)`."""
    kept: list[Tensor] = []

    def keep(name: str, args: Any, result: Tensor) -> None:
        if name != "hardtanh" or args[1] == 0:
            kept.append((result.detach() > 0).reshape(len(images[0]), -1))

    with replaced(RELUS, keep):
        twin(network)(images[0])
    return torch.cat(kept, dim=1)


def nwot(network: nn.Module, images: Images) -> float:
    """On how many units two images agree."""
    on = relus(network, images).double()
    return float(np.linalg.slogdet((on @ on.T + (1 - on) @ (1 - on).T).numpy())[1])


def swap(network: nn.Module, images: Images) -> float:
    """Distinct patterns."""
    return len(np.unique(relus(network, images).T.numpy(), axis=0))


def meco(network: nn.Module, images: Images) -> float:
    """Smallest eigenvalues of the channels' correlations."""
    kept: list[float] = []

    def keep(name: str, args: Any, result: Tensor) -> None:
        rows = result[0].detach().flatten(1).numpy()
        if min(rows.shape) > 1:
            with np.errstate(invalid="ignore", divide="ignore"):
                correlation = np.nan_to_num(np.corrcoef(rows))
            kept.append(float(np.linalg.eigvalsh(correlation).min()))

    with replaced(CONVOLUTIONS, keep):
        twin(network)(images[0])
    return sum(kept) if kept else math.nan


def synflow(network: nn.Module, images: Images) -> float:
    """Flow of ones through absolute weights without batch normalisation."""
    made = twin(network).double()
    with torch.no_grad():
        for value in (*made.parameters(), *made.buffers()):
            if value.is_floating_point():
                value.abs_()
    for module in made.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            after = getattr(module, "act", nn.Identity())  # timm's holds what follows
            module.forward = lambda values, after=after: after(values)
    weights = layer_weights(made)
    result = made(torch.ones_like(images[0][:1], dtype=torch.float64)).sum()
    found = torch.autograd.grad(result, weights, allow_unused=True)
    pairs = zip(weights, found, strict=True)
    total = sum(float((w.detach() * g).sum()) for w, g in pairs if g is not None)
    return math.log(total) if total > 0 else math.nan


def zen(network: nn.Module, images: Images, public: PublicNetwork, seed: int) -> float:
    """How far noise moves the features, at random weights."""
    made = twin(network)
    # The same numbers as ours: the seed of the pass, the weights in their order.
    generator = pass_generator(seed, "zen", CPU)
    drawn = {id(weight) for weight in layer_weights(made)}
    biases = {
        id(value)
        for module in made.modules()
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear, nn.RNNBase,
                               nn.MultiheadAttention)) or _is_hf_conv1d(module)
        for name, value in module.named_parameters(recurse=False)
        if "bias" in name
    }  # fmt: skip
    norms = [m for m in made.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    features: list[Tensor] = []
    with torch.no_grad():
        for value in made.parameters():
            if id(value) in drawn:
                value.copy_(torch.randn(value.shape, generator=generator))
            elif id(value) in biases:
                value.zero_()
        for norm in norms:
            norm.reset_parameters()
            norm.momentum = 0.1
        shape = (min(16, len(images[0])), *images[0].shape[1:])
        image, noise = (torch.randn(shape, generator=generator).double() for _ in range(2))
        for given in (image, image + 0.01 * noise):
            features.append(_last_features(made, given, public.features))
    distance = (features[0] - features[1]).abs().flatten(1).sum(1).mean()
    scale = sum(float(norm.running_var.mean().sqrt().log()) for norm in norms)
    return float(distance.log()) + scale


def _last_features(network: Any, images: Tensor, name: str) -> Tensor:
    kept: list[Tensor] = []
    if not name:
        with replaced(("linear",), lambda name, args, result: kept.append(args[0])):
            network(images)
        return kept[-1]
    module = network.network.get_submodule(name)
    handle = module.register_forward_hook(lambda module, inputs, output: kept.append(output))
    network(images)
    handle.remove()
    return kept[-1]


def features(network: nn.Module, images: Images, public: PublicNetwork) -> list[Tensor]:
    """What goes into the first block, unless it is the image, and comes out of every block."""
    made: Any = twin(network)
    kept: list[Tensor] = []

    def keep(module: Any, inputs: Any, named: Any, output: Any) -> None:
        given = [v for v in (*inputs, *named.values()) if isinstance(v, Tensor) and v.ndim > 2]
        if not kept and given and given[0].shape != images[0].shape:
            kept.append(given[0])
        kept.append(output[0] if isinstance(output, tuple) else output)

    for name, module in made.network.named_modules():
        if any(_matches(name, pattern) for pattern in public.blocks):
            module.register_forward_hook(keep, with_kwargs=True)
    # Gradients from map to map, also where no weight comes before.
    made(images[0].clone().requires_grad_())
    return kept


def _matches(name: str, pattern: str) -> bool:
    return name.count(".") == pattern.count(".") and fnmatchcase(name, pattern)


def as_map(values: Tensor, public: PublicNetwork, index: int) -> Tensor:
    """`(B, C, H, W)` of the feature of an index."""
    if values.ndim == 3:
        return (values if index < public.rows else values.transpose(1, 2))[..., None]
    return values.permute(0, 3, 1, 2) if public.last else values


def entropies(network: nn.Module, images: Images, public: PublicNetwork) -> list[float]:
    """Of the spectra of the features' covariances."""
    found = []
    for index, feature in enumerate(features(network, images, public)):
        rows = as_map(feature.detach(), public, index).transpose(0, 1).flatten(1).numpy()
        values = np.linalg.eigvalsh(np.cov(rows, bias=True)).clip(min=0)
        shares = values / values.sum()
        found.append(float(-np.sum(shares * np.log(shares + 1e-8))))
    return found


def az_trainability(network: nn.Module, images: Images, public: PublicNetwork, seed: int) -> float:
    """How near 1 the blocks' Jacobians are."""
    maps, scores = features(network, images, public), []
    generator = pass_generator(seed, "blocks", CPU)
    for index, (earlier, later) in enumerate(pairwise(maps)):
        draw = torch.randint(0, 2, later.shape, generator=generator, dtype=torch.int8)
        signs = (2 * draw - 1).double()
        (found,) = torch.autograd.grad(later, earlier, signs, retain_graph=True, allow_unused=True)
        if found is None:
            continue
        if found.shape == signs.shape and bool((found == signs).all()):
            return math.nan  # minus infinity in the authors' code
        found, signs = as_map(found, public, index), as_map(signs, public, index + 1)
        if found.shape[2:] != signs.shape[2:]:
            if earlier.ndim == 3:
                return math.nan  # of other tokens: there is no position to compare
            found = _folded(found, signs)
        jacobian = torch.einsum("bchw,bdhw->cd", found, signs) / signs[:, 0].numel()
        norm = float(torch.linalg.svdvals(jacobian).max())
        scores.append(2 - norm - 1 / (norm + 1e-6))
    return sum(scores) / len(scores)


def _folded(found: Tensor, signs: Tensor) -> Tensor:
    """The positions that a stride makes one, as channels."""
    stride = max(1, round(found.shape[2] / signs.shape[2]))
    height, width = (stride * side for side in signs.shape[2:])
    found = functional.pad(found, (0, width - found.shape[3], 0, height - found.shape[2]))
    return functional.pixel_unshuffle(found, stride)


SIMPLE: dict[str, Callable[[nn.Module, Images], float]] = {
    "epe_nas": epe_nas, "fisher": fisher, "flops": flops, "grad_norm": grad_norm, "grasp": grasp,
    "jacov": jacov, "l2_norm": l2_norm, "meco": meco, "n_layers": n_layers, "nwot": nwot,
    "params": params, "plain": plain, "snip": snip, "swap": swap, "synflow": synflow,
    "zico": zico,
}  # fmt: skip


def reference(
    name: str, network: nn.Module, images: Images, public: PublicNetwork, seed: int
) -> float:
    """The value of one proxy, NaN where it has none."""
    if name in LOGITS and is_dead(network, images):
        return math.nan
    if name == "zen":
        return zen(network, images, public, seed)
    if name == "az_trainability":
        return az_trainability(network, images, public, seed)
    if name == "az_expressivity":
        return sum(entropies(network, images, public))
    if name == "az_progressivity":
        return float(np.diff(entropies(network, images, public)).min())
    return SIMPLE[name](network, images)
