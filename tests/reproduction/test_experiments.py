"""`nap.reproduce`: what is asked for is checked first, and what comes out can be written."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.reproduction.documents import Reproduction, ResultTable
from nas_plugins.reproduction.experiments import ARCH_VQ, EXPERIMENTS, experiment_request


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_name_leads_to_a_function(name: str) -> None:
    if EXPERIMENTS[name].paper == ARCH_VQ:
        pytest.importorskip("torch")
    module, function = EXPERIMENTS[name].target.split(":")
    found = import_module(f"nas_plugins.reproduction.{module}")
    assert callable(getattr(found, function))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("llm-nas-table3", {"samples": 9}, "`samples` is for the tables of Arch-VQ, not for llm"),
        ("arch-vq-table3", {"llm": "null"}, "`llm` is for the tables of LLM-NAS, not for arch"),
        ("llm-nas-table3", {"llm_seeds": 0}, "`llm_seeds` must be >= 1, got 0"),
        ("llm-nas-table3", {"workers": 3}, "`workers` must be 1 or 2, got 3"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(
    tmp_path: Path, name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        nap.reproduce(name, out=tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("llm-nas-tabel3", {}, "did you mean 'llm-nas-table3'"),
        ("arch-vq-table2", {"space": "nasbench201"}, "unknown space of arch-vq-table2"),
        ("llm-nas-table2", {"budget": "smal"}, "did you mean 'small'"),
        ("llm-nas-table2", {"devices": ("pixel4",)}, "did you mean 'pixel3'"),
    ],
)
def test_unknown_names_are_told(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        nap.reproduce(name, **options)


def test_the_budget_decides_what_is_not_said() -> None:
    request = experiment_request("llm-nas-table3", budget="quick", evaluations=9)
    assert (request.seeds, request.evaluations, len(request.cases)) == (2, 9, 2)
    pytest.importorskip("torch")
    request = experiment_request("arch-vq-table7", space="nasbench101")
    assert (request.seeds, request.samples, request.space) == (5, 10_000, "nasbench101")


def test_whoever_prints_a_reproduction_sees_its_tables() -> None:
    table = ResultTable("Generation", ("model", "validity"), (("Arch-VQ", 99.5),))
    shown = repr(Reproduction("arch-vq-table3", "Table 3", (table, table)))
    assert shown.startswith("<Reproduction 'arch-vq-table3': 'Generation', 'Generation'>\n")
    assert shown.count("Arch-VQ     99.50") == 2


def test_a_table_comes_out_and_its_searches_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not os.environ.get("NAS_PLUGINS_DATA"):
        pytest.skip("NAS_PLUGINS_DATA is not set")
    options = {"budget": "quick", "seeds": 1, "evaluations": 8, "devices": ("fpga",)}
    first = nap.reproduce("llm-nas-table3", out=str(tmp_path), progress=True, **options)
    assert repr(first).startswith("<Reproduction 'llm-nas-table3': ")
    assert "cifar10/fpga: random, seed 0" in capsys.readouterr().err
    written = first.write(str(tmp_path / "files"))
    assert {file.suffix for file in written} == {".md", ".csv", ".svg"}
    again = nap.reproduce("llm-nas-table3", out=tmp_path, progress=True, **options)
    assert capsys.readouterr().err == ""  # no search was run
    assert again.tables == first.tables
