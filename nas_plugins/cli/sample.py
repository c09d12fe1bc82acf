"""``nas-plugins sample``: draw architectures from a learned model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from nas_plugins.cli._console import print_json, print_lines, remark
from nas_plugins.cli._errors import UsageError
from nas_plugins.cli._options import Words, keep, panel, read_options

_what, _how = panel("What to draw"), panel("How")


def sample(
    *,
    space: Annotated[
        str | None,
        _what(
            help="Search space; its shipped model is used, or one learned on the first use and "
            "kept. darts means darts-cell, one cell for both as in the paper."
        ),
    ] = None,
    space_option: Annotated[
        Words, _what(help="Option of the space; repeatable.", metavar="key=value")
    ] = None,
    model: Annotated[Path | None, _what(help="Folder that `train` has written.")] = None,
    n: Annotated[int, _what("-n", "--n", help="How many.")] = 10,
    seed: Annotated[int, _how(help="Seed.")] = 0,
    temperature: Annotated[float, _how(help="Divides the logits; above 1 is more even.")] = 1.0,
    decoding: Annotated[
        str,
        _how(
            help="strict: every draw is valid. paper: whatever comes out, and what is no "
            "architecture counts against the validity."
        ),
    ] = "strict",
    unique: Annotated[
        bool | None,
        _how("--unique/--no-unique", help="Draw without replacement; the default with strict."),
    ] = None,
    exclude_train: Annotated[
        bool, _how("--exclude-train", help="Draw nothing of the training set.")
    ] = False,
    exclude: Annotated[
        Path | None, _how(help="File of architectures not to draw, one per line.")
    ] = None,
    out: Annotated[Path | None, keep(help="File for the architectures, one per line.")] = None,
    force: Annotated[
        bool, keep("--force", help="Replace a file that holds anything but such architectures.")
    ] = False,
    as_json: Annotated[
        bool,
        keep(
            "--json", help="Print the figures as one JSON document; the architectures go to --out."
        ),
    ] = False,
    quiet: Annotated[bool, keep("--quiet", "-q", help="Print no figures.")] = False,
) -> None:
    """Draw architectures from an Arch-VQ model, one per line.

    The models of nasbench201, nasbench101 and darts come with the package. The architectures go
    to the standard output stream, or to --out; the figures to the standard error stream.
    \f
    Long because its options are declared with their help.
    """
    from nas_plugins.runner import sampling
    from nas_plugins.runner.outputs import prepare_file, writing
    from nas_plugins.runner.problem import build_space
    from nas_plugins.runner.progress import WaitingDisplay

    if space is None and model is None:
        raise UsageError("say what to draw from: give --space NAME or --model DIR")
    if n < 1:
        raise UsageError(f"-n must be >= 1, got {n}")
    options = read_options(space_option or (), "--space-option")
    built = None if space is None else build_space(space, options)
    if out is not None:
        prepare_file(out, partial(sampling.is_samples, space=built, model=model), force=force)
    with WaitingDisplay("sampling", shown=not quiet):
        result = sampling.sample(
            built,
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
