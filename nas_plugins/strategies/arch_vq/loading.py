"""Finding the model of a space: shipped, given, or trained once and kept."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import tempfile
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas_plugins._doing import doing
from nas_plugins.benchmarks import files
from nas_plugins.errors import DataError
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.darts import DARTSCell, GenotypeSpace
from nas_plugins.strategies.arch_vq.latent import (
    CellLatent,
    ExtendedLatent,
    LatentSpace,
    ModelLatent,
    PlainLatent,
)
from nas_plugins.strategies.arch_vq.shipped import shipped_for, shipped_names

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.config import Recipe
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

NO_MODEL = "none"
SMALL = 1024
"""Spaces of at most so many combinations are searched without a model."""

_LOG = logging.getLogger(__name__)
_SEED = 0


@lru_cache(maxsize=8)
def latent_for(space: SearchSpace, model: str | None = None) -> LatentSpace:
    """The latent space in which `space` is searched, loaded or trained on the first call.

    Args:
        space: The space.
        model: Folder of a checkpoint, the name of a shipped one, or ``"none"``. By default the
            shipped model of the space or of its core; no model for spaces of at most 1,024
            combinations; for any other space one that is trained now and kept in the user's
            cache.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        DataError: The checkpoint is torn, foreign, or of another space.
        ValueError: There is no model of the space and none can be trained on the fly.
    """
    if model == NO_MODEL:
        return PlainLatent(space)
    if model is not None:
        return _on(space, _named(model), model)
    if math.prod(space.cardinalities.tolist()) <= SMALL:
        return PlainLatent(space)
    shipped = shipped_for(space)
    if shipped is not None:
        return _on(space, _named(shipped), shipped)
    return ModelLatent(trained(space))


def _named(model: str) -> ArchVQModel:
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    # A folder goes before a name, so that one's own model cannot be mistaken for ours.
    if not Path(model).is_dir() and model in shipped_names():
        return ArchVQModel.shipped(model)
    return ArchVQModel.load(model)


def _on(space: SearchSpace, model: ArchVQModel, name: str) -> LatentSpace:
    if model.space == space:
        return ModelLatent(model)
    if (
        isinstance(space, GenotypeSpace)
        and isinstance(model.space, DARTSCell)
        and set(space.operations) <= set(model.space.operations)
    ):
        return CellLatent(space, model)
    if space.core is not None:
        return ExtendedLatent(space, _on(space.core, model, name))
    raise DataError(f"`model` {name!r} is of {model.space!r}, not of {space!r}")


def trained(space: SearchSpace, settings: Recipe | None = None) -> ArchVQModel:
    """A model of the space, trained on the first call on this machine and kept.

    The cache is the folder that ``NAS_PLUGINS_CACHE`` names, by default one of the platform's
    user cache. Space, recipe, seed and versions name the model in it.

    Raises:
        ValueError: The graphs of the space differ in more than their labels, so that a model
            must be trained with care: by ``nas-plugins train arch-vq``.
    """
    from nas_plugins.strategies.arch_vq.config import recipe
    from nas_plugins.strategies.arch_vq.model import ArchVQModel
    from nas_plugins.strategies.arch_vq.rules import FixedAdjacencyRule
    from nas_plugins.strategies.arch_vq.train import train

    _check_trainable(space, FixedAdjacencyRule)
    settings = settings or recipe(space.name)
    folder = _folder(space, settings)
    try:
        return ArchVQModel.load(folder)
    except DataError:
        _LOG.warning(
            "learning %r for Arch-VQ; this takes up to a few minutes, once for this space; "
            "model='none' searches it without",
            space,
        )
    partial = _partial(folder)
    try:
        with doing("learning the space for Arch-VQ", once=True) as tell:
            model = train(
                space,
                settings=settings,
                seed=_SEED,
                out=partial,
                device="cpu",
                on_epoch=lambda p: tell(
                    f"learning the space for Arch-VQ, {p.stage} {p.epoch}/{p.epochs}"
                ),
            )
    except BaseException:  # Ctrl-C too: nobody goes on with a folder of this name
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    if partial is None:
        return model
    try:
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    except OSError:  # another process was faster
        shutil.rmtree(partial, ignore_errors=True)
    return ArchVQModel.load(folder)


def _check_trainable(space: SearchSpace, rule: type) -> None:
    adjacency, _ = space.graphs(space.random(1, np.random.default_rng(0)))
    try:
        rule(space, adjacency.shape[1])
    except ValueError as error:
        raise ValueError(
            f"`space` {space.name!r} has no shipped Arch-VQ model and cannot be learned on the "
            f"fly ({error}); train one with `nas-plugins train arch-vq` and name its folder in "
            "`model`, or search without one: model='none'"
        ) from error


def _folder(space: SearchSpace, settings: Recipe) -> Path:
    versions = [metadata.version(name) for name in ("nas-plugins", "torch")]
    identity = [space.to_json(), settings.to_json(), _SEED, versions]
    text = json.dumps(identity, sort_keys=True, default=repr)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return files.cache_dir() / f"arch-vq-{space.name}-{digest}"


def _partial(folder: Path) -> Path | None:
    """A folder of this process to train in, or ``None`` where the cache cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=folder.name, suffix=".part", dir=folder.parent))
    except OSError as error:
        _LOG.warning("cannot keep the model, so the next process trains again: %s", error)
        return None
