"""Tables converted once from slow files, kept as numpy archives in the user's cache."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._arrays import arrays as read_arrays
from nas_plugins._files import replacing
from nas_plugins.benchmarks import files
from nas_plugins.errors import DataError

Arrays = Mapping[str, npt.NDArray[Any]]

_DIGEST = "sha256"
_LOG = logging.getLogger(__name__)

# A table is a few megabytes at most, and a process meets a handful.
_READ: dict[str, Arrays] = {}


def converted(origin: Path, build: Callable[[], Arrays], *, kind: str, version: int) -> Arrays:
    """Returns ``build()``, from the cache if it was built before from the same file.

    A process reads each table once; its arrays are read-only. A cached file that is torn or was
    changed is built anew. A cache that cannot be written costs the next process the same time
    again, and a logged warning, nothing else.

    Args:
        origin: File or folder that `build` reads; name, size and time of change identify it.
        build: Reads the slow file into arrays.
        kind: Name of the table, for the cached file's name.
        version: Version of what `build` returns; a new one makes old cached files unused.
    """
    state = origin.stat()
    identity = f"{origin.resolve()}|{state.st_size}|{state.st_mtime_ns}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    name = f"{kind}-v{version}-{digest}.npz"
    if name not in _READ:
        arrays = _kept(files.cache_dir() / name, origin, build)
        for array in arrays.values():
            array.setflags(write=False)
        _READ[name] = arrays
    return _READ[name]


def forget() -> None:
    """Reads tables anew from now on, as another process would."""
    _READ.clear()


def _kept(cached: Path, origin: Path, build: Callable[[], Arrays]) -> Arrays:
    if cached.is_file():
        try:
            return _read(cached)
        except DataError as error:
            _LOG.warning("building %s anew: %s", cached, error)
    arrays = build()
    try:
        _write(cached, arrays)
    except OSError as error:
        _LOG.warning(
            "cannot keep %s, so the next run converts %s again: %s", cached, origin, error
        )
    return arrays


def _read(path: Path) -> Arrays:
    """What `_write` wrote.

    Raises:
        DataError: It is torn, or anything in it was changed since.
    """
    arrays = read_arrays(path)
    digest = arrays.pop(_DIGEST, None)
    if digest is None or digest.tobytes() != _digest(arrays):
        raise DataError(f"{path} is torn or was changed: its checksum does not match")
    return arrays


def _digest(arrays: Arrays) -> bytes:
    """Of all names, types, shapes and values: whoever takes a table from here checks nothing."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _write(path: Path, arrays: Arrays) -> None:
    held = {**arrays, _DIGEST: np.frombuffer(_digest(arrays), dtype=np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **held)  # type: ignore[arg-type]
