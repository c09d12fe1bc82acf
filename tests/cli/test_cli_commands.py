"""``list``, ``data``, ``--version``, ``--help``, and what importing the command line costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nas_plugins
from nas_plugins.cli._errors import MEANING


def test_version(run):
    ran = run("--version")
    assert (ran.code, ran.out) == (0, f"nas-plugins {nas_plugins.__version__}\n")


def test_help_documents_every_exit_code(run):
    ran = run("--help")
    assert ran.code == 0
    for code in MEANING:
        assert f"{code.value}:" in ran.out


@pytest.mark.parametrize(
    "command", ["search", "sample", "score", "report", "list", "data", "train"]
)
def test_every_command_has_help(run, command: str):
    ran = run(command, "--help")
    assert ran.code == 0
    assert "Usage: nas-plugins" in ran.out


def test_without_a_command_the_help_is_shown(run):
    ran = run()
    assert ran.code == 2
    assert "Usage: nas-plugins" in ran.out


def test_importing_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, nas_plugins.cli; "
        "print([m for m in ('numpy', 'optuna', 'sqlalchemy', 'moocore', 'torch', 'plotly') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_list_strategies_as_json(run):
    ran = run("list", "strategies", "--json")
    (kind,) = ran.json
    names = {plugin["name"] for plugin in ran.json[kind]}
    assert kind == "strategies"
    assert {"random", "local-search", "regularized-evolution", "archive-evolution"} <= names
    assert all(p["summary"] and p["distribution"] and not p["error"] for p in ran.json[kind])


def test_list_shows_broken_plugins_with_their_error(run):
    ran = run("list", "evaluators", "--json")
    assert ran.code == 0
    found = {plugin["name"]: plugin for plugin in ran.json["evaluators"]}
    assert "ModuleNotFoundError" in found["absent"]["error"]
    assert found["absent"]["distribution"] == "cli-test-plugins 1.0"
    assert found["sum"]["error"] is None
    ran = run("list", "evaluators")
    assert "ModuleNotFoundError" in ran.out
    assert "Adds the choice indices up" in ran.out


def test_list_names_the_tables_of_benchmarks(run):
    found = {
        b["name"]: b["tables"] for b in run("list", "benchmarks", "--json").json["benchmarks"]
    }
    assert "nasbench201/cifar10" in found["nasbench201"]
    assert "hw-nas-bench/cifar10/edgegpu" in found["hw-nas-bench"]
    assert found["nasbench101"] == ["nasbench101"]


def test_list_all_has_every_kind(run):
    kinds = {"spaces", "strategies", "evaluators", "benchmarks", "proxies", "chat-models"}
    assert set(run("list", "--json").json) == kinds


def test_data_list(run, tmp_path):
    document = run("data", "list", "--json").json
    assert document["folder"] == str(tmp_path / "no-data")
    files = {file["name"]: file for file in document["files"]}
    assert files["nasbench101"]["found"] is None
    assert "nas-plugins data fetch nasbench101" in files["nasbench101"]["advice"]
    assert "nasbench101" in run("data", "list").out


def test_data_path(run, tmp_path):
    assert run("data", "path").out == f"{tmp_path / 'no-data'}\n"
    folder = tmp_path / "no-data"
    folder.mkdir()
    (folder / "nasbench_only108.tfrecord").write_bytes(b"x")
    ran = run("data", "path", "nasbench101", "--json")
    assert ran.json == {
        "name": "nasbench101",
        "path": str(folder / "nasbench_only108.tfrecord"),
    }


def test_data_verify(run, tmp_path):
    assert run("data", "verify").code == 0  # nothing is there
    assert run("data", "verify", "nasbench101").code == 3
    folder = tmp_path / "no-data"
    folder.mkdir()
    (folder / "nasbench_only108.tfrecord").write_bytes(b"x")
    ran = run("data", "verify", "--json")
    assert ran.code == 3
    (outcome,) = ran.json["files"]
    assert (outcome["name"], outcome["status"], outcome["ok"]) == ("nasbench101", "damaged", False)


@pytest.mark.parametrize("words", [(), ("--json",), ("nasbench201-compact",)])
def test_a_file_without_a_known_checksum_is_unverified_and_that_is_said(run, tmp_path, words):
    folder = tmp_path / "no-data"
    folder.mkdir()
    (folder / "nb201_accuracy.npz").write_bytes(b"x")
    ran = run("data", "verify", *words)
    assert ran.code == 3
    assert '"unverified"' in ran.out if words == ("--json",) else "unverified: " in ran.out
    assert "UNVERIFIED: nasbench201-compact; nothing tells whether" in ran.err
