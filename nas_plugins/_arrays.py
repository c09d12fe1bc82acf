"""Reading numpy archives that somebody else may have written, and checking arrays of numbers."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._reading import LARGEST, refusing
from nas_plugins.errors import DataError

_MAX_HEADER = 10_000
_PIECE = 1 << 20
_NPY = ".npy"


def arrays(
    path: Path, names: Sequence[str] | None = None, *, most: int = LARGEST
) -> dict[str, npt.NDArray[Any]]:
    """Reads arrays of a numpy archive (``.npz``); the zip checksums of what is read are checked.

    Args:
        path: The file.
        names: Members to read; all by default.
        most: Bytes that the arrays may have together.

    Raises:
        DataError: The file is absent, torn, lacks a member, holds Python objects, or claims
            more than `most` bytes, or more than there are; nothing is allocated for it then.
    """
    with (
        refusing(path, "a readable numpy archive"),
        path.open("rb") as stream,
        zipfile.ZipFile(stream) as archive,
    ):
        members = {m.filename.removesuffix(_NPY): m for m in archive.infolist()}
        wanted = list(members) if names is None else list(names)
        missing = sorted(set(wanted) - set(members))
        if missing:
            raise DataError(f"{path} lacks the arrays {missing}")
        claimed = sum(members[name].file_size for name in wanted)
        if claimed > most:
            raise ValueError(f"its arrays claim {claimed:,} bytes, at most {most:,} may be")
        return {name: _array(name, archive, members[name]) for name in wanted}


def check_finite(origin: object, **found: npt.NDArray[Any]) -> None:
    """Refuses NaN and infinities in arrays of numbers.

    Raises:
        DataError: Names the first array that has some.
    """
    for name, array in found.items():
        if array.dtype.kind not in "fciub":
            raise DataError(f"{origin}: `{name}` must hold numbers, got {array.dtype}")
        wrong = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
        if wrong:
            raise DataError(
                f"{origin}: `{name}` must be finite, got NaN or infinity in {wrong:,} of "
                f"{np.size(array):,} entries"
            )


def _array(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise ValueError(f"`{name}` has the unknown format {version}")
        shape, by_columns, dtype = reader(stream, max_header_size=_MAX_HEADER)
        if dtype.hasobject:
            raise ValueError(f"`{name}` holds Python objects")
        if min(shape, default=0) < 0:
            raise ValueError(f"`{name}` claims the shape {shape}")
        claimed, there = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
        if claimed != there:
            raise ValueError(f"`{name}` claims {claimed:,} bytes, and there are {there:,}")
        data = bytearray()
        # To the very end, which is when the checksum is looked at, and in pieces, as one piece
        # would unpack as much as it holds, whatever it claims.
        while piece := stream.read(_PIECE):
            data += piece
    if len(data) != claimed:
        raise EOFError(f"`{name}` is torn")
    flat: npt.NDArray[Any] = np.frombuffer(data, dtype=dtype, count=math.prod(shape))
    return flat.reshape(shape, order="F" if by_columns else "C")
