"""Networks of architectures in a size that trains in seconds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nas_plugins import registry
from nas_plugins.errors import unknown_name
from nas_plugins.spaces.base import SearchSpace

SMALL: Mapping[str, Mapping[str, Any]] = {
    "nasbench201": {"channels": 8, "cells": 1},
    "nasbench101": {"stem_channels": 16, "modules_per_stack": 1},
    "darts": {"channels": 4, "layers": 3},
    "darts-cell": {"channels": 4, "layers": 3},
    "vit": {"resolution": 32, "patch": 4},
}
"""Options by name of the space; the widths of FBNet and of transformers are part of theirs."""


def network_options(
    space: SearchSpace, given: Mapping[str, Any], *, classes: int, in_channels: int
) -> dict[str, Any]:
    """What to pass to ``space.network``.

    The number of classes and channels, and a small size, as far as the space's builder takes
    them; `given` goes first.

    Raises:
        UnknownNameError: The builder does not take one of `given`; suggests the nearest.
    """
    known = _parameters(space)
    for name in given:
        if known is not None and name not in known:
            raise unknown_name(f"network option of space {space.name!r}", name, known)
    offered = {**SMALL.get(space.name, {}), "classes": classes, "in_channels": in_channels}
    taken = {name: v for name, v in offered.items() if known is None or name in known}
    return {**taken, **given}


def _parameters(space: SearchSpace) -> list[str] | None:
    """Names that the builder takes beside the architecture; ``None`` if it takes any."""
    own = type(space).network is not SearchSpace.network
    builder = space.network if own else registry.load("network", space.name)
    parameters = list(inspect.signature(builder).parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters[1:]]


__all__ = ["SMALL", "network_options"]
