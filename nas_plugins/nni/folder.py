"""What the folder of experiments tells, without NNI."""

from __future__ import annotations

import json
import re
from pathlib import Path

SEQUENTIAL, SERVICE = "sequential", "ts"
"""NNI's engines: one trial after the other in this process, and several in others."""

_CHECKPOINT = "checkpoint"
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
        text = (folder / identity / _CHECKPOINT / "config.json").read_text(encoding="utf-8")
        return str(json.loads(text)["executionEngine"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
