"""Numbers, units and names as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas_plugins._wording import count, duration
from nas_plugins.constraints import Constraint
from nas_plugins.history import Objective, Trial
from nas_plugins.results import SearchResult

_DIGITS = 5


@dataclass(frozen=True)
class Column:
    """A metric as it is shown: name, unit, direction and a common number of decimals.

    Attributes:
        objective: Name and direction; of a metric that is limited only, the side it may go to.
        unit: Of the metric.
        decimals: As many as all values need; ``None`` for an exponent.
        limit: What the metric is held to, e.g. ``"≤ 5"``.
        sought: Whether it is an objective.
    """

    objective: Objective
    unit: str
    decimals: int | None
    limit: str = ""
    sought: bool = True

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
        """Axis title: name and unit on one line, as a phone is narrow, and the direction."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit}\n{self.wish}"

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
    return [
        _column(result, objective, [t.values[i] for t in result.history.complete])
        for i, objective in enumerate(result.history.objectives)
    ]


def limited_columns(result: SearchResult) -> list[Column]:
    """One column per metric that is limited and no objective."""
    found = []
    for name in result.limited:
        known = [result.limited_values(trial) for trial in result.history.complete]
        values = [row[name] for row in known if name in row]
        found.append(_column(result, Objective(name, "min"), values, sought=False))
    return found


def table_values(result: SearchResult, trial: Trial) -> list[float | None]:
    """The values of a complete trial for `columns` and `limited_columns`, in order."""
    known = result.limited_values(trial)
    return [*trial.values, *(known.get(name) for name in result.limited)]


def under(result: SearchResult) -> str:
    """The limits in words for the end of a sentence; empty without any."""
    texts = [limit_text(result, limit) for limit in result.limits.values()]
    return f" under {' and '.join(texts)}" if texts else ""


def limit_text(result: SearchResult, limit: Constraint) -> str:
    """A limit with its unit, e.g. ``latency_ms ≤ 5 ms``."""
    units = {metric.name: metric.unit for metric in result.metrics}
    unit = units.get(limit.name)
    space = "\N{NARROW NO-BREAK SPACE}"
    return f"{limit.name} {_limit(limit)}{f'{space}{unit}' if unit else ''}"


def _limit(limit: Constraint) -> str:
    sign = {"<=": "\N{LESS-THAN OR EQUAL TO}", ">=": "\N{GREATER-THAN OR EQUAL TO}"}
    bound = str(limit).removeprefix(f"{limit.name}{limit.relation}")
    return f"{sign[limit.relation]}\N{NO-BREAK SPACE}{bound}"


def _column(
    result: SearchResult, objective: Objective, values: Sequence[float], *, sought: bool = True
) -> Column:
    units = {metric.name: metric.unit for metric in result.metrics}
    limits = [_limit(c) for c in result.limits.values() if c.name == objective.name]
    return Column(
        objective,
        units.get(objective.name, ""),
        _decimals([abs(value) for value in values if math.isfinite(value)]),
        " and ".join(limits),
        sought,
    )


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


__all__ = [
    "Column",
    "columns",
    "count",
    "duration",
    "limit_text",
    "limited_columns",
    "table_values",
    "under",
]
