"""Tables of results as documents: Markdown and CSV files, and plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_plugins._csv import csv_text
from nas_plugins._files import write_text
from nas_plugins._reading import text as text_of
from nas_plugins._tables import aligned
from nas_plugins.errors import DataError
from nas_plugins.runner.outputs import prepare_results

DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over runs.

    Attributes:
        mean: NaN where no run has a value.
        sd: Sample standard deviation; 0 for one run.
        n: Runs that have a value.
    """

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float], *, ddof: int = 1) -> Spread:
        """Over the values that are numbers.

        Args:
            values: One per run.
            ddof: 1 for the sample's standard deviation, 0 for that of these very runs.
        """
        found = [value for value in values if not math.isnan(value)]
        if not found:
            return cls(math.nan, math.nan, 0)
        mean = sum(found) / len(found)
        square = sum((value - mean) ** 2 for value in found)
        return cls(
            mean, math.sqrt(square / (len(found) - ddof)) if len(found) > 1 else 0.0, len(found)
        )

    def text(self, digits: int) -> str:
        """``mean ± sd``, without the latter for one run."""
        if not self.n:
            return DASH
        mean = f"{self.mean:.{digits}f}"
        return f"{mean} ± {self.sd:.{digits}f}" if self.n > 1 else mean


Cell = str | int | float | Spread | None
"""``None`` is what is not known or not defined, and printed as a dash."""


@dataclass(frozen=True)
class ResultTable:
    """Rows of cells under headings.

    Attributes:
        title: Above the table.
        columns: Headings.
        rows: As many cells as headings, each.
        notes: Sentences under the table.
        digits: Decimals of numbers.
        numbers_from: The column from which on all are aligned to the right; by default those
            that hold numbers only.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    digits: int = 2
    numbers_from: int | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"`rows` must have {len(self.columns)} cells each, got {len(row)} in {row}"
                )

    def texts(self) -> list[list[str]]:
        """The cells as they are printed."""
        return [[self._text(cell) for cell in row] for row in self.rows]

    def markdown(self) -> str:
        """A pipe table with its title and notes."""
        texts = self.texts()
        right = self._right()
        lines = [
            f"### {self.title}",
            "",
            f"| {' | '.join(self.columns)} |",
            f"|{'|'.join(' --: ' if r else ' --- ' for r in right)}|",
            *(f"| {' | '.join(row)} |" for row in texts),
        ]
        if self.notes:
            lines += ["", *(f"* {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def text(self) -> str:
        """Aligned columns with the title and the notes, for a terminal."""
        lines = [list(self.columns), *self.texts()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        rows = aligned(lines, right=[i for i, r in enumerate(self._right()) if r])
        return "\n".join([self.title, "", *rows, *(f"* {note}" for note in self.notes)]) + "\n"

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def csv(self) -> str:
        """Headings and rows; a spread fills two columns, and what is not known is empty."""
        wide = [any(isinstance(row[i], Spread) for row in self.rows) for i in range(self._width)]
        heading: list[str] = []
        for name, is_wide in zip(self.columns, wide, strict=True):
            heading += [name, f"{name} sd"] if is_wide else [name]
        rows = [
            [
                part
                for cell, is_wide in zip(row, wide, strict=True)
                for part in _numbers(cell)[: 2 if is_wide else 1]
            ]
            for row in self.rows
        ]
        return csv_text([heading, *rows], newline="\n")

    def to_json(self) -> dict[str, Any]:
        """Plain data; a spread becomes its mean, standard deviation and number of runs."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [[_plain(cell) for cell in row] for row in self.rows],
            "notes": list(self.notes),
        }

    @property
    def _width(self) -> int:
        return len(self.columns)

    def _text(self, cell: Cell) -> str:
        if isinstance(cell, Spread):
            return cell.text(self.digits)
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return DASH
        return f"{cell:.{self.digits}f}" if isinstance(cell, float) else str(cell)

    def _right(self) -> list[bool]:
        """Which columns are aligned to the right."""
        columns = range(len(self.columns))
        if self.numbers_from is not None:
            return [i >= self.numbers_from for i in columns]
        return [self._numeric(i) for i in columns]

    def _numeric(self, column: int) -> bool:
        cells = [row[column] for row in self.rows if row[column] is not None]
        return bool(cells) and all(not isinstance(cell, str) for cell in cells)


