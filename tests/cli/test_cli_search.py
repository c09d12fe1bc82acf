"""``nas-plugins search``: results, output formats, settings."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

TOY = ("search", "--space", "nasbench201", "--evaluator", "sum")
BOTH = ("--objective", "score:max", "--objective", "cost:min")
TABLE = ("search", "--benchmark", "nasbench201/cifar10")


def test_json_is_one_strict_document_and_names_everything(run):
    ran = run(*TABLE, "--objective", "val_accuracy:max", "--objective", "latency_ms:min",
              "--trials", 40, "--seed", 0, "--json")  # fmt: skip
    assert ran.code == 0
    document = ran.json
    assert document["settings"]["benchmark"] == "nasbench201/cifar10"
    assert document["settings"]["space"] == "nasbench201"
    assert document["settings"]["seed"] == 0
    assert document["settings"]["status"] == "finished"
    assert document["counts"]["trials"] == document["counts"]["complete"] == 40
    assert 0 < document["hv_ratio"] <= 1
    assert document["versions"]["nas-plugins"]
    assert "error" not in ran.err
    for row in document["front"]:
        assert row["architecture"].startswith("|")
        assert set(row["values"]) == {"val_accuracy", "latency_ms"}


def test_same_seed_same_result(run):
    words = (*TOY, *BOTH, "--trials", 25, "--seed", 3, "--json", "--quiet")
    first, second = run(*words).json, run(*words).json
    assert first["front"] == second["front"]


def test_a_drawn_seed_is_shown_and_repeats_the_search(run):
    words = (*TOY, *BOTH, "--trials", 12, "--json", "--quiet")
    first = run(*words).json
    second = run(*words, "--seed", first["settings"]["seed"]).json
    assert first["front"] == second["front"]


def test_direction_defaults_to_the_better_one(run):
    ran = run(*TOY, "--objective", "score", "--objective", "cost", "--trials", 5, "--json")
    assert ran.json["objectives"] == ["score:max", "cost:min"]


def test_the_other_direction_is_allowed_with_a_note(run):
    ran = run(*TOY, "--objective", "score:min", "--trials", 5)
    assert ran.code == 0
    assert "note: score is better when larger, and score:min is asked for" in ran.err


def test_single_objective_reports_the_regret(run):
    ran = run(*TABLE, "--objective", "val_accuracy:max", "--trials", 20, "--seed", 1, "--json")
    assert ran.json["regret"] >= 0
    assert len(ran.json["front"]) >= 1


def test_constraints_hold_and_the_true_front_respects_them(run):
    ran = run(*TABLE, "--objective", "val_accuracy:max", "--constraint", "latency_ms<=12",
              "--trials", 40, "--seed", 1, "--json")  # fmt: skip
    document = ran.json
    assert document["settings"]["constraints"] == ["latency_ms<=12"]
    assert all(value <= 0 for row in document["front"] for value in row["constraints"].values())
    assert document["regret"] >= 0
    assert document["counts"]["infeasible"] > 0


def test_a_benchmark_and_an_evaluator_together(run):
    ran = run(*TABLE, "--evaluator", "complexity", "--objective", "val_accuracy:max",
              "--objective", "cost:min", "--trials", 5)  # fmt: skip
    assert ran.code == 2  # complexity has no cost
    ran = run(*TABLE, "--evaluator", "sum", "--objective", "val_accuracy:max",
              "--objective", "cost:min", "--trials", 5, "--json")  # fmt: skip
    assert ran.code == 0
    assert "hv_ratio" not in ran.json  # no table knows the front of both


def test_an_evaluator_goes_before_the_benchmark(run):
    words = (*TABLE, "--objective", "val_accuracy", "--objective", "params_m:max",
             "--trials", 5, "--json")  # fmt: skip
    assert "note: params_m is better when smaller" in run(*words).err
    ran = run(*words, "--evaluator", "complexity", "--evaluator-option", "classes=100")
    assert "note: params_m is measured by the evaluator" in ran.err
    assert "hv_ratio" not in ran.json
    assert "ComplexityEvaluator(classes=100)" in ran.json["source"]


def test_strategy_options_are_read_as_json(run):
    ran = run(*TOY, *BOTH, "--strategy-option", "n-initial=4", "--trials", 6, "--json")
    assert ran.json["settings"]["strategy_options"] == {"n_initial": 4}


def test_a_categorical_space_from_the_command_line(run):
    ran = run("search", "--space", "categorical", "--space-option",
              'decisions={"depth": [2, 4, 8], "op": ["a", "b"]}', "--evaluator", "sum",
              "--objective", "score:max", "--trials", 6, "--seed", 0, "--json")  # fmt: skip
    assert ran.json["front"][0]["architecture"] == '{"depth": 8, "op": "b"}'


def test_table_output_shows_the_front_and_the_counts(run):
    ran = run(*TOY, *BOTH, "--trials", 10, "--seed", 0, "--quiet")
    assert ran.err == ""
    assert "Pareto front" in ran.out
    assert "cost ↓ [ms]" in ran.out
    assert "10 trials: 10 complete, 10 distinct architectures" in ran.out


def test_progress_goes_to_the_standard_error_stream(run):
    ran = run(*TOY, *BOTH, "--trials", 10, "--seed", 0)
    assert "10/10 trials" in ran.err
    assert "front" in ran.err


def test_out_holds_result_trials_and_report(run, tmp_path: Path):
    pytest.importorskip("nas_plugins.report._page", reason="the report is not built yet")
    ran = run(*TOY, *BOTH, "--trials", 8, "--seed", 0, "--out", "deep/folder", "--quiet")
    assert ran.code == 0
    folder = tmp_path / "deep" / "folder"
    script = next(folder.glob("plotly-*.js")).name
    names = {"result.json", "trials.csv", "report.html", script}
    assert {p.name for p in folder.iterdir()} == names
    run("report", "--result", folder, "--out", "pages")
    assert {p.name for p in (tmp_path / "pages").iterdir()} == {"report.html", script}
    run("report", "--result", folder, "--out", "alone/a.html", "--single-file")
    assert [p.name for p in (tmp_path / "alone").iterdir()] == ["a.html"]
    with open(folder / "trials.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(8))
    assert all(float(row["score"]) >= 0 for row in rows)
    assert run("report", "--result", folder / "result.json", "--out", "again.html").code == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8").startswith("<!")


def test_timeout_ends_the_search_without_an_error(run):
    ran = run(*TOY, *BOTH, "--evaluator-option", "seconds=0.05", "--trials", 100000,
              "--timeout", 3, "--json")  # fmt: skip
    assert ran.code == 0
    assert ran.json["settings"]["status"] == "timeout"
    assert ran.json["counts"]["running"] == 0
    assert "timeout after" in ran.err


@pytest.mark.parametrize("url", ["sqlite:///s.db", "journal:///s.log"])
def test_resume_goes_on_as_if_never_interrupted(run, url: str):
    kept = ("--storage", url, "--study", "a", "--quiet", "--json")
    words = (*TOY, *BOTH, "--seed", 5)
    assert run(*words, "--trials", 6, *kept).json["counts"]["trials"] == 6
    ran = run(*words, "--trials", 12, *kept, "--resume")
    assert ran.json["counts"]["complete"] == 12
    straight = run(*words, "--trials", 12, "--quiet", "--json")
    assert ran.json["front"] == straight.json["front"]


def test_resume_keeps_the_seed_and_stops_at_the_total(run):
    kept = ("--storage", "journal:///s.log", "--study", "a", "--json")
    run(*TOY, *BOTH, "--trials", 5, "--seed", 9, *kept)
    ran = run(*TOY, *BOTH, "--trials", 5, *kept, "--resume")
    assert ran.code == 0
    assert ran.json["settings"]["seed"] == 9
    assert ran.json["counts"]["trials"] == 5


def test_a_study_made_with_plain_optuna_can_be_resumed(run):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage="sqlite:///s.db", study_name="mine", directions=["maximize", "minimize"]
    )
    study.enqueue_trial({"1<-0": "none"})
    ran = run(*TOY, *BOTH, "--trials", 4, "--storage", "sqlite:///s.db", "--study", "mine",
              "--resume", "--json")  # fmt: skip
    assert ran.code == 0
    assert ran.json["counts"]["complete"] == 4
    first = study.trials[0]
    assert first.params["1<-0"] == "none"
    assert not study.get_trials(states=(optuna.trial.TrialState.WAITING,))
