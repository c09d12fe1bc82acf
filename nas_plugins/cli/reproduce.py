"""``nas-plugins reproduce``: run the table or figure of a paper anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_plugins.cli._console import print_json, print_lines, print_table, remark
from nas_plugins.cli._errors import UsageError
from nas_plugins.cli._options import panel
from nas_plugins.reproduction import experiments
from nas_plugins.reproduction.experiments import ARCH_VQ, EXPERIMENTS, LLM_NAS

_arch_vq, _llm_nas = panel(ARCH_VQ), panel(LLM_NAS)


def reproduce(
    context: typer.Context,
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
        bool, typer.Option("--quick", help="The quick budget, with 2 seeds: shows that it works.")
    ] = False,
    models: Annotated[
        int | None, _arch_vq(help="Models trained per row; as many as seeds if full, else 1.")
    ] = None,
    samples: Annotated[
        int | None,
        _arch_vq(help="Architectures drawn per seed; 10,000 by default, 1,000 if quick."),
    ] = None,
    space: Annotated[str | None, typer.Option(help="Space, where there is a choice.")] = None,
    llm: Annotated[
        str | None,
        _llm_nas(
            help="Language model, e.g. local or openai:gpt-4.1; null by default, which answers "
            "at random."
        ),
    ] = None,
    llm_seeds: Annotated[
        int | None,
        _llm_nas(
            help="Seeds of the arms that ask a language model, at most --seeds; 3 by default."
        ),
    ] = None,
    evaluations: Annotated[
        int | None, _llm_nas(help="Evaluations per search; 120 by default, 60 if quick.")
    ] = None,
    datasets: Annotated[
        str | None, _llm_nas(help="Comma-separated: cifar10, cifar100, imagenet16.")
    ] = None,
    devices: Annotated[
        str | None,
        _llm_nas(help="Comma-separated: edgegpu, raspi4, edgetpu, pixel3, eyeriss, fpga."),
    ] = None,
    workers: Annotated[int | None, _llm_nas(help="Processes, 1 or 2; 1 by default.")] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results, trained models and runs, which go on there.")
    ] = Path("reproduction"),
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace files of --out that `reproduce` has not written."),
    ] = False,
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
        _refuse_idle_options(context)
        _list(as_json)
        return
    if quick and budget not in ("full", "quick"):
        raise UsageError(f"--quick and --budget {budget} exclude each other")
    from nas_plugins.reproduction.documents import refuse_foreign
    from nas_plugins.runner.outputs import writing

    if name in EXPERIMENTS:  # before hours of work
        files = [
            file.name for kind in ("md", "csv", "svg") for file in out.glob(f"{name}*.{kind}")
        ]
        refuse_foreign(name, out, files, force=force)
    found = experiments.reproduce(
        name,
        out=out,
        budget="quick" if quick else budget,
        space=space,
        seeds=seeds,
        samples=samples,
        models=models,
        llm=llm,
        llm_seeds=llm_seeds,
        evaluations=evaluations,
        workers=workers,
        datasets=_names(datasets),
        devices=_names(devices),
        progress=not quiet,
    )
    with writing(out):
        written = found.write(out, force=force)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines([found.markdown()])
    if not quiet:
        remark(f"wrote {', '.join(map(str, written))}")


def _refuse_idle_options(context: typer.Context) -> None:
    """Refuses options of a run where nothing is run; the list has ``--json`` alone."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name) if option.name else None
        if option.name != "as_json" and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"{option.opts[0]} goes with the NAME of a table or figure; nas-plugins reproduce "
                "without options lists them"
            )


def _names(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated names, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(","))) if text else None


def _list(as_json: bool) -> None:
    if as_json:
        print_json({n: {"summary": e.summary, "spaces": e.spaces} for n, e in EXPERIMENTS.items()})
        return
    rows = [(n, e.summary, ", ".join(e.spaces)) for n, e in EXPERIMENTS.items()]
    print_table("tables and figures", ["name", "summary", "spaces"], rows)
