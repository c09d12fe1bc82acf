"""``nas-plugins train``: learn a model of a search space."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_plugins.cli._console import console, print_json, remark
from nas_plugins.cli._errors import ExitCode, UsageError

if TYPE_CHECKING:
    from nas_plugins.cli._training import Watch
    from nas_plugins.spaces.base import SearchSpace
    from nas_plugins.strategies.arch_vq.config import Recipe
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

app = typer.Typer(help="Train a model of a search space.", no_args_is_help=True)

DEVICES = ("auto", "cpu", "cuda")
_WHAT, _HOW, _KEEP = "What to learn", "How", "What to keep"


@app.callback()
def _models() -> None:
    """Typer needs this to keep ``arch-vq`` a name of its own while it is the only model."""


@app.command("arch-vq")
def arch_vq(
    *,
    context: typer.Context,
    space: Annotated[
        str,
        typer.Option(
            help="Search space; darts means darts-cell, one cell for both as in the paper.",
            rich_help_panel=_WHAT,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.", rich_help_panel=_KEEP)],
    space_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the space; repeatable.", metavar="key=value", rich_help_panel=_WHAT
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="default, or paper: the published model.", rich_help_panel=_HOW)
    ] = "default",
    seed: Annotated[
        int, typer.Option(help="Of the split, the weights and the batches.", rich_help_panel=_HOW)
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_HOW)] = "auto",
    epochs_vqvae: Annotated[
        int | None,
        typer.Option(help="Epochs of the VQ-VAE instead of the preset's.", rich_help_panel=_HOW),
    ] = None,
    epochs_prior: Annotated[
        int | None,
        typer.Option(help="Epochs of the prior instead of the preset's.", rich_help_panel=_HOW),
    ] = None,
    architectures: Annotated[
        int | None,
        typer.Option(
            help="Learn from at most this many, those held out included.", rich_help_panel=_HOW
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last epoch.", rich_help_panel=_KEEP),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace what is in the folder.", rich_help_panel=_KEEP),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=_KEEP)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_KEEP)
    ] = False,
) -> int:
    """Learn an Arch-VQ model: a discrete latent space of architectures and a prior over it.

    Two stages: the VQ-VAE, then the prior over its codes. The state is saved after every epoch;
    Ctrl-C keeps it and says how to go on.
    """
    if resume and force:
        raise UsageError("--resume goes on with what --force would replace; give one of them")
    if seed < 0:
        raise UsageError(f"--seed must be >= 0, got {seed}")
    from nas_plugins.cli._learned import learned_space
    from nas_plugins.runner.outputs import prepare_folder

    learned = learned_space(space, space_option or (), quiet=quiet)
    settings = _recipe(learned.name, preset, epochs_vqvae, epochs_prior, architectures)
    _check_device(device)
    prepare_folder(out)
    finished = _opened(out, learned, settings, seed, resume=resume, force=force)
    if finished is None:
        from nas_plugins.cli._training import Watch

        words = [word for word in context.obj or [] if word != "--force"]
        watch = Watch(quiet=quiet)
        options = {
            "settings": settings,
            "seed": seed,
            "out": out,
            "resume": resume,
            "device": device,
        }
        trained = _train(learned, watch, words, options)
        if isinstance(trained, ExitCode):
            return trained
        finished = trained
    elif not quiet:
        remark(f"note: {out} is finished already")
    _print(finished, out, as_json=as_json)
    return ExitCode.OK


def _train(
    space: SearchSpace, watch: Watch, words: Sequence[str], options: dict[str, Any]
) -> ArchVQModel | ExitCode:
    """The model, or the exit code after a signal."""
    from nas_plugins.strategies.arch_vq.train import train

    watch.begin(f"learning {space.name}: the VQ-VAE, then the prior; seed {options['seed']}")
    try:
        with _sigterm_raises():
            command = shlex.join(["nas-plugins", *_without_folder(words)])
            return train(space, on_epoch=watch, command=command, **options)
    except (KeyboardInterrupt, _Terminated) as signalled:
        watch.close()
        interrupted = isinstance(signalled, KeyboardInterrupt)
        where, verb = watch.where(), "interrupted" if interrupted else "terminated"
        if where or _states(options["out"]):
            again = [*words] if "--resume" in words else [*words, "--resume"]
            remark(
                f"{verb} after {where or 'no epoch of this run'}; "
                f"to go on: {shlex.join(['nas-plugins', *again])}"
            )
        else:
            remark(f"{verb} before the first epoch was done; nothing is kept")
        return ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED
    finally:
        watch.close()


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turns SIGTERM into an exception, so that it ends like Ctrl-C, which always counts."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, handle)
    # A shell starts jobs in the background with SIGINT ignored; a signal sent on purpose counts.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupt)


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
    for name, value, least in (
        ("epochs-vqvae", epochs_vqvae, 1),
        ("epochs-prior", epochs_prior, 1),
        ("architectures", architectures, 20),
    ):
        if value is not None and value < least:
            raise UsageError(f"--{name} must be >= {least}, got {value}")
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
        raise UsageError(f"--device must be one of {', '.join(DEVICES)}, got {name}")
    if name == "cuda":
        from nas_plugins._torch import torch

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: PyTorch finds no CUDA device here")


def _opened(
    out: Path, space: SearchSpace, settings: Recipe, seed: int, *, resume: bool, force: bool
) -> ArchVQModel | None:
    """Looks at what the folder holds already.

    Returns:
        The finished model, if this very run is finished; ``None`` if there is something to do.

    Raises:
        UsageError: It holds a model or a state, and neither --resume nor --force was given.
        DataError: What it holds is torn.
    """
    from nas_plugins.strategies.arch_vq.checkpoint import CARD, WEIGHTS
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    states, card = _states(out), out / CARD
    if force:
        for file in (*states, card, out / WEIGHTS):
            file.unlink(missing_ok=True)
        return None
    if states:
        if resume:
            return None
        raise UsageError(
            f"--out {out} holds an unfinished run; pass --resume to go on with it, or --force "
            "to begin anew"
        )
    if not card.exists():
        if resume:
            remark(f"note: {out} holds nothing to resume; beginning")
        return None
    if not resume:
        raise UsageError(
            f"--out {out} holds a finished checkpoint; pass --force to replace it, or choose "
            "another folder"
        )
    model = ArchVQModel.load(out)
    if (model.space, model.card.recipe, model.card.seed) != (space, settings, seed):
        raise UsageError(
            f"--out {out} holds a finished checkpoint of another run; pass --force to replace "
            "it, or choose another folder"
        )
    return model


def _states(out: Path) -> list[Path]:
    """The states of unfinished stages."""
    return sorted(out.glob("*.state"))


def _without_folder(words: Sequence[str]) -> list[str]:
    """The command without what does not matter for the model: folders, resuming, printing."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--out":
            skip = True
        elif not word.startswith("--out=") and word not in {"--resume", "--json", "-q", "--quiet"}:
            kept.append(word)
    return [*kept, "--out", "DIR"]


