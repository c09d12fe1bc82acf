"""`nap.train`: learns a model of a search space into a folder, and goes on with an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_plugins._checks import as_path
from nas_plugins._public import space as space_of
from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.runner.options import at_least
from nas_plugins.runner.outputs import alone_in, prepare_results
from nas_plugins.runner.progress import TrainingDisplay
from nas_plugins.spaces.base import SearchSpace

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.config import Recipe
    from nas_plugins.strategies.arch_vq.fit import Progress
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

MODELS = ("arch-vq",)
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A trained model and where it is.

    Attributes:
        model: The model.
        folder: Its checkpoint; ``None`` if it was not saved.
    """

    model: ArchVQModel
    folder: Path | None

    @property
    def bytes(self) -> int | None:
        """Size of the checkpoint; ``None`` if it was not saved."""
        from nas_plugins.strategies.arch_vq.checkpoint import CARD, WEIGHTS

        if self.folder is None:
            return None
        return sum((self.folder / name).stat().st_size for name in (CARD, WEIGHTS))

    def to_json(self) -> dict[str, Any]:
        """What the card of the model says, its size and its folder, as plain data."""
        card = self.model.card
        return {
            "space": self.model.space.name,
            "codes": card.recipe.vqvae.codes,
            "nodes": card.n_nodes,
            "seed": card.seed,
            "metrics": dict(card.metrics),
            "versions": dict(card.versions),
            "command": card.command,
            "sha256": card.sha256,
            "bytes": self.bytes,
            "path": None if self.folder is None else str(self.folder),
        }

    def summary(self) -> list[str]:
        """What the model has learned and what it took, in lines."""
        metrics, size = self.model.card.metrics, self.bytes
        seconds = metrics["vqvae_seconds"] + metrics["prior_seconds"]
        return [
            f"{self.model.space.name}: learned from {metrics['train_architectures']:,.0f} "
            f"architectures, measured on {metrics['held_out_architectures']:,.0f} others",
            f"exact reconstruction {metrics['held_out_exact']:.4%}  (operations "
            f"{metrics['held_out_operations']:.4%}, edges {metrics['held_out_edges']:.4%}, "
            f"{metrics['held_out_codes_used']:.0f} of {self.model.card.recipe.vqvae.codes} codes "
            "in use)",
            f"prior {metrics['held_out_nll']:.4f} nats per code",
            f"training took {seconds:.1f} s: {metrics['vqvae_epochs']:.0f} epochs of the VQ-VAE "
            f"in {metrics['vqvae_seconds']:.1f} s, {metrics['prior_epochs']:.0f} of the prior in "
            f"{metrics['prior_seconds']:.1f} s",
            "not saved" if size is None else f"{size / 1e6:.2f} MB in {self.folder}",
        ]

    def __repr__(self) -> str:
        return "\n".join(self.summary())


def train(
    model: str,
    *,
    space: str | SearchSpace,
    out: Path | str | None = None,
    preset: str = "default",
    seed: int = 0,
    device: str = "auto",
    epochs_vqvae: int | None = None,
    epochs_prior: int | None = None,
    architectures: int | None = None,
    resume: bool = False,
    force: bool = False,
    on_epoch: Callable[[Progress], None] | None = None,
    progress: bool | None = None,
    command: str = "",
) -> TrainResult:
    """Learns a model of a search space.

    Arch-VQ has two stages: a VQ-VAE gives a discrete latent space of architectures, then a prior
    over its codes. The state is saved in `out` after every epoch; `resume` goes on from there,
    and ends with the model that an uninterrupted run would have made.

    >>> trained = nap.train("arch-vq", space="nasbench201", out="my-model")
    >>> nap.sample(model=trained.folder, n=100)

    Args:
        model: ``"arch-vq"``.
        space: A space or its name; ``"darts"`` means ``"darts-cell"``, one cell for both as in
            the paper.
        out: Folder of the checkpoint; ``None`` saves nothing.
        preset: ``"default"``, or ``"paper"``: the published model.
        seed: Of the split, the weights and the batches.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where there is one.
        epochs_vqvae: Epochs of the VQ-VAE instead of the preset's.
        epochs_prior: Epochs of the prior instead of the preset's.
        architectures: Learn from at most this many, those held out included.
        resume: Go on from the last epoch; of a finished run its model is returned.
        force: Replace what is in the folder.
        on_epoch: Called after every epoch.
        progress: ``True`` shows on the standard error stream how far it is, ``False`` nothing;
            ``None`` shows a bar on a terminal and in a notebook.
        command: To be recorded on the model's card.

    Raises:
        UnknownNameError: A model, space or preset is not known; suggests the nearest.
        ValueError: An argument is out of range, or the folder holds a model or a state and
            neither `resume` nor `force` is given.
        DataError: What the folder holds is torn, or of another run.
        OutputError: The folder cannot be written.

    Long because its parameters are listed twice, with types and in words.
    """
    if model not in MODELS:
        raise unknown_name("model", model, MODELS)
    if resume and force:
        raise UsageError(
            "`resume=True` goes on with what `force=True` would replace; give one of them"
        )
    if resume and out is None:
        raise UsageError("`resume` needs `out`, the folder to resume from")
    at_least(0, seed=seed)
    from nas_plugins.strategies.arch_vq.model import ArchVQModel
    from nas_plugins.strategies.arch_vq.train import train as fit

    built = space_of(space) if isinstance(space, str) else space
    learned = built.cell_space()
    settings = _recipe(learned.name, preset, epochs_vqvae, epochs_prior, architectures)
    _check_device(device)
    folder = None if out is None else as_path("out", out)
    with TrainingDisplay(shown=progress) as display, ExitStack() as stack:
        if learned != built:
            display.say(
                f"note: {built.name} means the space {learned.name}: one cell for both, as in "
                "the paper"
            )
        finished = None
        if folder is not None:
            prepare_results(folder, _own_files(folder), by="training", force=force)
            stack.enter_context(alone_in(folder))
            finished = _opened(
                folder, learned, settings, seed, resume=resume, force=force, display=display
            )
        if finished is not None:
            display.say(f"note: {out} is finished already")
            return TrainResult(finished, folder)

        def on_each(now: Progress) -> None:
            if on_epoch is not None:
                on_epoch(now)
            display(now)

        text = f"learning {learned.name}: the VQ-VAE, then the prior; seed {seed}"
        display.begin(text, "vqvae")
        trained = fit(
            learned,
            settings=settings,
            seed=seed,
            out=folder,
            resume=resume,
            device=device,
            on_epoch=on_each,
            command=command,
        )
    # As it was saved, with the digest of its weights on its card.
    return TrainResult(trained if folder is None else ArchVQModel.load(folder), folder)


