"""Numbers, units and names as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas_plugins._wording import count, duration
from nas_plugins.history import Objective
from nas_plugins.results import SearchResult

_DIGITS = 5


@dataclass(frozen=True)
class Column:
    """One objective as it is shown: name, unit, direction and a common number of decimals."""

    objective: Objective
    unit: str
    decimals: int | None

    @property
    def name(self) -> str:
        """Name of the metric."""
        return self.objective.name

    @property
    def wish(self) -> str:
        """Which way is better, in words."""
        return "lower is better" if self.objective.direction == "min" else "higher is better"

    @property
    def title(self) -> str:
        """Axis title: name, unit and direction."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit}, {self.wish}"

    def plain(self, value: float) -> str:
        """The number alone."""
        if not math.isfinite(value):
            return "\N{MINUS SIGN}\N{INFINITY}" if value < 0 else "\N{INFINITY}"
        text = f"{value:.4g}" if self.decimals is None else f"{value:,.{self.decimals}f}"
        return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text

    def __call__(self, value: float) -> str:
        """The number with its unit."""
        space = "\N{NARROW NO-BREAK SPACE}"
        return self.plain(value) + (f"{space}{self.unit}" if self.unit else "")


def columns(result: SearchResult) -> list[Column]:
    """One column per objective, with five digits at the largest finite value."""
    units = {metric.name: metric.unit for metric in result.metrics}
    found = []
    for i, objective in enumerate(result.history.objectives):
        sizes = [abs(t.values[i]) for t in result.history.complete if math.isfinite(t.values[i])]
        found.append(Column(objective, units.get(objective.name, ""), _decimals(sizes)))
    return found


def _decimals(sizes: Sequence[float]) -> int | None:
    """Decimals for a column; ``None`` for numbers so small that an exponent is clearer."""
    largest = max(sizes, default=0.0)
    if largest == 0:
        return 0 if sizes else None
    before = math.floor(math.log10(largest)) + 1
    if before < -3 or before > 15:
        return None
    decimals = max(0, _DIGITS - before)
    # No trailing zeros that every value of the column would have.
    while decimals and all(abs(round(v, decimals - 1) - v) < 1e-12 * largest for v in sizes):
        decimals -= 1
    return decimals


__all__ = ["Column", "columns", "count", "duration"]
