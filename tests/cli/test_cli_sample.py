"""``sample``: the figures are measured, the architectures are what the figures say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import nas_plugins as nap
from nas_plugins.spaces.categorical import CategoricalSpace
from nas_plugins.strategies.arch_vq.config import PriorConfig, Recipe, Schedule, VQVAEConfig
from nas_plugins.strategies.arch_vq.data import split
from nas_plugins.strategies.arch_vq.shipped import shipped_names
from nas_plugins.strategies.arch_vq.train import train

SPACE = CategoricalSpace.macro(4, ["a", "b", "c"])
SMALL = Recipe(
    VQVAEConfig(
        hidden=32, layers=2, latent=8, codes=32, schedule=Schedule(1, 36, 5e-3, min_steps=700)
    ),
    PriorConfig(width=32, layers=1, heads=2, schedule=Schedule(1, 36, 3e-3, min_steps=80)),
)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models are slower on several threads, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A model of 81 architectures, 73 of them learned."""
    path = tmp_path_factory.mktemp("model")
    train(SPACE, settings=SMALL, seed=0, out=path)
    return path


def train_keys() -> set[int]:
    """Keys of the training set, from the seed and the recipe."""
    rows = split(SPACE, SMALL.architectures, SMALL.held_out, 0).train
    return set(SPACE.keys(rows).tolist())


def lines(text: str) -> list[str]:
    """The architectures that were printed, each read by the space."""
    found = text.splitlines()
    assert [str(SPACE.parse(line)) for line in found] == found
    return found


def test_architectures_go_to_the_output_and_figures_beside_it(run, folder):
    ran = run("sample", "--model", folder, "-n", 30, "--seed", 1)
    assert ran.code == 0, ran.err
    assert len(set(lines(ran.out))) == 30
    assert "30 draws from categorical" in ran.err
    assert "100.00 % valid, 30 distinct" in ran.err
    assert run("sample", "--model", folder, "-n", 30, "--seed", 1, "-q").out == ran.out
    assert run("sample", "--model", folder, "-n", 30, "--seed", 2, "-q").out != ran.out


def test_the_document_tells_what_was_drawn(run, folder, tmp_path):
    ran = run("sample", "--model", folder, "-n", 60, "--json", "--out", "cells.txt")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    written = lines((tmp_path / "cells.txt").read_text())
    assert found["validity"] == 100
    assert found["distinct"] == len(set(written)) == found["n"] == 60
    known = train_keys()
    new = sum(SPACE.parse(line).key not in known for line in written)
    assert found["novelty"] == pytest.approx(100 * new / 60, abs=1e-4)
    assert 0 < found["draw_seconds"] <= found["seconds"]
    assert found["load_seconds"] < found["seconds"]
    assert found["cpu_seconds"] > 0
    assert found["architectures_per_second"] > 0
    assert (found["seed"], found["temperature"], found["space"]) == (0, 1.0, "categorical")


def test_the_whole_space_and_not_one_more(run, folder):
    ran = run("sample", "--model", folder, "-n", 81, "--json")
    assert ran.json["distinct"] == 81
    ran = run("sample", "--model", folder, "-n", 82)
    assert ran.code == 2
    assert "`n` must be at most 81" in ran.err
    assert ran.out == ""


def test_nothing_excluded_is_drawn(run, folder, tmp_path):
    ran = run("sample", "--model", folder, "-n", 8, "--exclude-train", "--json", "--out", "new")
    assert (ran.json["novelty"], ran.json["distinct"]) == (100, 8)
    rest = run("sample", "--model", folder, "-n", 73, "--exclude", "new", "-q").out
    assert not set(lines(rest)) & set(lines((tmp_path / "new").read_text()))
    (tmp_path / "most").write_text(rest + "\n")
    ran = run("sample", "--model", folder, "-n", 1, "--exclude", "most", "--exclude-train")
    assert ran.code == 0
    ran = run("sample", "--model", folder, "-n", 9, "--exclude-train")
    assert ran.code == 2
    assert "`n` must be at most 8" in ran.err