def _recipe(
    space: str,
    preset: str,
    epochs_vqvae: int | None,
    epochs_prior: int | None,
    architectures: int | None,
) -> Recipe:
    """The preset's settings with what was given instead."""
    from nas_plugins.strategies.arch_vq.config import recipe

    settings = recipe(space, preset)
    at_least(1, epochs_vqvae=epochs_vqvae, epochs_prior=epochs_prior)
    at_least(20, architectures=architectures)
    vqvae, prior = settings.vqvae, settings.prior
    if epochs_vqvae is not None:
        schedule = replace(vqvae.schedule, epochs=epochs_vqvae, min_steps=0)
        vqvae = replace(vqvae, schedule=schedule)
    if epochs_prior is not None:
        schedule = replace(prior.schedule, epochs=epochs_prior, min_steps=0)
        prior = replace(prior, schedule=schedule)
    limit = settings.architectures if architectures is None else architectures
    return replace(settings, vqvae=vqvae, prior=prior, architectures=limit)


def _check_device(name: str) -> None:
    if name not in DEVICES:
        raise UsageError(f"`device` must be one of {', '.join(DEVICES)}, got {name}")
    if name == "cuda":
        from nas_plugins._torch import torch

        if not torch.cuda.is_available():
            raise UsageError("`device=cuda`: PyTorch finds no CUDA device here")


def _opened(
    out: Path,
    space: SearchSpace,
    settings: Recipe,
    seed: int,
    *,
    resume: bool,
    force: bool,
    display: TrainingDisplay,
) -> ArchVQModel | None:
    """Looks at what the folder holds already.

    Returns:
        The finished model, if this very run is finished; ``None`` if there is something to do.
    """
    from nas_plugins.strategies.arch_vq.checkpoint import CARD, WEIGHTS
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    unfinished, card = states(out), out / CARD
    if force:
        for file in (*unfinished, card, out / WEIGHTS):
            file.unlink(missing_ok=True)
        return None
    if unfinished:
        if resume:
            return None
        raise UsageError(
            f"`out={out}` holds an unfinished run; pass `resume=True` to go on with it, or "
            "`force=True` to begin anew"
        )
    if not card.exists():
        if resume:
            display.say(f"note: {out} holds nothing to resume; beginning")
        return None
    if not resume:
        raise UsageError(
            f"`out={out}` holds a finished checkpoint; pass `force=True` to replace it, or choose "
            "another folder"
        )
    model = ArchVQModel.load(out)
    if (model.space, model.card.recipe, model.card.seed) != (space, settings, seed):
        raise UsageError(
            f"`out={out}` holds a finished checkpoint of another run; pass `force=True` to "
            "replace it, or choose another folder"
        )
    return model


def _own_files(folder: Path) -> dict[str, Callable[[Path], bool]]:
    """The weights are ours where they lie beside a card, or a state of an unfinished stage."""
    from nas_plugins.strategies.arch_vq.checkpoint import CARD, WEIGHTS

    return {WEIGHTS: lambda _: (folder / CARD).exists() or bool(states(folder))}


def states(folder: Path) -> list[Path]:
    """The states of unfinished stages in a folder."""
    return sorted(folder.glob("*.state"))
