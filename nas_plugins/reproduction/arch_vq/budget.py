"""How much a reproduction spends: seeds, samples, and the training recipes of each space."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas_plugins.errors import unknown_name
from nas_plugins.reproduction.experiments import ExperimentRequest
from nas_plugins.runner.options import at_least
from nas_plugins.strategies.arch_vq.config import (
    PriorConfig,
    Recipe,
    Schedule,
    VQVAEConfig,
    recipe,
)

SPACES = ("nasbench101", "nasbench201", "darts-cell")


@dataclass(frozen=True)
class ArchVQRequest(ExperimentRequest):
    """What a table or figure of Arch-VQ is asked for.

    Attributes:
        models: Models trained per row, the seeds sampling from them in turn; 0 for as many as
            seeds with the full budget and one with the others.
        samples: Architectures drawn per seed; 0 for the budget's.
        space: Space to run, where an experiment can choose; empty for its own.

    Raises:
        ValueError: A number is out of range.
        UnknownNameError: A name is not known; suggests the nearest.
    """

    models: int = 0
    samples: int = 0
    space: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, seeds=self.seeds, samples=self.samples, models=self.models)
        if self.space and self.space not in SPACES:
            raise unknown_name("space of the experiments", self.space, SPACES)
        quick = self.budget == "quick"
        self.default(seeds=2 if quick else 5, samples=1_000 if quick else 10_000)

    @property
    def n_models(self) -> int:
        """Models trained per row."""
        most = self.models or (self.seeds if self.budget == "full" else 1)
        return min(most, self.seeds)


# Schedule of the VQ-VAE, epochs of the prior, architectures.
_SMALL_PAPER = {
    "nasbench201": (Schedule(30, 32, 1e-4, one_cycle=False), 16, 20_000),
    "nasbench101": (Schedule(6, 256, 2e-3), 4, 120_000),
    "darts-cell": (Schedule(6, 256, 2e-3), 4, 120_000),
}
_QUICK_ARCHITECTURES = 4_000


def vq_recipe(space: str, preset: str, budget: str) -> Recipe:
    """The recipe of an Arch-VQ model under a budget.

    The quick budget, and the small one but on NAS-Bench-201, start the codebook from the data
    and revive dead codes with the `paper` preset too.
    """
    whole = recipe(space, preset)
    if budget == "full" or (budget == "small" and (preset, space) == ("default", "nasbench201")):
        return whole
    if budget == "quick":
        return Recipe(
            replace(
                whole.vqvae,
                hidden=64,
                data_init=True,
                revive=True,
                schedule=Schedule(12, 64, 2e-3),
            ),
            PriorConfig(width=64, layers=2, schedule=Schedule(8, 128, 2e-3, weight_decay=0.01)),
            architectures=_QUICK_ARCHITECTURES,
        )
    schedule, prior_epochs, architectures = _SMALL_PAPER[space]
    # Where there are few steps, a codebook from N(0, 1) without revival collapses.
    remedy = whole.vqvae.data_init or space != "nasbench201"
    return Recipe(
        replace(whole.vqvae, data_init=remedy, revive=remedy, schedule=schedule),
        PriorConfig(schedule=Schedule(prior_epochs, 256, 1e-3, weight_decay=0.01)),
        architectures=architectures,
    )


def vae_recipe(space: str, budget: str) -> Recipe:
    """The recipe of the arch2vec baseline: its encoder and schedule; the prior is not used.

    arch2vec: 4 graph layers of width 128, Adam at 1e-3, batches of 32, 8 epochs on
    NAS-Bench-101 and 10 elsewhere. Under smaller budgets there are fewer architectures and
    larger batches.
    """
    epochs = 8 if space == "nasbench101" else 10
    vqvae = VQVAEConfig(
        directed=False,
        positions=False,
        bilinear=False,
        edge_weight=1.0,
        schedule=Schedule(epochs, 32, 1e-3, one_cycle=False),
    )
    if budget == "full":
        return Recipe(vqvae, architectures=600_000)
    if budget == "quick":
        quick = Schedule(10, 32, 2e-3, one_cycle=False)
        return Recipe(replace(vqvae, schedule=quick), architectures=_QUICK_ARCHITECTURES)
    if space != "nasbench201":
        vqvae = replace(vqvae, schedule=Schedule(epochs, 256, 2e-3, one_cycle=False))
    return Recipe(vqvae, architectures=_SMALL_PAPER[space][2])
