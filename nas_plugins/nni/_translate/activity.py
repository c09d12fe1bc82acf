"""Which choices of a model space count only when others are made: depths and nested layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Condition: TypeAlias = dict[str, frozenset[int]]
"""Which positions every parent label must take."""

_MAX_CONDITIONS = 64


def conditions(model_space: Any) -> dict[str, list[Condition]]:
    """Under which conditions labels count, for those that do not always.

    A block of a ``Repeat`` counts when the depth reaches it, a candidate of a ``LayerChoice``
    when it is chosen. A label that is used in several places counts when one of them does, and
    whatever is not understood counts always.

    Args:
        model_space: A model space of PyTorch modules; an executable one is built once more to
            look at its modules. Anything else has no conditions.

    Returns:
        By label, the conditions of which one must hold.
    """
    module = _module(model_space)
    found: dict[str, list[Condition]] = {}
    if module is not None:
        _walk(module, {}, found)
    return {
        label: places
        for label, places in found.items()
        if all(places) and len(places) <= _MAX_CONDITIONS
    }


def _module(model_space: Any) -> Any:
    from torch import nn, random

    for candidate in (model_space, getattr(model_space, "model_space", None)):
        if isinstance(candidate, nn.Module):
            return candidate
    traced: Any = getattr(model_space, "model", None)
    if not hasattr(traced, "trace_copy"):
        return None
    with random.fork_rng(devices=[]):
        built = traced.trace_copy().get(traceable=False)
    return built if isinstance(built, nn.Module) else None


def _walk(module: Any, when: Condition, found: dict[str, list[Condition]]) -> None:
    from nni.nas.nn.pytorch import LayerChoice, MutableModule, Repeat

    if isinstance(module, LayerChoice):
        _note(module.choice, when, found)
        names = module.choice.values
        for position, name in enumerate(names):
            _walk(module[name], _and(when, module.choice.label, {position}, len(names)), found)
    elif isinstance(module, Repeat):
        _note(module.depth_choice, when, found)
        label, depths = _depths(module.depth_choice)
        for i, block in enumerate(module.blocks):
            reached = {position for position, depth in enumerate(depths) if depth > i}
            if reached or not label:
                _walk(block, _and(when, label, reached, len(depths)), found)
    elif isinstance(module, MutableModule) and _is_opaque(module, MutableModule):
        _note(module, when, found)
    else:
        for mutable in (
            getattr(module, "mutables", []) if isinstance(module, MutableModule) else []
        ):
            _note(mutable, when, found)
        for child in module.children():
            _walk(child, when, found)


def _is_opaque(module: Any, base: Any) -> bool:
    """Whether a module says itself what its labels are, in places that are not seen here."""
    return type(module).leaf_mutables is not base.leaf_mutables


def _depths(depth: Any) -> tuple[str, list[int]]:
    """The one label that a depth follows from, and the depth of each position; else nothing."""
    from nni.mutable import Categorical, Mutable

    labels: Mapping[str, Any] = depth.simplify() if isinstance(depth, Mutable) else {}
    if len(labels) != 1:
        return "", []
    ((label, mutable),) = labels.items()
    if not isinstance(mutable, Categorical):
        return "", []
    return str(label), [depth.freeze({label: value}) for value in mutable.values]


def _note(mutable: Any, when: Condition, found: dict[str, list[Condition]]) -> None:
    from nni.mutable import Mutable

    for label in mutable.simplify() if isinstance(mutable, Mutable) else ():
        places = found.setdefault(str(label), [])
        if when not in places:
            places.append(when)


def _and(when: Condition, label: Any, positions: set[int], n: int) -> Condition:
    """One more parent to ask, unless it may take any of its `n` positions."""
    if len(positions) == n:
        return when
    name = str(label)
    return {**when, name: when.get(name, frozenset(positions)) & frozenset(positions)}
