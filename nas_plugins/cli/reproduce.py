"""``nas-plugins reproduce``: run the table or figure of a paper anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from nas_plugins.cli._console import print_json, print_table, remark
from nas_plugins.cli._errors import OutputError, UsageError
from nas_plugins.reproduction.experiments import (
    ARCH_VQ,
    EXPERIMENTS,
    LLM_NAS,
    experiment_request,
    run_experiment,
)


def reproduce(
    *,
    name: Annotated[
        str | None, typer.Argument(help="What to run; without it, the names are listed.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds; 5 by default for Arch-VQ, 10 for LLM-NAS.")
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="full: as the papers do, for Arch-VQ hours on a CPU; small: an hour or so on two "
            "cores, for LLM-NAS CIFAR-10 alone; quick: minutes."
        ),
    ] = "full",
    quick: Annotated[
        bool,
        typer.Option("--quick", help="The quick budget, with 2 seeds: shows that it works."),
    ] = False,
    models: Annotated[
        int | None,
        typer.Option(
            help="Models trained per row; as many as seeds if full, else 1.",
            rich_help_panel=ARCH_VQ,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Architectures drawn per seed; 10,000 by default, 1,000 if quick.",
            rich_help_panel=ARCH_VQ,
        ),
    ] = None,
    space: Annotated[str | None, typer.Option(help="Space, where there is a choice.")] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            help="Language model, e.g. local or openai:gpt-4.1; null by default, which answers "
            "at random.",
            rich_help_panel=LLM_NAS,
        ),
    ] = None,
    llm_seeds: Annotated[
        int | None,
        typer.Option(
            help="Seeds of the arms that ask a language model, at most --seeds; 3 by default.",
            rich_help_panel=LLM_NAS,
        ),
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            help="Evaluations per search; 120 by default, 60 if quick.", rich_help_panel=LLM_NAS
        ),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: cifar10, cifar100, imagenet16.", rich_help_panel=LLM_NAS
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: edgegpu, raspi4, edgetpu, pixel3, eyeriss, fpga.",
            rich_help_panel=LLM_NAS,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes, 1 or 2; 1 by default.", rich_help_panel=LLM_NAS),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results, trained models and runs, which go on there.")
    ] = Path("reproduction"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of Markdown.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run the table or figure of a paper anew, its rows beside ours.

    Writes Markdown, CSV and SVG files. Trained models and finished searches are kept in the
    folder, so an interrupted run goes on where it was.
    \f
    Long because its options are declared with their help.
    """
    if name is None:
        _list(as_json)
        return
    if quick and budget not in ("full", "quick"):
        raise UsageError(f"--quick and --budget {budget} exclude each other")
    from nas_plugins.runner.outputs import prepare_folder

    try:
        request = experiment_request(
            name,
            out=out,
            budget="quick" if quick else budget,
            space=space,
            note=None if quiet else remark,
            seeds=seeds,
            samples=samples,
            models=models,
            llm=llm,
            llm_seeds=llm_seeds,
            evaluations=evaluations,
            workers=workers,
            datasets=_names(datasets),
            devices=_names(devices),
        )
    except ValueError as error:
        raise UsageError(re.sub(r"`(\w+)`", _as_option, str(error))) from error
    prepare_folder(out)
    found = run_experiment(name, request)
    try:
        files = found.write(out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    if as_json:
        print_json(found.to_json())
    else:
        print(found.markdown())
    if not quiet:
        remark(f"wrote {', '.join(str(file) for file in files)}")


def _as_option(name: re.Match[str]) -> str:
    return f"--{name[1].replace('_', '-')}"


def _names(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated names, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(","))) if text else None


def _list(as_json: bool) -> None:
    if as_json:
        print_json({n: {"summary": e.summary, "spaces": e.spaces} for n, e in EXPERIMENTS.items()})
        return
    rows = [(n, e.summary, ", ".join(e.spaces)) for n, e in EXPERIMENTS.items()]
    print_table("tables and figures", ["name", "summary", "spaces"], rows)


__all__ = ["reproduce"]
