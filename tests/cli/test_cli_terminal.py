"""What a terminal would obey in names, architectures and messages is shown on it instead."""

from __future__ import annotations

import json
import logging
import re
import warnings

import pytest

from nas_plugins.cli import _console

ORDERS = "\x1b[2J\x1b]0;title\x07\x9b1A\u202e\x08"
SHOWN = r"\x1b[2J\x1b]0;title\x07\x9b1A\u202e\x08"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "say",
    [
        _console.remark,
        _console.print_text,
        lambda text: _console.print_lines([text]),
        lambda text: _console.print_table(text, ["name", text], [["[red]a", text]], right=[text]),
    ],
    ids=["remark", "text", "lines", "table"],
)
def test_a_command_prints_no_orders(capsys: pytest.CaptureFixture[str], say) -> None:
    say(f"[bold]{ORDERS}:smile:")
    out, err = capsys.readouterr()
    assert not OBEYED.search((out + err).replace("\n", ""))
    assert f"[bold]{SHOWN}:smile:" in out + err


def test_a_document_is_free_of_orders_and_has_the_same_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _console.print_json({ORDERS: ["é", ORDERS, "\ud800"]})
    text = capsys.readouterr().out
    assert not OBEYED.search(text.replace("\n", ""))
    assert "é" in text
    assert json.loads(text) == {ORDERS: ["é", ORDERS, "\ud800"]}


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_what_is_given_comes_back_without_orders(run, debug):
    ran = run("search", "--space", "nasbench201", "--evaluator", "sum", "--objective", "score",
              "--storage", "sqlite:///no/" + ORDERS, "--study", "a", *debug)  # fmt: skip
    assert ran.code != 0
    assert not OBEYED.search((ran.out + ran.err).replace("\n", ""))
    assert r"\x1b[2J" in ran.err


def test_architectures_and_reasons_come_without_orders(run):
    ran = run("score", "--space", "nasbench201", ORDERS, "--proxies", "params", "--preset",
              "smoke", "--no-cache", "--quiet")  # fmt: skip
    assert ran.code == 1
    assert not OBEYED.search((ran.out + ran.err).replace("\n", ""))
    assert SHOWN in ran.out


def test_warnings_and_logs_of_a_command_come_without_orders(monkeypatch, capsys):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = warnings.formatwarning, logging.lastResort.formatter
    with _console.others_visible():
        logging.getLogger("nas_plugins").warning("%s", ORDERS)
        text = warnings.formatwarning(UserWarning(ORDERS), UserWarning, "file", 1, "")
    assert capsys.readouterr().err == f"{SHOWN}\n"
    assert SHOWN in text
    assert (warnings.formatwarning, logging.lastResort.formatter) == before
