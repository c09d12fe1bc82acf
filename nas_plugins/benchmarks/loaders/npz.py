"""Compact tables: numpy archives without Python objects."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import DataError


def load(path: Path, names: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Reads arrays of an archive; the zip checksums of what is read are checked.

    Args:
        path: An ``.npz`` file.
        names: Members to read; all by default.

    Raises:
        DataError: The file is absent, torn or lacks a member.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = archive.files if names is None else names
            missing = sorted(set(wanted) - set(archive.files))
            if missing:
                raise DataError(f"{path} lacks the arrays {missing}")
            return {name: archive[name] for name in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a readable numpy archive: {error}") from error
