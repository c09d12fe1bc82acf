"""``nas-plugins reproduce``."""

from __future__ import annotations

import pytest

from nas_plugins.reproduction.experiments import EXPERIMENTS


def test_the_names_are_listed(run):
    ran = run("reproduce")
    assert ran.code == 0
    for name in EXPERIMENTS:
        assert name in ran.out
    assert run("reproduce", "--json").json["arch-vq-table6"]["spaces"] == [
        "nasbench201",
        "nasbench101",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arch-vq-tabel3"], "did you mean 'arch-vq-table3'"),
        (["arch-vq-table2", "--space", "nasbench201"], "unknown space of arch-vq-table2"),
        (["arch-vq-table2", "--seeds", "0"], "--seeds must be >= 1, got 0"),
        (["arch-vq-table2", "--samples", "-1"], "--samples must be >= 1, got -1"),
        (["arch-vq-table2", "--quick", "--budget", "small"], "exclude each other"),
        (["arch-vq-table2", "--budget", "smal"], "did you mean 'small'"),
        (["--seeds", "3"], "--seeds goes with the NAME of a table or figure"),
        (["--quick", "--json"], "--quick goes with the NAME of a table or figure"),
        (["-q"], "--quiet goes with the NAME of a table or figure"),
    ],
)
def test_bad_input_is_one_sentence(run, words, message):
    pytest.importorskip("torch")
    ran = run("reproduce", *words)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["llm-nas-tabel3"], "did you mean 'llm-nas-table3'"),
        (["llm-nas-table3", "--samples", "9"], "--samples is for the tables of Arch-VQ, not for"),
        (["llm-nas-table3", "--models", "1"], "--models is for the tables of Arch-VQ"),
        (["llm-nas-table3", "--space", "darts"], "unknown space of llm-nas-table3"),
        (["llm-nas-table3", "--evaluations", "0"], "--evaluations must be >= 1, got 0"),
        (["llm-nas-table3", "--llm-seeds", "-1"], "--llm-seeds must be >= 1, got -1"),
        (["llm-nas-table3", "--workers", "3"], "--workers must be 1 or 2, got 3"),
        (["llm-nas-table3", "--devices", "fpga,pixel4"], "did you mean 'pixel3'"),
        (["llm-nas-table3", "--devices", "fpga,"], "unknown device ''"),
        (["llm-nas-table3", "--datasets", "cifar"], "unknown data set 'cifar'"),
        (["arch-vq-table3", "--llm", "null"], "--llm is for the tables of LLM-NAS, not for"),
        (["arch-vq-table3", "--devices", "fpga"], "--devices is for the tables of LLM-NAS"),
    ],
)
def test_bad_input_for_the_searches_is_one_sentence(run, words, message):
    ran = run("reproduce", *words)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_table_that_is_absent_is_said_at_once(run):
    ran = run("reproduce", "llm-nas-table3", "--quick")
    assert ran.code == 3
    assert ran.err.count("\n") == 1


def test_searches_are_run_once_and_tables_share_them(run, data_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("NAS_PLUGINS_DATA", str(data_folder))
    words = ["--quick", "--seeds", 1, "--evaluations", 12, "--devices", "fpga", "--out", "there"]
    ran = run("reproduce", "llm-nas-table3", *words)
    assert ran.code == 0, ran.err
    assert "## LLM-NAS, Table 3: hypervolume and IGD" in ran.out
    assert "cifar10/fpga: NSGA-II, seed 0" in ran.err
    assert (tmp_path / "there" / "llm-nas-coverage-cifar10-fpga.svg").exists()
    cost = run("reproduce", "llm-nas-table4", *words, "--json")
    assert cost.err.count("\n") == 1  # what was written: no search was run
    assert cost.json["settings"]["evaluations"] == 12
    rows = cost.json["tables"][0]["rows"]
    assert [row[0] for row in rows][1:3] == ["random", "archive evolution"]


def test_an_unknown_model_is_told_before_any_search(run, data_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("NAS_PLUGINS_DATA", str(data_folder))
    words = ["reproduce", "llm-nas-table3", "--quick", "--devices", "fpga", "--llm", "nul"]
    ran = run(*words)
    assert ran.code == 2
    assert "did you mean 'null'" in ran.err
    assert not list(tmp_path.rglob("runs"))


@pytest.fixture
def tiny(monkeypatch):
    """Models of 60 architectures."""
    pytest.importorskip("torch")
    from nas_plugins.reproduction.arch_vq import budget, models

    monkeypatch.setattr(budget, "_QUICK_ARCHITECTURES", 60)
    monkeypatch.setattr(models, "shipped_names", tuple)


def test_a_table_is_printed_and_written_and_its_models_are_kept(run, tiny, tmp_path):
    words = ["reproduce", "arch-vq-table7", "--quick", "--seeds", 1, "--samples", 30]
    ran = run(*words, "--out", "there")
    assert ran.code == 0
    assert "## Table 7: ablations on nasbench201" in ran.out
    assert "budget quick, seeds 1, models 1, samples 30" in ran.out
    assert "training nasbench201-paper-quick-0" in ran.err
    folder = tmp_path / "there"
    assert (folder / "arch-vq-table7.md").read_text(encoding="utf-8") in ran.out
    assert (folder / "arch-vq-table7.csv").exists()
    again = run(*words, "--out", "there", "--json", "--quiet")
    assert again.err == ""
    assert again.json["name"] == "arch-vq-table7"
    assert again.json["settings"]["samples"] == 30


def test_a_folder_that_cannot_be_written_is_said_at_once(run, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "file").write_text("")
    ran = run("reproduce", "arch-vq-table3", "--quick", "--out", "file")
    assert ran.code == 5
    assert "--out file cannot be written" in ran.err
