"""`nap.compare`: what is run, how it is scored, what is kept, tables, plots and data frames."""

from __future__ import annotations

import math
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.errors import MissingDependencyError, OutputError, UnknownNameError
from nas_plugins.reproduction import comparison, seed_runs
from nas_plugins.reproduction.documents import DASH
from nas_plugins.reproduction.run_quality import ScoreAxes, scores
from nas_plugins.reproduction.seed_runs import SeedRun
from nas_plugins.strategies.random import RandomSearch

BENCHMARK = "nasbench201/cifar10"
ONE, TWO = "val_accuracy:max", ["val_accuracy:max", "latency_ms:min"]
QUIET: dict[str, Any] = {"progress": False}


@dataclass(frozen=True)
class Stubborn(nap.Strategy):
    """Proposes one architecture again and again."""

    avoid_duplicates = False

    def propose(
        self, history: nap.History, n: int, rng: np.random.Generator
    ) -> list[nap.Proposal]:
        first = history.space.architectures([[0] * len(history.space.decisions)])[0]
        return [nap.Proposal(first)] * n


class Frontless(nap.Benchmark):
    """A table whose true front nobody knows."""

    name, source = "frontless", "made for tests"

    def __init__(self) -> None:
        self.table = nap.benchmark(BENCHMARK)

    @property
    def space(self) -> nap.SearchSpace:
        return self.table.space

    @property
    def metrics(self) -> tuple[nap.Metric, ...]:
        return self.table.metrics

    def evaluate(self, architectures: Any) -> list[dict[str, float]]:
        return self.table.evaluate(architectures)


def run_of(searched: list[list[float]], reported: list[list[float]] | None = None) -> SeedRun:
    """A run with these values."""
    n = len(searched)
    values = np.array(searched, dtype=float)
    return SeedRun(
        "s", "alone", 0, values, values if reported is None else np.array(reported, dtype=float),
        np.arange(1, n + 1), np.arange(1.0, n + 1),
    )  # fmt: skip


def axes(objectives: list[str], front: list[list[float]] | None) -> ScoreAxes:
    """Axes with a front, given as values."""
    goals = tuple(map(nap.Objective.parse, objectives))
    empty = ScoreAxes(goals, None, known=False)
    return empty if front is None else ScoreAxes(goals, empty.losses(np.array(front)))


def test_an_incumbent_is_chosen_by_what_the_search_saw_and_scored_by_the_report() -> None:
    run = run_of([[1], [math.nan], [3], [2]], [[10], [0], [20], [30]])
    searched, reported = axes(["a:max"], [[3]]), axes(["b:max"], [[30]])
    found = scores(run, 4, searched, reported, tolerance=0.5)
    assert found["best"] == 20
    assert (found["hit_searched"], found["evaluations_searched"]) == (1.0, 3.0)
    assert (found["hit"], found["evaluations"]) == (0.0, math.inf)
    assert scores(run, 2, searched, reported, tolerance=0.5)["best"] == 10
    assert "hit" not in scores(run, 4, searched, axes(["b:max"], None), tolerance=0.5)


def test_a_front_is_scored_against_the_true_one() -> None:
    front = [[1, 1], [2, 2], [3, 3]]
    run = run_of([[3, 3], [math.nan, math.nan], [1, 3], [1, 1], [2, 2]])
    both = axes(["a:max", "b:min"], front)
    found = scores(run, 5, both, both, tolerance=0)
    assert found["hv11"] == found["hv11_searched"] == pytest.approx(1.0)
    assert (found["igd"], found["igd_plus"]) == (0.0, 0.0)
    losses = both.losses(np.array([[3.0, 3.0], [1.0, 1.0]]))
    half = scores(run, 4, both, both, tolerance=0)
    assert half["hv11"] == pytest.approx(pareto.hv_ratio(losses, both.front))
    assert half["igd_plus"] == pytest.approx(pareto.igd_plus(losses, both.front))


