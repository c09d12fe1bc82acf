"""A surrogate as one file: arrays and settings in NumPy's archive format, with a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._arrays import arrays as read_arrays
from nas_plugins._files import replacing
from nas_plugins._reading import json_value, refusing
from nas_plugins.errors import DataError

FORMAT = "nas-plugins surrogate 1"
WHAT = "a readable surrogate"
_HEADER = "header"


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes the file, replacing an old one only when complete.

    Args:
        path: Where to; no suffix is added.
        header: JSON values.
        arrays: None may hold Python objects.
    """
    head = {**header, "format": FORMAT, "checksum": _checksum(header, arrays)}
    text = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{_HEADER: text}, **arrays)


def read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Reads header and arrays.

    Raises:
        DataError: The file is absent, torn or of another kind.
    """
    with refusing(path, WHAT):
        arrays = read_arrays(path)
        header = json_value(arrays.pop(_HEADER).tobytes())
        if header.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
    if header.pop("checksum", None) != _checksum(header, arrays):
        raise DataError(f"{path} is torn or was changed: its checksum does not match")
    return header, arrays


def plain(value: Any) -> Any:
    """Groups as a JSON list."""
    if value is None:
        return None
    return [v.item() if isinstance(v, np.generic) else v for v in value]


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
