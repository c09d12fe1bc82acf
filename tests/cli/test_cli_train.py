"""``train arch-vq``: a checkpoint comes out, nothing is overwritten, it can be resumed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time

import pytest
import torch

from nas_plugins.strategies.arch_vq.model import ArchVQModel

DECISIONS = json.dumps({f"layer_{i}": ["a", "b", "c"] for i in range(4)})
TINY = ("train", "arch-vq", "--space", "categorical", "--space-option", f"decisions={DECISIONS}",
        "--epochs-vqvae", 3, "--epochs-prior", 2)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Tiny models are slower on several threads, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_training_leaves_a_checkpoint_and_says_what_it_is_worth(run, tmp_path):
    ran = run(*TINY, "--seed", 3, "--out", "m")
    assert ran.code == 0, ran.err
    model = ArchVQModel.load(tmp_path / "m")
    metrics = model.card.metrics
    assert model.card.seed == 3
    assert (metrics["vqvae_epochs"], metrics["prior_epochs"]) == (3, 2)
    assert f"exact reconstruction {metrics['held_out_exact']:.4%}" in ran.out
    assert f"prior {metrics['held_out_nll']:.4f} nats" in ran.out
    assert "73 architectures, measured on 8 others" in ran.out
    assert "vqvae · epoch 3/3" in ran.err
    assert "prior · epoch 2/2" in ran.err
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_the_card_holds_a_command_that_makes_the_same_model_again(run, tmp_path):
    first = run(*TINY, "--out", "secret", "--json", "--quiet").json
    assert "secret" not in first["command"]
    words = shlex.split(first["command"])
    assert words[0] == "nas-plugins"
    again = run(*[word.replace("DIR", "n") for word in words[1:]], "--json").json
    assert again["sha256"] == first["sha256"]
    assert again["metrics"]["held_out_nll"] == first["metrics"]["held_out_nll"]
    size = sum(p.stat().st_size for p in (tmp_path / "n").iterdir())
    assert again["bytes"] == size


def test_a_finished_checkpoint_is_not_overwritten_unasked(run, tmp_path):
    assert run(*TINY, "--out", "m", "--quiet").code == 0
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    ran = run(*TINY, "--out", "m")
    assert ran.code == 2
    assert "--force" in ran.err
    ran = run(*TINY, "--out", "m", "--resume", "--json")
    assert (ran.code, ran.json["path"]) == (0, "m")
    assert "finished already" in ran.err
    ran = run(*TINY, "--out", "m", "--resume", "--seed", 1)
    assert ran.code == 2
    assert "another run" in ran.err
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    ran = run(*TINY, "--out", "m", "--force", "--seed", 1, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert ArchVQModel.load(tmp_path / "m").card.seed == 1
    assert "--force" not in ArchVQModel.load(tmp_path / "m").card.command


@pytest.mark.skipif(os.name != "posix", reason="signals need POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_state_and_the_way_on_is_shown(start, run, ended, tmp_path, number):
    code = {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    long = [*TINY[:-4], "--epochs-vqvae", 4000, "--epochs-prior", 2]
    process = start(*long, "--out", "m", "--device", "cpu")
    deadline = time.monotonic() + 120
    while not (tmp_path / "m" / "vqvae.state").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    ran = ended(process)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert (tmp_path / "m" / "vqvae.state").exists()
    words = shlex.split(ran.err.split("to go on: nas-plugins ")[1].splitlines()[0])
    assert words == [*map(str, long), "--out", "m", "--device", "cpu", "--resume"]
    # Neither begun anew nor resumed without a word.
    ran = run(*long, "--out", "m")
    assert ran.code == 2
    assert "--resume" in ran.err
    ran = run(*words, "--seed", 1)
    assert ran.code == 3
    assert "belongs to another run, its seed differ" in ran.err


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(run, tmp_path, monkeypatch):
    from nas_plugins.runner.progress import TrainingDisplay

    whole = run(*TINY, "--out", "whole", "--json", "--quiet").json

    class Impatient(TrainingDisplay):
        def __call__(self, progress):
            super().__call__(progress)
            if (progress.stage, progress.epoch) == ("vqvae", 2):
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nas_plugins.runner.training.TrainingDisplay", Impatient)
        ran = run(*TINY, "--out", "m")
    assert ran.code == 130
    assert "interrupted after epoch 2 of 3 of stage 'vqvae'; to go on:" in ran.err
    resumed = run(*TINY, "--out", "m", "--resume", "--json").json
    assert resumed["sha256"] == whole["sha256"]
    assert not list((tmp_path / "m").glob("*.state"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs-vqvae", 0), "--epochs-vqvae must be >= 1, got 0"),
        (("--architectures", 3), "--architectures must be >= 20, got 3"),
        (("--seed", -1), "--seed must be >= 0, got -1"),
        (("--device", "tpu"), "--device must be one of auto, cpu, cuda, got tpu"),
        (("--preset", "papre"), "did you mean 'paper'"),
        (("--resume", "--force"), "give one of them"),
        (("--space", "nasbench2001"), "did you mean 'nasbench201'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(run, tmp_path, words, message):
    ran = run(*TINY, "--out", "m", *words)
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "m" / "model.json").exists()


def test_a_torn_state_is_told_and_not_trained_over(run, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "vqvae.state").write_bytes(b"torn")
    ran = run(*TINY, "--out", "m", "--resume")
    assert ran.code == 3
    assert "vqvae.state is not a whole training state" in ran.err
    assert (tmp_path / "m" / "vqvae.state").read_bytes() == b"torn"


def test_a_folder_that_cannot_be_written_is_told_at_once(run, tmp_path):
    (tmp_path / "file").write_text("")
    ran = run(*TINY, "--out", "file/m")
    assert ran.code == 5
    assert "cannot be written" in ran.err


def test_darts_means_one_cell(run):
    ran = run("train", "arch-vq", "--space", "darts", "--out", "m", "--architectures", 40,
              "--epochs-vqvae", 1, "--epochs-prior", 1, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["space"] == "darts-cell"
    assert "darts means the space darts-cell" in ran.err


def test_the_paper_preset_has_the_published_model(run, tmp_path):
    ran = run(*TINY, "--preset", "paper", "--out", "m", "--quiet")
    assert ran.code == 0, ran.err
    # Codes that nothing is near have run away, but not to infinity.
    config = ArchVQModel.load(tmp_path / "m").card.recipe.vqvae
    assert (config.bilinear, config.directed, config.codes) == (False, False, 512)