def test_a_strategy_is_a_name_a_name_with_options_an_object_or_a_sampler() -> None:
    found = nap.compare(
        ["random", ("regularized-evolution", {"population_size": 4}), Stubborn(), "optuna:tpe"],
        BENCHMARK, ONE, trials=12, seeds=2, **QUIET,
    )  # fmt: skip
    names = ["random", "regularized-evolution(population_size=4)", "Stubborn()", "optuna:tpe"]
    assert list(found.runs) == names
    assert [run.seed for run in found.runs["optuna:tpe"]] == [0, 1]
    assert {len(run) for runs in found.runs.values() for run in runs} == {12}
    assert found.runs["Stubborn()"][0].wasted(12) == pytest.approx(11 / 12)
    assert found.budgets == (3, 6, 12)
    assert found.reported.objectives == found.searched.objectives


def test_runs_follow_from_the_seed_alone_and_an_engine_changes_no_proposal_of_random() -> None:
    one = nap.compare([RandomSearch()], BENCHMARK, ONE, 8, seeds=[5], **QUIET)
    (run,) = one.runs["RandomSearch(avoid_duplicates=True)"]
    again = nap.compare({"r": "random"}, nap.benchmark(BENCHMARK), ONE, 8, seeds=[4, 5], **QUIET)
    assert np.array_equal(again.runs["r"][1].searched, run.searched)
    assert not np.array_equal(again.runs["r"][0].searched, run.searched)
    study = nap.compare(["random"], BENCHMARK, ONE, 8, seeds=[5], engine="optuna", **QUIET)
    assert study.runs["random"][0].engine == "optuna"


def test_workers_give_the_same_runs() -> None:
    options: dict[str, Any] = {"trials": 6, "seeds": {"random": 2, "optuna:random": [7]}, **QUIET}
    alone, pair = (
        nap.compare(["random", "optuna:random"], BENCHMARK, TWO, workers=workers, **options)
        for workers in (1, 2)
    )
    assert [run.seed for run in pair.runs["optuna:random"]] == [7]
    for name, runs in alone.runs.items():
        for run, other in zip(runs, pair.runs[name], strict=True):
            assert np.array_equal(run.searched, other.searched)


def test_finished_runs_are_kept_by_all_that_decides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"trials": 6, "seeds": 2, "out": tmp_path, **QUIET}
    first = nap.compare(["random", Stubborn()], BENCHMARK, TWO, **options)
    assert len(list(tmp_path.rglob("*.json"))) == 4

    begun: list[str] = []

    def watched(job: seed_runs.SeedJob) -> SeedRun:
        begun.append(f"{job.competitor.name} {job.seed}")
        return seed_runs.run_seed(job)

    monkeypatch.setattr(comparison, "run_seed", watched)
    again = nap.compare({"other name": "random", "s": Stubborn()}, BENCHMARK, TWO, **options)
    assert not begun
    assert again.table().rows[0][3:7] == first.table().rows[0][3:7]
    nap.compare(["random"], BENCHMARK, TWO, **{**options, "seeds": [1, 2]})
    nap.compare(["random"], BENCHMARK, ONE, **options)
    nap.compare([("random", {}), "local-search"], BENCHMARK, TWO, **options)
    broken = next(tmp_path.rglob("Stubborn*.json"))
    broken.write_text(broken.read_text(encoding="utf-8")[:40], encoding="utf-8")
    nap.compare([Stubborn()], BENCHMARK, TWO, **options)
    assert begun == [
        "random 2", "random 0", "random 1", "local-search 0", "local-search 1",
        f"Stubborn() {broken.name.split('-')[1]}",
    ]  # fmt: skip


def test_an_object_that_hides_its_options_is_neither_kept_nor_sent_to_processes(
    tmp_path: Path,
) -> None:
    class Secret(nap.Strategy):
        def __init__(self) -> None:
            self.option = 3

        def propose(self, history: Any, n: int, rng: Any) -> list[nap.Proposal]:
            return []

    with pytest.raises(ValueError, match="tells its options in its repr"):
        nap.compare({"s": Secret()}, BENCHMARK, ONE, 3, 1, out=tmp_path, **QUIET)
    with pytest.raises(ValueError, match="`workers` must be 1 for what cannot be pickled, s"):
        nap.compare({"s": Secret()}, BENCHMARK, ONE, 3, 1, workers=2, **QUIET)
    done = nap.compare({"s": Secret()}, BENCHMARK, ONE, 3, 1, **QUIET)
    assert DASH in done.table().texts()[0]  # no trial, so no value


