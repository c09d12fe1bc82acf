"""Rows as CSV text that a spreadsheet shows and does not execute."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from numbers import Number
from typing import Any

# A spreadsheet takes a cell for a formula by how it begins; what is a number is none.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\Z", re.ASCII | re.IGNORECASE)
_MARK = "'"
"""What spreadsheets write before text that shall stay text."""


def csv_text(rows: Iterable[Iterable[Any]], *, newline: str = "\r\n") -> str:
    """The rows as CSV; text that begins as a formula does gets an apostrophe before it.

    Numbers stay as they are, negative ones and those written as text too. `unescaped` takes the
    apostrophe away again.

    Args:
        rows: Headings are the first of them.
        newline: Ends each row.
    """
    stream = io.StringIO()
    csv.writer(stream, lineterminator=newline).writerows(map(_cell, row) for row in rows)
    return stream.getvalue()


def unescaped(cell: str) -> str:
    """A cell that `csv_text` has written, as it was given."""
    return cell[len(_MARK) :] if _begins(cell.lstrip(_MARK)) and cell[:1] == _MARK else cell


def _cell(cell: Any) -> Any:
    if cell is None or isinstance(cell, Number):
        return cell
    text = str(cell)
    # One that begins with apostrophes and then so gets one more, or it would lose one later.
    return _MARK + text if _begins(text.lstrip(_MARK)) else text


def _begins(text: str) -> bool:
    return bool(_FORMULA.match(text)) and not _NUMBER.match(text)
