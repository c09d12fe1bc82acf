"""Settings of the two training stages, one frozen dataclass each, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nas_plugins._checks import at_least, positive
from nas_plugins.errors import unknown_name

PRESETS = ("default", "paper")


@dataclass(frozen=True)
class Schedule:
    """How a stage is trained.

    Attributes:
        epochs: At most this many passes over the training set.
        batch_size: Graphs or code sequences per step.
        learning_rate: Peak of the one-cycle schedule, or the constant rate.
        one_cycle: Warm up and anneal (Smith and Topin, 2019); otherwise constant.
        weight_decay: Decoupled weight decay of AdamW.
        clip: Largest norm of the gradient.
        patience: Stop after this many epochs without a better held-out score; 0 never stops.
        min_steps: Add epochs until there are this many steps, for small training sets.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    one_cycle: bool = True
    weight_decay: float = 0.0
    clip: float = 5.0
    patience: int = 0
    min_steps: int = 0

    def __post_init__(self) -> None:
        at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        at_least(0, weight_decay=self.weight_decay, patience=self.patience)
        at_least(0, min_steps=self.min_steps)
        positive(learning_rate=self.learning_rate, clip=self.clip)

    def steps_per_epoch(self, examples: int) -> int:
        """Full batches in a training set; a set smaller than a batch is one."""
        return examples // min(self.batch_size, examples)

    def epochs_for(self, examples: int) -> int:
        """Epochs planned for a training set, `min_steps` regarded."""
        return max(self.epochs, -(-self.min_steps // self.steps_per_epoch(examples)))


@dataclass(frozen=True)
class VQVAEConfig:
    """Stage one: the VQ-VAE over graphs.

    Attributes:
        hidden: Width of the graph layers.
        layers: Number of graph layers; a linear layer to `latent` follows.
        latent: Dimension D of a code vector.
        codes: Size K of the codebook.
        commitment: Weight beta of the commitment loss.
        decay: Decay gamma of the codebook's exponential moving average.
        directed: Aggregate in- and out-neighbours apart; otherwise over A + A^T (paper).
        positions: Add the node's position to its features (the paper has none).
        bilinear: Edge score (W_s z_i) . (W_t z_j) + b; otherwise z_i . z_j (paper).
        edge_width: Rows of W_s and W_t.
        edge_weight: Weight of the edge loss beside the operation loss.
        data_init: Start the codebook from encoder outputs; otherwise N(0, 1) (paper).
        revive: Replace codes that fall out of use by encoder outputs.
        schedule: How it is trained.
    """

    hidden: int = 128
    layers: int = 4
    latent: int = 16
    codes: int = 512
    commitment: float = 0.25
    decay: float = 0.99
    directed: bool = True
    positions: bool = True
    bilinear: bool = True
    edge_width: int = 32
    edge_weight: float = 2.0
    data_init: bool = True
    revive: bool = True
    schedule: Schedule = field(default=Schedule(12, 512, 2e-3))

    def __post_init__(self) -> None:
        at_least(1, hidden=self.hidden, layers=self.layers, latent=self.latent)
        at_least(1, codes=self.codes, edge_width=self.edge_width)
        at_least(0, commitment=self.commitment, edge_weight=self.edge_weight)
        if not 0 < self.decay < 1:
            raise ValueError(f"`decay` must lie in (0, 1), got {self.decay}")


@dataclass(frozen=True)
class PriorConfig:
    """Stage two: the autoregressive prior over code sequences.

    Attributes:
        width: Model dimension, a multiple of `heads`.
        layers: Transformer blocks.
        heads: Attention heads.
        dropout: Dropout rate while training.
        schedule: How it is trained.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    schedule: Schedule = field(default=Schedule(10, 512, 1e-3, weight_decay=0.01, patience=5))

    def __post_init__(self) -> None:
        at_least(1, width=self.width, layers=self.layers, heads=self.heads)
        if self.width % self.heads:
            raise ValueError(f"`width` must be a multiple of `heads`, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1), got {self.dropout}")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, besides the space and the seed.

    Attributes:
        vqvae: Stage one.
        prior: Stage two.
        architectures: Train on at most this many distinct architectures, held-out ones included.
        held_out: Share of the architectures that is kept for evaluation.
    """

    vqvae: VQVAEConfig = field(default=VQVAEConfig())
    prior: PriorConfig = field(default=PriorConfig())
    architectures: int = 500_000
    held_out: float = 0.1

    def __post_init__(self) -> None:
        at_least(20, architectures=self.architectures)
        if not 0 < self.held_out < 1:
            raise ValueError(f"`held_out` must lie in (0, 1), got {self.held_out}")

    def to_json(self) -> dict[str, Any]:
        """Returns plain data that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Reads what `to_json` wrote."""
        stages = {
            name: kind(**{**data[name], "schedule": Schedule(**data[name]["schedule"])})
            for name, kind in (("vqvae", VQVAEConfig), ("prior", PriorConfig))
        }
        return cls(**{**data, **stages})


def recipe(space: str, preset: str = "default") -> Recipe:
    """The recipe of a space by its registered name.

    The default reaches exact reconstruction; `"paper"` is the published model, with arch2vec's
    batch size of 32 where the paper is silent.

    Raises:
        UnknownNameError: There is no such preset.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    if preset == "paper":
        return _paper(hidden=256 if space == "darts-cell" else 128)
    return _DEFAULTS.get(space, _ON_THE_FLY)


def _paper(hidden: int) -> Recipe:
    vqvae = VQVAEConfig(
        hidden=hidden,
        directed=False,
        positions=False,
        bilinear=False,
        edge_weight=1.0,
        data_init=False,
        revive=False,
        schedule=Schedule(50, 32, 1e-4, one_cycle=False, patience=5),
    )
    prior = Schedule(100, 256, 3e-4, one_cycle=False, weight_decay=0.01, patience=10)
    return Recipe(vqvae, PriorConfig(schedule=prior), architectures=600_000)


_DEFAULTS = {
    "nasbench201": Recipe(
        VQVAEConfig(schedule=Schedule(12, 128, 2e-3)),
        PriorConfig(schedule=Schedule(20, 256, 1e-3, weight_decay=0.01, patience=5)),
    ),
    "nasbench101": Recipe(
        VQVAEConfig(schedule=Schedule(4, 512, 2e-3)),
        PriorConfig(schedule=Schedule(3, 256, 1e-3, weight_decay=0.01)),
    ),
    "darts-cell": Recipe(
        VQVAEConfig(schedule=Schedule(6, 256, 2e-3)),
        PriorConfig(schedule=Schedule(4, 256, 1e-3, weight_decay=0.01)),
        architectures=120_000,
    ),
}

# Seconds to a few minutes on two cores, for spaces that are learned when a search begins.
_ON_THE_FLY = Recipe(
    VQVAEConfig(hidden=64, layers=3, codes=256, schedule=Schedule(8, 64, 2e-3, min_steps=1000)),
    PriorConfig(
        width=64,
        layers=2,
        schedule=Schedule(8, 128, 2e-3, weight_decay=0.01, patience=5, min_steps=600),
    ),
    architectures=8_000,
)
