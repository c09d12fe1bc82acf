"""What the network builders share."""

from __future__ import annotations

from typing import TypeVar

from nas_plugins.spaces.base import Architecture, SearchSpace

S = TypeVar("S", bound=SearchSpace)


def checked_space(architecture: Architecture, kind: type[S]) -> S:
    """Returns the architecture's space, which must be a `kind`.

    Raises:
        ValueError: `architecture` belongs to another space.
    """
    space = architecture.space
    if not isinstance(space, kind):
        raise ValueError(
            f"`architecture` must belong to a {kind.__name__} space, got one of {space.name!r}"
        )
    return space


def check_positive(**sizes: int) -> None:
    """Refuses sizes below 1.

    Raises:
        ValueError: Names the first argument that is not at least 1.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be >= 1, got {size}")


__all__ = ["check_positive", "checked_space"]
