"""Leaves a network as it was, whatever is done to it in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.evaluators.zero_cost.recording import theta


@contextmanager
def prepared(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Trains mode, gradients for theta, nothing in place; all put back at the end.

    Also put back are the device, the buffers and the state of PyTorch's random generators.

    Args:
        network: The network.
        device: Where it is to run.
    """
    home = next((p.device for p in network.parameters()), device)
    modes = [(module, module.training) for module in network.modules()]
    inplace = [m for m in network.modules() if getattr(m, "inplace", None) is True]
    frozen = [weight for weight in theta(network) if not weight.requires_grad]
    moved = home != device
    generators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=generators), kept_buffers(network):
        try:
            if moved:
                network.to(device)
            network.train()
            _set_inplace(inplace, False)
            for weight in frozen:
                weight.requires_grad_(True)
            yield
        finally:
            for module, training in modes:
                module.training = training
            _set_inplace(inplace, True)
            for weight in frozen:
                weight.requires_grad_(False)
            if moved:
                network.to(home)


def _set_inplace(modules: Iterable[Any], value: bool) -> None:
    for module in modules:
        module.inplace = value


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
    versions = [None if buffer is None else buffer._version for _, _, buffer, _ in found]
    for module, name, _, copy in found:
        module._buffers[name] = None if copy is None else copy.clone()
    try:
        yield
    finally:
        for (module, name, buffer, copy), version in zip(found, versions, strict=True):
            module._buffers[name] = buffer
            # Only a module that holds its buffer under another name as well gets here.
            if isinstance(buffer, Tensor) and copy is not None and buffer._version != version:
                with torch.no_grad():
                    buffer.copy_(copy)


def pass_generator(seed: int, name: str, device: torch.device) -> torch.Generator:
    """Returns a generator of one pass, and seeds the global ones (for dropout) for it.

    Args:
        seed: The user's seed.
        name: Of the pass, so that its numbers do not depend on which others are run.
        device: Whose global generator is seeded as well as the CPU's.
    """
    state = seed
    for letter in name.encode():
        state = (state * 1_000_003 + letter) % 2**63
    torch.default_generator.manual_seed(state)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(state)
    return torch.Generator().manual_seed(state)
