"""The tables and figures of papers that can be run anew, by name, and `reproduce`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nas_plugins._checks import as_path
from nas_plugins._wording import visible
from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.reproduction.documents import Reproduction
from nas_plugins.runner.outputs import alone_in, prepare_folder

ARCH_VQ, LLM_NAS = "Arch-VQ", "LLM-NAS"
BUDGETS = ("quick", "small", "full")
_NB101, _NB201, _DARTS = "nasbench101", "nasbench201", "darts-cell"


@dataclass(frozen=True)
class ExperimentRequest:
    """What every experiment is asked for; each paper's request adds its own.

    Attributes:
        out: Folder for trained models and finished searches; an interrupted run goes on from it.
        budget: ``"full"`` runs as the papers do, ``"small"`` fits two CPU cores and an hour or
            so, ``"quick"`` ends in minutes and shows no more than that everything works.
        seeds: Seeds, which count from 0; 0 for the budget's.
        note: Called with a line on what is being done.
    """

    out: Path
    budget: str = "full"
    seeds: int = 0
    note: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise unknown_name("budget", self.budget, BUDGETS)

    def default(self, **usual: Any) -> None:
        """Puts the budget's values where nothing was asked for."""
        for name, value in usual.items():
            object.__setattr__(self, name, getattr(self, name) or value)


@dataclass(frozen=True)
class Experiment:
    """A table or figure that can be run.

    Attributes:
        target: ``module:function`` in this package; takes a request, gives a `Reproduction`.
        summary: One line.
        spaces: Spaces it runs on, its default first.
        paper: Whose it is; decides which options there are.
    """

    target: str
    summary: str
    spaces: tuple[str, ...]
    paper: str = ARCH_VQ


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "arch-vq-table2": Experiment(
            "arch_vq.tables:table2", "Generation on NAS-Bench-101", (_NB101,)
        ),
        "arch-vq-table3": Experiment(
            "arch_vq.tables:table3", "Generation on NAS-Bench-201", (_NB201,)
        ),
        "arch-vq-table4": Experiment("arch_vq.tables:table4", "Generation on DARTS", (_DARTS,)),
        "arch-vq-table5": Experiment(
            "arch_vq.ranking:table5", "Generate, sort by the predictor, keep a tenth", (_NB201,)
        ),
        "arch-vq-table6": Experiment(
            "arch_vq.permutations:table6", "Order of the nodes", (_NB201, _NB101)
        ),
        "arch-vq-table7": Experiment(
            "arch_vq.tables:table7", "Ablations", (_NB201, _NB101, _DARTS)
        ),
        "arch-vq-figure2": Experiment(
            "arch_vq.figures:figure2", "Temperature sweep", (_NB201, _NB101, _DARTS)
        ),
        "arch-vq-figure3": Experiment(
            "arch_vq.ranking:figure3", "Kendall's tau of the latent predictor", (_NB201,)
        ),
        "llm-nas-table2": Experiment(
            "llm_nas.tables:table2", "Lowest latency at an accuracy", (_NB201,), LLM_NAS
        ),
        "llm-nas-table3": Experiment(
            "llm_nas.tables:table3", "Hypervolume and IGD; the fronts", (_NB201,), LLM_NAS
        ),
        "llm-nas-table4": Experiment(
            "llm_nas.tables:table4", "Cost of a search, and the replies", (_NB201,), LLM_NAS
        ),
        "llm-nas-table5": Experiment(
            "llm_nas.ablations:table5", "Ablations, and the surrogate", (_NB201,), LLM_NAS
        ),
    }
)
"""Everything that `reproduce` knows, by name."""

_REQUESTS = {ARCH_VQ: "arch_vq.budget:ArchVQRequest", LLM_NAS: "llm_nas.request:LLMNASRequest"}
_OWN_OPTIONS = {
    ARCH_VQ: ("models", "samples"),
    LLM_NAS: ("llm", "llm_seeds", "evaluations", "datasets", "devices", "workers"),
}
"""Options that only the experiments of one paper have."""


