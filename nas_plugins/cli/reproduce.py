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

ARCH_VQ, LLM_NAS = "Arch-VQ", "LLM-NAS"
_NB101, _NB201, _DARTS = "nasbench101", "nasbench201", "darts-cell"


@dataclass(frozen=True)
class Experiment:
    """A table or figure that can be run.

    Attributes:
        target: ``module:function``; the function takes a request and gives a document.
        summary: One line.
        spaces: Spaces it runs on, its default first.
        paper: Whose it is; decides which options there are.
    """

    target: str
    summary: str
    spaces: tuple[str, ...]
    paper: str = ARCH_VQ


_ARCH_VQ = "nas_plugins.reproduction.arch_vq"
_LLM_NAS = "nas_plugins.reproduction.llm_nas"

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
    "llm-nas-table2": Experiment(
        f"{_LLM_NAS}.tables:table2", "Lowest latency at an accuracy", (_NB201,), LLM_NAS
    ),
    "llm-nas-table3": Experiment(
        f"{_LLM_NAS}.tables:table3", "Hypervolume and IGD; the fronts", (_NB201,), LLM_NAS
    ),
    "llm-nas-table4": Experiment(
        f"{_LLM_NAS}.tables:table4", "Cost of a search, and the replies", (_NB201,), LLM_NAS
    ),
    "llm-nas-table5": Experiment(
        f"{_LLM_NAS}.ablations:table5", "Ablations, and the surrogate", (_NB201,), LLM_NAS
    ),
}

_OWN_OPTIONS = {
    ARCH_VQ: ("models", "samples"),
    LLM_NAS: ("llm", "llm-seeds", "evaluations", "datasets", "devices", "workers"),
}
"""Options that only the experiments of one paper have."""

_QUICK_SEEDS, _QUICK_SAMPLES = 2, 1000


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
    """
    if name is None:
        _list(as_json)
        return
    if name not in EXPERIMENTS:
        raise unknown_name("table or figure", name, EXPERIMENTS)
    experiment = EXPERIMENTS[name]
    numbers = {
        "seeds": seeds,
        "samples": samples,
        "models": models,
        "llm-seeds": llm_seeds,
        "evaluations": evaluations,
        "workers": workers,
    }
    words = {"llm": llm, "datasets": datasets, "devices": devices}
    _check(name, experiment, space, numbers, {**numbers, **words})
    if quick and budget not in ("full", "quick"):
        raise UsageError(f"--quick and --budget {budget} exclude each other")
    from nas_plugins.cli._output import prepare_folder

    asked = {
        "out": out,
        "budget": "quick" if quick else budget,
        "note": (lambda line: None) if quiet else remark,
    }
    request = (
        _arch_vq(asked, seeds=seeds, models=models, samples=samples, space=space)
        if experiment.paper == ARCH_VQ
        else _llm_nas(asked, numbers, words)
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


def _arch_vq(
    asked: Mapping[str, Any],
    *,
    seeds: int | None,
    models: int | None,
    samples: int | None,
    space: str | None,
) -> Any:
    from nas_plugins.reproduction.arch_vq.budget import Request

    cut = asked["budget"] == "quick"
    return Request(
        **asked,
        seeds=seeds or (_QUICK_SEEDS if cut else 5),
        models=models or 0,
        samples=samples or (_QUICK_SAMPLES if cut else 10_000),
        space=space or "",
    )


def _llm_nas(
    asked: Mapping[str, Any], numbers: Mapping[str, int | None], words: Mapping[str, str | None]
) -> Any:
    from nas_plugins.reproduction.llm_nas.request import MAX_WORKERS, Request

    workers = numbers["workers"] or 1
    if workers > MAX_WORKERS:
        raise UsageError(f"--workers must be 1 or {MAX_WORKERS}, got {workers}")
    return Request(
        **asked,
        llm=words["llm"] or "null",
        seeds=numbers["seeds"] or 0,
        llm_seeds=numbers["llm-seeds"] or 0,
        evaluations=numbers["evaluations"] or 0,
        datasets=_names(words["datasets"]),
        devices=_names(words["devices"]),
        workers=workers,
    )


def _names(text: str | None) -> tuple[str, ...]:
    """Comma-separated names, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(","))) if text else ()


def _check(
    name: str,
    experiment: Experiment,
    space: str | None,
    numbers: Mapping[str, int | None],
    options: Mapping[str, Any],
) -> None:
    if space is not None and space not in experiment.spaces:
        raise unknown_name(f"space of {name}", space, experiment.spaces)
    for paper, own in _OWN_OPTIONS.items():
        for option in own:
            if paper != experiment.paper and options[option] is not None:
                raise UsageError(f"--{option} is for the tables of {paper}, not for {name}")
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
