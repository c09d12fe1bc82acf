"""What the folder of experiments tells, without NNI."""

from __future__ import annotations

import re
from pathlib import Path

from nas_plugins._reading import json_file, refusing
from nas_plugins.errors import DataError

SEQUENTIAL, SERVICE = "sequential", "ts"
"""NNI's engines: one trial after the other in this process, and several in others."""

_CHECKPOINT = "checkpoint"
_WHAT = "the settings of an experiment"
_LARGEST = 1 << 24
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


def is_identity(text: str) -> bool:
    """Whether NNI takes `text` as the identity of an experiment."""
    return _NAME.fullmatch(text) is not None


def experiments_in(folder: Path) -> list[str]:
    """The identities of the experiments with a checkpoint."""
    return sorted({path.parents[1].name for path in folder.glob(f"*/{_CHECKPOINT}/state.ckpt*")})


def engine_of(folder: Path, identity: str) -> str:
    """The engine that an experiment was begun with; empty where nothing tells."""
    try:
        file = folder / identity / _CHECKPOINT / "config.json"
        with refusing(file, _WHAT):
            return str(json_file(file, _WHAT, most=_LARGEST)["executionEngine"]["name"])
    except DataError:
        return ""
