"""Bad input ends with one clear sentence and a documented exit code."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

TOY = ("search", "--space", "nasbench201", "--evaluator", "sum")
BOTH = ("--objective", "score:max", "--objective", "cost:min")
TABLE = ("search", "--benchmark", "nasbench201/cifar10")
SMALL = ("--trials", 4, "--seed", 0)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("serch",), 2, "Did you mean 'search'?"),
        (("search", "--bogus"), 2, "No such option: --bogus"),
        (("search",), 2, "say what to search"),
        (("search", "--space", "nasbench201"), 2, "say what to measure"),
        (("search", "--space", "nasbench21"), 2, "did you mean 'nasbench201'"),
        (("search", "--benchmark", "nasbench201/cifar"), 2, "did you mean 'nasbench201/cifar10'"),
        (("search", "--benchmark", "nasbench01"), 2, "did you mean 'nasbench"),
        ((*TOY, *BOTH, "--strategy", "rondom"), 2, "did you mean 'random'?"),
        ((*TABLE, "--objective", "val_acc:max"), 2, "did you mean 'val_accuracy'"),
        ((*TABLE, "--objective", "val_acc"), 2, "did you mean 'val_accuracy'"),
        ((*TABLE, "--objective", "val_accuracy:up"), 2, "must be 'min' or 'max', got 'up'"),
        (TABLE, 2, "give at least one --objective; there are val_accuracy:max"),
        ((*TOY, "--objective", "score", "--objective", "score"), 2, "different names"),
        ((*TOY, *BOTH, "--constraint", "cost<5"), 2, "name<=number or name>=number"),
        ((*TOY, *BOTH, "--constraint", "cots<=5"), 2, "did you mean 'cost'?"),
        ((*TOY, *BOTH, "--constraint", "cost<=nan"), 2, "must be finite"),
        ((*TOY, *BOTH, "--trials", "0"), 2, "--trials must be >= 1, got 0"),
        ((*TOY, *BOTH, "--trials", "many"), 2, "--trials"),
        ((*TOY, *BOTH, "--seed", "-1"), 2, "--seed must be >= 0, got -1"),
        ((*TOY, *BOTH, "--workers", "0"), 2, "--workers must be >= 1, got 0"),
        ((*TOY, *BOTH, "--timeout", "nan"), 2, "--timeout must be > 0, got nan"),
        ((*TABLE, "--space", "fbnet", "--objective", "val_accuracy"), 2, "does not fit"),
        ((*TOY, *BOTH, "--strategy-option", "n_start=3"), 2, "unknown option `n_start`"),
        ((*TOY, *BOTH, "--strategy-option", "n_initial"), 2, "must be written key=value"),
        ((*TOY, *BOTH, "--strategy-option", "n_initial=0"), 2, "`n_initial` must be >= 1"),
        (("search", "--space", "categorical", "--space-option", 'decisions={"a": [1, true]}',
          "--evaluator", "sum", *BOTH), 2, "hold 1 and True, which are equal"),
        (("search", "--space", "fbnet", "--evaluator", "broken"), 2, "`model` must be given"),
        (("search", "--space", "fbnet", "--evaluator", "absent"), 2, "cannot be imported"),
        ((*TOY, *BOTH, "--storage", "s.db", "--study", "a"), 2, "must be a URL"),
        ((*TOY, *BOTH, "--storage", "sqlite:///s.db"), 2, "--storage needs --study NAME"),
        ((*TOY, *BOTH, "--study", "a"), 2, "--study needs --storage URL"),
        ((*TOY, *BOTH, "--resume"), 2, "--resume needs --storage URL and --study NAME"),
        ((*TOY, *BOTH, "--take-over"), 2, "--take-over goes with --resume"),
        (("search", "--benchmark", "nasbench101", "--objective", "x"), 3, "nasbench_only108"),
        (("list", "space"), 2, "did you mean 'spaces'"),
        (("data", "path", "nasbench11"), 2, "did you mean 'nasbench101'"),
        (("data", "fetch"), 2, "needs a NAME"),
        (("data", "path", "nasbench101"), 3, "data fetch nasbench101"),
        (("report", "--out", "r.html"), 2, "give one of --result FILE, --storage URL"),
        (("report", "--out", "r.html", "--result", "no.json"), 3, "no.json"),
        (("report", "--out", "r.html", "--result", "a", "--draws", 5), 2, "go with --latent"),
        (("search", "--space", "nasbench201", "--evaluator", "latency", "--objective",
          "latency_ms", "--evaluator-option", "chanels=5"), 2, "did you mean 'channels'"),
        (("report", "--out", "r.html", "--storage", "sqlite:///no.db"), 4, "does not exist"),
    ],
)  # fmt: skip
def test_one_sentence_and_a_code(run, words, code, sentence):
    ran = run(*words)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert sentence in ran.err
    assert len(ran.said) == 1
    assert ran.said[0].startswith("error: ")


def test_debug_shows_the_traceback(run):
    ran = run(*TOY, *BOTH, "--strategy", "rondom", "--debug")
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("error: unknown strategy")


def test_nan_fails_the_trial(run):
    ran = run(*TOY, "--objective", "score:max", "--evaluator-option", "score=NaN", *SMALL,
              "--json")  # fmt: skip
    assert ran.code == 1
    assert ran.json["counts"]["failed"] == 4
    assert "is not a number" in ran.err


@pytest.mark.parametrize("value", ["Infinity", "-Infinity"])
def test_infinity_is_a_value_and_stays_strict_json(run, value: str):
    ran = run(*TOY, *BOTH, "--evaluator-option", f"score={value}", *SMALL, "--json",
              "--storage", "sqlite:///s.db", "--study", "a")  # fmt: skip
    assert ran.code == 0
    assert ran.json["counts"]["complete"] == 4
    assert ran.json["front"][0]["values"]["score"] in ("inf", "-inf")


def test_all_trials_failing_is_an_error_with_counts_and_the_first_reason(run):
    ran = run(*TOY, *BOTH, "--evaluator-option", "fail_from=0", *SMALL, "--json")
    assert ran.code == 1
    assert ran.json["counts"] == {
        "trials": 4, "running": 0, "complete": 0, "failed": 4, "pruned": 0, "distinct": 4,
        "infeasible": 0,
    }  # fmt: skip
    assert "error: no trial has a value (4 failed); the first reason: " in ran.err
    assert "RuntimeError: no memory for |" in ran.err


def test_some_trials_failing_is_not_an_error(run):
    ran = run(*TOY, *BOTH, "--evaluator-option", "fail_below=10", "--trials", 20, "--seed", 0,
              "--json")  # fmt: skip
    assert ran.code == 0
    counts = ran.json["counts"]
    assert counts["failed"] > 0
    assert counts["complete"] + counts["failed"] == 20
    assert any("no memory" in reason for reason in ran.json["failures"])


def test_a_metric_that_was_not_measured_fails_the_trial(run, data_folder, monkeypatch):
    if not (data_folder / "hwnasbench_nb201.npz").is_file():
        pytest.skip("NAS_PLUGINS_DATA holds no hwnasbench_nb201.npz")
    monkeypatch.setenv("NAS_PLUGINS_DATA", str(data_folder))
    ran = run("search", "--benchmark", "hw-nas-bench/cifar10/edgetpu", "--strategy", "random",
              "--objective", "latency_ms:min", "--trials", 30, "--seed", 0, "--json")  # fmt: skip
    assert ran.code == 0
    counts = ran.json["counts"]
    assert counts["failed"] > 0
    assert counts["complete"] + counts["failed"] == 30
    assert all("latency" in reason for reason in ran.json["failures"])


# -- storages ------------------------------------------------------------------------------


def begin(run, url: str, name: str = "a") -> None:
    ran = run(*TOY, *BOTH, *SMALL, "--storage", url, "--study", name, "--quiet")
    assert ran.code == 0


@pytest.mark.parametrize("url", ["sqlite:///s.db", "journal:///s.log"])
def test_an_existing_study_needs_resume(run, url: str):
    begin(run, url)
    ran = run(*TOY, *BOTH, *SMALL, "--storage", url, "--study", "a")
    assert ran.code == 4
    assert "exists already" in ran.err
    assert "--resume" in ran.err


def test_an_unknown_study_suggests_the_nearest(run):
    begin(run, "journal:///s.log", "first-search")
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "journal:///s.log", "--study", "first-serch",
              "--resume")  # fmt: skip
    assert ran.code == 2
    assert "did you mean 'first-search'?" in ran.err


def test_resume_without_a_study_names_those_that_exist(run):
    begin(run, "journal:///s.log", "first-search")
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "journal:///s.log", "--resume")
    assert ran.code == 2
    assert "there is first-search" in ran.err


def test_resuming_from_nowhere_makes_no_file(run, tmp_path: Path):
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "sqlite:///typo.db", "--study", "a", "--resume")
    assert ran.code == 4
    assert "does not exist" in ran.err
    assert not (tmp_path / "typo.db").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (("--objective", "score:max"), "objectives"),
        (("--objective", "score:min", "--objective", "cost:min"), "objectives"),
        ((*BOTH, "--constraint", "cost<=9"), "constraints"),
        ((*BOTH, "--strategy", "random"), "strategy"),
        ((*BOTH, "--strategy-option", "n_initial=3"), "strategy_options"),
        ((*BOTH, "--evaluator-option", "seconds=0.1"), "evaluator_options"),
        ((*BOTH, "--seed", "8"), "seed"),
    ],
)
def test_resuming_another_search_is_refused(run, changed, sentence):
    begin(run, "journal:///s.log")
    ran = run(*TOY, *changed, "--trials", 9, "--storage", "journal:///s.log", "--study", "a",
              "--resume")  # fmt: skip
    assert ran.code == 4
    assert sentence in ran.err
    assert "was begun with" in ran.err


def test_another_space_is_refused(run):
    begin(run, "journal:///s.log")
    ran = run("search", "--space", "fbnet", "--evaluator", "sum", *BOTH, "--trials", 9,
              "--storage", "journal:///s.log", "--study", "a", "--resume")  # fmt: skip
    assert ran.code == 4
    assert "space 'nasbench201', not 'fbnet'" in ran.err


def test_a_read_only_database(run):
    begin(run, "sqlite:///s.db")
    ran = run(*TOY, *BOTH, "--trials", 9, "--storage", "sqlite:///file:s.db?mode=ro&uri=true",
              "--study", "a", "--resume")  # fmt: skip
    assert ran.code == 4
    assert "readonly database" in ran.err
    assert len(ran.said) == 1


def test_a_read_only_file(run, tmp_path: Path):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may write everything")
    begin(run, "journal:///s.log")
    (tmp_path / "s.log").chmod(0o400)
    ran = run(*TOY, *BOTH, "--trials", 9, "--storage", "journal:///s.log", "--study", "a",
              "--resume")  # fmt: skip
    assert ran.code == 4
    assert "Permission denied" in ran.err


@pytest.mark.parametrize(
    "junk", [b"this is not a database" * 100, b"SQLite format 3\0" + b"x" * 99]
)
def test_a_torn_database(run, tmp_path: Path, junk: bytes):
    (tmp_path / "s.db").write_bytes(junk)
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "sqlite:///s.db", "--study", "a")
    assert ran.code == 4
    assert ran.err.startswith("error: storage sqlite:///s.db: ")
    assert len(ran.said) == 1


def test_a_database_that_is_torn_in_the_middle(run, tmp_path: Path):
    begin(run, "sqlite:///s.db")
    whole = (tmp_path / "s.db").read_bytes()
    (tmp_path / "s.db").write_bytes(whole[: len(whole) // 3])
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "sqlite:///s.db", "--study", "a", "--resume")
    assert ran.code == 4
    assert "malformed" in ran.err


def test_a_database_of_something_else_is_not_a_study(run, tmp_path: Path):
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("create table trials (a integer)")
    connection.close()
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "sqlite:///s.db", "--study", "a")
    assert ran.code == 4
    assert len(ran.said) == 1


def test_a_journal_with_a_torn_end_is_mended(run, tmp_path: Path):
    begin(run, "journal:///s.log")
    with open(tmp_path / "s.log", "ab") as file:
        file.write(b'{"op_code":4,"worker_id":"abc')
    ran = run(*TOY, *BOTH, "--trials", 8, "--storage", "journal:///s.log", "--study", "a",
              "--resume", "--json")  # fmt: skip
    assert ran.code == 0
    assert "cut an unfinished record of 29 bytes" in ran.err
    assert ran.json["counts"]["complete"] == 8


def test_a_journal_that_is_damaged_in_the_middle_names_the_line(run, tmp_path: Path):
    begin(run, "journal:///s.log")
    lines = (tmp_path / "s.log").read_bytes().splitlines(keepends=True)
    lines[5] = lines[5][:20] + b"\n"
    (tmp_path / "s.log").write_bytes(b"".join(lines))
    ran = run(*TOY, *BOTH, "--trials", 8, "--storage", "journal:///s.log", "--study", "a",
              "--resume")  # fmt: skip
    assert ran.code == 4
    assert "damaged at line 6" in ran.err
    assert (tmp_path / "s.log").read_bytes() == b"".join(lines)


def test_no_folder_for_the_storage(run):
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "sqlite:///no/s.db", "--study", "a")
    assert ran.code == 4
    assert "there is no folder" in ran.err
    assert "four slashes" in ran.err


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://"])
def test_workers_cannot_share_memory(run, url: str):
    ran = run(*TOY, *BOTH, *SMALL, "--storage", url, "--study", "a", "--workers", 2)
    assert ran.code == 2
    assert "--workers cannot share" in ran.err


def test_passwords_are_not_shown(run):
    ran = run(*TOY, *BOTH, *SMALL, "--storage", "nodb://me:secret@host/db", "--study", "a")
    assert ran.code == 4
    assert "secret" not in ran.err
    assert "me:***@host" in ran.err


# -- output --------------------------------------------------------------------------------


def test_out_that_cannot_be_written_is_found_before_the_search(run, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    ran = run(*TOY, *BOTH, *SMALL, "--out", "file/below")
    assert ran.code == 5
    assert ran.err.startswith("error: --out file/below cannot be written")
    assert len(ran.said) == 1


def test_a_torn_result_is_no_report(run, tmp_path: Path):
    (tmp_path / "r.json").write_text('{"format": 1, "history": {')
    ran = run("report", "--result", "r.json", "--out", "r.html")
    assert ran.code == 3
    assert "is not a readable search result" in ran.err


LONG = "x" * 10_000


@pytest.mark.parametrize(
    "words",
    [
        ("search", "--space", LONG, "--evaluator", "sum", *BOTH),
        ("search", "--benchmark", LONG),
        (*TOY, *BOTH, "--strategy", LONG),
        (*TOY, *BOTH, "--storage", LONG, "--study", "a"),
        (*TOY, *BOTH, "--strategy-option", LONG),
        (*TOY, *BOTH, "--strategy-option", f"{LONG}=1"),
        (*TOY, *BOTH, "--strategy-option", f"n_initial=[{'1, ' * 5000}1]"),
        (*TOY, "--objective", f"score:{LONG}"),
        (*TOY, *BOTH, "--constraint", f"cost<={LONG}"),
        (*TOY, *BOTH, "--trials", LONG),
        (*TOY, *BOTH, "--out", LONG),
        ("score", "--space", "nasbench201", "--n", 1, "--out", f"{LONG}.csv"),
        ("report", "--out", "r.html", "--result", LONG),
        ("report", "--out", LONG, "--result", "r"),
        (LONG,),
    ],
)
def test_an_error_quotes_little(run, words):
    ran = run(*words)
    assert ran.code in (2, 3, 5)
    assert ran.out == ""
    assert len(ran.err) < 1000
    assert "x" * 201 not in ran.err


def test_an_option_of_very_deep_json_is_a_text() -> None:
    from nas_plugins.cli._options import read_options

    deep = "[" * 100_000
    assert read_options([f"a={deep}"], "--strategy-option") == {"a": deep}
