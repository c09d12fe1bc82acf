"""What ``train`` and ``sample`` share: the space that is meant, what a model says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas_plugins.cli._console import remark

if TYPE_CHECKING:
    from nas_plugins.spaces.base import SearchSpace
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

_ONE_CELL = {"darts": "darts-cell"}


def learned_space(name: str, options: Sequence[str], *, quiet: bool = False) -> SearchSpace:
    """The space that a model is learned for.

    Args:
        name: Registered name; ``darts`` means the space of one cell, as in the paper.
        options: Words ``key=value`` for the constructor of the space.
        quiet: Whether to keep the remark about ``darts`` back.

    Raises:
        NasPluginsError: The name or an option is unknown, or a value is wrong.
    """
    from nas_plugins.cli._options import read_options
    from nas_plugins.runner.problem import build_space

    meant = _ONE_CELL.get(name, name)
    if meant != name and not quiet:
        remark(f"note: {name} means the space {meant}: one cell for both, as in the paper")
    return build_space(meant, read_options(options, "--space-option"))


def description(model: ArchVQModel) -> Mapping[str, Any]:
    """What the card of a model says, as plain data."""
    card = model.card
    return {
        "space": model.space.name,
        "codes": card.recipe.vqvae.codes,
        "nodes": card.n_nodes,
        "seed": card.seed,
        "metrics": dict(card.metrics),
        "versions": dict(card.versions),
        "command": card.command,
        "sha256": card.sha256,
    }


__all__ = ["description", "learned_space"]
