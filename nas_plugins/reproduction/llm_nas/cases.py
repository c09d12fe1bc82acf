"""A case as arrays: what the table says of every cell, its true fronts, and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas_plugins import _public
from nas_plugins._arrays import arrays as read_arrays
from nas_plugins._arrays import check_finite
from nas_plugins._files import replacing
from nas_plugins.benchmarks.base import TabularBenchmark
from nas_plugins.benchmarks.hw_nas_bench import DEVICES, HWNASBenchTable
from nas_plugins.benchmarks.loaders.nb201 import SIZE
from nas_plugins.benchmarks.nasbench201 import TITLES
from nas_plugins.errors import DataError
from nas_plugins.history import Objective, objectives_of
from nas_plugins.numerics.ranks import spearman
from nas_plugins.pareto import Normalisation

Floats = npt.NDArray[np.float64]

OBJECTIVES: tuple[Objective, ...] = objectives_of(("val_accuracy:max", "latency_ms:min"))
"""What is searched on."""

VALIDATION, TEST = "val", "test"
AXES = (VALIDATION, TEST)
LABELS = 200
"""Labels of the surrogate, measured besides the evaluations of the search."""

# The settings that come nearest to the paper's: XGBoost on the 13 published proxies alone.
_SURROGATE = {"labels": LABELS, "model": "xgboost", "features": ("proxies",)}
_PROXIES = {"cifar10": "cifar10", "cifar100": "cifar10", "imagenet16": "imagenet16"}


@dataclass(frozen=True)
class Case:
    """A data set and a device."""

    dataset: str
    device: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.device}"


@dataclass(frozen=True, eq=False)
class CaseTable:
    """One case.

    Attributes:
        case: The case.
        benchmark: Its table.
    """

    case: Case
    benchmark: TabularBenchmark

    @cached_property
    def accuracy(self) -> dict[str, Floats]:
        """Accuracy of every cell in percent, `(n,)`, by axis: validation and test."""
        return {axis: self.benchmark.column(f"{axis}_accuracy") for axis in AXES}

    @cached_property
    def latency(self) -> Floats:
        """Latency of every cell in ms, `(n,)`; NaN where not measured."""
        return self.benchmark.column("latency_ms")

    @cached_property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Which cells have all that is searched and reported, `(n,)`."""
        columns = np.stack([*self.accuracy.values(), self.latency])
        return np.asarray(np.isfinite(columns).all(axis=0))

    @cached_property
    def losses(self) -> dict[str, Floats]:
        """`(n, 2)` by axis: accuracy turned round, and latency."""
        return {axis: np.stack([-self.accuracy[axis], self.latency], axis=1) for axis in AXES}

    @cached_property
    def fronts(self) -> dict[str, Floats]:
        """Losses of the true front, `(k, 2)` distinct points, by axis."""
        objectives = {axis: (Objective(f"{axis}_accuracy"), OBJECTIVES[1]) for axis in AXES}
        values = {axis: self.benchmark.front(both) for axis, both in objectives.items()}
        return {axis: found * (-1.0, 1.0) for axis, found in values.items() if found is not None}

    @cached_property
    def whole_space(self) -> dict[str, Normalisation]:
        """The minima and maxima over all cells, by axis."""
        return {axis: Normalisation.space(self.losses[axis][self.measured]) for axis in AXES}

    @property
    def task(self) -> dict[str, str]:
        """What prompts may tell."""
        return {
            "benchmark": "NAS-Bench-201",
            "dataset": TITLES[self.case.dataset],
            "device": DEVICES[self.case.device],
        }


@lru_cache(maxsize=18)
def case_table(case: Case) -> CaseTable:
    """Opens the table of a case."""
    return CaseTable(case, HWNASBenchTable(case.dataset, case.device))


def predicted(case: Case, seed: int, folder: Path) -> tuple[Floats, float]:
    """Trains the surrogate of a data set and seed, or reads what it said from the folder.

    Returns:
        Predicted validation accuracy of all cells, `(n,)`, the measured one where a cell has a
        label; and its rank correlation with the truth over the cells without one.

    Raises:
        MissingDependencyError: XGBoost is not installed.
        DataError: The table of the proxies is absent.
    """
    file = folder / f"surrogate-{case.dataset}-{seed}-{LABELS}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        values, is_label = _train(case, seed)
        with replacing(file) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, values=values, is_label=is_label)
    values, is_label = read_predictions(file)
    truth = case_table(case).accuracy[VALIDATION]
    return values, spearman(values[~is_label], truth[~is_label])


def read_predictions(file: Path) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What a surrogate said of all cells, `(n,)`, and which of them have a label.

    Raises:
        DataError: The file is torn, or holds something else.
    """
    kept = read_arrays(file, ["values", "is_label"])
    check_finite(file, **kept)
    values, is_label = kept["values"], kept["is_label"]
    if not (values.shape == is_label.shape == (SIZE,)):
        raise DataError(
            f"{file}: `values` and `is_label` must have shape ({SIZE},), "
            f"got {values.shape} and {is_label.shape}"
        )
    if is_label.dtype != np.bool_ or values.dtype != np.float64:
        raise DataError(
            f"{file}: `values` must be float64 and `is_label` bool, "
            f"got {values.dtype} and {is_label.dtype}"
        )
    return values, is_label


def _train(case: Case, seed: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    benchmark = case_table(case).benchmark
    surrogate = _public.evaluator(
        "surrogate",
        truth=benchmark,
        proxies=f"nas-bench-suite-zero/{_PROXIES[case.dataset]}",
        seed=seed,
        **_SURROGATE,
    )
    rows = surrogate.evaluate(benchmark.space.architectures(benchmark.rows))
    values = np.array([row["val_accuracy"] for row in rows])
    return values, np.array([row["predicted"] == 0 for row in rows])
