"""CSV files hold text and numbers, and nothing that a spreadsheet executes."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from nas_plugins._csv import csv_text, unescaped
from nas_plugins.reproduction.documents import ResultTable


def _read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("x")'],
)
def test_text_that_begins_as_a_formula_is_marked_and_read_back(text: str):
    ((cell,),) = _read(csv_text([[text]]))
    assert cell == f"'{text}"
    assert unescaped(cell) == text


@pytest.mark.parametrize("text", ["a=1", "|x|+|y|", "'quoted'", "'=1", "''-x", "", '{"a": 1}'])
def test_other_text_comes_back_as_it_was(text: str):
    ((cell, _),) = _read(csv_text([[text, ""]]))
    assert unescaped(cell) == text
    assert not cell.startswith(tuple("=+-@\t\r\n"))


@pytest.mark.parametrize(
    ("number", "cell"),
    [(-1, "-1"), (-0.5, "-0.5"), (np.float64(-2.5), "-2.5"), (np.int64(-3), "-3"),
     ("-1.5e-7", "-1.5e-7"), ("+3", "+3"), (-math.inf, "-inf"), (None, ""), (True, "True")],
)  # fmt: skip
def test_numbers_stay_numbers(number: object, cell: str):
    assert _read(csv_text([[number, "x"]])) == [[cell, "x"]]


def test_tables_of_papers_are_escaped_too():
    table = ResultTable(title="t", columns=("=head", "x"), rows=(("@row", -1.0),))
    assert table.csv() == "'=head,x\n'@row,-1.0\n"
