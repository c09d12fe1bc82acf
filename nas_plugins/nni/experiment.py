"""Experiments that live in a folder of their own, and nowhere else."""

from __future__ import annotations

import functools
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nni.experiment import launcher
from nni.nas.evaluator import Evaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.hub.pytorch import NasBench201 as HubNasBench201
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.strategy.base import Strategy
from nni.runtime import log
from nni.tools.nnictl.config_utils import Experiments

from nas_plugins._reading import json_file, reason
from nas_plugins.errors import DataError, EngineError, NasPluginsError
from nas_plugins.nni._space import model_space
from nas_plugins.nni.folder import SEQUENTIAL, SERVICE, experiments_in
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.nasbench201 import NASBench201

_LIST = ".experiment"
_LARGEST_LIST = 1 << 24
_SERVICE_PACKAGE = "nni_node"
_GRACE_S = 10.0


def published_or_own(space: SearchSpace) -> ModelSpace:
    """NNI's own model space where it has the same architectures, otherwise ours.

    That is its ``NasBench201``: a script that uses it can go on with the experiment. Its
    ``NasBench101`` knows pruned cells only, and its ``DARTS`` is of one network size.
    """
    return HubNasBench201() if space == NASBench201() else model_space(space)


def experiment(
    space: ModelSpace,
    evaluator: Evaluator,
    strategy: Strategy,
    *,
    folder: Path,
    identity: str,
    workers: int = 1,
) -> KeptExperiment:
    """Makes an experiment without a limit on trials, which is the strategy's to keep.

    Args:
        space: What is searched.
        evaluator: For several workers it is sent to trial processes.
        strategy: Chooses and ends.
        folder: Where NNI makes a folder of the experiment.
        identity: Name of that folder; see `is_identity`.
        workers: With one, trials run in this process, otherwise in NNI's local training service.
    """
    if workers == 1:
        config = NasExperimentConfig(SEQUENTIAL, "simplified")
        config.execution_engine.continue_on_failure = True
    else:
        config = NasExperimentConfig(SERVICE, "simplified", "local")
        config.trial_concurrency = workers
    config.experiment_working_directory = str(folder.resolve())
    return KeptExperiment(space, evaluator, strategy, config, id=identity)


class KeptExperiment(NasExperiment):  # type: ignore[misc]
    """An experiment that is found by its folder.

    NNI lists all experiments of a user in the home folder and resumes only what is listed. Here
    the list of those with a training service lies beside them, and others need none.
    """

    def has_checkpoint(self) -> bool:
        """Whether its folder holds a state."""
        return self.id in experiments_in(self._checkpoint_directory.parents[1])

    def load_checkpoint(self) -> None:
        """As NNI's, which raises whatever the bytes of a file happen to mean.

        Raises:
            EngineError: The checkpoint is damaged, or of another search.
        """
        try:
            super().load_checkpoint()
        except NasPluginsError:
            raise
        except Exception as error:
            raise EngineError(
                f"the checkpoint in {self._checkpoint_directory} cannot be read: {reason(error)}"
            ) from error

    def search(self, *, resume: bool) -> None:
        """Runs or resumes it until its strategy ends, then stops it whatever happened.

        Nobody else may work on it: a service that a killed run has left behind is ended.
        """
        _end_service(self._checkpoint_directory.parents[1], self.id)
        try:
            (self.resume if resume else self.run)(_free_port(), wait_completion=False)
        finally:
            self.stop()

    def _start_without_nni_manager(self) -> None:
        """Nothing: what runs in this process is not listed."""

    def _stop_without_nni_manager(self) -> None:
        """Nothing."""

    def _start_nni_manager(self, *args: Any, **options: Any) -> None:
        folder = self._checkpoint_directory.parents[1]
        before = launcher.Experiments
        launcher.Experiments = functools.partial(Experiments, str(folder))
        try:
            super()._start_nni_manager(*args, **options)
        finally:
            launcher.Experiments = before


def _end_service(folder: Path, identity: str) -> None:
    """Ends the service of an experiment that outlived its search, and its trials with it."""
    import psutil

    try:
        listed = json_file(folder / _LIST, "the list of experiments", most=_LARGEST_LIST)
        process = psutil.Process(listed[identity]["pid"])
        words = process.cmdline()
    except (DataError, OSError, ValueError, OverflowError, KeyError, TypeError, psutil.Error):
        return
    ours = ["--experiment-id", identity] in [words[i : i + 2] for i in range(len(words))]
    if not ours or not any(_SERVICE_PACKAGE in word for word in words):
        return  # another process has the number by now
    logging.getLogger(__name__).warning(
        "ending the NNI service (process %d) that an earlier run left behind", process.pid
    )
    everyone = [*process.children(recursive=True), process]
    process.terminate()
    for late in psutil.wait_procs(everyone, timeout=_GRACE_S)[1]:
        late.kill()


@contextmanager
def logs_in_files() -> Iterator[None]:
    """Leaves NNI's messages to the log file of the experiment in this block."""
    logger, nothing = logging.getLogger("nni"), logging.NullHandler()
    shown, hook = "_stdout_" in log._handlers, threading.excepthook

    def write(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            logger.error("a thread of NNI's has ended", exc_info=args.exc_value)

    log.silence_stdout()
    logger.addHandler(nothing)  # before the file is open Python would print warnings
    threading.excepthook = write
    try:
        yield
    finally:
        threading.excepthook = hook
        logger.removeHandler(nothing)
        if shown:
            log.start_stdout_logging()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port: int = free.getsockname()[1]
    return port
