"""The wire format of protocol buffers, as far as numbers and nested messages need it."""

from __future__ import annotations

import struct
from typing import TypeAlias

Message: TypeAlias = dict[int, list["int | float | bytes"]]

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_MAX_SHIFT = 63


def parse(data: bytes) -> Message:
    """Splits a message into the values of its fields, by field number and in order.

    A varint is returned as its unsigned value, eight and four bytes as a float, and a string,
    packed field or nested message as bytes.

    Raises:
        ValueError: `data` is not a message.
    """
    message: Message = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        value: int | float | bytes
        if kind == _VARINT:
            value, position = _varint(data, position)
        elif kind in (_DOUBLE, _FLOAT):
            layout = "<d" if kind == _DOUBLE else "<f"
            size = struct.calcsize(layout)
            (value,) = struct.unpack(layout, _take(data, position, size))
            position += size
        elif kind == _BYTES:
            size, position = _varint(data, position)
            value = _take(data, position, size)
            position += size
        else:
            raise ValueError(f"unknown wire type {kind} at byte {position}")
        message.setdefault(tag >> 3, []).append(value)
    return message


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"torn or overlong number at byte {position}")


def _take(data: bytes, position: int, size: int) -> bytes:
    piece = data[position : position + size]
    if len(piece) < size:
        raise ValueError(f"{size} bytes expected at byte {position}, got {len(piece)}")
    return piece
