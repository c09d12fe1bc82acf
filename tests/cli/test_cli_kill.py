"""``kill -9`` at any moment loses no finished trial, and counts add up after resuming."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from cli_storages import OWNER, URLS, finished, reader, trials_of, wait_until
from optuna.trial import TrialState

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 needs POSIX")

SEARCH = ("search", "--space", "nasbench201", "--evaluator", "sum", "--seed", 0, "--study", "a",
          "--objective", "score:max", "--objective", "cost:min")  # fmt: skip


def killed_and_resumed(start, ended, folder: Path, kind: str, *, kills: int, each: int) -> None:
    """Kills the search `kills` times, each time once `each` more trials have finished."""
    words = (*SEARCH, "--storage", URLS[kind], "--json", "--quiet", "--trials")
    kept: dict[int, tuple[object, ...]] = {}
    for i in range(kills):
        process = start(*words, 100000, *(["--resume"] if i else []))
        wanted = len(kept) + each
        wait_until(kind, folder, process, lambda trials, n=wanted: len(finished(trials)) >= n)
        process.kill()
        ended(process)
        trials = trials_of(reader(kind, folder))
        now = finished(trials)
        assert kept.items() <= now.items()
        assert [t.number for t in trials] == list(range(len(trials)))
        kept = now
    total = len(trials) + each
    ran = ended(start(*words, total, "--resume"))
    assert ran.code == 0, ran.err
    trials = trials_of(reader(kind, folder))
    assert kept.items() <= finished(trials).items()
    assert [t.number for t in trials] == list(range(total))
    counts = ran.json["counts"]
    states = [t.state for t in trials]
    assert counts["trials"] == counts["complete"] + counts["failed"] == total
    assert counts["complete"] == states.count(TrialState.COMPLETE)
    assert counts["failed"] == states.count(TrialState.FAIL) <= kills
    assert counts["running"] == 0
    reasons = {"its process ended before the trial did"} if counts["failed"] else set()
    assert set(ran.json["failures"]) == reasons


@pytest.mark.parametrize("kind", URLS)
def test_killed_again_and_again(start, ended, tmp_path, kind):
    """In CI a few times; `NAS_PLUGINS_KILLS` asks for more."""
    kills = int(os.environ.get("NAS_PLUGINS_KILLS", "5"))
    killed_and_resumed(start, ended, tmp_path, kind, kills=kills, each=4)


def running(trials) -> bool:
    return any(t.state == TrialState.RUNNING and t.params for t in trials)


def worker_pid(trial) -> int:
    return int(trial.user_attrs[OWNER].split()[1])


def test_a_killed_worker_does_not_stop_the_others(start, ended, tmp_path):
    process = start(*SEARCH, "--storage", URLS["journal"], "--trials", 12, "--workers", 2,
                    "--evaluator-option", "seconds=0.3", "--json")  # fmt: skip
    trials = wait_until("journal", tmp_path, process, running)
    victim = next(t for t in trials if t.state == TrialState.RUNNING and t.params)
    os.kill(worker_pid(victim), signal.SIGKILL)
    ran = ended(process)
    assert ran.code == 0, ran.err
    assert "was lost (killed by SIGKILL)" in ran.err
    counts = ran.json["counts"]
    assert counts["trials"] == 12
    assert counts["complete"] + counts["failed"] == 12
    assert counts["failed"] <= 1
    trials = trials_of(reader("journal", tmp_path))
    assert [t.number for t in trials] == list(range(12))
    assert len({worker_pid(t) for t in trials}) == 2


def test_architectures_that_kill_every_worker(start, ended):
    ran = ended(start(*SEARCH, "--trials", 500, "--workers", 2, "--storage", URLS["journal"],
                      "--evaluator-option", "die_at=12", "--json"))  # fmt: skip
    assert ran.code == 4
    assert "all 2 workers were lost (killed by SIGKILL)" in ran.err
    assert "to go on: nas-plugins search" in ran.err
    counts = ran.json["counts"]
    assert counts["failed"] == 2
    assert counts["running"] == 0
    assert ran.json["settings"]["status"] == "broken"


def test_live_workers_of_another_run_are_left_alone(start, ended, tmp_path):
    words = (*SEARCH, "--storage", URLS["journal"], "--trials", 8,
             "--evaluator-option", "seconds=0.5", "--json")  # fmt: skip
    first = start(*words)
    wait_until("journal", tmp_path, first, running)
    second = start(*words, "--resume")
    one, other = ended(first), ended(second)
    assert (one.code, other.code) == (0, 0), one.err + other.err
    trials = trials_of(reader("journal", tmp_path))
    assert {t.state for t in trials} == {TrialState.COMPLETE}
    # Two runs share a total by counting, so each may begin one trial at the same moment.
    assert len(trials) in (8, 9)


def test_running_trials_of_unknown_origin_are_left_alone_until_told(run, tmp_path):
    import optuna

    begin = (*SEARCH, "--storage", URLS["journal"])
    assert run(*begin, "--trials", 3, "--quiet").code == 0
    study = optuna.load_study(study_name="a", storage=reader("journal", tmp_path))
    study.ask()
    ran = run(*begin, "--trials", 6, "--resume", "--json")
    assert "--take-over marks it failed" in ran.err
    assert ran.json["counts"]["complete"] == 5
    ran = run(*begin, "--trials", 6, "--resume", "--take-over", "--json")
    assert ran.json["counts"]["trials"] == 6
    assert ran.json["counts"]["failed"] == 1


def test_workers_share_the_total_exactly_on_sqlite(start, ended, tmp_path):
    ran = ended(start(*SEARCH, "--storage", URLS["sqlite"], "--trials", 15, "--workers", 2,
                      "--json"))  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["complete"] == ran.json["counts"]["distinct"] == 15
    assert [t.number for t in trials_of(reader("sqlite", tmp_path))] == list(range(15))


def test_a_trial_that_somebody_else_ends_does_not_stop_the_search(start, ended, tmp_path):
    process = start(*SEARCH, "--storage", URLS["journal"], "--trials", 4,
                    "--evaluator-option", "seconds=0.5", "--json")  # fmt: skip
    (trial, *_) = wait_until("journal", tmp_path, process, running)
    storage = reader("journal", tmp_path)
    storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    ran = ended(process)
    assert ran.code == 0, ran.err
    counts = ran.json["counts"]
    assert (counts["trials"], counts["complete"], counts["failed"]) == (4, 3, 1)


def test_workers_of_a_killed_parent_finish_their_trial_and_leave(start, ended, tmp_path):
    words = (*SEARCH, "--storage", URLS["journal"], "--workers", 2, "--json",
             "--evaluator-option", "seconds=0.2", "--trials")  # fmt: skip
    process = start(*words, 1000)
    wait_until("journal", tmp_path, process, lambda trials: len(finished(trials)) >= 3)
    process.kill()
    ended(process)  # the workers hold the pipes open, so this waits for them too
    trials = trials_of(reader("journal", tmp_path))
    assert {t.state for t in trials} == {TrialState.COMPLETE}
    ran = ended(start(*words, len(trials) + 2, "--resume"))
    assert ran.code == 0, ran.err
    assert ran.json["counts"]["complete"] == len(trials) + 2
