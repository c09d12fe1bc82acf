"""Trains NAS-Bench-201 cells on the digits and compares with the benchmark; prunes a search.

python scripts/training.py --cells 20 --epochs 10 --seed 0
python scripts/training.py --search --trials 30 --epochs 10 --seeds 3

The first line prints Spearman's correlation of what the evaluator ``training`` measures with the
cells' validation accuracy on CIFAR-10, beside that of the number of parameters, which costs
nothing. The second runs random search without pruning, with the median rule and with Hyperband,
on the same architectures.
"""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
import numpy.typing as npt
import optuna
import typer
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import TrialState

import nas_plugins as nap
from nas_plugins.errors import NasPluginsError
from nas_plugins.evaluators.training import TrainingEvaluator
from nas_plugins.numerics.ranks import spearman
from nas_plugins.optuna import create_study, objective

Floats = npt.NDArray[np.float64]


def main(
    *,
    cells: Annotated[int, typer.Option(help="Random cells to train.")] = 20,
    epochs: Annotated[int, typer.Option(help="Epochs per training.")] = 10,
    resolution: Annotated[int, typer.Option(help="Of the images.")] = 8,
    channels: Annotated[int, typer.Option(help="Of the first stage.")] = 8,
    depth: Annotated[int, typer.Option(help="Cells per stage.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the cells and of the training.")] = 0,
    search: Annotated[bool, typer.Option("--search", help="Compare pruners instead.")] = False,
    trials: Annotated[int, typer.Option(help="Trials per search.")] = 30,
    seeds: Annotated[int, typer.Option(help="Searches per pruner.")] = 3,
) -> None:
    """Prints one table."""
    network = {"channels": channels, "cells": depth}
    if not search:
        evaluator = TrainingEvaluator(
            epochs=epochs, resolution=resolution, network=network, seed=seed
        )
        return correlations(evaluator, cells, seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| pruner | seed | complete | pruned | epochs trained | CPU s | best val |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for number in range(seed, seed + seeds):
        evaluator = TrainingEvaluator(
            epochs=epochs, resolution=resolution, network=network, seed=number
        )
        for pruner in (NopPruner(), MedianPruner(), HyperbandPruner()):
            print(pruned_search(evaluator, pruner, trials, epochs, number), flush=True)
    return None


def correlations(evaluator: TrainingEvaluator, cells: int, seed: int) -> None:
    """Trains random cells and prints how well each metric ranks them."""
    bench = nap.benchmark("nasbench201/cifar10")
    rng = np.random.default_rng(seed)
    architectures = bench.space.architectures(bench.space.random(cells, rng))
    truth = np.array([row["val_accuracy"] for row in bench.evaluate(architectures)])
    begun = time.process_time()  # the machine may have other work
    rows = evaluator.evaluate(architectures)
    cpu = (time.process_time() - begun) / cells
    seconds = np.array([row["train_seconds"] for row in rows])
    print(f"{evaluator!r}, {evaluator.dataset}, {cells} cells")
    print(
        f"{cpu:.1f} CPU s per cell, train_seconds {seconds.min():.1f} to {seconds.max():.1f}; "
        f"val_accuracy {min(r['val_accuracy'] for r in rows):.2f} to "
        f"{max(r['val_accuracy'] for r in rows):.2f}"
    )
    print("| measured | Spearman with CIFAR-10 validation accuracy |")
    print("| --- | --: |")
    for name in ("val_accuracy", "test_accuracy", "val_loss"):
        sign = -1 if name == "val_loss" else 1
        values = np.array([sign * row[name] for row in rows])
        print(f"| {'minus ' if sign < 0 else ''}{name} | {spearman(values, truth):.2f} |")
    params = [bench.space.complexity(a).params for a in architectures]
    print(f"| number of parameters | {spearman(np.array(params), truth):.2f} |")


def pruned_search(
    evaluator: TrainingEvaluator, pruner: BasePruner, trials: int, epochs: int, seed: int
) -> str:
    """One search and its row."""
    space = nap.space("nasbench201")
    study = create_study(space, ["val_accuracy:max"], strategy="random", seed=seed, pruner=pruner)
    begun = time.process_time()  # the machine may have other work
    function = objective(evaluator, space, ["val_accuracy:max"])
    study.optimize(function, n_trials=trials, catch=NasPluginsError)
    seconds = time.process_time() - begun
    done = [t for t in study.trials if t.state == TrialState.COMPLETE]
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    trained = sum(t.last_step or 0 for t in pruned) + epochs * len(done)
    name = type(pruner).__name__.removesuffix("Pruner").replace("Nop", "none").lower()
    return (
        f"| {name} | {seed} | {len(done)} | {len(pruned)} | {trained} | {seconds:.0f} "
        f"| {study.best_value:.2f} |"
    )


if __name__ == "__main__":
    typer.run(main)
