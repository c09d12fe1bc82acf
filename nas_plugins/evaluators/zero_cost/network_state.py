"""Leaves a network as it was, whatever is done to it in between."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
from torch.nn import parameter

from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.evaluators.zero_cost.blocks import unwrapped
from nas_plugins.evaluators.zero_cost.plain_weights import plain_weights
from nas_plugins.evaluators.zero_cost.snapshot import Snapshot

_lazily: Any = parameter  # whose lazy kinds are not in its type stubs


@contextmanager
def surroundings(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """What a value must not depend on: autocast, gradient modes, the default type of numbers.

    Args:
        device: Where the network runs.
        dtype: The network's.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if dtype == torch.float64 else torch.float32)
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for kind in {"cpu", device.type}:
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def prepared(
    network: nn.Module, device: torch.device, images: Tensor
) -> Iterator[tuple[nn.Module, int]]:
    """Yields the network for scoring, and how many parameters it has of its own.

    For scoring it is in training mode, with plain weights, gradients and nothing in place.

    At the end everything reachable from the network is as it was (see `Snapshot`), and so is the
    state of the random generators of PyTorch, numpy and Python. A network with lazy layers is
    copied and the copy initialised: the layers of the copy forget how to be lazy.

    Args:
        network: The network.
        device: Where it is to run.
        images: What initialises lazy layers; two of them are used.
    """
    generators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=generators), _other_generators():
        if _lazy(network):
            network = _initialised(network, images[:2], device)
        snapshot = Snapshot(network)
        scripted = [m for m in network.modules() if isinstance(m, torch.jit.ScriptModule)]
        modes = [(module, module.training) for module in scripted]
        try:
            if any(t.device != device for t in (*network.parameters(), *network.buffers())):
                network.to(device)
            parameters = sum(p.numel() for p in network.parameters())
            plain_weights(network)
            network.train()
            parts: list[Any] = list(network.modules())
            for module in parts:
                if getattr(module, "inplace", None) is True:
                    module.inplace = False
            # Not those of layers alone: the graph tells what a computed weight is made of.
            for weight in network.parameters():
                if weight.is_floating_point() or weight.is_complex():
                    weight.requires_grad_(True)
            with _eagerly(network):
                yield unwrapped(network), parameters
        finally:
            for module, training in modes:
                module.training = training
            snapshot.restore()


def _eagerly(network: nn.Module) -> AbstractContextManager[object]:
    """Without compilation, which would hide what a network calls."""
    parts = [vars(module) for module in network.modules()]
    compiled = any(p.get("_compiled_call_impl") or "_orig_mod" in p["_modules"] for p in parts)
    stance: Any = getattr(torch.compiler, "set_stance", None)
    return stance("force_eager") if compiled and stance is not None else nullcontext()


@contextmanager
def _other_generators() -> Iterator[None]:
    """Puts the global random generators of Python and numpy back."""
    ours, numpys = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


def _lazy(network: nn.Module) -> bool:
    tensors = (*network.parameters(), *network.buffers())
    return any(_lazily.is_lazy(tensor) for tensor in tensors)


def _initialised(network: nn.Module, images: Tensor, device: torch.device) -> nn.Module:
    # PyTorch cannot copy an uninitialised buffer.
    memo = {
        id(buffer): _lazily.UninitializedBuffer(device=buffer.device, dtype=buffer.dtype)
        for buffer in network.buffers()
        if isinstance(buffer, _lazily.UninitializedBuffer)
    }
    copied = copy.deepcopy(network, memo).to(device)
    torch.default_generator.manual_seed(0)
    modes = [(module, module.training) for module in copied.modules()]
    with torch.no_grad():
        copied.eval()(images)
    for module, training in modes:
        module.training = training
    return copied


@contextmanager
def kept_buffers(network: nn.Module) -> Iterator[None]:
    """Lets a network run on copies of its buffers, and puts its own ones back at the end.

    Its own ones are not written to, so that a pass may run while another one's graph lives.
    """
    found = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
    ]
    versions = [_version(buffer) for _, _, buffer, _ in found]
    for module, name, _, values in found:
        module._buffers[name] = None if values is None else values.clone()
    try:
        yield
    finally:
        for (module, name, buffer, values), version in zip(found, versions, strict=True):
            module._buffers[name] = buffer
            # Only a module that holds its buffer under another name as well gets here.
            if isinstance(buffer, Tensor) and values is not None and _version(buffer) != version:
                with torch.no_grad():
                    buffer.copy_(values)


def _version(tensor: Tensor | None) -> int | None:
    """Counts changes in place, where PyTorch does."""
    return None if tensor is None or tensor.is_inference() else tensor._version


def pass_generator(seed: int, name: str, device: torch.device) -> torch.Generator:
    """Returns a generator of one pass, and seeds the global ones (for dropout, and a
    network that asks Python's or numpy's) for it.

    Args:
        seed: The user's seed.
        name: Of the pass, so that its numbers do not depend on which others are run.
        device: Whose global generator is seeded as well as the CPU's.
    """
    state = seed
    for letter in name.encode():
        state = (state * 1_000_003 + letter) % 2**63
    torch.default_generator.manual_seed(state)
    random.seed(state)
    np.random.seed(state % 2**32)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(state)
    return torch.Generator().manual_seed(state)
