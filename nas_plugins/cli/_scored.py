"""What ``score`` leaves behind: a table, a JSON document, a file."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_plugins.cli._errors import OutputError
from nas_plugins.errors import InvalidArchitectureError

if TYPE_CHECKING:
    from nas_plugins.evaluators.zero_cost.evaluator import Row, ZeroCostEvaluator
    from nas_plugins.protocols import Metric
    from nas_plugins.spaces.base import Architecture, SearchSpace

_ARROWS = {"max": "↑", "min": "↓"}
_WIDE = 100_000
_REASONS = 5


@dataclass(frozen=True)
class Wanted:
    """Something to score.

    Attributes:
        text: The architecture in the space's own notation, or what was given as one.
        architecture: ``None`` if the text is not one.
        reason: Why it is not one.
    """

    text: str
    architecture: Architecture | None
    reason: str = ""

    @classmethod
    def read(cls, space: SearchSpace, text: str) -> Wanted:
        """Reads an architecture of `space`."""
        try:
            architecture = space.parse(text)
        except InvalidArchitectureError as error:
            return cls(text, None, " ".join(str(error).split()))
        return cls(str(architecture), architecture)


@dataclass(frozen=True)
class Scored:
    """The rows in the order asked for, as far as they were reached.

    Attributes:
        rows: One per architecture or failed text.
        rank_sums: Of each row; NaN where it is not ranked.
        metrics: Of the proxies.
        versions: Of the proxies, by name.
        settings: How they were scored, as plain data.
        ranked_by: The proxies in the rank sum.
        wanted: How many were asked for.
        interrupted: Whether Ctrl-C ended it.
    """

    rows: tuple[Row, ...]
    rank_sums: tuple[float, ...]
    metrics: tuple[Metric, ...]
    versions: Mapping[str, int]
    settings: Mapping[str, Any]
    ranked_by: tuple[str, ...]
    wanted: int
    interrupted: bool = False

    @classmethod
    def of(
        cls,
        evaluator: ZeroCostEvaluator,
        wanted: Sequence[Wanted],
        finished: Sequence[Row],
        *,
        interrupted: bool,
    ) -> Scored:
        """Puts finished rows and failed texts back in order, and ranks them."""
        from nas_plugins._frozen import FrozenDict
        from nas_plugins.evaluators.zero_cost.evaluator import Row

        names = [metric.name for metric in evaluator.metrics]
        known = {row.text: row for row in finished}
        for one in wanted:
            if one.architecture is None:
                reasons = FrozenDict(dict.fromkeys(names, one.reason))
                known[one.text] = Row(one.text, FrozenDict(), reasons)
        rows = tuple(known[one.text] for one in wanted if one.text in known)
        return cls(
            rows,
            _rank_sums(evaluator, rows),
            evaluator.metrics,
            {one.name: one.version for one in evaluator.proxies},
            asdict(evaluator.settings),
            ranked_by(evaluator),
            len(wanted),
            interrupted,
        )

    def document(self, space: SearchSpace, seconds: float) -> dict[str, Any]:
        """Everything as strict JSON data; infinite values are the strings inf and -inf."""
        return {
            "space": space.to_json(),
            "settings": dict(self.settings),
            "proxies": [
                {
                    "name": m.name,
                    "version": self.versions[m.name],
                    "direction": m.direction,
                    "unit": m.unit,
                    "description": m.description,
                }
                for m in self.metrics
            ],
            "rank_sum": list(self.ranked_by),
            "status": "interrupted" if self.interrupted else "finished",
            "counts": {
                "wanted": self.wanted,
                "scored": sum(not row.failed for row in self.rows),
                "failed": sum(row.failed for row in self.rows),
                "cached": sum(row.cached for row in self.rows),
            },
            "seconds": round(seconds, 3),
            "rows": [
                self._entry(row, total)
                for row, total in zip(self.rows, self.rank_sums, strict=True)
            ],
        }

    def show(self) -> None:
        """Prints the best-ranked first, and why values are missing under them."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        if self.rows:
            table = Table(box=SIMPLE_HEAD, pad_edge=False)
            for heading in self._headings():
                table.add_column(Text(heading), justify="right", overflow="fold")
            table.add_column(Text("architecture"), overflow="fold")
            for row, total in self._by_rank():
                table.add_row(*map(Text, [*self._cells(row, total), row.text]))
            # A pipe has no width; rows stay whole there, so that `grep` finds them.
            width = None if sys.stdout.isatty() else _WIDE
            Console(width=width, highlight=False).print(table)
        for line in self._lines():
            print(line)

    def write(self, document: Mapping[str, Any], file: Path) -> None:
        """Writes the document, or one line per row, by the ending of the name.

        Raises:
            OutputError: It cannot be written.
        """
        partial = file.with_name(file.name + ".partial")
        try:
            with open(partial, "w", newline="", encoding="utf-8") as stream:
                if file.suffix == ".json":
                    json.dump(document, stream, indent=2, allow_nan=False, ensure_ascii=False)
                    stream.write("\n")
                else:
                    csv.writer(stream).writerows(self._table())
            partial.replace(file)
        except OSError as error:
            raise OutputError(f"--out {file} cannot be written: {error.strerror}") from error

    def _entry(self, row: Row, rank_sum: float) -> dict[str, Any]:
        return {
            "architecture": row.text,
            "values": {m.name: _plain(row.values.get(m.name)) for m in self.metrics},
            "reasons": dict(row.reasons),
            "rank_sum": _plain(rank_sum),
            "seconds": round(row.seconds, 4),
            "cached": row.cached,
        }

    def _table(self) -> Iterator[list[Any]]:
        names = [metric.name for metric in self.metrics]
        yield ["architecture", "rank_sum", *names, "seconds", "cached", "reason"]
        for row, total in zip(self.rows, self.rank_sums, strict=True):
            cells = [row.values.get(name, "") for name in names]
            rank_sum = "" if math.isnan(total) else total
            end = [round(row.seconds, 4), int(row.cached), _told(row.reasons)]
            yield [row.text, rank_sum, *cells, *end]

    def _headings(self) -> list[str]:
        units = {m.name: f" [{m.unit}]" if m.unit else "" for m in self.metrics}
        proxies = [f"{m.name} {_ARROWS[m.direction]}{units[m.name]}" for m in self.metrics]
        return [*(["rank_sum ↑"] if self._ranked else []), *proxies]

    def _cells(self, row: Row, total: float) -> list[str]:
        cells = [_short(row.values.get(m.name, math.nan)) for m in self.metrics]
        return [_short(total), *cells] if self._ranked else cells

    @property
    def _ranked(self) -> bool:
        return any(not math.isnan(total) for total in self.rank_sums)

    def _by_rank(self) -> list[tuple[Row, float]]:
        pairs = list(zip(self.rows, self.rank_sums, strict=True))
        return sorted(pairs, key=lambda p: math.inf if math.isnan(p[1]) else -p[1])

    def _lines(self) -> Iterator[str]:
        failed, cached = sum(r.failed for r in self.rows), sum(r.cached for r in self.rows)
        parts = [f"{len(self.rows) - failed} of {self.wanted} scored"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{cached} from the cache"] if cached else []
        yield ", ".join(parts)
        for row in [row for row in self.rows if row.failed][:_REASONS]:
            yield f"{row.text}: {_told(row.reasons)}"
        partly = [row for row in self.rows if not row.failed]
        gaps = Counter((name, why) for row in partly for name, why in row.reasons.items())
        for (name, why), number in gaps.most_common(_REASONS):
            yield f"{name} has no value for {number}: {why}"


def _rank_sums(evaluator: ZeroCostEvaluator, rows: Sequence[Row]) -> tuple[float, ...]:
    """`rank_sum` of `ranked_by` over the rows that have values; NaN for the others."""
    from nas_plugins.evaluators.zero_cost.ranking import rank_sum

    chosen = [i for i, row in enumerate(rows) if not row.failed]
    totals = [math.nan] * len(rows)
    if len(chosen) > 1:
        names = ranked_by(evaluator)
        scores = {name: [rows[i].values.get(name, math.nan) for i in chosen] for name in names}
        small = [m.name for m in evaluator.metrics if m.direction == "min"]
        found = rank_sum(scores, names, smaller_is_better=small)
        for i, total in zip(chosen, found.tolist(), strict=True):
            totals[i] = total
    return tuple(totals)


def ranked_by(evaluator: ZeroCostEvaluator) -> tuple[str, ...]:
    """The four proxies of AZ-NAS where all are there, otherwise all that were asked for."""
    from nas_plugins.evaluators.zero_cost.ranking import AZ_NAS

    names = tuple(metric.name for metric in evaluator.metrics)
    return AZ_NAS if set(AZ_NAS) <= set(names) else names


def _told(reasons: Mapping[str, str]) -> str:
    """Reasons in a line, once where all are the same."""
    different = list(dict.fromkeys(reasons.values()))
    if len(different) == 1 and len(reasons) > 1:
        return different[0]
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())


def _plain(value: float | None) -> float | str | None:
    """A value as strict JSON data."""
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5g}"


__all__ = ["Scored", "Wanted", "ranked_by"]
