"""``nas-plugins reproduce``."""

from __future__ import annotations

import importlib

import pytest

from nas_plugins.cli.reproduce import EXPERIMENTS


def test_the_names_are_listed(run):
    ran = run("reproduce")
    assert ran.code == 0
    for name in EXPERIMENTS:
        assert name in ran.out
    assert run("reproduce", "--json").json["arch-vq-table6"]["spaces"] == [
        "nasbench201",
        "nasbench101",
    ]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_name_leads_to_a_function(name):
    pytest.importorskip("torch")
    module, function = EXPERIMENTS[name].target.split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arch-vq-tabel3"], "did you mean 'arch-vq-table3'"),
        (["arch-vq-table2", "--space", "nasbench201"], "unknown space of arch-vq-table2"),
        (["arch-vq-table2", "--seeds", "0"], "--seeds must be >= 1, got 0"),
        (["arch-vq-table2", "--samples", "-1"], "--samples must be >= 1, got -1"),
        (["arch-vq-table2", "--quick", "--budget", "small"], "exclude each other"),
        (["arch-vq-table2", "--budget", "smal"], "did you mean 'small'"),
    ],
)
def test_bad_input_is_one_sentence(run, words, message):
    pytest.importorskip("torch")
    ran = run("reproduce", *words)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


@pytest.fixture
def tiny(monkeypatch):
    """Models of 60 architectures."""
    pytest.importorskip("torch")
    from nas_plugins.strategies.arch_vq.reproduction import budget, models

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
