"""What a reproduction is asked for: cases, seeds, evaluations and the language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_plugins.benchmarks.hw_nas_bench import DEVICES
from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.reproduction.experiments import ExperimentRequest
from nas_plugins.reproduction.llm_nas.arms import NULL, Arm
from nas_plugins.reproduction.llm_nas.cases import Case
from nas_plugins.runner.options import at_least

DATASETS = ("cifar10", "cifar100", "imagenet16")
MAX_WORKERS = 2

# Seeds, seeds of arms that ask a language model, evaluations, data sets, devices.
_BUDGETS: Mapping[str, tuple[int, int, int, tuple[str, ...], tuple[str, ...]]] = {
    "full": (10, 3, 120, DATASETS, tuple(DEVICES)),
    "small": (5, 3, 120, DATASETS[:1], tuple(DEVICES)),
    "quick": (2, 1, 60, DATASETS[:1], ("edgegpu", "fpga")),
}


@dataclass(frozen=True)
class LLMNASRequest(ExperimentRequest):
    """What a table of LLM-NAS is asked for.

    The full budget has 18 cases and 10 seeds, the small one CIFAR-10 alone and 5, the quick one
    2 cases, 2 seeds and 60 evaluations.

    Attributes:
        llm: Name of the language model; ``"null"`` answers at random.
        llm_seeds: Seeds of the arms that ask a model of language; 0 for the budget's.
        evaluations: Evaluations per search; 0 for the budget's.
        datasets: Empty for the budget's.
        devices: Empty for the budget's.
        workers: Processes, 1 or 2.

    Raises:
        ValueError: A number is out of range.
        UnknownNameError: A name is not known; suggests the nearest.
    """

    llm: str = NULL
    llm_seeds: int = 0
    evaluations: int = 0
    datasets: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    workers: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, seeds=self.seeds, llm_seeds=self.llm_seeds, evaluations=self.evaluations)
        if not 1 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"`workers` must be 1 or {MAX_WORKERS}, got {self.workers}")
        for kind, given, known in (
            ("data set", self.datasets, DATASETS),
            ("device", self.devices, DEVICES),
        ):
            for name in given:
                if name not in known:
                    raise unknown_name(kind, name, known)
        names = ("seeds", "llm_seeds", "evaluations", "datasets", "devices")
        self.default(**dict(zip(names, _BUDGETS[self.budget], strict=True)))

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