def _print(model: ArchVQModel, out: Path, *, as_json: bool) -> None:
    from nas_plugins.cli._learned import description
    from nas_plugins.strategies.arch_vq.checkpoint import CARD, WEIGHTS

    size = sum((out / name).stat().st_size for name in (CARD, WEIGHTS))
    metrics = model.card.metrics
    if as_json:
        print_json({**description(model), "bytes": size, "path": str(out)})
        return
    seconds = metrics["vqvae_seconds"] + metrics["prior_seconds"]
    lines = (
        f"{model.space.name}: learned from {metrics['train_architectures']:,.0f} architectures, "
        f"measured on {metrics['held_out_architectures']:,.0f} others",
        f"exact reconstruction {metrics['held_out_exact']:.4%}  (operations "
        f"{metrics['held_out_operations']:.4%}, edges {metrics['held_out_edges']:.4%}, "
        f"{metrics['held_out_codes_used']:.0f} of {model.card.recipe.vqvae.codes} codes in use)",
        f"prior {metrics['held_out_nll']:.4f} nats per code",
        f"training took {seconds:.1f} s: {metrics['vqvae_epochs']:.0f} epochs of the VQ-VAE in "
        f"{metrics['vqvae_seconds']:.1f} s, {metrics['prior_epochs']:.0f} of the prior in "
        f"{metrics['prior_seconds']:.1f} s",
        f"{size / 1e6:.2f} MB in {out}",
    )
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)


__all__ = ["app", "arch_vq"]
