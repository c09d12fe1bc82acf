"""Prints how well zero-cost proxies rank NAS-Bench-201, computed here and as published.

Random cells without dead edges are scored with each kind of input. "noise" is Spearman's rank
correlation of the values on noise with the CIFAR-10 accuracy (test accuracy where the table has
it, otherwise validation accuracy), "published" that of the values of NAS-Bench-Suite-Zero, where
its file is at hand, and "noise, published" the correlation between the two kinds of values. A
cell without a value is left out of its proxy's correlations; "cells" counts the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track

import nas_plugins as nap
from nas_plugins.errors import DataError
from nas_plugins.evaluators.zero_cost import ZeroCostEvaluator
from nas_plugins.evaluators.zero_cost.ranking import AZ_NAS, rank_sum
from nas_plugins.numerics import ranks
from nas_plugins.reproduction.documents import ResultTable
from nas_plugins.spaces.nasbench201 import EDGES, OPERATIONS

Floats = npt.NDArray[np.float64]
SPACE = nap.space("nasbench201")
NONE = OPERATIONS.index("none")


def sound(row: npt.NDArray[np.int16]) -> bool:
    """Whether a cell has a path, and every edge that is not none lies on one."""
    used = [edge for edge, index in zip(EDGES, row.tolist(), strict=True) if index != NONE]
    ahead, behind = {0}, {3}
    for source, target in used:
        if source in ahead:
            ahead.add(target)
    for source, target in reversed(used):
        if target in behind:
            behind.add(source)
    return bool(used) and all(s in ahead and t in behind for s, t in used)


def drawn(n: int, seed: int) -> list[nap.Architecture]:
    """Different cells, uniformly among the sound ones."""
    rows = np.concatenate(list(SPACE.enumerate()))
    order = np.random.default_rng(seed).permutation(len(rows))
    chosen = [i for i in order.tolist() if sound(rows[i])][:n]
    return SPACE.architectures(rows[chosen])


def spearman(first: Floats, second: Floats) -> tuple[float, int]:
    """Rank correlation over the entries that both have, and their number."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or min(np.ptp(first[both]), np.ptp(second[both])) == 0:
        return float("nan"), int(both.sum())
    return ranks.spearman(first[both], second[both]), int(both.sum())


def column(values: list[dict[str, float]], name: str) -> Floats:
    """One metric of all cells, NaN where there is none."""
    return np.array([v.get(name, np.nan) for v in values])


def published(cells: list[nap.Architecture]) -> list[dict[str, float]]:
    """The values of NAS-Bench-Suite-Zero; empty where they are not at hand."""
    try:
        return nap.benchmark("nas-bench-suite-zero/cifar10").evaluate(cells)
    except DataError:
        return [{} for _ in cells]


def scored(
    cells: list[nap.Architecture],
    images: str,
    *,
    preset: str,
    proxies: str,
    seed: int,
    workers: int,
) -> tuple[dict[str, Floats], float]:
    """Proxies by name, and the seconds per cell of one process."""
    evaluator = ZeroCostEvaluator(
        proxies, preset=preset, input=images, seed=seed, workers=workers or None
    )
    steps = iter(track(range(len(cells)), images, console=Console(stderr=True)))
    rows = evaluator.rows(cells, on_row=lambda row: next(steps))
    found = {
        m.name: np.array([row.values.get(m.name, np.nan) for row in rows])
        for m in evaluator.metrics
    }
    if set(AZ_NAS) <= set(found):
        found["rank_sum of AZ-NAS"] = rank_sum(found)
    fresh = [row.seconds for row in rows if not row.cached]
    return found, float(np.mean(fresh)) if fresh else float("nan")


def lines(
    inputs: Mapping[str, dict[str, Floats]], accuracy: Floats, known: list[dict[str, float]]
) -> list[list[str]]:
    """The rows of the table, the best by the first input on top."""
    made: list[tuple[float, list[str]]] = []
    for name in next(iter(inputs.values())):
        true = column(known, name)
        cells = [name, shown(spearman(true, accuracy)[0])]
        for found in inputs.values():
            own, n = spearman(found[name], accuracy)
            cells += [shown(own), shown(spearman(found[name], true)[0]), str(n)]
        made.append((spearman(next(iter(inputs.values()))[name], accuracy)[0], cells))
    return [row for _, row in sorted(made, key=lambda pair: -np.nan_to_num(pair[0], nan=-2))]


def shown(value: float) -> str:
    """Two decimals, or a dash."""
    return "-" if np.isnan(value) else f"{value:.2f}"


def main(
    *,
    cells: Annotated[int, typer.Option(min=10, help="How many.")] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw, images and weights.")] = 0,
    inputs: Annotated[str, typer.Option(help="Comma-separated.")] = "noise,digits",
    preset: Annotated[str, typer.Option(help="As of the evaluator.")] = "fast",
    proxies: Annotated[str, typer.Option(help="As of the evaluator.")] = "all",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per CPU.")] = 0,
    markdown: Annotated[bool, typer.Option(help="Print Markdown.")] = False,
) -> None:
    """Prints a row per proxy."""
    chosen = drawn(cells, seed)
    bench = nap.benchmark("nasbench201/cifar10")
    metric = next(m for m in ("test_accuracy", "val_accuracy")
                  if m in {b.name for b in bench.metrics})  # fmt: skip
    accuracy = column(bench.evaluate(chosen), metric)
    found, seconds = {}, {}
    for images in inputs.split(","):
        found[images], seconds[images] = scored(
            chosen, images, preset=preset, proxies=proxies, seed=seed, workers=workers
        )
    heads = ["proxy", "published"]
    for images in found:
        heads += [images, f"{images}, published", "cells"]
    rows = lines(found, accuracy, published(chosen))
    times = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    title = (
        f"{len(chosen)} cells, preset {preset}, seed {seed}, CIFAR-10 {metric}; per cell {times}"
    )
    table = ResultTable(title, tuple(heads), tuple(map(tuple, rows)), numbers_from=1)
    print(table.markdown() if markdown else table.text())


if __name__ == "__main__":
    typer.run(main)
