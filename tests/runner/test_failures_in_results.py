"""Failures in a result: counted, explained, kept in its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from nas_plugins.optuna import create_study, objective
from nas_plugins.results import SearchResult
from nas_plugins.runner.problem import prepare
from nas_plugins.runner.request import SearchRequest, named
from nas_plugins.runner.results import assemble, with_problem
from nas_plugins.runner.session import reason_of

REQUEST = SearchRequest(
    evaluators=named("complexity"),
    space="nasbench201",
    strategy="random",
    objectives=("params_m:min",),
)


@pytest.fixture
def result() -> SearchResult:
    """Two complete trials, one that failed, one that ended without an architecture."""
    problem = prepare(REQUEST)
    study = create_study(problem.space, problem.objectives, strategy=problem.strategy, seed=0)
    function = objective(problem.evaluator, problem.space, problem.objectives)
    study.optimize(function, n_trials=2)
    trial = study.ask()
    function(trial)
    trial.set_user_attr("nas_plugins:reason", "no memory")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    return with_problem(assemble(study), problem, problem.true_front())


def test_every_trial_counts(result: SearchResult):
    counts = result.counts()
    assert (counts["trials"], counts["complete"], counts["failed"]) == (4, 2, 2)
    assert counts["distinct"] == 3


def test_every_failure_has_a_reason(result: SearchResult):
    assert result.failures() == {"no memory": 1, "no reason was recorded": 1}
    assert result.summary()["failures"] == result.failures()


@pytest.mark.parametrize("recorded", [["no memory"], {"no": "memory"}, 7, "", None])
def test_a_reason_that_is_no_text_is_none(recorded: object):
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("nas_plugins:reason", recorded)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert reason_of(study.trials[0]) == "no reason was recorded"


def test_a_file_keeps_both(result: SearchResult, tmp_path: Path):
    result.save(tmp_path / "r.json")
    again = SearchResult.load(tmp_path / "r.json")
    assert again == result
    assert again.counts() == result.counts()
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    del data["lost"]  # as files were written before trials were lost
    assert SearchResult.from_json(data).counts()["trials"] == 3


def test_whoever_prints_it_sees_what_failed(result: SearchResult):
    head, *rest = repr(result).splitlines()
    assert head.startswith("SearchResult: 2 of 4 trials complete, 2 failed, front of ")
    assert rest[-2:] == ["no values 1x: no memory", "no values 1x: no reason was recorded"]
    assert "no values 1x: no memory" in result._repr_html_()


def test_only_the_first_reasons_are_printed(result: SearchResult):
    many = replace(result, lost=tuple(f"reason {i}" for i in range(9)))
    assert repr(many).splitlines()[-1] == "... and 7 more reasons: `failures()`"
