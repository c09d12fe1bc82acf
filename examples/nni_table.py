"""One changed line in an NNI experiment: NAS-Bench-201, two objectives, no training.

pip install 'nas-plugins[nni]'
python examples/nni_table.py
"""

from __future__ import annotations

import nas_plugins.nni

# isort: split
# After ours, which silences two warnings that NNI prints with a current PyTorch.
import nni
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.hub.pytorch import NasBench201

OBJECTIVES = ("val_accuracy:max", "latency_ms:min")


def main(trials: int = 100) -> None:
    """Searches and prints the front."""
    nni.silence_stdout()
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    evaluator = nas_plugins.nni.evaluator("nasbench201/cifar10", objectives=OBJECTIVES)
    strategy = nas_plugins.nni.ArchiveEvolution(seed=0)  # was: RegularizedEvolution()
    experiment = NasExperiment(NasBench201(), evaluator, strategy, config)
    experiment.run()
    for entry in strategy.pareto_front():
        print(*(f"{value:8.3f}" for value in entry.values.values()), entry.architecture)
    print("best by the first objective:", experiment.export_top_models(1, formatter="dict")[0])
    experiment.stop()


if __name__ == "__main__":
    main()
