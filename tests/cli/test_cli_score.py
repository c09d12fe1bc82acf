"""``score``: rows and reasons, tables and documents, processes and interruption."""

from __future__ import annotations

import csv
import io
import json
import math
import signal

import numpy as np
import pytest

import nas_plugins as nap

torch = pytest.importorskip("torch")

SPACE = nap.space("nasbench201")
CELLS = [str(a) for a in SPACE.architectures(SPACE.random(3, np.random.default_rng(0)))]
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SCORE = ("score", "--space", "nasbench201", "--preset", "smoke")
LIGHT = (*SCORE, "--proxies", "params,meco,synflow")


def test_a_document_with_one_row_per_architecture(run):
    ran = run(*SCORE, "--n", 4, "--seed", 3, "--json", "--workers", 1, "-q")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert found["counts"] == {"wanted": 4, "scored": 4, "failed": 0, "cached": 0}
    assert (found["status"], found["space"]) == ("finished", {"name": "nasbench201"})
    assert (found["settings"]["seed"], found["settings"]["batch_size"]) == (3, 8)
    names = [proxy["name"] for proxy in found["proxies"]]
    assert {"meco", "params", "synflow"} <= set(names)
    assert "grasp" not in names
    for proxy in found["proxies"]:
        assert proxy["version"] >= 1
        assert proxy["direction"] in ("min", "max")
        assert proxy["description"]
    cells = [SPACE.parse(row["architecture"]) for row in found["rows"]]
    assert len({cell.key for cell in cells}) == 4
    for row, cell in zip(found["rows"], cells, strict=True):
        assert list(row["values"]) == names
        assert row["values"]["params"] == pytest.approx(
            SPACE.complexity(cell, channels=4, cells=1).params / 1e6
        )
        assert row["rank_sum"] <= 0
    again = run(*SCORE, "--n", 4, "--seed", 3, "--json").json
    assert again["counts"]["cached"] == 4
    assert [r["values"] for r in again["rows"]] == [r["values"] for r in found["rows"]]
    assert [r["rank_sum"] for r in again["rows"]] == [r["rank_sum"] for r in found["rows"]]


def test_all_proxies_include_the_expensive_one(run):
    found = run(*SCORE, CELLS[0], "--proxies", "all", "--json").json
    assert "grasp" in found["rows"][0]["values"]
    assert found["rows"][0]["rank_sum"] is None  # one alone has no rank
    assert found["rank_sum"] == ["az_expressivity", "az_progressivity", "az_trainability", "flops"]


def test_a_bad_string_is_a_row_and_stops_nothing(run):
    ran = run(*LIGHT, CELLS[0], "nonsense", DEAD, CELLS[1], "--json")
    assert ran.code == 0
    rows = ran.json["rows"]
    assert [row["architecture"] for row in rows] == [CELLS[0], "nonsense", DEAD, CELLS[1]]
    assert rows[1]["values"] == {"meco": None, "params": None, "synflow": None}
    assert "3 nodes joined by '+'" in rows[1]["reasons"]["meco"]
    assert rows[1]["rank_sum"] is None
    assert rows[2]["values"]["params"] > 0
    assert "dead network" in rows[2]["reasons"]["synflow"]
    assert ran.json["counts"] == {"wanted": 4, "scored": 3, "failed": 1, "cached": 0}
    assert ran.json["rank_sum"] == ["meco", "params", "synflow"]
    assert rows[2]["rank_sum"] < min(rows[0]["rank_sum"], rows[3]["rank_sum"])


def test_when_nothing_has_a_value_the_code_says_so(run):
    ran = run(*LIGHT, "nonsense", "more", "--json")
    assert ran.code == 1
    assert ran.json["counts"]["failed"] == 2


def test_architectures_from_the_standard_input(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"\n{CELLS[1]}\n  nonsense \n\n"))
    rows = run(*LIGHT, CELLS[0], "-", CELLS[2], "--json").json["rows"]
    assert [row["architecture"] for row in rows] == [CELLS[0], CELLS[1], "nonsense", CELLS[2]]
    monkeypatch.setattr("sys.stdin", io.StringIO(CELLS[1]))
    assert [r["architecture"] for r in run(*LIGHT, "--json").json["rows"]] == [CELLS[1]]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ran = run(*LIGHT)
    assert ran.code == 2
    assert "say what to score" in ran.err


def test_the_table_has_the_best_first_and_whole_rows(run):
    ran = run(*LIGHT, *CELLS, DEAD, "nonsense")
    assert ran.code == 0
    lines = [line for line in ran.out.splitlines() if line.strip()]
    assert lines[0].split() == ["rank_sum", "↑", "meco", "↑", "params", "↑", "[M]", "synflow", "↑",
                                "architecture"]  # fmt: skip
    rows = [line.split() for line in lines[2:7]]
    assert rows[3][-1] == DEAD
    assert rows[4] == ["-", "-", "-", "-", "nonsense"]
    sums = [float(row[0]) for row in rows[:4]]
    assert sums == sorted(sums, reverse=True)
    assert "4 of 5 scored, 1 failed" in lines
    assert any(line.startswith("nonsense: ") for line in lines)
    assert any(line.startswith("meco has no value for 1: dead network") for line in lines)


