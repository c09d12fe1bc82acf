"""Reading what somebody else may have written: bounded, and refused in one way.

Whatever is wrong with a file is a `DataError` that names the file and the reason, and what a file
claims of its own size is checked before anything is allocated for it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nas_plugins._wording import excerpt
from nas_plugins.errors import DataError, MissingDependencyError

LARGEST = 1 << 30
"""Bytes of a file, and of what it unpacks to, where its reader knows no lower bound."""

DEEPEST = 100
"""Levels of lists and objects within one another; ours have ten."""


@contextlib.contextmanager
def refusing(origin: object, what: str) -> Iterator[None]:
    """Says in one sentence that `origin` is not `what`, whatever the block raises.

    A parser raises whatever its bytes happen to mean, and what reads a parsed value does so too.

    Args:
        origin: The file, for the message.
        what: E.g. ``"a readable search result"``.

    Raises:
        DataError: Instead of any exception but the next; one that names `origin` as it was.
        MissingDependencyError: As it was: the file may be sound.
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except DataError as error:
        if str(origin) in str(error):
            raise
        raise DataError(f"{origin} is not {what}: {error}") from error
    except Exception as error:
        raise DataError(f"{origin} is not {what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What an exception says, in a few words even where it says nothing or very much."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "its values lie too deep within one another"
    if isinstance(error, MemoryError):
        return "there is no memory for it"
    if isinstance(error, KeyError):
        return f"it lacks {excerpt(error.args[0] if error.args else '')}"
    return excerpt(str(error), quotes=False) or type(error).__name__


def content(path: Path, *, most: int = LARGEST) -> bytes:
    """Reads a whole file.

    Raises:
        DataError: It cannot be read, or has more than `most` bytes.
    """
    try:
        with path.open("rb") as stream:
            # One more than allowed, as the size that the system tells may be wrong or none.
            data = stream.read(most + 1) if _size(stream) <= most else None
    except (OSError, MemoryError, ValueError) as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    if data is None or len(data) > most:
        raise DataError(f"{path} has more than {most:,} bytes, too many for its kind")
    return data


def text(path: Path, *, most: int = LARGEST) -> str:
    """As `content`, for text in UTF-8.

    Raises:
        DataError: It cannot be read, is too long, or is no such text.
    """
    with refusing(path, "text in UTF-8"):
        return content(path, most=most).decode("utf-8")


def json_file(path: Path, what: str, *, most: int = LARGEST, finite: bool = True) -> Any:
    """The value in a JSON file; see `json_value`.

    Raises:
        DataError: It cannot be read, is too long, or is no such value.
    """
    with refusing(path, what):
        return json_value(text(path, most=most), finite=finite)


def json_value(source: str | bytes, *, finite: bool = True) -> Any:
    """Parses strict JSON: no name twice in an object, finite numbers, and not too deep.

    Args:
        source: JSON in UTF-8.
        finite: Whether NaN and infinities, which Python writes and JSON has not, are refused.

    Raises:
        ValueError: It is none.
        RecursionError: It is by far too deep.
    """
    constant = _no_number if finite else float
    value = json.loads(source, object_pairs_hook=_distinct, parse_constant=constant)
    _check_values(value, finite=finite)
    return value


def inflated(path: Path, *, most: int = LARGEST) -> bytes:
    """The content of a gzip file.

    Raises:
        DataError: It cannot be read, is torn or damaged, or unpacks to more than `most` bytes.
    """
    packed = content(path, most=most)
    with refusing(path, "a gzip file"):
        parts, room = [], most
        while packed:
            unpacker = zlib.decompressobj(wbits=31)
            parts.append(unpacker.decompress(packed, room + 1))
            room -= len(parts[-1])
            if room < 0:
                raise ValueError(f"it unpacks to more than {most:,} bytes")
            if not unpacker.eof:
                raise ValueError("it is torn")
            packed = unpacker.unused_data.lstrip(b"\0")  # padding, as tapes have it
        return b"".join(parts)


def csv_lines(text_: str) -> Iterator[dict[str, str]]:
    """The lines of a table by the names of its columns.

    Raises:
        ValueError: A line has more or fewer cells than there are columns.
    """
    try:
        for number, line in enumerate(csv.DictReader(io.StringIO(text_, newline="")), start=2):
            if None in line or None in line.values():
                raise ValueError(f"line {number} has not one cell for each column")
            yield line
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _size(stream: BinaryIO) -> int:
    """As the system tells it; 0 of what is no file on a disk."""
    size = stream.seek(0, io.SEEK_END) if stream.seekable() else 0
    if size:
        stream.seek(0)
    return size


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {excerpt(twice)} twice")
    return found


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _check_values(value: Any, *, finite: bool) -> None:
    """Level by level, as a function that calls itself would need what it checks for."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"its values lie more than {DEEPEST} levels within one another")
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            elif finite and isinstance(one, float) and not math.isfinite(one):
                raise ValueError("a number is beyond the range of floats")
        level = below
