"""Printing: tables for people, one JSON document for programs, remarks on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# A pipe has no width. Rows stay on one line there, so that `grep` finds whole ones.
_PIPE_WIDTH = 200


def console(pipe_width: int = _PIPE_WIDTH) -> Console:
    """The standard output stream, for tables."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else pipe_width, highlight=False)


def print_json(document: Any) -> None:
    """Writes one strict JSON document to the standard output stream."""
    print(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    pipe_width: int = _PIPE_WIDTH,
) -> None:
    """Writes a table.

    Args:
        title: Above the table, if any.
        columns: Headings.
        rows: Cells as text; they are not read as markup.
        right: Headings of the columns that are aligned to the right.
        pipe_width: Characters of a row where the output is no terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(
            Text(column), justify="right" if column in right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console(pipe_width).print(table)


def print_lines(lines: Iterable[str]) -> None:
    """Writes lines to the standard output stream, until its reader has enough."""
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        # A pipe that is closed should be noticed here and not at the end of the process.
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def remark(text: str) -> None:
    """Writes a line to the standard error stream."""
    print(text, file=sys.stderr, flush=True)
