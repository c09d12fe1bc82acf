"""NNI's DARTS space without training: zero-cost scores of the networks that NNI builds.

pip install 'nas-plugins[nni]'
python examples/nni_darts_zero_cost.py
"""

from __future__ import annotations

import time
from typing import Annotated

import nas_plugins.nni

# isort: split
# After ours, which silences two warnings that NNI prints with a current PyTorch.
import nni
import typer
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.hub.pytorch import DARTS

OBJECTIVES = ("meco:max", "params:min")


def main(
    trials: Annotated[int, typer.Option(min=1)] = 30,
    resolution: Annotated[int, typer.Option(min=4, help="Height and width of the images.")] = 32,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Searches for a high score with few parameters and prints the front."""
    nni.silence_stdout()
    evaluator = nas_plugins.nni.evaluator(
        "zero-cost",
        proxies=["meco", "params"],
        batch_size=16,
        resolution=resolution,
        objectives=OBJECTIVES,
    )
    # The model of DARTS cells that comes with the package proposes; nothing is trained first.
    strategy = nas_plugins.nni.ArchVQ(seed=seed)
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    space = DARTS(width=16, num_cells=8, dataset="cifar")
    experiment = NasExperiment(space, evaluator, strategy, config)
    begin = time.perf_counter()
    experiment.run()
    seconds = time.perf_counter() - begin
    complete, history = len(strategy.history.complete), strategy.history
    print(f"{complete} of {len(history)} networks scored in {seconds:.0f} s, none trained")
    print("    meco  params [M]  normal cell")
    for entry in sorted(strategy.pareto_front(), key=lambda entry: entry.values["params"]):
        normal = " ".join(
            f"{entry.sample[f'normal/op_{node}_{i}']}({entry.sample[f'normal/input_{node}_{i}'][0]})"
            for node in range(2, 6)
            for i in range(2)
        )
        print(f"{entry.values['meco']:8.2f} {entry.values['params']:11.3f}  {normal}")
    (best,) = experiment.export_top_models(1, formatter="instance")  # by the first objective
    print(f"the best by meco as a {type(best).__name__}, ready to train: ", end="")
    print(f"{sum(weight.numel() for weight in best.parameters()):,} parameters")
    experiment.stop()


if __name__ == "__main__":
    typer.run(main)
