"""Prints what a strategy costs per trial in an NNI experiment, beside NNI's own evolution.

NAS-Bench-201 is searched on NNI's sequential engine with a table behind the evaluator, so that
nearly all of the time is the engine's and the strategy's. "evaluation" is the part that the
evaluator itself takes; "rest" is what remains per trial, and "ratio" is that as a multiple of
the rest of NNI's RegularizedEvolution in the same round. The strategies take turns; shown are
the median over the rounds and, of the ratio, the least and the most. Times are those of the
processor, so that other work on the machine matters little; use one thread (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import nas_plugins as nap
import nas_plugins.nni
from nas_plugins.reproduction.documents import ResultTable

REFERENCE = "NNI's RegularizedEvolution"
STRATEGIES = ["random", "local-search", "regularized-evolution", "archive-evolution", "arch-vq"]


def measure(strategy: Any, n_trials: int, table: Any, folder: Path) -> tuple[float, float]:
    """Milliseconds of processor time per trial: all of it, and the evaluator's part."""
    from nni.nas.experiment import NasExperiment, NasExperimentConfig
    from nni.nas.hub.pytorch import NasBench201

    spent = 0.0
    evaluator = nas_plugins.nni.evaluator(table)
    execute = evaluator._execute

    def timed(model: Any) -> Any:
        nonlocal spent
        start = time.process_time()
        try:
            return execute(model)
        finally:
            spent += time.process_time() - start

    evaluator._execute = timed
    config = NasExperimentConfig("sequential", "simplified")
    config.max_trial_number = n_trials
    config.experiment_working_directory = folder
    config.log_level = "error"
    experiment = NasExperiment(NasBench201(), evaluator, strategy, config)
    start = time.process_time()
    experiment.run()
    total = time.process_time() - start
    n_models = len(list(strategy.list_models(sort=False)))
    if n_models != n_trials:
        raise RuntimeError(f"expected {n_trials} trials, got {n_models}")
    experiment.stop()
    return 1000 * total / n_trials, 1000 * spent / n_trials


def main(
    trials: Annotated[int, typer.Option(min=1, help="Trials per search.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Searches per strategy.")] = 3,
    strategies: Annotated[
        list[str] | None, typer.Option(help="Registered names; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Prints milliseconds of processor time per trial, and multiples of NNI's own evolution."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # NNI reads it at its import, for its list of experiments
        nas_plugins.nni.require_nni()
        import nni
        from nni.nas.strategy import RegularizedEvolution

        nni.silence_stdout()
        logging.getLogger("nas_plugins").setLevel(logging.ERROR)
        table = nap.benchmark("nasbench201/cifar10")
        searches: dict[str, Callable[[int], Any]] = {
            REFERENCE: lambda s: RegularizedEvolution(seed=s)
        }
        for name in strategies or STRATEGIES:
            searches[name] = lambda s, name=name: nas_plugins.nni.strategy(name, seed=s)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in searches}
        for i in range(-1, rounds):
            for name, make in searches.items():
                n = min(trials, 30) if i < 0 else trials  # the first round loads what is needed
                times = measure(make(seed + max(i, 0)), n, table, Path(home))
                if i >= 0:
                    found[name].append(times)
    _print(found, f"{trials:,} trials, {rounds} rounds, seeds {seed}..{seed + rounds - 1}")


def _print(found: dict[str, list[tuple[float, float]]], title: str) -> None:
    rest = {name: [total - own for total, own in times] for name, times in found.items()}
    heads = ("strategy", "all [ms]", "evaluation [ms]", "rest [ms]", "ratio", "from..to")
    rows: list[tuple[str, ...]] = []
    for name, times in found.items():
        ratios = [one / other for one, other in zip(rest[name], rest[REFERENCE], strict=True)]
        middles = ([t for t, _ in times], [e for _, e in times], rest[name], ratios)
        medians = (f"{statistics.median(values):.2f}" for values in middles)
        rows.append((name, *medians, f"{min(ratios):.2f}..{max(ratios):.2f}"))
    print(ResultTable(title, heads, tuple(rows), numbers_from=1).text())


if __name__ == "__main__":
    typer.run(main)
