"""No command replaces a file that it has not written, unless it is told to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas_plugins.errors import OutputError
from nas_plugins.reproduction import experiments
from nas_plugins.reproduction.documents import Reproduction, ResultTable
from nas_plugins.runner.outputs import alone_in

SCORE = ("score", "--space", "nasbench201", "--n", 1, "--proxies", "params", "--preset", "smoke",
         "--no-cache", "--workers", 1, "--quiet")  # fmt: skip
SAMPLE = ("sample", "--space", "nasbench201", "-n", 3, "--quiet")
SEARCH = ("search", "--space", "nasbench201", "--evaluator", "sum", "--objective", "score:max",
          "--strategy", "random", "--trials", 2, "--seed", 0, "--quiet")  # fmt: skip
NOTES = "number,what I have found out in three years\n1,a lot\n"


@pytest.mark.parametrize(
    ("words", "name"),
    [(SCORE, "a.csv"), (SCORE, "a.json"), (SAMPLE, "cells"),
     (("report", "--result", "r"), "a.html")],
)  # fmt: skip
def test_a_file_of_somebody_else_is_kept_without_force(run, tmp_path: Path, words, name: str):
    if words[0] == "report":
        assert run(*SEARCH, "--out", "r").code == 0
    file = tmp_path / name
    file.write_text(NOTES)
    ran = run(*words, "--out", name)
    assert (ran.code, ran.out) == (5, "")
    assert f"--out {name} was not written by this command; pass --force" in ran.err
    assert file.read_text() == NOTES
    assert run(*words, "--out", name, "--force").code == 0
    written = file.read_text()
    assert written != NOTES
    # What the command has written itself, and an empty file, it replaces.
    assert run(*words, "--out", name).code == 0
    file.write_text("")
    assert run(*words, "--out", name).code == 0
    assert file.stat().st_size > 0


def test_a_list_with_one_line_of_ones_own_is_no_sample(run, tmp_path: Path):
    assert run(*SAMPLE, "--out", "cells").code == 0
    with (tmp_path / "cells").open("a") as file:
        file.write("# the one in the paper\n")
    assert run(*SAMPLE, "--out", "cells").code == 5


@pytest.mark.parametrize("name", ["result.json", "trials.csv", "report.html"])
def test_a_search_keeps_what_no_search_has_written(run, tmp_path: Path, name: str):
    folder = tmp_path / "o"
    folder.mkdir()
    (folder / name).write_text(NOTES)
    ran = run(*SEARCH, "--out", "o")
    assert (ran.code, ran.out) == (5, "")
    assert f"--out o has a {name} that no search has written" in ran.err
    assert (folder / name).read_text() == NOTES
    (folder / name).unlink()
    assert run(*SEARCH, "--out", "o").code == 0
    assert run(*SEARCH, "--out", "o").code == 0


def test_a_model_is_not_written_over_weights_of_somebody_else(run, tmp_path: Path):
    pytest.importorskip("torch")
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "model.safetensors").write_text(NOTES)
    ran = run("train", "arch-vq", "--space", "nasbench201", "--out", "o")
    assert (ran.code, ran.out) == (5, "")
    assert "has a model.safetensors that no training has written; pass --force" in ran.err
    assert [file.name for file in (tmp_path / "o").iterdir()] == ["model.safetensors"]


TABLE = ResultTable("t", ("x",), ((1,),))
FOUND = Reproduction("llm-nas-table3", "A table", (TABLE,), settings={"b": 1})


@pytest.mark.parametrize("name", ["llm-nas-table3.md", "llm-nas-table3.csv"])
def test_a_reproduction_keeps_what_none_has_written(run, tmp_path: Path, monkeypatch, name: str):
    ran: list[str] = []
    monkeypatch.setattr(
        experiments, "reproduce", lambda name, **options: (ran.append(name), FOUND)[1]
    )
    (tmp_path / name).write_text(NOTES)
    words = ("reproduce", "llm-nas-table3", "--out", ".", "--quiet")
    refused = run(*words)
    assert (refused.code, refused.out, ran) == (5, "", [])
    assert f"has a {name} that no reproduction has written; pass --force" in refused.err
    with pytest.raises(OutputError, match="has written"):  # from Python, too
        FOUND.write(tmp_path)
    assert (tmp_path / name).read_text() == NOTES
    assert run(*words, "--force").code == 0
    assert run(*words).code == 0  # its own
    assert "A table" in (tmp_path / "llm-nas-table3.md").read_text()


@pytest.mark.parametrize(
    "words",
    [SEARCH, ("train", "arch-vq", "--space", "nasbench201"), ("reproduce", "llm-nas-table3")],
    ids=lambda words: words[0],
)
def test_two_processes_on_one_folder_are_refused(run, tmp_path: Path, words):
    if words[0] != "search":
        pytest.importorskip("torch")
    with alone_in(tmp_path):
        ran = run(*words, "--out", tmp_path, "--quiet")
    assert (ran.code, ran.out) == (5, "")
    assert f"is in use by another process ({os.getpid()})" in ran.err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_pipe_is_not_replaced(run, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    ran = run(*SCORE, "--out", "pipe.csv", "--force")
    assert ran.code == 5
    assert "a device or a pipe" in ran.err
    assert (tmp_path / "pipe.csv").is_fifo()
