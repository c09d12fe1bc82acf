"""`nap.train`: a model and its folder; resuming; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nas_plugins as nap
from nas_plugins.errors import OutputError, UnknownNameError, UsageError

pytest.importorskip("torch")

from nas_plugins.strategies.arch_vq.model import ArchVQModel

SPACE = nap.CategoricalSpace.macro(4, ["a", "b", "c"])
TINY: dict[str, Any] = {
    "space": SPACE,
    "epochs_vqvae": 3,
    "epochs_prior": 2,
    "device": "cpu",
    "progress": False,
}


def test_a_model_and_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    found = nap.train("arch-vq", **TINY, out=str(tmp_path / "m"), seed=3, on_epoch=seen.append)
    assert [(e.stage, e.epoch) for e in seen] == [
        ("vqvae", 1), ("vqvae", 2), ("vqvae", 3), ("prior", 1), ("prior", 2)
    ]  # fmt: skip
    assert capsys.readouterr() == ("", "")
    assert found.folder == tmp_path / "m"
    saved = ArchVQModel.load(tmp_path / "m")
    assert saved.card.seed == 3
    assert found.to_json()["sha256"] == saved.card.sha256
    assert found.to_json()["bytes"] == sum(p.stat().st_size for p in (tmp_path / "m").iterdir())
    assert "categorical: learned from 73 architectures, measured on 8 others" in repr(found)


def test_without_a_folder_nothing_is_saved(capsys: pytest.CaptureFixture[str]) -> None:
    found = nap.train("arch-vq", **{**TINY, "progress": True})
    assert (found.folder, found.bytes, found.to_json()["path"]) == (None, None, None)
    assert repr(found).endswith("not saved")
    assert found.model.space == SPACE
    assert "vqvae · epoch 3/3" in capsys.readouterr().err


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = nap.train("arch-vq", **TINY, out=tmp_path / "whole")

    def impatient(epoch: Any) -> None:
        if (epoch.stage, epoch.epoch) == ("vqvae", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nap.train("arch-vq", **TINY, out=tmp_path / "m", on_epoch=impatient)
    with pytest.raises(
        UsageError, match=r"`out=.*` holds an unfinished run; pass `resume=True` to go"
    ):
        nap.train("arch-vq", **TINY, out=tmp_path / "m")
    resumed = nap.train("arch-vq", **TINY, out=tmp_path / "m", resume=True)
    assert resumed.to_json()["sha256"] == whole.to_json()["sha256"]
    # A finished run is not repeated, nor overwritten.
    again = nap.train("arch-vq", **TINY, out=tmp_path / "m", resume=True, on_epoch=impatient)
    assert again.to_json() == resumed.to_json()
    with pytest.raises(UsageError, match="pass `force=True` to replace it"):
        nap.train("arch-vq", **TINY, out=tmp_path / "m")
    with pytest.raises(UsageError, match="of another run"):
        nap.train("arch-vq", **TINY, out=tmp_path / "m", seed=1, resume=True)
    other = nap.train("arch-vq", **TINY, out=tmp_path / "m", seed=1, force=True)
    assert other.model.card.seed == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs_vqvae": 0}, UsageError, "`epochs_vqvae` must be >= 1, got 0"),
        ({"architectures": 3}, UsageError, "`architectures` must be >= 20, got 3"),
        ({"out": 3}, TypeError, "`out` must be a path, got 3"),
        ({"seed": -1}, UsageError, "`seed` must be >= 0, got -1"),
        ({"device": "tpu"}, UsageError, "`device` must be one of auto, cpu, cuda, got tpu"),
        ({"preset": "papre"}, UnknownNameError, "did you mean 'paper'"),
        ({"resume": True, "force": True}, UsageError, "give one of them"),
        ({"resume": True, "out": None}, UsageError, "`resume` needs `out`"),
        ({"space": "nasbench2001"}, UnknownNameError, "did you mean 'nasbench201'"),
        ({"model": "arch-vp"}, UnknownNameError, "did you mean 'arch-vq'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"model": "arch-vq", "out": tmp_path / "m", **TINY, **options}
    with pytest.raises(error, match=message):
        nap.train(**given)
    assert not (tmp_path / "m").exists()


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        nap.train("arch-vq", **TINY, out=tmp_path / "file" / "m")
