"""The arch2vec baseline: a variational graph autoencoder, trained and sampled as published.

Yan et al., "Does Unsupervised Architecture Representation Learning Help Neural Architecture
Search?", NeurIPS 2020. Written from the paper and a reading of the published code, whose
peculiarities count for its figures: from the second epoch on it trains in evaluation mode (no
dropout, frozen batch statistics, the mean in place of a sample), and the divergence has a weight
near zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import Tensor, functional, nn, torch
from nas_plugins.reproduction.arch_vq.budget import ArchVQRequest, vae_recipe
from nas_plugins.reproduction.arch_vq.models import line, space_of
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.strategies.arch_vq.config import Recipe, VQVAEConfig
from nas_plugins.strategies.arch_vq.data import GraphSet, Split, split
from nas_plugins.strategies.arch_vq.fit import Fit
from nas_plugins.strategies.arch_vq.metrics import Graphs
from nas_plugins.strategies.arch_vq.vqvae import GraphLayer

_BATCH = 4096
_DROPOUT = 0.3

Floats = npt.NDArray[np.float32]


class GraphVAE(nn.Module):
    """Graphs to Gaussians over node vectors, and node vectors to graphs.

    Args:
        n_nodes: Nodes N per graph.
        n_operations: Node operations; padding is a row of zeros, not one of them.
        config: Widths.
    """

    def __init__(self, n_nodes: int, n_operations: int, config: VQVAEConfig) -> None:
        super().__init__()
        self.n_operations = n_operations
        widths = [n_operations] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(GraphLayer(a, b, directed=False) for a, b in pairwise(widths))
        self.mean = nn.Linear(config.hidden, config.latent)
        self.log_sd = nn.Linear(config.hidden, config.latent)
        self.operation_head = nn.Linear(config.latent, n_operations)
        self.epochs: Tensor
        self.upper: Tensor
        self.register_buffer("epochs", torch.zeros((), dtype=torch.long))
        upper = torch.ones(n_nodes, n_nodes, dtype=torch.bool).triu(1)
        self.register_buffer("upper", upper, persistent=False)

    def features(self, operations: Tensor) -> Tensor:
        """Labels `(B, N)` one-hot `(B, N, K)`; padding is zero."""
        return functional.one_hot(operations, self.n_operations + 1)[..., :-1].float()

    def encode(self, adjacency: Tensor, operations: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation, `(B, N, D)` each."""
        hidden, links = self.features(operations), adjacency.float()
        for layer in self.layers:
            hidden = layer(hidden, links)
        return self.mean(hidden), self.log_sd(hidden)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of operations `(B, N, K)` and of edges `(B, N, N)`."""
        return self.operation_head(z), z @ z.transpose(1, 2)


class VAETask:
    """Trains the autoencoder as published.

    Args:
        model: What is trained.
        train: Training graphs.
    """

    name = "arch2vec"

    def __init__(self, model: GraphVAE, train: GraphSet) -> None:
        self.module, self._train = model, train

    @property
    def size(self) -> int:
        """Number of training graphs."""
        return len(self._train)

    def loss(self, index: Tensor) -> Tensor:
        """Binary cross-entropies of operations and edges, and the divergence."""
        model, batch = self.module, self._train[index]
        if model.epochs > 0:
            model.eval()
        mean, log_sd = model.encode(batch.adjacency, batch.operations)
        z = mean
        if model.training:
            z = functional.dropout(mean + torch.randn_like(mean) * log_sd.exp(), _DROPOUT)
        operations, edges = model.decode(z)
        b, n = batch.operations.shape
        links = functional.binary_cross_entropy_with_logits(
            edges[:, model.upper], batch.adjacency[:, model.upper].float(), reduction="sum"
        )
        labels = functional.binary_cross_entropy_with_logits(
            operations, model.features(batch.operations)
        )
        spread = 1 + 2 * log_sd - mean.square() - (2 * log_sd).exp()
        return labels + links / (b * n * n) - 0.5 / (b * n) * spread.sum(2).mean()

    def evaluate(self) -> dict[str, float]:
        """Counts the epoch; there is nothing to choose between epochs."""
        self.module.epochs += 1
        return {"epoch": float(self.module.epochs)}

    def score(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The last epoch counts."""
        return (metrics["epoch"],)


@dataclass(frozen=True, eq=False)
class Arch2Vec:
    """A trained baseline.

    Attributes:
        space: The space as it was encoded.
        vae: In evaluation mode.
        rows: Training and held-out architectures.
        centre: `(N, D)` mean of the training architectures' latents, node by node.
        spread: `(N, D)` their standard deviation.
    """

    space: SearchSpace
    vae: GraphVAE
    rows: Split
    centre: Floats
    spread: Floats

    @torch.no_grad()
    def embed(self, rows: Rows) -> Floats:
        """Latent means `(B, N, D)` of architectures `(B, D)`."""
        return _embed(self.vae, GraphSet.of(self.space, rows))

    @torch.no_grad()
    def decode(self, vectors: Floats) -> Graphs:
        """Graphs of node vectors `(B, N, D)`: best label, edges above one half."""
        operations, edges = self.vae.decode(torch.from_numpy(np.asarray(vectors, np.float32)))
        adjacency = ((edges > 0) & self.vae.upper).to(torch.uint8).numpy()
        return Graphs(adjacency, operations.argmax(2).numpy())

    def draw(self, n: int, seed: int, *, temperature: float = 1.0) -> Graphs:
        """Decodes Gaussian vectors, scaled to the latents of each node position.

        Args:
            n: How many.
            seed: Seed.
            temperature: Multiplies the standard deviation.
        """
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((n, *self.centre.shape)) * temperature
        return self.decode((noise * self.spread + self.centre).astype(np.float32))


def arch2vec(request: ArchVQRequest, space_name: str, seed: int) -> Arch2Vec:
    """Trains a baseline in the request's folder, or reads it when it is there already."""
    space = space_of(space_name, "paper")
    name = f"{space_name}-arch2vec-{request.budget}-{seed}"
    folder = request.out / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    recipe = vae_recipe(space_name, request.budget)
    rows = split(space, recipe.architectures, recipe.held_out, seed)
    graphs = GraphSet.of(space, rows.train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        n_nodes = graphs.operations.shape[1]
        vae = GraphVAE(n_nodes, len(space.node_operations), recipe.vqvae)
        Fit(
            VAETask(vae, graphs),
            recipe.vqvae.schedule,
            run=run_id(space, recipe, seed),
            state_file=folder / "arch2vec.state",
            on_epoch=lambda progress: request.note(line(name, progress)),
        ).run(resume=True)
    latents = _embed(vae, graphs)
    return Arch2Vec(space, vae, rows, latents.mean(0), latents.std(0))


def run_id(space: SearchSpace, settings: Recipe, seed: int) -> dict[str, Any]:
    """What a training state must share with the run that goes on from it."""
    return {
        "space": repr(space.to_json()),
        "recipe": repr(settings),
        "seed": seed,
        "torch": str(torch.__version__),
    }


@torch.no_grad()
def _embed(vae: GraphVAE, graphs: GraphSet) -> Floats:
    parts = [
        vae.encode(part.adjacency, part.operations)[0].numpy()
        for part in (graphs[i : i + _BATCH] for i in range(0, len(graphs), _BATCH))
    ]
    vectors: Floats = np.concatenate(parts)
    return vectors
