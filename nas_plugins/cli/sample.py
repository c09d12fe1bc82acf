"""``nas-plugins sample``: draw architectures from a learned model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_plugins.cli._console import print_json, print_lines, remark
from nas_plugins.cli._errors import OutputError, UsageError

if TYPE_CHECKING:
    from nas_plugins.cli._draw import Draw
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

_WHAT, _HOW, _KEEP = "What to draw", "How", "What to keep"


def sample(
    *,
    space: Annotated[
        str | None,
        typer.Option(
            help="Search space; its shipped model is used, or one learned on the first use and "
            "kept. darts means darts-cell, one cell for both as in the paper.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    space_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the space; repeatable.", metavar="key=value", rich_help_panel=_WHAT
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Folder that `train` has written.", rich_help_panel=_WHAT),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="How many.", rich_help_panel=_WHAT)] = 10,
    seed: Annotated[int, typer.Option(help="Seed.", rich_help_panel=_HOW)] = 0,
    temperature: Annotated[
        float,
        typer.Option(help="Divides the logits; above 1 is more even.", rich_help_panel=_HOW),
    ] = 1.0,
    decoding: Annotated[
        str,
        typer.Option(
            help="strict: every draw is valid. paper: whatever comes out, and what is no "
            "architecture counts against the validity.",
            rich_help_panel=_HOW,
        ),
    ] = "strict",
    unique: Annotated[
        bool | None,
        typer.Option(
            "--unique/--no-unique",
            help="Draw without replacement; the default with strict.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    exclude_train: Annotated[
        bool,
        typer.Option(
            "--exclude-train", help="Draw nothing of the training set.", rich_help_panel=_HOW
        ),
    ] = False,
    exclude: Annotated[
        Path | None,
        typer.Option(
            help="File of architectures not to draw, one per line.", rich_help_panel=_HOW
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the architectures, one per line.", rich_help_panel=_KEEP),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the figures as one JSON document; the architectures go to --out.",
            rich_help_panel=_KEEP,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print no figures.", rich_help_panel=_KEEP),
    ] = False,
) -> None:
    """Draw architectures from an Arch-VQ model, one per line.

    The models of nasbench201, nasbench101 and darts come with the package. The architectures go
    to the standard output stream, or to --out; the figures to the standard error stream.
    """
    begun, cpu_begun = time.perf_counter(), time.process_time()
    _check(n, seed, temperature, decoding, unique)
    from nas_plugins.cli._draw import Draw, draw
    from nas_plugins.runner.outputs import prepare_file

    if out is not None:
        prepare_file(out)
    used, origin = _model(space, space_option or [], model, quiet=quiet or as_json)
    asked = Draw(
        n=n,
        seed=seed,
        temperature=temperature,
        decoding=decoding,
        unique=decoding == "strict" if unique is None else unique,
        exclude_train=exclude_train,
        exclude=exclude,
    )
    drawn = draw(used, asked, begun=begun)
    if out is not None:
        _write(drawn.lines(), out)
    seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
    document = {"model": origin, **drawn.document(*seconds)}
    if as_json:
        print_json(document)
    elif out is None:
        print_lines(drawn.lines())
    if not quiet and not as_json:
        _print(document, asked)


def _check(n: int, seed: int, temperature: float, decoding: str, unique: bool | None) -> None:
    for name, value, least in (("-n", n, 1), ("--seed", seed, 0)):
        if value < least:
            raise UsageError(f"{name} must be >= {least}, got {value}")
    if not temperature > 0:
        raise UsageError(f"--temperature must be > 0, got {temperature}")
    if decoding not in {"strict", "paper"}:
        raise UsageError(f"--decoding must be strict or paper, got {decoding}")
    if unique and decoding == "paper":
        raise UsageError("--unique goes with --decoding strict; the paper draws independently")


def _model(
    space: str | None, options: list[str], folder: Path | None, *, quiet: bool
) -> tuple[ArchVQModel, str]:
    """The model and where it comes from: a folder, the package, or this machine's cache."""
    from nas_plugins.cli._learned import learned_space
    from nas_plugins.strategies.arch_vq.model import ArchVQModel

    if space is None and folder is None:
        raise UsageError("say what to draw from: give --space NAME or --model DIR")
    wanted = None if space is None else learned_space(space, options, quiet=quiet)
    if folder is not None:
        model = ArchVQModel.load(folder)
        if wanted is not None and model.space != wanted:
            raise UsageError(
                f"--model {folder} is of the space {model.space.name!r}, not {wanted.name!r}; "
                "leave --space out"
            )
        return model, str(folder)
    if wanted is None:
        raise UsageError("give --space NAME or --model DIR")
    name = shipped_for(wanted.name)
    if name is not None:
        return ArchVQModel.shipped(name), f"shipped: {name}"
    from nas_plugins.strategies.arch_vq.loading import trained

    try:
        return trained(wanted), "learned on its first use, kept in the cache"
    except ValueError as error:
        raise UsageError(
            f"no model of {wanted.name!r} comes with the package, and it must be learned with "
            f"care; run: nas-plugins train arch-vq --space {wanted.name} --out DIR, then: "
            "nas-plugins sample --model DIR"
        ) from error


def shipped_for(space: str) -> str | None:
    """Name of the checkpoint for a space, if one comes with the package."""
    from nas_plugins.strategies.arch_vq.shipped import shipped_names

    name = {"darts-cell": "darts"}.get(space, space)
    return name if name in shipped_names() else None


def _write(lines: list[str], file: Path) -> None:
    try:
        partial = file.with_name(file.name + ".partial")
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"--out {file} cannot be written: {error.strerror}") from error


def _print(document: dict[str, Any], asked: Draw) -> None:
    novelty = document["novelty"]
    new = "" if novelty is None else f", {novelty:.2f} % not in the training set"
    memory = document["peak_memory_mb"]
    used = "" if memory is None else f", {memory:,.0f} MB at most"
    remark(
        f"{document['n']:,} draws from {document['space']} ({document['model']}), temperature "
        f"{asked.temperature:g}, seed {asked.seed}: {document['validity']:.2f} % valid, "
        f"{document['distinct']:,} distinct{new}; {document['seconds']:.1f} s, of which drawing "
        f"{document['draw_seconds']:.1f} s "
        f"({document['architectures_per_second']:,.0f} architectures/s){used}"
    )


__all__ = ["sample", "shipped_for"]
