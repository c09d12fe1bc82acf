"""Ctrl-C and SIGTERM: the running trial is finished, everything is kept, the way on is shown."""

from __future__ import annotations

import os
import shlex
import signal

import pytest
from cli_storages import URLS, finished, reader, trials_of, wait_until
from optuna.trial import TrialState

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals need POSIX")

SEARCH = ("search", "--space", "nasbench201", "--evaluator", "sum", "--seed", 0,
          "--objective", "score:max", "--objective", "cost:min")  # fmt: skip
KEPT = ("--study", "a", "--storage", URLS["journal"])
SLOW = ("--evaluator-option", "seconds=0.3")


def way_on(stderr: str) -> list[str]:
    """The words of the command that the message shows."""
    return shlex.split(stderr.split("to go on: nas-plugins ")[1].splitlines()[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_finishes_the_running_trial_and_says_how_to_go_on(start, ended, tmp_path, workers):
    process = start(*SEARCH, *KEPT, *SLOW, "--trials", 400, "--workers", workers, "--json")
    wait_until("journal", tmp_path, process, lambda trials: len(finished(trials)) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    ran = ended(process)
    assert ran.code == 130, ran.err
    assert "Traceback" not in ran.err
    assert ran.json["settings"]["status"] == "interrupted"
    trials = trials_of(reader("journal", tmp_path))
    assert {t.state for t in trials} == {TrialState.COMPLETE}
    assert ran.json["counts"]["complete"] == len(trials) < 400
    words = way_on(ran.err)
    assert "--resume" in words
    words[words.index("--trials") + 1] = str(len(trials) + 2)
    ran = ended(start(*words))
    assert ran.code == 0
    assert ran.json["counts"]["complete"] == len(trials) + 2


def test_a_second_ctrl_c_stops_at_once(start, ended, tmp_path):
    process = start(*SEARCH, *KEPT, "--evaluator-option", "seconds=600", "--trials", 3, "--json")
    wait_until("journal", tmp_path, process, lambda trials: any(t.params for t in trials))
    process.send_signal(signal.SIGINT)
    while "stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.code == 130
    assert ran.json["counts"]["failed"] == 1
    assert list(ran.json["failures"]) == ["interrupted by the user"]


def test_a_second_ctrl_c_stops_workers_at_once(start, ended, tmp_path):
    process = start(*SEARCH, *KEPT, "--evaluator-option", "seconds=600", "--trials", 9, "--json",
                    "--workers", 2)  # fmt: skip
    wait_until(
        "journal", tmp_path, process, lambda trials: sum(bool(t.params) for t in trials) == 2
    )
    process.send_signal(signal.SIGINT)
    while "stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.code == 130
    assert ran.json["counts"]["failed"] == ran.json["counts"]["trials"] == 2


def test_sigterm_ends_as_ctrl_c_does_with_a_code_of_its_own(start, ended, tmp_path):
    process = start(*SEARCH, *KEPT, *SLOW, "--trials", 400, "--json")
    wait_until("journal", tmp_path, process, lambda trials: len(finished(trials)) >= 1)
    process.send_signal(signal.SIGTERM)
    ran = ended(process)
    assert ran.code == 143
    assert ran.json["settings"]["status"] == "terminated"
    assert ran.json["counts"]["running"] == 0
    assert "to go on: " in ran.err


def test_after_a_lost_storage_no_way_on_is_shown(run, tmp_path):
    ran = run(*SEARCH, *KEPT, "--trials", 6, "--evaluator-option", "loses=s.log", "--out", "o")
    assert ran.code == 4
    assert "its file was removed while it was used" in ran.err
    assert "to go on" not in ran.err
    assert "wrote o" in ran.err
    assert not (tmp_path / "s.log").exists()


def test_in_memory_the_result_is_printed_and_nothing_can_go_on(start, ended):
    process = start(*SEARCH, *SLOW, "--trials", 400, "--json", "--timeout", 100)
    # Nothing outside sees the trials, so the first sign of life is the progress line.
    while "trials/s" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.code == 130
    assert ran.json["counts"]["complete"] > 0
    assert "kept in memory only" in ran.err


def test_workers_without_a_storage_share_a_journal_in_out(start, ended, tmp_path):
    pytest.importorskip("nas_plugins.report._page", reason="the report is not built yet")
    ran = ended(start(*SEARCH, "--trials", 6, "--workers", 2, "--out", "o", "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["complete"] == 6
    assert (tmp_path / "o" / "trials.journal").is_file()


def test_workers_without_storage_or_out_leave_nothing(start, ended, tmp_path):
    ran = ended(start(*SEARCH, "--trials", 6, "--workers", 2, "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["complete"] == 6
    assert not list(tmp_path.iterdir())
