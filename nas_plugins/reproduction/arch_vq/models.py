"""The models that the tables need, trained once and kept in a folder."""

from __future__ import annotations

from pathlib import Path

from nas_plugins.errors import DataError
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest, vq_recipe
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.darts import DARTSCell
from nas_plugins.spaces.nasbench101 import NASBench101
from nas_plugins.spaces.nasbench201 import NASBench201
from nas_plugins.strategies.arch_vq.config import Recipe
from nas_plugins.strategies.arch_vq.fit import Progress
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.shipped import CARD, shipped_names
from nas_plugins.strategies.arch_vq.train import train


def space_of(name: str, preset: str = "default") -> SearchSpace:
    """A space as a preset encodes it: the paper pads NAS-Bench-101 cells at the end."""
    if name == "nasbench101":
        return NASBench101(padding="end" if preset == "paper" else "output_last")
    return NASBench201() if name == "nasbench201" else DARTSCell()


def arch_vq(
    request: ArchVQRequest, space: str, preset: str, seed: int, *, alike: bool = False
) -> ArchVQModel:
    """An Arch-VQ model: the shipped one of seed 0, or trained, or read from the folder.

    Args:
        request: Where models are kept and what to spend.
        space: Name of the space.
        preset: ``"paper"`` or ``"default"``.
        seed: Seed of the model.
        alike: Take the shipped model only if it was made with the budget's very recipe.
    """
    settings = vq_recipe(space, preset, request.budget)
    name = space_of(space).model_name
    if preset == "default" and seed == 0 and name in shipped_names():
        model = ArchVQModel.shipped(name)
        if not alike or model.card.recipe == settings:
            return model
    return trained(request, space_of(space, preset), settings, seed, f"{space}-{preset}")


def trained(
    request: ArchVQRequest, space: SearchSpace, settings: Recipe, seed: int, name: str
) -> ArchVQModel:
    """Trains a model in the request's folder, or reads it when it is there already."""
    folder = request.out / "models" / f"{name}-{request.budget}-{seed}"
    found = _finished(folder, settings, seed)
    if found is not None:
        return found
    request.note(f"training {folder.name}")
    return train(
        space,
        settings=settings,
        seed=seed,
        out=folder,
        resume=True,
        on_epoch=lambda progress: request.note(line(folder.name, progress)),
    )


def line(name: str, progress: Progress) -> str:
    """One line about an epoch."""
    metrics = " ".join(f"{key} {value:.4g}" for key, value in progress.metrics.items())
    return (
        f"{name} {progress.stage} {progress.epoch}/{progress.epochs} {metrics} "
        f"({progress.seconds:.0f} s, {progress.remaining:.0f} s left)"
    )


def _finished(folder: Path, settings: Recipe, seed: int) -> ArchVQModel | None:
    if not (folder / CARD).exists():
        return None
    model = ArchVQModel.load(folder)
    if model.card.recipe != settings or model.card.seed != seed:
        raise DataError(f"{folder} holds a model of another recipe or seed; choose another --out")
    return model