def test_files(run, tmp_path):
    words = (*LIGHT, CELLS[0], DEAD, "nonsense", "--out")
    ran = run(*words, "a.csv")
    assert ran.out == ""
    assert ran.err.endswith("wrote a.csv\n")
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["architecture"] for row in rows] == [CELLS[0], DEAD, "nonsense"]
    assert float(rows[0]["params"]) > 0
    assert (rows[1]["meco"], rows[2]["params"], rows[2]["rank_sum"]) == ("", "", "")
    assert "meco: dead network" in rows[1]["reason"]
    assert rows[2]["reason"].count("3 nodes") == 1
    ran = run(*words, "a.json", "--json", "-q")
    assert json.loads((tmp_path / "a.json").read_text()) == ran.json
    assert sorted(path.suffix for path in tmp_path.glob("a.*")) == [".csv", ".json"]


def test_settings_of_one_s_own(run):
    words = ("--option", "batch_size=4", "--option", "resolution=10", "--option", "cells=2")
    found = run(*LIGHT, CELLS[0], *words, "--json").json
    settings = found["settings"]
    assert (settings["batch_size"], settings["resolution"], settings["cells"]) == (4, 10, 2)
    size = SPACE.complexity(SPACE.parse(CELLS[0]), channels=4, cells=2).params / 1e6
    assert found["rows"][0]["values"]["params"] == pytest.approx(size)


def test_digits_differ_from_noise(run):
    pytest.importorskip("sklearn")
    words = (*SCORE, "--proxies", "nwot,params", CELLS[0], "--json")
    noise = run(*words).json["rows"][0]["values"]
    digits = run(*words, "--input", "digits").json["rows"][0]["values"]
    assert noise["params"] == digits["params"]
    assert noise["nwot"] != digits["nwot"]


def test_without_a_cache_nothing_is_kept(run, tmp_path):
    for _ in range(2):
        assert run(*LIGHT, CELLS[0], "--no-cache", "--json").json["counts"]["cached"] == 0
    assert not (tmp_path / "no-cache").exists()
    run(*LIGHT, CELLS[0], "-q")
    assert "1 from the cache" in run(*LIGHT, CELLS[0]).out


def test_no_more_than_the_space_has(run):
    words = ("score", "--space", "nasbench101", "--space-option", "vertices=2", "--n", 5)
    assert run(*words).code == 2  # it has no such option
    ran = run(*LIGHT, "--n", 1, "--json")
    assert ran.json["counts"]["wanted"] == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("score",), 2, "--space"),
        (("score", "--space", "nasbench21", "x"), 2, "did you mean 'nasbench201'"),
        ((*SCORE, "--n", 0), 2, "-n must be >= 1, got 0"),
        ((*SCORE, "--n", 2, "x"), 2, "give architectures or --n, not both"),
        ((*SCORE, "--n", 2, "--seed", -1), 2, "--seed must be >= 0, got -1"),
        ((*SCORE, "--n", 2, "--workers", 0), 2, "--workers must be >= 1, got 0"),
        ((*SCORE, "--n", 2, "--proxies", "mecco"), 2, "did you mean 'meco'"),
        ((*SCORE, "--n", 2, "--proxies", ","), 2, "at least one proxy"),
        (("score", "--space", "nasbench201", "--n", 2, "--preset", "fats"), 2, "mean 'fast'"),
        ((*SCORE, "--n", 2, "--input", "digit"), 2, "did you mean 'digits'"),
        ((*SCORE, "--n", 2, "--option", "batch_size"), 2, "must be written key=value"),
        ((*SCORE, "--n", 2, "--option", "bach_size=2"), 2, "did you mean 'batch_size'"),
        ((*SCORE, "--n", 2, "--option", "workers=2"), 2, "zero-cost: unknown option `workers`"),
        ((*SCORE, "--n", 2, "--option", "batch_size=1"), 2, "`batch_size` must be >= 2, got 1"),
        ((*SCORE, "--n", 2, "--option", "batch_size=a"), 2, "must be an integer, got 'a'"),
        ((*SCORE, "--n", 2, "--option", "device=cpux"), 2, "got 'cpux'"),
        ((*SCORE, "--n", 2, "--out", "a.txt"), 2, "--out must end in .csv or .json, got a.txt"),
        ((*SCORE, "--n", 2, "--out", "/proc/a/b.csv"), 5, "cannot be written"),
        (("score", "--space", "fbnet", "--n", 1, "--option", "channels=3"), 2, "must be left out"),
        (("score", "--space", "categorical", "--space-option", 'decisions={"a": [1]}', "-n", 1),
         2, "unknown network 'categorical'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(run, words, code, message):
    ran = run(*words)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert message in ran.err
    assert len(ran.said) == 1


def test_ctrl_c_shows_what_is_done(start, ended):
    process = start(*LIGHT, "--n", 3000, "--workers", 1, "--json")
    assert "scored" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.code == 130
    assert "interrupted after" in ran.err
    assert ran.json["status"] == "interrupted"
    assert 0 < ran.json["counts"]["scored"] < 3000 == ran.json["counts"]["wanted"]
    assert all(math.isfinite(row["values"]["params"]) for row in ran.json["rows"])


@pytest.mark.slow
def test_every_proxy_at_the_default_settings_in_processes(run):
    ran = run("score", "--space", "nasbench201", "--proxies", "all", "--n", 3, "--workers", 2,
              "--json", "--no-cache", "-q")  # fmt: skip
    assert ran.code == 0
    for row in ran.json["rows"]:
        missing = [name for name, value in row["values"].items() if value is None]
        assert set(missing) == set(row["reasons"])
