"""Pickles from outside, read without running what they ask for."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins.errors import DataError


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for ``_codecs.encode``, which protocols below 3 use to write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Any]:
    """The globals that benchmark pickles need: numbers, arrays and containers.

    None of them has an effect beyond building its value; memory is the only thing that a
    hostile file can spend.
    """
    allowed: dict[tuple[str, str], Any] = {
        ("_codecs", "encode"): _latin1,
        ("__builtin__", "set"): set,
        ("builtins", "set"): set,
        ("collections", "OrderedDict"): OrderedDict,
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
    }
    scalar: Any = np.float64(0).__reduce__()
    array: Any = np.zeros(1).__reduce__()
    buffer: Any = np.zeros(1).__reduce_ex__(5)
    # Numpy 2 renamed the package; files carry whichever name wrote them.
    for core in ("numpy.core", "numpy._core"):
        allowed[f"{core}.multiarray", "scalar"] = scalar[0]
        allowed[f"{core}.multiarray", "_reconstruct"] = array[0]
        allowed[f"{core}.numeric", "_frombuffer"] = buffer[0]
    return allowed


class _Restricted(pickle.Unpickler):
    _globals = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._globals[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def loads(data: bytes, *, origin: str) -> Any:
    """Reads a pickle of plain containers, numbers and numpy arrays.

    Args:
        data: The pickle.
        origin: Name of the file, for messages.

    Raises:
        DataError: The pickle is torn, or asks for anything else; nothing of it is run.
    """
    try:
        return _Restricted(io.BytesIO(data)).load()
    except Exception as error:  # a torn pickle raises whatever its bytes happen to mean
        raise DataError(
            f"{origin} is not a pickle of plain numbers and containers: "
            f"{error or type(error).__name__}"
        ) from error


def load(path: Path) -> Any:
    """Reads a file as `loads` does."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return loads(data, origin=str(path))
