"""TFRecord files without TensorFlow: framing and checksums.

A record is its length (uint64), a masked CRC-32C of the length, the data, and a masked CRC-32C
of the data, all little-endian.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from nas_plugins._reading import reason
from nas_plugins.errors import DataError

Bytes: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint32]

_HEADER, _FOOTER = 12, 4
_BLOCK = 1 << 22
_LARGEST = 1 << 20  # a record of NAS-Bench-101 has a few hundred bytes
_MASK_DELTA = np.uint32(0xA282EAD8)


def _table() -> Words:
    """CRC-32C (Castagnoli) of every byte, reflected polynomial 0x82F63B78."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(0x82F63B78), crc >> 1)
    return crc


_TABLE = _table()


def masked_crc32c(buffer: Bytes, starts: Sequence[int], lengths: Sequence[int]) -> Words:
    """Masked CRC-32C of many stretches of a buffer at once, one table step per byte column.

    Args:
        buffer: `(N,)` uint8.
        starts: `(n,)` first byte of each stretch.
        lengths: `(n,)` number of bytes of each stretch.

    Returns:
        `(n,)` uint32, masked as in TFRecord files.
    """
    size, first = np.asarray(lengths, dtype=np.int64), np.asarray(starts, dtype=np.int64)
    order = np.argsort(-size, kind="stable")
    size, first = size[order], first[order]
    crc = np.full(len(order), 0xFFFFFFFF, dtype=np.uint32)
    # Longest first, so that the stretches still running are a prefix.
    running = np.searchsorted(-size, -np.arange(size[0] if len(size) else 0), side="left")
    for column, n in enumerate(running.tolist()):
        byte = buffer[first[:n] + column]
        crc[:n] = _TABLE[(crc[:n] ^ byte) & 0xFF] ^ (crc[:n] >> 8)
    crc = ~crc
    masked = ((crc >> 15) | (crc << 17)) + _MASK_DELTA
    result: Words = np.empty_like(masked)
    result[order] = masked
    return result


def records(path: Path) -> Iterator[bytes]:
    """Yields the data of every record, each checked against its checksums.

    Raises:
        DataError: The file is absent, or a record is torn or damaged; says which.
    """
    try:
        with path.open("rb") as stream:
            yield from _records(stream, path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error


def _records(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    number, rest = 0, b""
    while block := stream.read(_BLOCK):
        buffer = rest + block
        starts, lengths, end = _frames(buffer, number, path)
        _check(buffer, starts, lengths, number, path)
        for start, length in zip(starts, lengths, strict=True):
            yield buffer[start : start + length]
        number, rest = number + len(starts), buffer[end:]
    if rest:
        raise DataError(f"{path} is torn: it ends within record {number}")


def _frames(buffer: bytes, number: int, path: Path) -> tuple[list[int], list[int], int]:
    """Start and length of the data of all complete records, and where the next one begins."""
    starts: list[int] = []
    lengths: list[int] = []
    position = 0
    while position + _HEADER <= len(buffer):
        length = int.from_bytes(buffer[position : position + 8], "little")
        if length > _LARGEST:
            raise DataError(
                f"{path} is damaged: record {number + len(starts)} claims {length:,} bytes"
            )
        end = position + _HEADER + length + _FOOTER
        if end > len(buffer):
            break
        starts.append(position + _HEADER)
        lengths.append(length)
        position = end
    return starts, lengths, position


def _check(buffer: bytes, starts: list[int], lengths: list[int], number: int, path: Path) -> None:
    content = np.frombuffer(buffer, dtype=np.uint8)
    heads = np.array(starts, dtype=np.int64)
    sizes = np.array(lengths, dtype=np.int64)
    for first, size in ((heads - _HEADER, np.full_like(sizes, 8)), (heads, sizes)):
        stored = _words(content, first + size)
        bad = np.flatnonzero(masked_crc32c(content, first.tolist(), size.tolist()) != stored)
        if len(bad):
            raise DataError(
                f"{path} is damaged: record {number + int(bad[0])} has a wrong checksum"
            )


def _words(content: Bytes, positions: npt.NDArray[np.int64]) -> Words:
    """Little-endian uint32 at any position."""
    quads = content[positions[:, None] + np.arange(4)].astype(np.uint32)
    words: Words = (quads << np.array([0, 8, 16, 24], dtype=np.uint32)).sum(
        axis=1, dtype=np.uint32
    )
    return words
