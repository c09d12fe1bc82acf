"""Training Arch-VQ on a space: first the VQ-VAE, then the prior over its codes."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas_plugins._torch import Tensor, chosen_device, functional, torch
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.strategies.arch_vq import checkpoint
from nas_plugins.strategies.arch_vq.config import Recipe, Schedule, recipe
from nas_plugins.strategies.arch_vq.data import GraphSet, Split, digest, n_labels, split
from nas_plugins.strategies.arch_vq.fit import Fit, Progress, Task
from nas_plugins.strategies.arch_vq.model import ArchVQModel
from nas_plugins.strategies.arch_vq.prior import Prior
from nas_plugins.strategies.arch_vq.vqvae import VQVAE

_BATCH = 4096
_FIRST_CODEBOOK = 4096


class VQVAETask:
    """Stage one: reconstruct graphs through the codebook.

    Args:
        model: What is trained.
        train: Training graphs.
        held_out: Graphs to measure reconstruction on.
    """

    name = "vqvae"

    def __init__(self, model: VQVAE, train: GraphSet, held_out: GraphSet) -> None:
        self.module, self._train, self._held_out = model, train, held_out
        self._fresh = model.config.data_init

    @property
    def size(self) -> int:
        """Number of training graphs."""
        return len(self._train)

    def loss(self, index: Tensor) -> Tensor:
        """Loss of a batch; moves the codebook too."""
        model = self.module
        if self._fresh and not model.codebook.counts.any():
            some = self._train[torch.randperm(self.size)[:_FIRST_CODEBOOK]]
            with torch.no_grad():
                z = model.encode(some.adjacency, some.operations)
            model.codebook.initialise(z.flatten(0, 1))
        self._fresh = False
        batch = self._train[index]
        z = model.encode(batch.adjacency, batch.operations)
        codes = model.codebook.nearest(z.detach())
        loss = model.loss(batch.adjacency, batch.operations, z, codes)
        model.codebook.update(z.detach(), codes, revive=model.config.revive)
        return loss

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Reconstruction of the held-out graphs."""
        return reconstruction(self.module, self._held_out)

    def score(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Exact reconstruction, then the loss."""
        return metrics["exact"], -metrics["loss"]


class PriorTask:
    """Stage two: predict every code from those before it.

    Args:
        prior: What is trained.
        train: Training sequences `(B, N)`.
        held_out: Sequences to measure the likelihood on.
    """

    name = "prior"

    def __init__(self, prior: Prior, train: Tensor, held_out: Tensor) -> None:
        self.module, self._train, self._held_out = prior, train, held_out

    @property
    def size(self) -> int:
        """Number of training sequences."""
        return len(self._train)

    def loss(self, index: Tensor) -> Tensor:
        """Mean negative log-likelihood per code, in nats."""
        codes = self._train[index]
        return functional.cross_entropy(self.module(codes).flatten(0, 1), codes.flatten())

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out negative log-likelihood per code, in nats."""
        total = 0.0
        for codes in torch.split(self._held_out, _BATCH):
            logits = self.module(codes).flatten(0, 1)
            total += float(functional.cross_entropy(logits, codes.flatten(), reduction="sum"))
        return {"held_out_nll": total / self._held_out.numel()}

    def score(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """The held-out likelihood."""
        return (-metrics["held_out_nll"],)


@torch.no_grad()
def reconstruction(model: VQVAE, graphs: GraphSet) -> dict[str, float]:
    """Share of labels, of edges (pairs i < j) and of whole graphs that come back exactly."""
    label_of, edge_of = model.tables()
    labels = edges = exact = 0.0
    used = torch.zeros(model.config.codes, dtype=torch.bool, device=label_of.device)
    for start in range(0, len(graphs), _BATCH):
        part = graphs[start : start + _BATCH]
        codes = model.codes(part.adjacency, part.operations)
        used[codes] = True
        same_label = label_of[codes] == part.operations
        decoded = edge_of[codes[:, :, None], codes[:, None, :]][:, model.upper]
        same_edge = decoded == part.adjacency[:, model.upper].bool()
        labels += float(same_label.float().mean(1).sum())
        edges += float(same_edge.float().mean(1).sum())
        exact += float((same_label.all(1) & same_edge.all(1)).sum())
    n = len(graphs)
    return {
        "exact": exact / n,
        "operations": labels / n,
        "edges": edges / n,
        "codes_used": float(used.sum()),
    }


def train(
    space: SearchSpace,
    *,
    settings: Recipe | None = None,
    preset: str = "default",
    seed: int = 0,
    out: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    on_epoch: Callable[[Progress], None] | None = None,
    command: str = "",
) -> ArchVQModel:
    """Trains both stages.

    On a CPU the result is decided by the seed, the PyTorch version and the number of threads.
    The weights are rounded to half precision at the end, as they are saved, and the metrics on
    the card are those of the rounded weights.

    Args:
        space: The space to learn.
        settings: All settings; by default those of `preset` for the space.
        preset: ``"default"`` or ``"paper"``.
        seed: Seed of the split, the weights and the order of the batches.
        out: Folder of the checkpoint and, while training, of the state to resume from.
        resume: Go on from the state in `out`, if there is one.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where there is one.
        on_epoch: Called after every epoch.
        command: The command to record on the card.

    Raises:
        DataError: The state to resume from is torn or of another run.
        ValueError: `resume` without `out`.
    """
    if resume and out is None:
        raise ValueError("`resume` needs `out`, the folder to resume from")
    settings = settings or recipe(space.name, preset)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    parts = split(space, settings.architectures, settings.held_out, seed)
    run = {
        "space": repr(space.to_json()),
        "settings": repr(settings),
        "seed": seed,
        "torch": str(torch.__version__),  # plain text, which a state may hold
    }

    def fit(task: Task, schedule: Schedule) -> dict[str, float]:
        file = out / f"{task.name}.state" if out is not None else None
        return Fit(task, schedule, run=run, state_file=file, on_epoch=on_epoch).run(resume=resume)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trained = _both_stages(space, parts, settings, chosen_device(device), fit)
    model = _carded(space, parts, settings, trained, seed=seed, command=command)
    if out is not None:
        model.save(out)
        for state in out.glob("*.state"):
            state.unlink()
    return model


_Trained = tuple[VQVAE, Prior, Tensor, dict[str, float]]
"""Both modules, the codes of the training graphs `(B, N)`, and what was measured."""


def _both_stages(
    space: SearchSpace,
    parts: Split,
    settings: Recipe,
    place: torch.device,
    fit: Callable[[Task, Schedule], dict[str, float]],
) -> _Trained:
    """Trains the VQ-VAE, rounds it, and trains the prior on the codes that it then gives."""
    sets = GraphSet.of(space, parts.train), GraphSet.of(space, parts.held_out)
    vqvae = VQVAE(sets[0].operations.shape[1], n_labels(space), settings.vqvae).to(place)
    prior = Prior(vqvae.n_nodes, settings.vqvae.codes, settings.prior).to(place)
    graphs = [part.to(place) for part in sets]
    first = fit(VQVAETask(vqvae, *graphs), settings.vqvae.schedule)
    _round(vqvae)
    codes = [_codes(vqvae, part) for part in graphs]
    task = PriorTask(prior, *codes)
    second = fit(task, settings.prior.schedule)
    _round(prior)
    reconstructed = reconstruction(vqvae, graphs[1])
    measured = {f"held_out_{name}": value for name, value in reconstructed.items()}
    return vqvae, prior, codes[0], {**measured, **task.evaluate(), **_timing(first, second)}


def _carded(
    space: SearchSpace,
    parts: Split,
    settings: Recipe,
    trained: _Trained,
    *,
    seed: int,
    command: str,
) -> ArchVQModel:
    """The model on the CPU, with a card that says how it was made."""
    vqvae, prior, codes, measured = trained
    sizes = {
        "train_architectures": float(len(parts.train)),
        "held_out_architectures": float(len(parts.held_out)),
        "threads": float(torch.get_num_threads()),
    }
    card = checkpoint.Card(
        space=space.to_json(),
        vocabulary=tuple(space.node_operations),
        n_nodes=vqvae.n_nodes,
        recipe=settings,
        seed=seed,
        command=command,
        train_digest=digest(space.keys(parts.train)),
        metrics={**measured, **sizes},
        versions=_versions(),
    )
    seen = _seen(codes.cpu(), settings.vqvae.codes)
    return ArchVQModel(space, vqvae.cpu(), prior.cpu(), seen, card)


def _round(module: torch.nn.Module) -> None:
    """Rounds floating-point weights to half precision, as they are saved."""
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


@torch.no_grad()
def _codes(vqvae: VQVAE, graphs: GraphSet) -> Tensor:
    parts = [
        vqvae.codes(part.adjacency, part.operations)
        for part in (graphs[i : i + _BATCH] for i in range(0, len(graphs), _BATCH))
    ]
    return torch.cat(parts)


def _seen(codes: Tensor, n_codes: int) -> npt.NDArray[np.bool_]:
    """Which codes stand at which node, `(B, N)` to `(N, K)`."""
    seen = np.zeros((codes.shape[1], n_codes), dtype=bool)
    seen[np.arange(codes.shape[1]), codes.numpy()] = True
    return seen


def _timing(vqvae: Mapping[str, float], prior: Mapping[str, float]) -> dict[str, float]:
    """Seconds and epochs of the two stages."""
    stages = (("vqvae", vqvae), ("prior", prior))
    return {
        f"{name}_{key}": float(metrics[key])
        for name, metrics in stages
        for key in ("seconds", "epochs", "best_epoch")
    }


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("nas-plugins", "numpy", "torch")}
    return {"python": platform.python_version(), **packages}
