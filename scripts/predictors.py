"""Prints how well the predictors of the Arch-VQ search rank, and how honest their intervals are.

Each predictor sees a few random cells of NAS-Bench-201 with their validation accuracies. "tau" is
Kendall's rank correlation on 1,500 other cells, "in 90 %" and "in 50 %" are the shares of these
whose score (the accuracy as a normal quantile among the labelled) lies in the interval of that
probability. Mean and standard deviation over the draws of the labelled cells.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

import nas_plugins as nap
from nas_plugins.numerics.ranks import normal_scores
from nas_plugins.reproduction.documents import ResultTable
from nas_plugins.strategies.arch_vq.features import describer
from nas_plugins.strategies.arch_vq.loading import latent_for
from nas_plugins.strategies.arch_vq.lstm import kendall_tau
from nas_plugins.strategies.arch_vq.predictors import (
    PREDICTORS,
    Labelled,
    beliefs,
)

SPACE = nap.space("nasbench201")
LEVELS = (0.9, 0.5)
TESTED = 1500


def trial(
    kind: str, losses: npt.NDArray[np.float64], n: int, seed: int, model: str | None
) -> list[float]:
    """Kendall's tau and the shares inside the intervals, for one draw of labelled cells."""
    rows = np.concatenate(list(SPACE.enumerate()))
    order = np.random.default_rng(seed).permutation(len(rows))
    known, tested = order[:n], order[n : n + TESTED]
    describe = describer(latent_for(SPACE, model))
    scores = normal_scores(losses[known], np.zeros(n))
    labelled = Labelled(np.ascontiguousarray(rows[known]), scores)
    (found,) = beliefs(
        kind,
        describe,
        settled=[labelled],
        rows=labelled.rows,
        scores=scores[:, None],
        candidates=describe(rows[tested]),
    )
    ranked = np.argsort(losses[known])
    truth = np.interp(losses[tested], losses[known][ranked], scores[ranked])
    spread = np.sqrt(found.deviation**2 + found.noise)
    error = np.abs(truth - found.mean) / spread
    inside = [float(np.mean(error < NormalDist().inv_cdf(0.5 + p / 2))) for p in LEVELS]
    return [kendall_tau(found.mean, losses[tested]), *inside]


def main(
    benchmark: Annotated[str, typer.Option(help="A table of NAS-Bench-201.")] = (
        "nasbench201/cifar10"
    ),
    labels: Annotated[str, typer.Option(help="Comma-separated numbers of labels.")] = "10,30,100",
    seeds: Annotated[int, typer.Option(min=2, help="Draws of labelled cells.")] = 10,
    kinds: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(PREDICTORS),
    model: Annotated[str | None, typer.Option(help="As the strategy's option.")] = None,
) -> None:
    """Prints rank correlation and coverage of the predictors."""
    cells = SPACE.architectures(np.concatenate(list(SPACE.enumerate())))
    measured = nap.benchmark(benchmark).evaluate(cells)
    losses = np.array([-values["val_accuracy"] for values in measured])
    rows: list[tuple[str, ...]] = []
    for kind in kinds.split(","):
        for n in map(int, labels.split(",")):
            found = np.array([trial(kind, losses, n, seed, model) for seed in range(seeds)])
            mean, spread = found.mean(axis=0), found.std(axis=0, ddof=1)
            cells_of_row = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
            rows.append((kind, str(n), *cells_of_row))
    heads = ("predictor", "labels", "tau", "in 90 %", "in 50 %")
    title = f"{benchmark}, {seeds} draws"
    print(ResultTable(title, heads, tuple(rows), numbers_from=1).text())


if __name__ == "__main__":
    typer.run(main)