def test_the_table_tells_mean_and_deviation_at_every_budget() -> None:
    found = nap.compare(["random", "local-search"], BENCHMARK, ONE, 20, 3, budgets=[5], **QUIET)
    table = found.table()
    assert table.columns[:4] == ("strategy", "seeds", "5", "20")
    bests = [run.searched[:, 0].max() for run in found.runs["random"]]
    assert table.rows[0][3].mean == pytest.approx(np.mean(bests))
    assert table.rows[0][3].sd == pytest.approx(np.std(bests))
    assert found.markdown() == table.markdown()
    assert "local-search" in repr(found)
    assert table.text() in repr(found)
    several = nap.compare(["random"], BENCHMARK, TWO, 20, 2, budgets=[10], **QUIET)
    assert [row[:3] for row in several.table().rows] == [("random", 10, 2), ("random", 20, 2)]
    assert several.table().columns[3:7] == ("hv 1.1", "hv 1.0", "IGD", "IGD+")
    other = nap.compare(["random"], BENCHMARK, TWO, 5, 1, report="train_seconds", **QUIET)
    assert "IGD+ val_accuracy" in other.table().columns
    assert "IGD+ train_seconds" in other.table().columns


def test_scores_may_be_those_of_another_metric() -> None:
    found = nap.compare(["random"], BENCHMARK, ONE, 10, 2, report="train_seconds", **QUIET)
    run = found.runs["random"][0]
    table = nap.benchmark(BENCHMARK)
    assert set(run.reported[:, 0]) <= set(table.column("train_seconds"))
    assert "val_accuracy: evals to opt-0.1" in found.table().columns
    same = found.as_searched()
    assert same.table().rows[0][2] != found.table().rows[0][2]
    assert np.array_equal(same.runs["random"][0].reported, run.searched)


def test_without_a_true_front_the_best_of_all_runs_stands_for_it() -> None:
    found = nap.compare(["random", "local-search"], Frontless(), TWO, 10, 2, **QUIET)
    shares = [row["value"] for row in found.scores if row["score"] == "hv11"]
    assert max(shares) <= 1.0 + 1e-9
    assert max(shares) > 0.5
    assert "not known" in found.markdown()
    one = nap.compare(["random"], Frontless(), ONE, 4, 1, **QUIET)
    assert "hit" not in {row["score"] for row in one.scores}


def test_a_plot_has_a_line_and_a_band_per_strategy() -> None:
    found = nap.compare(["random", "local-search"], BENCHMARK, ONE, 12, 2, **QUIET)
    traces = found.plot().data
    assert [trace.name for trace in traces if trace.name] == ["random", "local-search"]
    assert [trace.fill for trace in traces] == [None, "toself"] * 2
    last = found.table().columns.index("12")
    assert traces[0].y[-1] == pytest.approx(found.table().rows[0][last].mean)
    assert len(nap.compare(["random"], BENCHMARK, TWO, 12, 2, **QUIET).plot().data) == 2


def test_no_two_lines_of_a_plot_look_the_same() -> None:
    many = {f"random {i}": "random" for i in range(12)}
    traces = nap.compare(many, BENCHMARK, ONE, 3, 1, **QUIET).plot().data
    looks = [(trace.line.color, trace.line.dash) for trace in traces if trace.name]
    assert len(set(looks)) == len(looks) == 12


def test_a_data_frame_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    found = nap.compare(["random"], BENCHMARK, ONE, 4, 2, **QUIET)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        found.to_dataframe()
    fake = types.SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(sys.modules, "pandas", fake)
    rows, columns = found.to_dataframe()
    assert columns == ["strategy", "engine", "seed", "trials", "score", "value"]
    assert all(set(row) == set(columns) for row in rows)
    assert {row["trials"] for row in rows} == {1, 2, 4}