def reproduce(
    name: str,
    *,
    out: str | Path = "reproduction",
    budget: str = "full",
    seeds: int | None = None,
    space: str | None = None,
    models: int | None = None,
    samples: int | None = None,
    llm: str | None = None,
    llm_seeds: int | None = None,
    evaluations: int | None = None,
    datasets: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Reproduction:
    """Runs a table or figure of a paper anew, its rows beside ours.

    >>> import nas_plugins as nap
    >>> table = nap.reproduce("llm-nas-table3", budget="quick", workers=2)  # doctest: +SKIP
    >>> table.write("results")  # doctest: +SKIP

    Args:
        name: One of `EXPERIMENTS`, e.g. ``"arch-vq-table3"``.
        out: Folder in which trained models and finished searches are kept, so that an interrupted
            run goes on where it was. The tables themselves are written by the result's `write`.
        budget: ``"full"`` as the papers do, for Arch-VQ hours on a CPU; ``"small"`` an hour or so
            on two cores, for LLM-NAS CIFAR-10 alone; ``"quick"`` minutes, which shows that it
            works.
        seeds: By default 5 for Arch-VQ and 10 for LLM-NAS, fewer with the smaller budgets.
        space: Where there is a choice.
        models: Arch-VQ: models trained per row; as many as seeds if full, else 1.
        samples: Arch-VQ: architectures drawn per seed; 10,000 by default, 1,000 if quick.
        llm: LLM-NAS: the language model; ``"null"`` by default, which answers at random.
        llm_seeds: LLM-NAS: seeds of the arms that ask a language model, at most `seeds`.
        evaluations: LLM-NAS: evaluations per search; 120 by default, 60 if quick.
        datasets: LLM-NAS: of ``cifar10``, ``cifar100``, ``imagenet16``.
        devices: LLM-NAS: of ``edgegpu``, ``raspi4``, ``edgetpu``, ``pixel3``, ``eyeriss``,
            ``fpga``.
        workers: LLM-NAS: processes, 1 or 2.
        progress: ``True`` writes lines on the standard error stream, ``False`` nothing; ``None``
            writes them where that is a terminal.

    Raises:
        UnknownNameError: A name is not known; suggests the nearest.
        ValueError: A number is out of range, or an option is not of this paper.
        DataError: A table is absent; says what to download and where.
        MissingDependencyError: An optional package is absent.
        OutputError: The folder cannot be written.

    Long because its parameters are listed twice, with types and in words.
    """
    begin = time.perf_counter()
    shown = sys.stderr.isatty() if progress is None else progress
    request = experiment_request(
        name,
        out=out,
        budget=budget,
        space=space,
        note=_note if shown else None,
        seeds=seeds,
        samples=samples,
        models=models,
        llm=llm,
        llm_seeds=llm_seeds,
        evaluations=evaluations,
        workers=workers,
        datasets=datasets,
        devices=devices,
    )
    prepare_folder(request.out)
    with alone_in(request.out):
        found: Reproduction = _loaded(EXPERIMENTS[name].target)(request)
    return replace(found, seconds=time.perf_counter() - begin)


def experiment_request(
    name: str,
    *,
    out: str | Path = "reproduction",
    budget: str = "full",
    space: str | None = None,
    note: Callable[[str], None] | None = None,
    **options: Any,
) -> ExperimentRequest:
    """Checks what is asked for, before anything is run or written.

    Arguments and errors are those of `reproduce`, but for `note`, which is called with a line on
    what is being done; ``None`` stands for the default.
    """
    from nas_plugins.runner.options import at_least  # imports NumPy

    if name not in EXPERIMENTS:
        raise unknown_name("table or figure", name, EXPERIMENTS)
    experiment = EXPERIMENTS[name]
    if space is not None and space not in experiment.spaces:
        raise unknown_name(f"space of {name}", space, experiment.spaces)
    given = {option: value for option, value in options.items() if value is not None}
    for paper, own in _OWN_OPTIONS.items():
        for option in own:
            if paper != experiment.paper and option in given:
                raise UsageError(f"`{option}` is for the tables of {paper}, not for {name}")
    at_least(1, **{name: value for name, value in given.items() if isinstance(value, int)})
    if experiment.paper == ARCH_VQ and space is not None:
        given["space"] = space
    if note is not None:
        given["note"] = note
    request: ExperimentRequest = _loaded(_REQUESTS[experiment.paper])(
        out=as_path("out", out), budget=budget, **given
    )
    return request


def _note(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)


def _loaded(target: str) -> Any:
    module, name = target.split(":")
    return getattr(import_module(f"nas_plugins.reproduction.{module}"), name)
