"""Printing: tables for people, one JSON document for programs, remarks on standard error.

Names, architectures and messages come from files, plug-ins and models too, and whatever a terminal
would obey in them is shown instead.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nas_plugins._wording import visible, visible_json
from nas_plugins.cli._streams import until_enough

if TYPE_CHECKING:
    from rich.console import Console

# A pipe has no width. Rows stay on one line there, so that `grep` finds whole ones.
_PIPE_WIDTH = 200
_PIECE = re.compile(r".+?(?:\|\+\||=\[|[\s|,]+|$)")


def console(pipe_width: int = _PIPE_WIDTH) -> Console:
    """The standard output stream, for tables."""
    from rich.console import Console

    class _Telling(Console):
        def on_broken_pipe(self) -> None:  # Rich ends the process
            raise BrokenPipeError

    return _Telling(width=None if sys.stdout.isatty() else pipe_width, highlight=False)


def print_json(document: Any) -> None:
    """Writes one strict JSON document to the standard output stream."""
    with until_enough():
        print(visible_json(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)))


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: bool = False,
) -> None:
    """Writes a table.

    Args:
        title: Above the table, if any.
        columns: Headings.
        rows: Cells as text; they are not read as markup. The last cell may be an architecture,
            which is broken behind an operation only, never inside one.
        right: Headings of the columns that are aligned to the right.
        whole: Whether a row stays on one line in a pipe, however long.
    """
    shown, cells = console(), [[visible(cell) for cell in row] for row in rows]
    columns, right = list(map(visible, columns)), list(map(visible, right))
    if whole and not sys.stdout.isatty():
        shown.width = max(shown.width, _natural(columns, cells))
    others = sum(
        max([len(column), *(len(row[i]) for row in cells)]) + 3
        for i, column in enumerate(columns[:-1])
    )
    room = shown.width - others - 2  # a space at either edge
    if all(_longest(row[-1]) <= room for row in cells):
        _print(shown, title, columns, [[*r[:-1], broken(r[-1], room)] for r in cells], right)
        return
    # Too narrow for them beside the rest: they follow, by the first cell of their row.
    _print(shown, title, columns[:-1], [row[:-1] for row in cells], right)
    last = [[row[0], broken(row[-1], shown.width - len(columns[0]) - 8)] for row in cells]
    _print(shown, None, [columns[0], columns[-1]], last, right)


def _print(
    shown: Console,
    title: str | None,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str],
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(visible(title))
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(Text(column), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    shown.print(table)


def print_text(text: str, *, wrapped: bool = True) -> None:
    """Writes a sentence to the standard output stream, without reading it as markup.

    Args:
        text: It may have several lines.
        wrapped: Whether it is broken at the width of the terminal.
    """
    from rich.text import Text

    console().print(Text(visible(text)), soft_wrap=not wrapped)


def broken(text: str, width: int) -> str:
    """The text in lines of at most `width`, parted behind a space, a comma, ``|`` or ``=[``.

    A piece that is longer stays whole.
    """
    lines, line = [], ""
    for piece in _PIECE.findall(text):
        if line and len(line) + len(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return "\n".join([*lines, line.rstrip()])


def _natural(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, cells)) + 3 for cells in zip(columns, *rows, strict=True)]
    return sum(widths) + 2


def _longest(text: str) -> int:
    return max((len(piece.rstrip()) for piece in _PIECE.findall(text)), default=0)


def print_lines(lines: Iterable[str]) -> None:
    """Writes lines to the standard output stream, until its reader has enough."""
    with until_enough():
        sys.stdout.writelines(f"{visible(line)}\n" for line in lines)


def remark(text: str) -> None:
    """Writes a line to the standard error stream."""
    print(visible(text), file=sys.stderr, flush=True)


@contextlib.contextmanager
def others_visible() -> Iterator[None]:
    """Does so too with logs and warnings that go to the standard error stream by themselves."""
    plain, last = warnings.formatwarning, logging.lastResort

    def shown(*args: Any, **options: Any) -> str:
        return visible(plain(*args, **options))

    warnings.formatwarning = shown
    if last is not None:
        last.setFormatter(_Visible())
    try:
        yield
    finally:
        warnings.formatwarning = plain
        if last is not None:
            last.setFormatter(None)


class _Visible(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))
