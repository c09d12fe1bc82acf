"""What a strategy says of its own search: plain data, for reports, files and terminals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StrategySummary:
    """What a result says beside the trials.

    Attributes:
        name: Key of the block in ``result.json`` and in what ``--json`` prints.
        data: JSON values.
        lines: The same for a terminal.
    """

    name: str
    data: Mapping[str, Any]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        anchor: Its address in the page, e.g. ``"co-evolution"``.
        title: Its heading.
        blocks: What stands in it, in order.
    """

    anchor: str
    title: str
    blocks: tuple[Any, ...]


__all__ = ["Section", "StrategySummary"]
