"""Checkpoints that come with the package; does without PyTorch."""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
CARD = "model.json"


def shipped_names() -> tuple[str, ...]:
    """Names of the checkpoints that come with the package."""
    return tuple(sorted(path.parent.name for path in CHECKPOINTS.glob(f"*/{CARD}")))
