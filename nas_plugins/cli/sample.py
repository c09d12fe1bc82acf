"""``nas-plugins sample``: draw architectures from a learned model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_plugins.cli._console import print_json, print_lines, remark
from nas_plugins.cli._errors import UsageError

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
    \f
    Long because its options are declared with their help.
    """
    from nas_plugins.cli._options import read_options
    from nas_plugins.runner import sampling
    from nas_plugins.runner.outputs import prepare_file, writing
    from nas_plugins.runner.problem import build_space

    if space is None and model is None:
        raise UsageError("say what to draw from: give --space NAME or --model DIR")
    if n < 1:
        raise UsageError(f"-n must be >= 1, got {n}")
    if out is not None:
        prepare_file(out)
    options = read_options(space_option or (), "--space-option")
    result = sampling.sample(
        None if space is None else build_space(space, options),
        n,
        model=model,
        seed=seed,
        temperature=temperature,
        decoding=decoding,
        unique=unique,
        exclude=() if exclude is None else exclude,
        exclude_train=exclude_train,
    )
    if out is not None:
        with writing(out):
            result.save(out)
    if as_json:
        print_json(result.to_json())
    elif out is None:
        print_lines(map(str, result))
    if not quiet and not as_json:
        if space not in (None, result.space.name):
            remark(
                f"note: {space} means the space {result.space.name}: one cell for both, "
                "as in the paper"
            )
        remark(result.summary())


__all__ = ["sample"]
