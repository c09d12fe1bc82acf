"""What the parts of Arch-VQ are worth: without the codes, and without the autoregression.

The published ablation names "VQ-VAE + Standard Prior" and "VAE + Transformer" and defines
neither. Here the first draws the code of each position independently, from how often the training
set has it there. The second is a transformer over the latent vectors of the arch2vec baseline,
one node after the other, that predicts the mean of the next vector (*regression*, with the
residuals' spread as noise) or its mean and variances (*Gaussian*).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.reproduction.arch_vq.arch2vec import Arch2Vec, run_id
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest, vq_recipe
from nas_plugins.reproduction.arch_vq.models import line
from nas_plugins.strategies.arch_vq.config import PriorConfig, Recipe
from nas_plugins.strategies.arch_vq.fit import Fit
from nas_plugins.strategies.arch_vq.metrics import Graphs
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.prior import Block

KINDS = ("regression", "gaussian")
_BATCH = 4096
_SMALL_EPOCHS = 5


def draw_marginals(
    model: ArchVQModel,
    codes: npt.NDArray[np.int64],
    n: int,
    seed: int,
    *,
    temperature: float = 1.0,
) -> Graphs:
    """Draws every position's code independently of the others.

    Args:
        model: Decodes.
        codes: Codes of the training architectures `(B, N)`.
        n: How many.
        seed: Seed.
        temperature: Divides the logarithms of the shares.
    """
    rng = np.random.default_rng(seed)
    k = len(model.decoder.label)
    columns = []
    for position in range(codes.shape[1]):
        share = np.bincount(codes[:, position], minlength=k) ** (1 / temperature)
        columns.append(rng.choice(k, size=n, p=share / share.sum()))
    drawn = model.decode(np.stack(columns, axis=1))
    return Graphs.from_columns(drawn.labels, drawn.columns)


class VectorPrior(nn.Module):
    """p(z_1 .. z_N) over node vectors, a Gaussian for each given those before it.

    Args:
        centre: `(N, D)` mean of the training vectors.
        scale: `(N, D)` their standard deviation.
        config: Widths and depth.
        kind: One of `KINDS`.
    """

    def __init__(self, centre: Tensor, scale: Tensor, config: PriorConfig, kind: str) -> None:
        super().__init__()
        n_nodes, latent = centre.shape
        self.kind = kind
        self.enter = nn.Linear(latent, config.width)
        self.start = nn.Parameter(torch.zeros(config.width))
        self.positions = nn.Embedding(n_nodes, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 2 * latent)
        self.centre: Tensor
        self.scale: Tensor
        self.residual: Tensor
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale.clamp_min(1e-3))
        self.register_buffer("residual", torch.ones(n_nodes, latent))

    def forward(self, standard: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of standard deviations, of standardised vectors `(B, N, D)`."""
        start = self.start.expand(len(standard), 1, -1)
        x = torch.cat([start, self.enter(standard[:, :-1])], dim=1) + self.positions.weight
        for block in self.blocks:
            x, _ = block(x)
        return self._gaussian(self.norm(x), self.residual)

    @torch.no_grad()
    def draw(self, n: int, seed: int, *, temperature: float = 1.0) -> npt.NDArray[np.float32]:
        """Draws vectors `(n, N, D)`; `temperature` multiplies the standard deviations."""
        generator = torch.Generator().manual_seed(seed)
        parts = [
            self._draw(min(_BATCH, n - start), generator, temperature)
            for start in range(0, n, _BATCH)
        ]
        vectors: npt.NDArray[np.float32] = torch.cat(parts).numpy()
        return vectors

    def _draw(self, n: int, generator: torch.Generator, temperature: float) -> Tensor:
        x = self.start.expand(n, 1, -1)
        past: list[tuple[Tensor, Tensor] | None] = [None] * len(self.blocks)
        drawn = []
        for position in range(len(self.centre)):
            x = x + self.positions.weight[position]
            for i, block in enumerate(self.blocks):
                x, past[i] = block(x, past[i])
            mean, log_sd = self._gaussian(self.norm(x[:, 0]), self.residual[position])
            noise = torch.randn(mean.shape, generator=generator)
            drawn.append(mean + noise * log_sd.exp() * temperature)
            x = self.enter(drawn[-1])[:, None]
        return torch.stack(drawn, dim=1) * self.scale + self.centre

    def _gaussian(self, hidden: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_sd = self.head(hidden).chunk(2, dim=-1)
        if self.kind == "regression":
            return mean, residual.log().expand_as(mean)
        return mean, log_sd.clamp(-7, 3)


class VectorTask:
    """Trains a `VectorPrior`.

    Args:
        prior: What is trained.
        train: Training vectors `(B, N, D)`.
        held_out: Vectors to measure the loss on.
    """

    def __init__(self, prior: VectorPrior, train: Tensor, held_out: Tensor) -> None:
        self.module, self.name = prior, prior.kind
        self._train, self._held_out = self._standard(train), self._standard(held_out)

    @property
    def size(self) -> int:
        """Number of training architectures."""
        return len(self._train)

    def loss(self, index: Tensor) -> Tensor:
        """Squared error of the regression, negative log-likelihood of the Gaussian."""
        return self._loss(self._train[index])

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out loss; measures the residuals' spread on the way."""
        part = self._train[:_BATCH]
        mean, _ = self.module(part)
        self.module.residual.copy_((part - mean).square().mean(0).sqrt().clamp_min(1e-4))
        losses = [float(self._loss(p)) * len(p) for p in _batches(self._held_out)]
        return {"held_out_loss": sum(losses) / len(self._held_out)}

    def score(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The held-out loss."""
        return (-metrics["held_out_loss"],)

    def _loss(self, standard: Tensor) -> Tensor:
        mean, log_sd = self.module(standard)
        if self.module.kind == "regression":
            return functional.mse_loss(mean, standard)
        nats: Tensor = (log_sd + 0.5 * ((standard - mean) / log_sd.exp()).square()).mean()
        return nats

    def _standard(self, vectors: Tensor) -> Tensor:
        return (vectors - self.module.centre) / self.module.scale


def vector_prior(
    request: ArchVQRequest, baseline: Arch2Vec, kind: str, seed: int, name: str
) -> VectorPrior:
    """Trains a prior over the latents of a baseline, or reads it when it is there already."""
    settings = _recipe(request, baseline)
    folder = request.out / "models" / f"{name}-{kind}-{request.budget}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out = (
        torch.from_numpy(baseline.embed(rows))
        for rows in (baseline.rows.train, baseline.rows.held_out)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior = VectorPrior(train.mean(0), train.std(0), settings.prior, kind)
        Fit(
            VectorTask(prior, train, held_out),
            settings.prior.schedule,
            run=run_id(baseline.space, settings, seed),
            state_file=folder / f"{kind}.state",
            on_epoch=lambda progress: request.note(line(folder.name, progress)),
        ).run(resume=True)
    return prior


def _recipe(request: ArchVQRequest, baseline: Arch2Vec) -> Recipe:
    """The recipe of Arch-VQ's prior; the small budget has fewer epochs."""
    settings = vq_recipe(baseline.space.name, "paper", request.budget)
    if request.budget != "small":
        return settings
    schedule = replace(settings.prior.schedule, epochs=_SMALL_EPOCHS)
    return replace(settings, prior=replace(settings.prior, schedule=schedule))


def _batches(vectors: Tensor) -> list[Tensor]:
    return [vectors[i : i + _BATCH] for i in range(0, len(vectors), _BATCH)]
