"""The script that compares strategies prints its tables and writes its files."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "search.py"


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objectives", "scores"),
    [
        (["val_accuracy:max"], {"best", "hit", "evaluations", "distinct", "ms_per_trial"}),
        (["val_accuracy:max", "latency_ms:min"], {"hv11", "hv10", "igd", "hv11_searched"}),
    ],
)
def test_a_small_comparison(tmp_path: Path, objectives: list[str], scores: set[str]) -> None:
    goals = [argument for text in objectives for argument in ("--objective", text)]
    done = _run(
        *("--benchmark", "nasbench201/cifar10", *goals, "--trials", "14", "--checkpoints", "12"),
        *("--strategies", "random,archive-evolution:n_initial=5,nsga2", "--seeds", "3"),
        *("--optuna-seeds", "2", "--workers", "1", "--out", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert scores <= {line["score"] for line in lines}
    runs = {(line["strategy"], line["engine"], line["seed"]) for line in lines}
    assert runs == {
        *(("random", "alone", seed) for seed in "012"),
        *(("archive-evolution:n_initial=5", "alone", seed) for seed in "012"),
        *(("Optuna nsga2", "optuna", seed) for seed in "01"),
    }
    assert {line["trials"] for line in lines} == {"12", "14"}
    assert "archive-evolution:n_initial=5" in done.stdout
    assert "Optuna nsga2" in (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "plotly" in (tmp_path / "curves.html").read_text(encoding="utf-8")


def test_an_unknown_strategy_is_refused_with_the_nearest_name() -> None:
    done = _run("--strategies", "local-serch")
    assert done.returncode == 2
    assert "did you mean 'local-search'" in done.stderr


@pytest.mark.slow
def test_a_warm_start_and_both_metrics(tmp_path: Path) -> None:
    warm = 'random+nasbench201/cifar100:n=3:pool=60:metrics=["val_accuracy","train_seconds"]'
    scores = tmp_path / "scores.csv"
    cell = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    scores.write_text(
        f"architecture,rank_sum,synflow,seconds,cached,reason\n{cell},0,1,0,0,\n", encoding="utf-8"
    )
    filed = f"random+{scores}:n=1:pool=15625"
    done = _run(
        *("--benchmark", "nasbench201/cifar10", "--report", "train_seconds", "--both"),
        *("--strategies", f"random,{warm},{filed}", "--trials", "4", "--seeds", "2"),
        *("--workers", "1", "--out", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["report"] for line in lines} == {"val_accuracy", "train_seconds"}
    assert {line["strategy"] for line in lines} == {"random", warm, filed}


def test_a_sampler_takes_no_warm_start() -> None:
    done = _run("--strategies", "tpe+complexity")
    assert done.returncode == 2
    assert "'tpe' is a sampler and takes no warm start" in done.stderr
