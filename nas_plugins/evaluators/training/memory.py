"""How much memory a training takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nas_plugins._torch import nn, torch


class MemoryMeter:
    """The most memory that training holds, in bytes.

    On CUDA this is PyTorch's own count (``torch.cuda.max_memory_allocated``) less what was
    allocated when the meter was made. Elsewhere PyTorch keeps no count, and the process's
    resident set depends on what ran before; so the tensors are added up that training must
    hold when the forward pass of a batch ends: parameters, buffers, gradients, momentum, and
    what autograd has saved for the backward pass. It is the same in every process; scratch
    space within an operation is not in it.

    Args:
        device: Where the training runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._saved: dict[int, int] = {}
        self._before = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)

    @property
    def counts(self) -> bool:
        """Whether `forward` is still to be used, around one forward pass."""
        return self._device.type != "cuda" and not self._saved

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Counts what a forward pass in this block saves."""

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                self._saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield

    def peak(self, network: nn.Module, *, momentum: bool) -> int:
        """Bytes at the peak.

        Args:
            network: What is trained.
            momentum: Whether the optimiser keeps one more number per parameter.
        """
        if self._device.type == "cuda":
            return max(torch.cuda.max_memory_allocated(self._device) - self._before, 0)
        own = _storages([*network.parameters(), *network.buffers()])
        trained = _storages(p for p in network.parameters() if p.requires_grad)
        saved = {place: size for place, size in self._saved.items() if place not in own}
        gradients = sum(trained.values()) * (2 if momentum else 1)
        return sum(own.values()) + gradients + sum(saved.values())


def _storages(tensors: Iterable[torch.Tensor]) -> dict[int, int]:
    storages = (tensor.untyped_storage() for tensor in tensors)
    return {storage.data_ptr(): storage.nbytes() for storage in storages}
