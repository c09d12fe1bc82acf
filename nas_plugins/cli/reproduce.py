"""``nas-plugins reproduce``: run the table or figure of a paper anew."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_plugins.cli._console import print_json, print_table, remark
from nas_plugins.cli._errors import OutputError, UsageError
from nas_plugins.errors import unknown_name

_NB101, _NB201, _DARTS = "nasbench101", "nasbench201", "darts-cell"


@dataclass(frozen=True)
class Experiment:
    """A table or figure that can be run.

    Attributes:
        target: ``module:function``; the function takes a request and gives a document.
        summary: One line.
        spaces: Spaces it runs on, its default first.
    """

    target: str
    summary: str
    spaces: tuple[str, ...]


_ARCH_VQ = "nas_plugins.strategies.arch_vq.reproduction"

EXPERIMENTS = {
    "arch-vq-table2": Experiment(
        f"{_ARCH_VQ}.tables:table2", "Generation on NAS-Bench-101", (_NB101,)
    ),
    "arch-vq-table3": Experiment(
        f"{_ARCH_VQ}.tables:table3", "Generation on NAS-Bench-201", (_NB201,)
    ),
    "arch-vq-table4": Experiment(f"{_ARCH_VQ}.tables:table4", "Generation on DARTS", (_DARTS,)),
    "arch-vq-table5": Experiment(
        f"{_ARCH_VQ}.ranking:table5", "Generate, sort by the predictor, keep a tenth", (_NB201,)
    ),
    "arch-vq-table6": Experiment(
        f"{_ARCH_VQ}.permutations:table6", "Order of the nodes", (_NB201, _NB101)
    ),
    "arch-vq-table7": Experiment(
        f"{_ARCH_VQ}.tables:table7", "Ablations", (_NB201, _NB101, _DARTS)
    ),
    "arch-vq-figure2": Experiment(
        f"{_ARCH_VQ}.figures:figure2", "Temperature sweep", (_NB201, _NB101, _DARTS)
    ),
    "arch-vq-figure3": Experiment(
        f"{_ARCH_VQ}.ranking:figure3", "Kendall's tau of the latent predictor", (_NB201,)
    ),
}

_QUICK_SEEDS, _QUICK_SAMPLES = 2, 1000


def reproduce(
    *,
    name: Annotated[
        str | None, typer.Argument(help="What to run; without it, the names are listed.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds; 5 by default.")] = None,
    models: Annotated[
        int | None,
        typer.Option(help="Models trained per row; as many as seeds if full, else 1."),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="full: train as the papers do, hours on a CPU; small: an hour or so on two "
            "cores; quick: minutes."
        ),
    ] = "full",
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="The quick budget, 2 seeds and 1,000 samples: shows that it works."
        ),
    ] = False,
    samples: Annotated[
        int | None, typer.Option(help="Architectures drawn per seed; 10,000 by default.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="Space, where there is a choice.")] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results and trained models; runs go on from it.")
    ] = Path("reproduction"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of Markdown.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run the table or figure of a paper anew, its rows beside ours.

    Writes Markdown, CSV and SVG files. Trained models are kept in the folder, so an interrupted
    run goes on where it was.
    """
    if name is None:
        _list(as_json)
        return
    if name not in EXPERIMENTS:
        raise unknown_name("table or figure", name, EXPERIMENTS)
    experiment = EXPERIMENTS[name]
    _check(name, experiment, space, {"seeds": seeds, "samples": samples, "models": models})
    if quick and budget not in ("full", "quick"):
        raise UsageError(f"--quick and --budget {budget} exclude each other")
    from nas_plugins.cli._output import prepare_folder
    from nas_plugins.strategies.arch_vq.reproduction.budget import Request

    budget = "quick" if quick else budget
    cut = budget == "quick"
    request = Request(
        out,
        budget=budget,
        seeds=seeds or (_QUICK_SEEDS if cut else 5),
        models=models or 0,
        samples=samples or (_QUICK_SAMPLES if cut else 10_000),
        space=space or "",
        note=(lambda line: None) if quiet else remark,
    )
    prepare_folder(out)
    document = _run(experiment, request)
    try:
        files = document.write(out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    if as_json:
        print_json(document.to_json())
    else:
        print(document.markdown())
    if not quiet:
        remark(f"wrote {', '.join(str(file) for file in files)}")


def _run(experiment: Experiment, request: Any) -> Any:
    module, function = experiment.target.split(":")
    return getattr(importlib.import_module(module), function)(request)


def _check(
    name: str, experiment: Experiment, space: str | None, numbers: Mapping[str, int | None]
) -> None:
    if space is not None and space not in experiment.spaces:
        raise unknown_name(f"space of {name}", space, experiment.spaces)
    for option, value in numbers.items():
        if value is not None and value < 1:
            raise UsageError(f"--{option} must be >= 1, got {value}")


def _list(as_json: bool) -> None:
    if as_json:
        print_json({n: {"summary": e.summary, "spaces": e.spaces} for n, e in EXPERIMENTS.items()})
        return
    rows = [(n, e.summary, ", ".join(e.spaces)) for n, e in EXPERIMENTS.items()]
    print_table("tables and figures", ["name", "summary", "spaces"], rows)


__all__ = ["EXPERIMENTS", "Experiment", "reproduce"]
