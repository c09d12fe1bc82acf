"""Checkpoints: weights as safetensors, everything else as JSON beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_plugins._files import write_bytes, write_text
from nas_plugins._reading import content, json_file, refusing
from nas_plugins._tensors import check_finite_tensors, tensors_in
from nas_plugins._torch import Tensor
from nas_plugins._wording import excerpt
from nas_plugins.errors import DataError, needing
from nas_plugins.strategies.arch_vq.config import Recipe
from nas_plugins.strategies.arch_vq.shipped import CARD

with needing("checkpoints need safetensors, which cannot be imported", "'nas-plugins[torch]'"):
    from safetensors.torch import save as serialise

FORMAT = "nas_plugins/arch-vq/1"
WEIGHTS = "model.safetensors"
_LARGEST_CARD = 1 << 24


@dataclass(frozen=True)
class Card:
    """What a checkpoint says about itself.

    Attributes:
        space: The space as `SearchSpace.to_json` writes it.
        vocabulary: Node labels, padding not included.
        n_nodes: Nodes per graph.
        recipe: Settings of the training run.
        seed: Seed of the training run, the split included.
        command: The command that made it.
        train_digest: `data.digest` of the training architectures' keys.
        metrics: What was measured after training, with the weights as saved.
        versions: Versions of Python and of the packages that matter.
        sha256: Digest of the weights file.
    """

    space: dict[str, Any]
    vocabulary: tuple[str, ...]
    n_nodes: int
    recipe: Recipe
    seed: int
    command: str
    train_digest: str
    metrics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads back."""
        return {"format": FORMAT, **vars(self), "recipe": self.recipe.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Card:
        """Reads what `to_json` wrote."""
        fields = {key: value for key, value in data.items() if key != "format"}
        fields["vocabulary"] = tuple(fields["vocabulary"])
        fields["recipe"] = Recipe.from_json(fields["recipe"])
        return cls(**fields)


def save(folder: Path, card: Card, tensors: Mapping[str, Tensor]) -> None:
    """Writes a checkpoint; the card comes last and vouches for the weights.

    Args:
        folder: Created if need be. An older checkpoint in it is replaced.
        card: Its `sha256` is filled in.
        tensors: Floating-point tensors are stored in half precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half = {
        name: (t.half() if t.is_floating_point() else t).contiguous()
        for name, t in tensors.items()
    }
    payload = serialise(half)
    data = {**card.to_json(), "sha256": hashlib.sha256(payload).hexdigest()}
    text = json.dumps(data, indent=1) + "\n"
    write_bytes(folder / WEIGHTS, payload)
    write_text(folder / CARD, text)


def load(folder: Path) -> tuple[Card, dict[str, Tensor]]:
    """Reads a checkpoint; floating-point tensors come back in single precision.

    Raises:
        DataError: A file is absent, torn, or of another kind; the message names it.
    """
    path = folder / CARD
    # What was measured of a training that failed may be NaN.
    data = json_file(path, "a readable checkpoint card", most=_LARGEST_CARD, finite=False)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise DataError(
            f"{path} is no Arch-VQ checkpoint: `format` must be {FORMAT!r}, got {excerpt(found)}"
        )
    with refusing(path, "a complete checkpoint card"):
        card = Card.from_json(data)
    payload = content(folder / WEIGHTS)
    if hashlib.sha256(payload).hexdigest() != card.sha256:
        raise DataError(
            f"{folder / WEIGHTS} is torn or foreign: its SHA-256 is not the one in {CARD}"
        )
    tensors, _ = tensors_in(payload, folder / WEIGHTS)
    check_finite_tensors(tensors, folder / WEIGHTS)
    return card, {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}


__all__ = ["CARD", "FORMAT", "WEIGHTS", "Card", "load", "save"]
