"""Everything reachable from a network as it is now, and the way back to it."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nas_plugins._torch import Tensor, nn, torch

_ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device})


class Snapshot:
    """A network's modules, attributes, containers and tensors, and what they hold.

    Followed are modules, instances of classes that are neither the standard library's nor
    PyTorch's nor numpy's, dictionaries, lists, sets, deques and tuples. Of tensors and arrays
    the numbers are copied, of random generators the state. What functions hold (closures, hooks,
    bound methods) is their own: a hook is there to see passes.

    Args:
        network: The network.
        tensors: Whether tensors are put back, too.
    """

    def __init__(self, network: nn.Module, *, tensors: bool = True) -> None:
        self._dictionaries: list[tuple[dict[Any, Any], list[Any], list[Any]]] = []
        self._collections: list[tuple[Any, list[Any]]] = []
        self._undo: list[Callable[[], None]] = []
        self._tensors = tensors
        # Holds what was visited: the identity of a freed object would be given to another.
        self._seen: dict[int, object] = {}
        waiting: list[Any] = [network, *network.parameters(), *network.buffers()]
        while waiting:
            found = waiting.pop()
            if type(found) not in _ATOMS and id(found) not in self._seen:
                self._seen[id(found)] = found
                waiting.extend(self._visit(found))

    def restore(self) -> None:
        """Puts back whatever has changed; the rest is not written to."""
        for mapping, keys, values in self._dictionaries:
            if not _are(mapping.values(), values) or not _are(mapping, keys):
                mapping.clear()
                mapping.update(zip(keys, values, strict=True))
        for collection, items in self._collections:
            if not _are(collection, items):
                collection.clear()
                (collection.update if isinstance(collection, set) else collection.extend)(items)
        for undo in self._undo:
            undo()

    def _visit(self, found: Any) -> Iterable[Any]:
        """Remembers one object; returns what it holds."""
        if isinstance(found, dict):
            return self._dictionary(found)
        if isinstance(found, Tensor):
            return self._tensor(found) if self._tensors else ()
        if isinstance(found, (list, deque, set)):
            items = list(found)
            self._collections.append((found, items))
            return items
        if isinstance(found, (tuple, frozenset)):
            return found
        undo = _state(found)
        if undo is not None:
            self._undo.append(undo)
        elif isinstance(found, nn.Module) or _foreign(found):
            self._undo.append(_class(found))
            return self._dictionary(vars(found))
        return ()

    def _dictionary(self, found: dict[Any, Any]) -> Iterable[Any]:
        values = list(found.values())
        self._dictionaries.append((found, list(found), values))
        return values

    def _tensor(self, found: Tensor) -> Iterable[Any]:
        memory, wanted = found.data, found.requires_grad
        gradient = found.grad if found.is_leaf else None
        try:
            copy = memory.clone()
        except (NotImplementedError, RuntimeError):  # no numbers, such as those of a lazy layer
            copy = None

        def undo() -> None:
            if _elsewhere(found.data, memory):
                found.data = memory
            if copy is not None and not torch.equal(copy, memory):
                memory.copy_(copy)  # through `.data`: no graph of the caller's takes notice
            if found.is_leaf:
                if found.requires_grad != wanted:
                    found.requires_grad_(wanted)
                if found.grad is not gradient:
                    found.grad = gradient

        self._undo.append(undo)
        return () if gradient is None else (gradient,)


def _are(now: Iterable[Any], before: list[Any]) -> bool:
    """Whether two collections hold the same objects in the same order."""
    return list(map(id, now)) == list(map(id, before))


def _class(found: Any) -> Callable[[], None]:
    kind = type(found)

    def undo() -> None:
        if type(found) is not kind:
            found.__class__ = kind

    return undo


def _state(found: Any) -> Callable[[], None] | None:
    """The way back of an object that is a state of its own."""
    if isinstance(found, np.ndarray) and not found.dtype.hasobject:
        numbers = found.copy()

        def undo() -> None:
            if found.flags.writeable:
                found[...] = numbers

        return undo
    if isinstance(found, torch.Generator):
        state = found.get_state()
        return lambda: void(found.set_state(state))
    if isinstance(found, random.Random):
        kept = found.getstate()
        return lambda: found.setstate(kept)
    if isinstance(found, np.random.RandomState):
        legacy = found.get_state()
        return lambda: found.set_state(legacy)
    if isinstance(found, np.random.Generator):
        bits, drawn = found.bit_generator, found.bit_generator.state
        return lambda: setattr(bits, "state", drawn)
    return None


def void(value: object) -> None:
    """Forgets a result."""


def _foreign(found: Any) -> bool:
    """Whether an object is an instance of somebody's own class with attributes."""
    home = type(found).__module__.partition(".")[0]
    known = home in sys.stdlib_module_names or home in ("torch", "numpy", "builtins")
    return not known and not isinstance(found, type) and isinstance(_attributes(found), dict)


def _attributes(found: Any) -> object:
    return getattr(found, "__dict__", None)


def _elsewhere(now: Tensor, before: Tensor) -> bool:
    """Whether a tensor's numbers lie in other memory than before, or are laid out otherwise."""
    try:
        moved = now.data_ptr() != before.data_ptr()
    except RuntimeError:  # a tensor without memory
        return now is not before
    return moved or now.shape != before.shape or now.stride() != before.stride()
