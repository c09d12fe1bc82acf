"""Images as networks take them: channels first."""

from __future__ import annotations

from collections.abc import Sequence

from nas_plugins._checks import integers
from nas_plugins._wording import excerpt

_CHANNELS = (1, 3, 4)
"""Grey, colour, colour with an alpha channel."""


def check_sizes(name: str, shape: object) -> None:
    """Refuses what is no row of sizes, such as the text ``"3x32x32"``.

    Raises:
        TypeError: It is no sequence, or one of its entries is no integer.
        ValueError: It is empty, or a size is less than 1.
    """
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"`{name}` must be sizes such as (3, 32, 32), got {excerpt(shape)}")
    integers(**{f"{name}[{place}]": size for place, size in enumerate(shape)})
    if not shape or min(shape) < 1:
        raise ValueError(f"`{name}` must be one or more sizes >= 1, got {tuple(shape)}")


def check_channels_first(what: str, shape: Sequence[int]) -> None:
    """Refuses a shape that has its channels last, or none.

    Args:
        what: What has the shape, for the message, e.g. ``"`train` images"``.
        shape: `(N, C, H, W)` or `(C, H, W)`.

    Raises:
        ValueError: It looks like `(N, H, W, C)` or `(H, W, C)`; says the transpose to write.
    """
    if len(shape) not in (3, 4) or shape[-1] not in _CHANNELS:
        return
    if shape[-3] in _CHANNELS or min(shape[-3:-1]) <= max(_CHANNELS):
        return
    one = len(shape) == 3
    names, order = ("(H, W, C)", (2, 0, 1)) if one else ("(N, H, W, C)", (0, 3, 1, 2))
    first = "(C, H, W)" if one else "(N, C, H, W)"
    raise ValueError(
        f"{what} must have the channels first, {first}, and {tuple(shape)} looks like {names}; "
        f"write `images.transpose{order}` in NumPy, `images.permute{order}` in PyTorch"
    )


def square_image_options(shape: Sequence[int]) -> dict[str, int]:
    """Options of a `complexity` that counts square images, for images of a shape `(C, H, W)`.

    Raises:
        ValueError: They are not square, or no images.
    """
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(
            f"networks are counted for square images, got images of {shape_text(shape)}"
        )
    return {"resolution": shape[1], "in_channels": shape[0]}


def shape_text(shape: Sequence[int]) -> str:
    """A shape in words, e.g. ``"3x32x32"``."""
    return "x".join(map(str, shape))