def test_an_objective_without_a_direction_goes_the_better_way() -> None:
    found, told = (
        [
            run.searched.tolist()
            for run in nap.compare(["random"], BENCHMARK, one, 4, 1, **QUIET).runs["random"]
        ]
        for one in ("latency_ms", "latency_ms:min")
    )
    assert found == told


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"`out=.*file` cannot be written"):
        nap.compare(["random"], BENCHMARK, trials=3, seeds=1, out=tmp_path / "file", **QUIET)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strategies": ["local-serch"]}, UnknownNameError, "did you mean 'local-search'"),
        ({"strategies": ["optuna:tpee"]}, UnknownNameError, "did you mean 'tpe'"),
        ({"strategies": "random"}, TypeError, "must be a list or a mapping"),
        ({"strategies": []}, ValueError, "must not be empty"),
        ({"strategies": ["random", "random"]}, ValueError, "'random' twice"),
        ({"strategies": [3]}, TypeError, "must have a method `propose`"),
        ({"benchmark": "nasbench201/cifar11"}, UnknownNameError, "cifar10"),
        ({"objectives": "val_acuracy:max"}, UnknownNameError, "did you mean 'val_accuracy'"),
        ({"report": "test_acc"}, UnknownNameError, "unknown metric"),
        ({"trials": 0}, ValueError, "`trials` must be >= 1, got 0"),
        ({"workers": "2"}, TypeError, "`workers` must be a whole number, got '2'"),
        ({"seeds": 0}, ValueError, "`seeds` must be"),
        ({"seeds": [1, 1]}, ValueError, "`seeds` must be"),
        ({"seeds": {"tpe": 2}}, ValueError, "must have the names"),
        ({"seeds": "a"}, TypeError, "`seeds` must be a whole number or several, got 'a'"),
        ({"seeds": "12"}, TypeError, "`seeds` must be a whole number or several, got '12'"),
        ({"seeds": 1.5}, TypeError, "`seeds` must be a whole number or several, got 1.5"),
        ({"seeds": [1.5]}, TypeError, "`seeds` must be a whole number or several"),
        ({"seeds": True}, TypeError, "`seeds` must be a whole number or several, got True"),
        ({"seeds": {"random": None}}, TypeError, "`seeds` must be a whole number or several"),
        ({"budgets": [0]}, ValueError, "`budgets` must be >= 1"),
        ({"budgets": "12"}, TypeError, "`budgets` must be a list of numbers of trials, got '12'"),
        ({"budgets": [1.5]}, TypeError, "`budgets` must be a whole number, got 1.5"),
        ({"strategies": 3}, TypeError, "must be a list or a mapping, got 3"),
        ({"strategies": [("random", 3)]}, TypeError, r"are written \(name, options\), got"),
        ({"strategies": {"a": ("random",)}}, TypeError, r"are written \(name, options\), got"),
        ({"strategies": [(RandomSearch(), {"n": 1})]}, ValueError, "are for a name, and Random"),
        ({"objectives": 3}, TypeError, "`objectives` are written 'val_accuracy:max'"),
        ({"tolerance": "x"}, TypeError, "`tolerance` must be a number, got 'x'"),
        ({"benchmark": "darts"}, UnknownNameError, "which is the name of a space"),
        ({"report": 3}, UnknownNameError, "unknown metric"),
        ({"out": 3}, TypeError, "`out` must be a path, got 3"),
        ({"engine": "nni"}, UnknownNameError, "unknown engine"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_run(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    asked = {"strategies": ["random"], "benchmark": BENCHMARK, "trials": 3, "seeds": 1}
    with pytest.raises(error, match=message):
        nap.compare(**{**asked, "out": tmp_path, **options}, **QUIET)
    assert not list(tmp_path.iterdir())


def test_progress_is_silent_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    nap.compare(["random"], BENCHMARK, ONE, 2, 1, progress=False)
    assert capfd.readouterr() == ("", "")


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, nas_plugins as nap\n"
        f"nap.compare(['random'], {BENCHMARK!r}, trials=2, seeds=1, progress=False)\n"
        "assert not {'torch', 'pandas', 'nni', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