@dataclass(frozen=True)
class Reproduction:
    """What one reproduction gives.

    Attributes:
        name: As asked for on the command line.
        title: A heading.
        tables: In order.
        figures: SVG texts by file name without ending.
        remarks: Sentences before the tables.
        settings: What was run: budget, seeds, samples.
        seconds: How long it took.
    """

    name: str
    title: str
    tables: tuple[ResultTable, ...]
    figures: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def markdown(self) -> str:
        """The whole document."""
        run = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        parts = [f"## {self.title}\n"]
        if run:
            parts.append(f"`{self.name}`: {run}; {self.seconds / 60:.1f} minutes.\n")
        parts += [f"{remark}\n" for remark in self.remarks]
        parts += [table.markdown() for table in self.tables]
        parts += [f"![{name}]({name}.svg)\n" for name in self.figures]
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data, figures left out."""
        return {
            "name": self.name,
            "title": self.title,
            "settings": dict(self.settings),
            "seconds": round(self.seconds, 1),
            "remarks": list(self.remarks),
            "tables": [table.to_json() for table in self.tables],
        }

    def __repr__(self) -> str:
        tables = ", ".join(repr(table.title) for table in self.tables)
        head = f"<Reproduction {self.name!r}: {tables}>"
        return "\n".join([head, *(table.text() for table in self.tables)])

    def _repr_markdown_(self) -> str:
        return "\n".join([f"## {self.title}\n", *(table.markdown() for table in self.tables)])

    def write(self, folder: str | Path, *, force: bool = False) -> list[Path]:
        """Writes ``NAME.md``, a CSV file for each table and an SVG file for each figure.

        Args:
            folder: It may have these files from an earlier run.
            force: Whether files that are not of a reproduction are replaced, too.

        Returns:
            The files.

        Raises:
            OutputError: The folder cannot be written, or has files that must not be replaced.
            OSError: A file cannot be written.
        """
        folder = Path(folder)
        contents = {f"{self.name}.md": self.markdown()}
        for number, table in enumerate(self.tables, start=1):
            suffix = f"-{number}" if len(self.tables) > 1 else ""
            contents[f"{self.name}{suffix}.csv"] = table.csv()
        contents |= {f"{name}.svg": text for name, text in self.figures.items()}
        refuse_foreign(self.name, folder, contents, force=force)
        paths = []
        for name, text in contents.items():
            write_text(folder / name, text)
            paths.append(folder / name)
        return paths


def refuse_foreign(name: str, folder: Path, files: Iterable[str], *, force: bool) -> None:
    """Refuses to replace what no reproduction has written: all files lie beside ``NAME.md``.

    Raises:
        OutputError: The folder cannot be written, or has such a file.
    """
    ours = _is_document(folder / f"{name}.md", name)
    own = dict.fromkeys(files, lambda _: ours)
    prepare_results(folder, own, by="reproduction", force=force)


def _is_document(file: Path, name: str) -> bool:
    try:
        found = text_of(file)
    except DataError:
        return False
    return found.startswith("## ") and f"\n`{name}`: " in found


def _numbers(cell: Cell) -> Sequence[Any]:
    if isinstance(cell, Spread):
        return (round(cell.mean, 4), round(cell.sd, 4)) if cell.n else ("", "")
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ("", "")
    return (round(cell, 4) if isinstance(cell, float) else cell, "")


def _plain(cell: Cell) -> Any:
    if isinstance(cell, Spread):
        return {"mean": cell.mean, "sd": cell.sd, "runs": cell.n} if cell.n else None
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return cell
