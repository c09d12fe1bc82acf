"""Networks of architectures in a size that trains in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_plugins.spaces.base import SearchSpace

SIZE = "training"


def network_options(
    space: SearchSpace, given: Mapping[str, Any], *, classes: int, in_channels: int
) -> dict[str, Any]:
    """What to pass to ``space.network``.

    The number of classes and channels, and a small size, as far as the space's builder takes
    them; `given` goes first.

    Raises:
        UnknownNameError: The builder does not take one of `given`; suggests the nearest.
    """
    space.check_network(given)
    known = space.network_options()
    sized = space.network_sizes.get(SIZE, {})
    offered = {**sized, "classes": classes, "in_channels": in_channels}
    taken = {name: v for name, v in offered.items() if known is None or name in known}
    return {**taken, **given}
