"""``--engine``: names, options that are not the engine's, and NNI that is not there."""

from __future__ import annotations

import json

import pytest

TOY = ("search", "--space", "nasbench201", "--evaluator", "sum", "--objective", "score:max")


@pytest.fixture
def no_nni(monkeypatch):
    """As if NNI were not installed, on a machine for which it has packages."""
    monkeypatch.setattr("nas_plugins.nni._require.find_spec", lambda name: None)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_the_engine_is_a_setting_and_optuna_by_default(run):
    words = (*TOY, "--trials", 3, "--seed", 0, "--json")
    first, second = run(*words), run(*words, "--engine", "optuna")
    assert first.json["settings"]["engine"] == "optuna"
    assert first.json["front"] == second.json["front"]


def test_without_nni_a_sentence_says_what_to_install(run, no_nni):
    ran = run(*TOY, "--engine", "nni")
    assert ran.code == 3
    assert ran.out == ""
    assert ran.err == (
        "error: nas_plugins.nni runs strategies in NNI experiments and needs NNI 3.0: "
        "pip install 'nas-plugins[nni]'\n"
    )


def test_where_nni_has_no_packages_the_other_engine_is_named(run, no_nni, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    ran = run(*TOY, "--engine", "nni")
    assert ran.code == 3
    assert "has packages for x86_64 only, not for aarch64" in ran.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--engine", "optun"), "unknown engine 'optun'; did you mean 'optuna'?"),
        (("--engine", "nni", "--pruner", "median"), "--pruner goes with --engine optuna: nni"),
        (
            ("--engine", "nni", "--take-over", "--resume"),
            "--take-over goes with --engine optuna: nni evaluates again",
        ),
        (
            ("--storage", "nni:///folder", "--study", "a"),
            "--storage nni:///folder goes with --engine nni",
        ),
    ],
)
def test_options_of_the_other_engine_are_refused(run, words, text):
    ran = run(*TOY, *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {text}")


def test_a_study_that_does_not_tell_its_engine_goes_on(run):
    import optuna

    kept = ("--storage", "sqlite:///s.db", "--study", "a", "--seed", 0, "--json")
    run(*TOY, *kept, "--trials", 3)
    study = optuna.load_study(study_name="a", storage="sqlite:///s.db")
    assert "engine" not in json.dumps(study.user_attrs)
    ran = run(*TOY, *kept, "--trials", 5, "--resume")
    assert (ran.code, ran.json["counts"]["complete"]) == (0, 5)
