"""``nas-plugins train``: learn a model of a search space."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from nas_plugins.cli._console import print_json, print_text, remark
from nas_plugins.cli._errors import ExitCode
from nas_plugins.cli._options import Json, Quiet, Words, keep, panel, read_options

if TYPE_CHECKING:
    from nas_plugins.strategies.arch_vq.fit import Progress

app = typer.Typer(help="Train a model of a search space.", no_args_is_help=True)

_what, _how = panel("What to learn"), panel("How")


@app.callback()
def _models() -> None:
    """Typer needs this to keep ``arch-vq`` a name of its own while it is the only model."""


@app.command("arch-vq")
def arch_vq(
    *,
    context: typer.Context,
    space: Annotated[
        str, _what(help="Search space; darts means darts-cell, one cell for both as in the paper.")
    ],
    out: Annotated[Path, keep(help="Folder of the checkpoint.")],
    space_option: Annotated[
        Words, _what(help="Option of the space; repeatable.", metavar="key=value")
    ] = None,
    preset: Annotated[str, _how(help="default, or paper: the published model.")] = "default",
    seed: Annotated[int, _how(help="Of the split, the weights and the batches.")] = 0,
    device: Annotated[str, _how(help="auto, cpu or cuda.")] = "auto",
    epochs_vqvae: Annotated[
        int | None, _how(help="Epochs of the VQ-VAE instead of the preset's.")
    ] = None,
    epochs_prior: Annotated[
        int | None, _how(help="Epochs of the prior instead of the preset's.")
    ] = None,
    architectures: Annotated[
        int | None, _how(help="Learn from at most this many, those held out included.")
    ] = None,
    resume: Annotated[bool, keep("--resume", help="Go on from the last epoch.")] = False,
    force: Annotated[bool, keep("--force", help="Replace what is in the folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Learn an Arch-VQ model: a discrete latent space of architectures and a prior over it.

    Two stages: the VQ-VAE, then the prior over its codes. The state is saved after every epoch;
    Ctrl-C keeps it and says how to go on.
    \f
    Long because its options are declared with their help.
    """
    from nas_plugins.runner.problem import build_space
    from nas_plugins.runner.training import states, train

    words = [word for word in context.obj or [] if word != "--force"]
    built = build_space(space, read_options(space_option or (), "--space-option"))
    epochs: list[Progress] = []
    try:
        with _sigterm_raises():
            result = train(
                "arch-vq",
                space=built,
                out=out,
                preset=preset,
                seed=seed,
                device=device,
                epochs_vqvae=epochs_vqvae,
                epochs_prior=epochs_prior,
                architectures=architectures,
                resume=resume,
                force=force,
                on_epoch=epochs.append,
                progress=not quiet,
                command=shlex.join(["nas-plugins", *_without_folder(words)]),
            )
    except (KeyboardInterrupt, SystemExit) as signalled:
        interrupted = isinstance(signalled, KeyboardInterrupt)
        verb = "interrupted" if interrupted else "terminated"
        if epochs or states(out):
            where = _where(epochs[-1]) if epochs else "no epoch of this run"
            again = [*words] if "--resume" in words else [*words, "--resume"]
            remark(f"{verb} after {where}; to go on: {shlex.join(['nas-plugins', *again])}")
        else:
            remark(f"{verb} before the first epoch was done; nothing is kept")
        return ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED
    if as_json:
        print_json(result.to_json())
    else:
        for line in result.summary():
            print_text(line, wrapped=False)
    return ExitCode.OK


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turns SIGTERM into an exception, so that it ends like Ctrl-C, which always counts."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise SystemExit(ExitCode.TERMINATED)

    before = signal.signal(signal.SIGTERM, handle)
    # A shell starts jobs in the background with SIGINT ignored; a signal sent on purpose counts.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupt)


def _where(last: Progress) -> str:
    return f"epoch {last.epoch} of {last.epochs} of stage {last.stage!r}"


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
