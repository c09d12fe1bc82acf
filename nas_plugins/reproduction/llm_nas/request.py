"""What a reproduction is asked for: cases, seeds, evaluations and the language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_plugins.benchmarks.hw_nas_bench import DEVICES
from nas_plugins.errors import unknown_name
from nas_plugins.reproduction.llm_nas.arms import NULL, Arm

DATASETS = ("cifar10", "cifar100", "imagenet16")
BUDGETS = ("quick", "small", "full")
MAX_WORKERS = 2

# Seeds, seeds of arms that ask a language model, evaluations, data sets, devices.
_BUDGETS: Mapping[str, tuple[int, int, int, tuple[str, ...], tuple[str, ...]]] = {
    "full": (10, 3, 120, DATASETS, tuple(DEVICES)),
    "small": (5, 3, 120, DATASETS[:1], tuple(DEVICES)),
    "quick": (2, 1, 60, DATASETS[:1], ("edgegpu", "fpga")),
}


@dataclass(frozen=True)
class Case:
    """A data set and a device."""

    dataset: str
    device: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.device}"


@dataclass(frozen=True)
class Request:
    """What a reproduction is asked for.

    Attributes:
        out: Folder for runs and results; an interrupted run goes on from it.
        budget: ``"full"``: 18 cases, 10 seeds, 3 for arms that ask a language model;
            ``"small"``: CIFAR-10 alone, 5 seeds; ``"quick"``: 2 cases, 2 seeds, 1 for arms that
            ask a model, and 60 evaluations, to see that it works.
        llm: Name of the language model; ``"null"`` answers at random.
        seeds: Seeds; 0 for the budget's.
        llm_seeds: Seeds of the arms that ask a model of language; 0 for the budget's.
        evaluations: Evaluations per search; 0 for the budget's.
        datasets: Empty for the budget's.
        devices: Empty for the budget's.
        workers: Processes, 1 or 2.
        note: Called with a line on what is being done.

    Raises:
        ValueError: A number is out of range.
        UnknownNameError: A name is not known; suggests the nearest.
    """

    out: Path
    budget: str = "full"
    llm: str = NULL
    seeds: int = 0
    llm_seeds: int = 0
    evaluations: int = 0
    datasets: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    workers: int = 1
    note: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise unknown_name("budget", self.budget, BUDGETS)
        for name in ("seeds", "llm_seeds", "evaluations"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be >= 0, got {getattr(self, name)}")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ValueError(f"`workers` must be 1 or {MAX_WORKERS}, got {self.workers}")
        for kind, given, known in (
            ("data set", self.datasets, DATASETS),
            ("device", self.devices, DEVICES),
        ):
            for name in given:
                if name not in known:
                    raise unknown_name(kind, name, known)
        usual = dict(
            zip(
                ("seeds", "llm_seeds", "evaluations", "datasets", "devices"),
                _BUDGETS[self.budget],
                strict=True,
            )
        )
        for name, value in usual.items():
            object.__setattr__(self, name, getattr(self, name) or value)

    @property
    def cases(self) -> tuple[Case, ...]:
        """Every data set with every device."""
        return tuple(Case(dataset, device) for dataset in self.datasets for device in self.devices)

    def seeds_of(self, arm: Arm) -> range:
        """The seeds of an arm; they count from 0."""
        return range(min(self.llm_seeds, self.seeds) if arm.asks else self.seeds)

    def settings(self) -> dict[str, Any]:
        """What to print above the tables."""
        return {
            "budget": self.budget,
            "language model": self.llm,
            "evaluations": self.evaluations,
            "seeds": self.seeds,
            "seeds with a model": self.llm_seeds,
            "data sets": " ".join(self.datasets),
            "devices": " ".join(self.devices),
        }


__all__ = ["BUDGETS", "DATASETS", "MAX_WORKERS", "Case", "Request"]
