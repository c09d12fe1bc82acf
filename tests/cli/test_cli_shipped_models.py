"""The commands on the cards of the shipped models still make, in miniature, what they made."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
import torch

from nas_plugins.strategies.arch_vq.config import recipe
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.shipped import shipped_names
from nas_plugins.strategies.arch_vq.train import train

MINIATURE = ("--architectures", 400, "--epochs-vqvae", 1, "--epochs-prior", 1)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", shipped_names())
def test_the_recorded_command_makes_an_equal_model(run, tmp_path, name):
    card = ArchVQModel.shipped(name).card
    assert card.recipe == recipe(card.space["name"]), "the preset has changed since"
    words = [word.replace("DIR", "again") for word in shlex.split(card.command)]
    assert words[0] == "nas-plugins"
    ran = run(*words[1:], *MINIATURE, "--quiet")
    assert ran.code == 0, ran.err
    made = ArchVQModel.load(tmp_path / "again")
    small = replace(
        card.recipe,
        architectures=400,
        vqvae=replace(card.recipe.vqvae, schedule=_once(card.recipe.vqvae.schedule)),
        prior=replace(card.recipe.prior, schedule=_once(card.recipe.prior.schedule)),
    )
    assert made.card.recipe == small
    assert (made.card.space, made.card.vocabulary) == (card.space, card.vocabulary)
    train(made.space, settings=small, seed=card.seed, out=tmp_path / "direct")
    assert made.card.sha256 == ArchVQModel.load(tmp_path / "direct").card.sha256


def _once(schedule):
    return replace(schedule, epochs=1, min_steps=0)
