"""Rows as a table: aligned text, HTML for notebooks, and a data frame of pandas."""

from __future__ import annotations

import html
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nas_plugins.errors import MissingDependencyError

if TYPE_CHECKING:
    from pandas import DataFrame


def aligned(lines: Iterable[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """Lines of cells under one another, the columns `right` aligned to the right."""
    rows = list(lines)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def html_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of escaped text."""
    titles = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def data_frame(rows: Iterable[Any], columns: Sequence[str]) -> DataFrame:
    """The rows as a data frame.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            f"`to_dataframe` needs pandas ({error}); run: pip install pandas"
        ) from error
    return pd.DataFrame(list(rows), columns=list(columns))
