"""Metrics of several sources in one search, options of several evaluators, and the warm start."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import nas_plugins as nap
from nas_plugins.optuna import objective
from nas_plugins.results import SearchResult
from nas_plugins.runner.problem import prepare
from nas_plugins.runner.request import SearchRequest, named

Run = Callable[..., Any]

CELLS = ("--benchmark", "nasbench201/cifar10")
OTHER = (*CELLS, "--evaluator", "table", "--evaluator-option", "benchmark=nasbench201/cifar100")
SHORT = ("--trials", 12, "--seed", 0, "--quiet")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# -- whose metric --------------------------------------------------------------------------


def test_a_qualified_name_is_the_objective_everywhere(run: Run, tmp_path: Path) -> None:
    goals = ("--objective", "nasbench201.val_accuracy:max", "--objective", "complexity.params_m")
    storage = ("--storage", "sqlite:///s.db", "--study", "s")
    ran = run(
        "search", *CELLS, "--evaluator", "complexity", *goals, *SHORT, *storage, "--json",
        "--constraint", "complexity.flops_m<=150", "--out", "o",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["objectives"] == ["nasbench201.val_accuracy:max", "complexity.params_m:min"]
    front = ran.json["front"]
    assert set(front[0]["values"]) == {"nasbench201.val_accuracy", "complexity.params_m"}
    assert set(front[0]["constraints"]) == {"complexity.flops_m<=150"}
    assert {"nasbench201.val_accuracy", "complexity.params_m"} <= set(
        rows(tmp_path / "o" / "trials.csv")[0]
    )
    study = optuna.load_study(study_name="s", storage="sqlite:///s.db")
    assert study.metric_names == ["nasbench201.val_accuracy", "complexity.params_m"]
    again = run(
        "search", *CELLS, "--evaluator", "complexity", *goals, *SHORT, *storage, "--resume",
        "--constraint", "complexity.flops_m<=150", "--trials", 14,
    )  # fmt: skip
    assert again.code == 0, again.err
    report = run("report", "--storage", "sqlite:///s.db", "--out", "r.html")
    assert report.code == 0, report.err
    assert "nasbench201.val_accuracy" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_true_front_is_known_where_all_is_looked_up(run: Run) -> None:
    plain = run("search", *CELLS, "--objective", "val_accuracy", *SHORT, "--json").json
    both = (*CELLS, "--evaluator", "complexity")
    found = run("search", *both, "--objective", "nasbench201.val_accuracy", *SHORT, "--json").json
    assert found["true_front_size"] == 1
    assert found["regret"] == plain["regret"]
    limits = ("--constraint", "nasbench201.params_m<=0.5", "--objective", "val_accuracy")
    bounded = run("search", *both, *limits, *SHORT, "--json").json
    assert bounded["true_front_size"] == 1
    mixed = run(
        "search", *both, "--objective", "val_accuracy", "--objective", "params_m", *SHORT, "--json"
    ).json
    assert mixed["true_front_size"] == 0
    # The evaluator counts what the table counts, which is not worth a second column.
    assert all("measured" not in row for row in mixed["front"])


def test_what_the_benchmark_knows_stands_beside_predictions(run: Run, tmp_path: Path) -> None:
    ran = run(
        "search", *OTHER, "--objective", "table.val_accuracy:max", *SHORT, "--json", "--out", "o"
    )
    assert ran.code == 0, ran.err
    row = ran.json["front"][0]
    space, bench = nap.space("nasbench201"), nap.benchmark("nasbench201/cifar10")
    cell = space.parse(row["architecture"])
    assert row["measured"] == {"val_accuracy": bench.evaluate([cell])[0]["val_accuracy"]}
    assert row["values"]["table.val_accuracy"] < row["measured"]["val_accuracy"]
    assert "true_front" not in row
    kept = SearchResult.load(tmp_path / "o" / "result.json")
    assert kept.measured[str(row["trial"])]["val_accuracy"] == row["measured"]["val_accuracy"]
    text = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert f"val_accuracy {row['measured']['val_accuracy']:.6g}" in text
    data = json.loads((tmp_path / "o" / "result.json").read_text(encoding="utf-8"))
    del data["measured"]  # as files were written before
    assert SearchResult.from_json(data).measured == {}


def test_the_table_shows_it_and_the_note_is_for_plain_names_only(run: Run) -> None:
    options = ("--trials", 6, "--seed", 0)
    ran = run("search", *OTHER, "--objective", "table.val_accuracy", *options)
    assert "table.val_accuracy ↑ [%]" in ran.out
    assert "benchmark's val_accuracy [%]" in ran.out
    assert "note:" not in ran.err
    ran = run("search", *OTHER, "--objective", "val_accuracy", *options)
    assert "note: val_accuracy is measured by the evaluator" in ran.err


def test_every_trial_keeps_what_else_its_sources_say() -> None:
    request = SearchRequest(
        benchmark="nasbench201/cifar10",
        evaluators=named("complexity"),
        strategy="random",
        objectives=("complexity.params_m:min",),
    )
    problem = prepare(request)
    study = optuna.create_study()
    study.optimize(objective(problem.evaluator, problem.space, problem.objectives), n_trials=1)
    kept = {key for key in study.trials[0].user_attrs if key.startswith("metric:")}
    assert kept == {"metric:complexity.flops_m"}


# -- whose option --------------------------------------------------------------------------


def test_options_go_to_the_evaluator_they_name(run: Run) -> None:
    ran = run(
        "search", "--space", "nasbench201", "--evaluator", "complexity", "--evaluator", "sum",
        "--evaluator-option", "complexity.resolution=16", "--evaluator-option", "sum.score=7",
        "--objective", "complexity.flops_m", "--objective", "score", *SHORT, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    row = ran.json["front"][0]
    assert row["values"]["score"] == 7
    space = nap.space("nasbench201")
    flops = space.complexity(space.parse(row["architecture"]), resolution=16).flops
    assert row["values"]["complexity.flops_m"] == flops / 1e6
    assert ran.json["settings"]["evaluator_options"] == {
        "complexity.resolution": 16,
        "sum.score": 7,
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--objective", "complexity.param_m"), "did you mean 'complexity.params_m'"),
        (("--objective", "nasbench201.val_acuracy"), "did you mean 'nasbench201.val_accuracy'"),
        (("--objective", "val_accuracy", "--constraint", "complexity.parms_m<=1"),
         "did you mean 'complexity.params_m'"),
        (("--objective", "val_accuracy", "--evaluator-option", "complexty.classes=3"),
         "did you mean 'complexity'?"),
        (("--objective", "val_accuracy", "--evaluator", "complexity"), "given more than once"),
        (("--objective", "val_accuracy", "--evaluator", "sum", "--evaluator-option", "score=3"),
         "say whose option 'score' is, e.g. complexity.score, sum.score"),
        (("--objective", "val_accuracy", "--evaluator", "sum", "--evaluator-option", "sum.scor=3"),
         "evaluator 'sum': unknown option `scor`; did you mean 'score'"),
    ],
)  # fmt: skip
def test_a_wrong_name_suggests_the_nearest(
    run: Run, words: tuple[str, ...], sentence: str
) -> None:
    ran = run("search", *CELLS, "--evaluator", "complexity", *words)
    assert ran.code == 2
    assert sentence in ran.err
    assert len(ran.said) == 1


def test_options_without_an_evaluator_are_refused(run: Run) -> None:
    ran = run("search", *CELLS, "--objective", "val_accuracy", "--evaluator-option", "a=1")
    assert ran.code == 2
    assert "--evaluator-option goes with --evaluator" in ran.err


# -- the warm start ------------------------------------------------------------------------

WARM = ("--warm-start", "complexity", "--warm-start-trials", 4,
        "--warm-start-option", "metrics=flops_m", "--warm-start-option", "pool=50",
        "--warm-start-option", "complexity.resolution=16")  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_trials_are_the_best_of_a_pool(run: Run, tmp_path: Path, workers: int) -> None:
    ran = run(
        "search", *CELLS, "--objective", "val_accuracy", "--strategy", "local-search", *WARM,
        *SHORT, "--workers", workers, "--out", "o", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    trials = rows(tmp_path / "o" / "trials.csv")
    warm = [row for row in trials if row["warm-start"]]
    if workers > 1:
        # Those that begin at the same moment may each draw a pool, or both take the last place.
        assert 4 <= len(warm) <= 5
        return
    assert len(warm) == 4
    assert warm == trials[:4]
    assert [row["warm-start"].partition(" in ")[0] for row in warm] == [
        f"rank {i} of 50" for i in (1, 2, 3, 4)
    ]
    space = nap.space("nasbench201")
    flops = [space.complexity(space.parse(row["architecture"])).flops for row in warm]
    assert flops == sorted(flops)
    assert ran.json["settings"]["warm_start"] == {
        "evaluator": "complexity",
        "trials": 4,
        "metrics": "flops_m",
        "pool": 50,
        "complexity.resolution": 16,
    }


def test_a_study_goes_on_with_the_same_warm_start_only(run: Run, tmp_path: Path) -> None:
    line = ("search", *CELLS, "--objective", "val_accuracy", "--seed", 0, "--quiet")
    kept = ("--storage", "journal:///s.log", "--study", "s")
    assert run(*line, *WARM, *kept, "--trials", 2).code == 0
    refused = run(*line, *kept, "--trials", 8, "--resume")
    assert refused.code == 4
    assert "was begun with warm_start" in refused.err
    assert run(*line, *WARM, *kept, "--trials", 8, "--resume", "--out", "parts").code == 0
    assert run(*line, *WARM, "--trials", 8, "--out", "whole").code == 0
    assert rows(tmp_path / "parts" / "trials.csv") == rows(tmp_path / "whole" / "trials.csv")


def test_a_benchmark_may_rank_the_pool(run: Run) -> None:
    line = ("--warm-start", "nasbench201/cifar100", "--warm-start-option", "metrics=val_accuracy")
    ran = run("search", *CELLS, "--objective", "val_accuracy", *line, *SHORT, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["regret"] < 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--warm-start-trials", 3), "go with --warm-start NAME"),
        (("--warm-start", "complexty"), "did you mean 'complexity'"),
        (("--warm-start", "complexity", "--warm-start-option", "pol=3"), "did you mean 'pool'"),
        (("--warm-start", "complexity", "--warm-start-option", "metrics=flops"),
         "did you mean 'flops_m'"),
        (("--warm-start", "complexity", "--warm-start-trials", 0),
         "--warm-start-trials must be >= 1, got 0"),
        (("--warm-start", "complexity", "--warm-start-option", "compleixty.classes=1"),
         "did you mean 'complexity'"),
        (("--warm-start", "complexity", "--warm-start-option", "pool=many"),
         "`pool` must be an integer, got 'many'"),
        (("--warm-start", "nasbench201/cifar1"), "did you mean 'nasbench201/cifar10'"),
    ],
)  # fmt: skip
def test_a_wrong_warm_start_is_refused(run: Run, words: tuple[Any, ...], sentence: str) -> None:
    ran = run("search", *CELLS, "--objective", "val_accuracy", *words)
    assert ran.code == 2
    assert sentence in ran.err
    assert len(ran.said) == 1


def test_what_resumed_runs_must_share_is_plain_data() -> None:
    request = SearchRequest(
        benchmark="nasbench201/cifar10",
        objectives=("val_accuracy",),
        warm_start="complexity",
        warm_start_options={"pool": 50},
    )
    shared = request.lasting(prepare(request))
    assert shared["warm_start"] == {"evaluator": "complexity", "trials": None, "pool": 50}
    assert json.loads(json.dumps(shared)) == shared
