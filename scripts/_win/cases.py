"""All cases, as data."""

from __future__ import annotations

from functools import partial
from typing import Any

from optuna_objectives import OBJECTIVES

from nas_plugins.benchmarks.base import TabularBenchmark
from nas_plugins.benchmarks.hw_nas_bench import DEVICES
from nas_plugins.benchmarks.nasbench201 import DATASETS, NASBench201Table

from . import controls, tables
from .base import Case
from .costs import CostCase
from .rows import (
    FEW,
    KNOWN,
    LOCAL,
    ONE,
    RANDOM,
    SEVERAL,
    TPE,
    Row,
    from_live,
    from_published,
    from_scores,
    random_start,
)
from .searches import SearchCase
from .studies import Ordered, StudyCase

_C10 = "nasbench201/cifar10"
_LATENCY = ("val_accuracy:max", "latency_ms:min")
_SHORT = tuple(row for row in ONE if row.name in (RANDOM, LOCAL, TPE))


def _one() -> list[Case]:
    """One objective on the published tables of cells."""
    found: list[Case] = []
    for dataset in DATASETS:
        name = f"nasbench201/{dataset}"
        all_rows = (from_published(dataset), random_start(), from_live(), *ONE, *FEW)
        few = (
            from_published(dataset, functional_duplicates=False),
            random_start(functional_duplicates=False),
            *_SHORT,
        )
        both: dict[str, Any] = {"benchmark": name, "report": "test_accuracy", "seeds": 100}
        found += [
            SearchCase(f"one/{name}", rows=all_rows, quick=name == _C10, **both),
            SearchCase(f"one/{name}/canonical", rows=few, **both),
        ]
    rows = (random_start(), from_live(), *ONE)
    longer: dict[str, Any] = {"budgets": (25, 50, 100, 150), "trials": 300}
    return [
        *found,
        # The compact table has no other accuracy than that on test images.
        SearchCase("one/nasbench101", benchmark="nasbench101", rows=rows,
                   objectives=("test_accuracy:max",), **longer),
        SearchCase("one/nasbench301", benchmark="nasbench301", rows=rows, **longer),
    ]  # fmt: skip


def _two() -> list[Case]:
    """Accuracy and latency on the devices of HW-NAS-Bench."""
    found: list[Case] = []
    for dataset in DATASETS:
        for device in DEVICES:
            table = f"hw-nas-bench/{dataset}/{device}"
            known = Row(KNOWN, partial(_knowing, table), ours=True, quick=True)
            for kind, row in (("known", known), ("measured", random_start())):
                found.append(
                    SearchCase(
                        f"two/hw/{dataset}/{device}/{kind}",
                        benchmark=table,
                        rows=(row, *SEVERAL),
                        objectives=_LATENCY,
                        trials=120,
                        budgets=(30, 60),
                        quick=(dataset, device, kind) == ("cifar10", "fpga", "known"),
                    )
                )
    return found


def _knowing(table: str) -> tuple[str, dict[str, object]]:
    return "graph-gp", {"known": {"latency_ms": table}}


def _three() -> list[Case]:
    """Accuracy, latency and energy."""
    return [
        SearchCase(
            f"three/hw/{dataset}/{device}",
            benchmark=f"hw-nas-bench/{dataset}/{device}",
            rows=(random_start(), *SEVERAL),
            objectives=(*_LATENCY, "energy_mj:min"),
            trials=150,
            budgets=(50, 100),
        )
        for dataset in ("cifar10", "cifar100")
        for device in ("edgegpu", "fpga")
    ]


def _generic() -> list[Case]:
    """Problems without a cell: hyperparameters, and graph networks as plain choices."""
    rows = (random_start(), *ONE, *FEW)
    found: list[Case] = []
    for name in (*tables.HPOBENCH, *tables.HPOLIB):
        loss = name in tables.HPOLIB
        found.append(
            SearchCase(
                f"generic/hpo/{name}",
                benchmark=partial(tables.hpo_table, name),
                rows=rows,
                objectives=("log10_loss:min" if loss else "val_accuracy:max",),
                tolerance=0.01 if loss else 0.1,
                quick=name == "car",
            )
        )
    for dataset in tables.GRAPHS:
        opened = partial(tables.graph_table, dataset)
        found.append(SearchCase(f"generic/graph/{dataset}", benchmark=opened, rows=rows))
    return found


def _mixed() -> list[Case]:
    """Optuna studies: a cell beside numbers, and decisions that depend on others."""
    small, large, layers = (OBJECTIVES[key] for key in ("small", "large", "layers"))
    return [
        StudyCase("mixed/small", objective=small, trials=100),
        StudyCase("mixed/large", objective=large, trials=300, budgets=(50, 100, 200)),
        StudyCase("mixed/conditional", objective=layers, trials=60, budgets=(15, 30), quick=True),
        StudyCase("mixed/ordered", objective=Ordered(), trials=100),
    ]


def _controls() -> list[Case]:
    """What misleads, on NAS-Bench-201, CIFAR-10."""

    def case(name: str, *rows: Row, **options: Any) -> Case:
        both: dict[str, Any] = {
            "benchmark": _C10,
            "report": "test_accuracy",
            "seeds": 50,
            **options,
        }
        return SearchCase(f"controls/{name}", rows=(*rows, *_SHORT), **both)

    published, plain = from_published("cifar10"), random_start()
    return [
        *(
            case(f"proxies-{how}", from_scores(f"graph-gp, {how} proxies", partial(_proxies, how)))
            for how in controls.MISLEADING
        ),
        case(
            "features-shuffled",
            from_scores("graph-gp, inverted proxies", _both_misleading),
            plain,
            benchmark=_shuffled,
        ),
        # What counts is the mean accuracy of the cell that looked best in one training.
        case(
            "noisy-labels",
            published,
            plain,
            benchmark=_noisy,
            report="val_accuracy",
            objectives=("val_accuracy_one:max",),
            reported_hits=True,
        ),
        case("failing-cells", published, plain, benchmark=_failing),
    ]


def _proxies(how: str) -> TabularBenchmark:
    return controls.misleading(tables.published_proxies("cifar10"), how)


def _both_misleading() -> TabularBenchmark:
    return controls.shuffled_features(_proxies("inverted"))


def _shuffled() -> TabularBenchmark:
    return controls.shuffled_features(NASBench201Table("cifar10"))


def _noisy() -> TabularBenchmark:
    return controls.one_training(NASBench201Table("cifar10"))


def _failing() -> TabularBenchmark:
    return controls.failing_cells(NASBench201Table("cifar10"), 0.3)


CASES: tuple[Case, ...] = (
    *_one(),
    *_two(),
    *_three(),
    *_generic(),
    *_mixed(),
    *_controls(),
    CostCase("cost/proposal", seeds=3, quick=True),
)
"""In the order of the tables."""
