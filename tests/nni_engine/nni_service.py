"""One experiment on NNI's local training service; a program of its own, so it can be killed.

Usage: python nni_service.py run|resume FOLDER IDENTITY N_TRIALS PORT
Prints a line of JSON whenever the number of complete trials has changed, and one at the end.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import nas_plugins.nni

OBJECTIVES = ["val_accuracy:max", "latency_ms:min"]


def main(action: str, folder: Path, identity: str, n_trials: int, port: int) -> None:
    """Runs or resumes the experiment, with two workers."""
    from nni.nas.experiment import NasExperiment, NasExperimentConfig
    from nni.nas.hub.pytorch import NasBench201
    from nni.nas.strategy import ArchiveEvolution

    evaluator = nas_plugins.nni.evaluator("nasbench201/cifar10", objectives=OBJECTIVES)
    config = NasExperimentConfig("ts", "simplified", "local")
    config.max_trial_number = n_trials
    config.trial_concurrency = 2
    config.trial_gpu_number = 0
    config.experiment_working_directory = folder
    strategy = ArchiveEvolution(seed=0)
    experiment = NasExperiment(NasBench201(), evaluator, strategy, config, id=identity)
    ended = threading.Event()

    def tell() -> None:
        told = -1
        while not ended.wait(0.2):
            try:
                found = len(strategy.history.complete)
            except nas_plugins.errors.EngineError:
                continue
            if found != told:
                told = found
                print(json.dumps({"complete": found}), flush=True)

    threading.Thread(target=tell, daemon=True).start()
    (experiment.run if action == "run" else experiment.resume)(port)
    ended.set()
    time.sleep(0.5)
    top = experiment.export_top_models(100)
    result = {
        "states": [trial.state.value for trial in strategy.history.trials],
        "reasons": [trial.notes.get("reason") for trial in strategy.history.trials],
        "keys": [str(trial.architecture) for trial in strategy.history.trials],
        "metrics": [dict(strategy.metrics(i)) for i in range(len(strategy.history))],
        "top": [model.metric for model in top],
        "front": [entry.trial.number for entry in strategy.pareto_front()],
        "engine": len(list(strategy.engine.list_models())),
    }
    experiment.stop()
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    import nas_plugins.errors

    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