def test_independent_draws_repeat_themselves(run, folder):
    ran = run("sample", "--model", folder, "-n", 500, "--no-unique", "--json")
    assert ran.json["validity"] == 100
    assert ran.json["distinct"] <= 81
    assert ran.json["returned"] == 500


def test_the_paper_s_decoding_counts_what_is_no_architecture(run, folder):
    words = ("sample", "--model", folder, "-n", 400, "--decoding", "paper", "--temperature", 3)
    ran = run(*words, "--json", "--out", "cells")
    found = ran.json
    assert found["validity"] < 100
    assert found["validity"] == pytest.approx(100 * found["returned"] / 400)
    assert len(lines(Path("cells").read_text())) == found["returned"]
    assert run(*words, "--unique").code == 2


def test_a_space_of_ones_own_is_learned_once(run, monkeypatch, one_thread, tmp_path):
    schedule = replace(SMALL.vqvae.schedule, min_steps=300)
    quick = replace(SMALL, vqvae=replace(SMALL.vqvae, schedule=schedule))
    monkeypatch.setattr("nas_plugins.strategies.arch_vq.config._ON_THE_FLY", quick)
    decisions = json.dumps({"depth": [2, 4], "op": ["conv", "pool"], "wide": [False, True]})
    words = ("sample", "--space", "categorical", "--space-option", f"decisions={decisions}",
             "-n", 2)  # fmt: skip
    ran = run(*words)
    assert ran.code == 0, ran.err
    assert len({tuple(json.loads(line).values()) for line in ran.out.splitlines()}) == 2
    assert "learned on its first use" in ran.err
    assert list((tmp_path / "no-cache").rglob("model.safetensors"))
    monkeypatch.setattr("nas_plugins.strategies.arch_vq.train.train", None)
    assert run(*words).out == ran.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --space NAME or --model DIR"),
        (("--space", "nasbench2001"), "did you mean 'nasbench201'"),
        (("-n", 0, "--space", "nasbench201"), "-n must be >= 1, got 0"),
        (("--temperature", 0, "--space", "nasbench201"), "--temperature must be > 0, got 0"),
        (("--temperature", "nan", "--space", "nasbench201"), "--temperature must be > 0"),
        (("--seed", -1, "--space", "nasbench201"), "--seed must be >= 0, got -1"),
        (("--decoding", "loose", "--space", "nasbench201"), "strict or paper, got loose"),
    ],
)
def test_what_makes_no_sense_is_refused(run, words, message):
    ran = run("sample", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_a_model_and_a_space_that_do_not_fit_are_refused(run, folder):
    ran = run("sample", "--model", folder, "--space", "nasbench201")
    assert ran.code == 2
    assert "is of the space 'categorical', not 'nasbench201'" in ran.err


def test_a_torn_checkpoint_is_told_by_name(run, folder, tmp_path):
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "model.json").write_bytes((folder / "model.json").read_bytes())
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"x")
    ran = run("sample", "--model", "torn")
    assert ran.code == 3
    assert "model.safetensors is torn or foreign" in ran.err


@pytest.mark.parametrize("content", ["not a cell\n", '{"layer_0": "a"}\n', None])
def test_a_list_that_cannot_be_read_is_told_with_its_line(run, folder, tmp_path, content):
    if content is not None:
        (tmp_path / "list").write_text("\n" + content)
    ran = run("sample", "--model", folder, "--exclude", "list")
    assert ran.code == 2
    assert ("line 2" if content is not None else "cannot be read") in ran.err


def test_a_reader_that_has_enough_is_no_error(start, ended, folder):
    process = start("sample", "--model", folder, "-n", 81, "--quiet")
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""


SHIPPED = {"nasbench201": "nasbench201", "nasbench101": "nasbench101", "darts": "darts-cell"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_draws_at_once(run, name, tmp_path):
    if name not in shipped_names():
        pytest.skip(f"no checkpoint of {name} is in this tree")
    ran = run("sample", "--space", name, "-n", 300, "--json", "--out", "cells")
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["validity"], found["distinct"]) == (100, 300)
    assert found["space"] == SHIPPED[name]
    space = nap.space(SHIPPED[name])
    cells = [space.parse(line) for line in (tmp_path / "cells").read_text().splitlines()]
    assert len({cell.key for cell in cells}) == 300
