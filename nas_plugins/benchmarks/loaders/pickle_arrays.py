"""What a pickle from outside may build beside plain values: numpy's arrays of plain numbers.

Every argument is checked here and never handed on as it came: numpy trusts the state of its own
pickles, and a type of Python objects over bytes makes it follow any address.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_KINDS = "biufcSU"
_MOST_DIMENSIONS = 8


class PendingDataType:
    """A data type whose byte order may still come.

    Args:
        text: As numpy writes it, e.g. ``"f8"``.
    """

    def __init__(self, text: str) -> None:
        self.value = np.dtype(text)

    def build(self, state: Any) -> None:
        """Takes the byte order; anything else than a plain type is refused."""
        if not isinstance(state, tuple) or len(state) not in (8, 9) or state[0] not in (3, 4):
            raise pickle.UnpicklingError("it sets a data type to a state that is none")
        order, subarray, names, fields = state[1:5]
        if (subarray, names, fields) != (None, None, None) or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("it asks for a data type that is not of plain numbers")
        if order != "|":
            self.value = self.value.newbyteorder(order)


class PendingArray:
    """An array whose content has yet to come."""

    value: npt.NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        """Takes the content as numpy writes it: version, shape, type, order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1:
            raise pickle.UnpicklingError("it sets an array to a state that is none")
        _, shape, kind, fortran, content = state
        self.value = _filled(content, kind, shape, "F" if fortran is True else "C")


def as_bytes(text: Any, encoding: Any) -> bytes:
    """Stands for ``_codecs.encode``, which protocols below 3 use to write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r:.40}")
    return text.encode("latin1")


def _data_type(text: Any, align: Any = False, copy: Any = True) -> PendingDataType:
    if not isinstance(text, str) or not text[:1].isalpha() or not text[1:].isdecimal():
        raise pickle.UnpicklingError(f"it asks for the data type {text!r:.40}")
    found = PendingDataType(text)
    if found.value.kind not in _KINDS or found.value.hasobject or found.value.itemsize == 0:
        raise pickle.UnpicklingError(f"it asks for the data type {text!r:.40}")
    return found


def _scalar(kind: Any, content: Any) -> Any:
    return _filled(content, kind, (1,), "C")[0]


def _new_array(of: Any, shape: Any, kind: Any) -> PendingArray:
    if of is not ALLOWED["numpy", "ndarray"]:
        raise pickle.UnpicklingError("it makes an array of another class than numpy's")
    return PendingArray()


def _array_of_buffer(content: Any, kind: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    return _filled(content, kind, shape, order)


def _filled(content: Any, kind: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    """A new array, if shape and type say as many bytes as there are."""
    if not isinstance(kind, PendingDataType):
        raise pickle.UnpicklingError("it makes an array without a data type")
    if not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError(f"it fills an array with {type(content).__name__}")
    plain = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not plain or len(shape) > _MOST_DIMENSIONS or order not in ("C", "F"):
        raise pickle.UnpicklingError(f"it makes an array of the shape {shape!r:.40}")
    # No dimension beyond the bytes: an empty array may have 10**15 rows.
    if math.prod(shape) * kind.value.itemsize != len(content) or max(shape, default=0) > len(
        content
    ):
        raise pickle.UnpicklingError(
            f"it makes an array of the shape {shape!r:.40} of {len(content):,} bytes"
        )
    flat: npt.NDArray[Any] = np.frombuffer(content, kind.value)
    made: npt.NDArray[Any] = flat.reshape(shape, order=order).copy(order=order)
    return made


def _set(items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple):
        raise pickle.UnpicklingError(f"it makes a set of {type(items).__name__}")
    return {key(item) for item in items}


def _ordered(pairs: Any = ()) -> OrderedDict[Any, Any]:
    if not isinstance(pairs, list | tuple):
        raise pickle.UnpicklingError(f"it makes a dictionary of {type(pairs).__name__}")
    return OrderedDict((key(name), value) for name, value in pairs)


_KEYS = (str, bytes, float, complex, type(None), np.number, np.bool_)
_LARGEST_KEY = 1 << 60  # such integers hash to themselves, so none can be made to collide


def key(value: Any) -> Any:
    """Returns the key of a dictionary or item of a set, if it is plain or a tuple of plain ones.

    Hashing anything nested takes a stack as deep, and time as long, as the file likes.
    """
    if type(value) is str:
        return value
    items = value if isinstance(value, tuple) else (value,)
    for item in items:
        small = isinstance(item, int) and -_LARGEST_KEY < item < _LARGEST_KEY
        if not small and not isinstance(item, _KEYS):
            raise pickle.UnpicklingError(f"it has a key of the type {type(item).__name__}")
    return value


class AllowedGlobal:
    """A global that a pickle may name, and what is done where it is called."""

    def __init__(self, make: Callable[..., Any] | None) -> None:
        self.make = make


def _allowed() -> dict[tuple[str, str], AllowedGlobal]:
    """The globals that benchmark pickles need: numbers, arrays and containers."""
    allowed = {
        ("_codecs", "encode"): AllowedGlobal(as_bytes),
        ("__builtin__", "set"): AllowedGlobal(_set),
        ("builtins", "set"): AllowedGlobal(_set),
        ("collections", "OrderedDict"): AllowedGlobal(_ordered),
        ("numpy", "dtype"): AllowedGlobal(_data_type),
        ("numpy", "ndarray"): AllowedGlobal(None),  # named, and never called
    }
    # Numpy 2 renamed the package; files carry whichever name wrote them.
    for core in ("numpy.core", "numpy._core"):
        allowed[f"{core}.multiarray", "scalar"] = AllowedGlobal(_scalar)
        allowed[f"{core}.multiarray", "_reconstruct"] = AllowedGlobal(_new_array)
        allowed[f"{core}.numeric", "_frombuffer"] = AllowedGlobal(_array_of_buffer)
    return allowed


ALLOWED = _allowed()
