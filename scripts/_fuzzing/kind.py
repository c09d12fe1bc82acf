"""What a kind of file is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        sample: Makes the content of a sound one.
        read: What a user's action does with the path of one.
        seal: Puts checksums and compression around the content, so that mutations get past them.
    """

    sample: Callable[[], bytes]
    read: Callable[[Path], object]
    seal: Callable[[bytes], bytes] = bytes
