"""Settings that a search has recorded, as anybody may have written them since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS = ("space", "benchmark", "strategy", "pruner", "status", "engine", "storage", "study")
_LISTS = ("objectives", "evaluators", "constraints")
_OBJECTS = (
    "benchmark_options",
    "evaluator_options",
    "space_options",
    "strategy_options",
    "warm_start",
)


def wrong_settings(settings: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are of another kind than a search writes; ``None`` is any."""
    return [name for name, value in settings.items() if not _fits(name, value)]


def _fits(name: str, value: Any) -> bool:
    if value is None:
        return True
    if name in _LISTS:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if name in _OBJECTS:
        return isinstance(value, Mapping)
    return name not in _TEXTS or isinstance(value, str)
