"""`nap.sample`: the figures of the command line, models of one's own, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nas_plugins as nap
from nas_plugins.cli import main
from nas_plugins.errors import SpaceExhaustedError, UnknownNameError, UsageError

pytest.importorskip("torch")

from nas_plugins.strategies.arch_vq.config import (
    PriorConfig,
    Recipe,
    Schedule,
    VQVAEConfig,
)
from nas_plugins.strategies.arch_vq.train import train

SPACE = nap.CategoricalSpace.macro(4, ["a", "b", "c"])
MEASURED = ("seconds", "cpu_seconds", "load_seconds", "draw_seconds", "architectures_per_second",
            "peak_memory_mb")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> nap.TrainResult:
    """A model of 81 architectures, 73 of them learned."""
    schedule = Schedule(1, 36, 5e-3, min_steps=700)
    vqvae = VQVAEConfig(hidden=32, layers=2, latent=8, codes=32, schedule=schedule)
    schedule = Schedule(1, 36, 3e-3, min_steps=80)
    small = Recipe(vqvae, PriorConfig(width=32, layers=1, heads=2, schedule=schedule))
    folder = tmp_path_factory.mktemp("model")
    return nap.TrainResult(train(SPACE, settings=small, out=folder), folder)


def test_the_figures_are_those_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cells"
    words = ["sample", "--space", "nasbench201", "-n", "20", "--seed", "4", "--json"]
    assert main([*words, "--out", str(file)]) == 0
    shown = json.loads(capsys.readouterr().out)
    found = nap.sample("nasbench201", 20, seed=4)
    assert list(found.to_json()) == list(shown)
    assert {k: v for k, v in found.to_json().items() if k not in MEASURED} == {
        k: v for k, v in shown.items() if k not in MEASURED
    }
    assert [str(a) for a in found] == file.read_text().splitlines()
    assert len(found) == len(found.architectures) == 20
    assert "20 draws from nasbench201 (shipped: nasbench201)" in repr(found)
    assert found.save(str(tmp_path / "same")).read_text() == file.read_text()
    assert (found.validity, found.distinct) == (100, 20)
    assert 0 < found.sampling_seconds < found.seconds


def test_a_model_of_ones_own_from_its_folder_or_as_it_is(trained: nap.TrainResult) -> None:
    found = nap.sample(n=9, model=trained.folder)
    assert found.model == str(trained.folder)
    again = nap.sample(SPACE, 9, model=trained.model)
    assert [str(a) for a in again] == [str(a) for a in found]
    assert nap.sample(n=9, model=str(trained.folder), seed=1).rows.tolist() != found.rows.tolist()


def test_nothing_excluded_is_sampled(trained: nap.TrainResult, tmp_path: Path) -> None:
    new = nap.sample(n=8, model=trained.model, exclude_train=True)
    assert new.novelty == 100
    rest = nap.sample(n=73, model=trained.model, exclude=new)
    keys = {a.key for a in rest}
    assert len(keys) == 73
    assert not keys & {a.key for a in new}
    few = nap.sample(n=8, model=trained.model, exclude=map(str, rest), seed=1)
    assert {a.key for a in few} == {a.key for a in new}
    with pytest.raises(SpaceExhaustedError, match="`n` must be at most 8"):
        nap.sample(n=9, model=trained.model, exclude=rest.save(tmp_path / "rest"))
    paper = nap.sample(n=300, model=trained.model, decoding="paper", exclude=rest)
    assert {a.key for a in paper} <= {a.key for a in new}
    assert paper.validity > 100 * len(paper) / 300


def test_darts_is_one_cell() -> None:
    found = nap.sample("darts", 3)
    assert found.space == nap.space("darts-cell")
    assert found.model == "shipped: darts"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "give `space` or `model`"),
        ({"space": "nasbench2001"}, UnknownNameError, "did you mean 'nasbench201'"),
        ({"model": 3}, TypeError, "`model` must be a model or its folder, got 3"),
        ({"n": 0}, UsageError, "`n` must be >= 1, got 0"),
        ({"seed": -1}, UsageError, "`seed` must be >= 0, got -1"),
        ({"temperature": float("nan")}, UsageError, "`temperature` must be > 0"),
        ({"decoding": "loose"}, UsageError, "`decoding` must be strict or paper, got loose"),
        (
            {"decoding": "paper", "unique": True},
            UsageError,
            "`unique=True` goes with `decoding=strict`",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        nap.sample(**options)


def test_what_does_not_fit_the_model_is_refused(trained: nap.TrainResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`model=.*` is of the space 'categorical', not 'nas"):
        nap.sample("nasbench201", model=trained.folder)
    with pytest.raises(UsageError, match="`exclude`, line 2"):
        nap.sample(model=trained.model, exclude=[str(SPACE.architectures([[0] * 4])[0]), "no"])
    with pytest.raises(UsageError, match=r"`exclude=.*absent` cannot be read"):
        nap.sample(model=trained.model, exclude=tmp_path / "absent")


def test_a_space_that_must_be_learned_with_care_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_plugins.strategies.arch_vq.shipped.shipped_names", tuple)
    with pytest.raises(UnknownNameError, match="no model of 'nasbench101' comes with the package"):
        nap.sample("nasbench101")
