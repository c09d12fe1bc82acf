"""Checkpoints that come with the package; does without PyTorch."""

from __future__ import annotations

from pathlib import Path

from nas_plugins.spaces.base import SearchSpace

CHECKPOINTS = Path(__file__).parent / "checkpoints"
CARD = "model.json"


def shipped_names() -> tuple[str, ...]:
    """Names of the checkpoints that come with the package."""
    return tuple(sorted(path.parent.name for path in CHECKPOINTS.glob(f"*/{CARD}")))


def shipped_for(space: SearchSpace) -> str | None:
    """Name of the checkpoint that serves a space, or its core; ``None`` where there is none."""
    names = (one.model_name for one in (space, space.core) if one is not None)
    return next((name for name in names if name in shipped_names()), None)
