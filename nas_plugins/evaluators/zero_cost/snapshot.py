"""Everything reachable from a network as it is now, and the way back to it."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nas_plugins._torch import Tensor, nn, torch


class Snapshot:
    """A network's modules, attributes, containers and tensors, and what they hold.

    Followed are modules, instances of classes that are neither the standard library's nor
    PyTorch's nor numpy's, dictionaries, lists, sets, deques and tuples. Of tensors and arrays
    the numbers are copied, of random generators the state. What functions hold (closures, hooks,
    bound methods) is their own: a hook is there to see passes.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        self._undo: list[Callable[[], None]] = []
        # Holds what was visited: the identity of a freed object would be given to another.
        self._seen: dict[int, object] = {}
        waiting: list[Any] = [network, *network.parameters(), *network.buffers()]
        while waiting:
            found = waiting.pop()
            if id(found) not in self._seen:
                self._seen[id(found)] = found
                waiting.extend(self._visit(found))

    def restore(self) -> None:
        """Puts back whatever has changed; the rest is not written to."""
        for undo in self._undo:
            undo()

    def _visit(self, found: Any) -> Iterable[Any]:
        """Remembers one object; returns what it holds."""
        if isinstance(found, Tensor):
            return self._tensor(found)
        if isinstance(found, dict):
            self._undo.append(_mapping(found))
            return list(found.values())
        if isinstance(found, (list, deque, set)):
            self._undo.append(_collection(found))
            return list(found)
        if isinstance(found, (tuple, frozenset)):
            return found
        undo = _state(found)
        if undo is not None:
            self._undo.append(undo)
        elif isinstance(found, nn.Module) or _foreign(found):
            self._undo += [_class(found), _mapping(vars(found))]
            return list(vars(found).values())
        return ()

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


def _mapping(found: dict[Any, Any]) -> Callable[[], None]:
    saved = list(found.items())

    def undo() -> None:
        now = list(found.items())
        same = len(now) == len(saved) and all(
            a is c and b is d for (a, b), (c, d) in zip(now, saved, strict=True)
        )
        if not same:
            found.clear()
            found.update(saved)

    return undo


def _collection(found: Any) -> Callable[[], None]:
    saved = list(found)

    def undo() -> None:
        now = list(found)
        if len(now) != len(saved) or any(a is not b for a, b in zip(now, saved, strict=True)):
            found.clear()
            (found.update if isinstance(found, set) else found.extend)(saved)

    return undo


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
