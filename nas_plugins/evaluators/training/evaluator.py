"""The evaluator that trains every architecture it is asked about."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas_plugins._images import shape_text
from nas_plugins._torch import chosen_device, torch
from nas_plugins._wording import excerpt
from nas_plugins.errors import EvaluationError
from nas_plugins.evaluators.training.checkpoint import Checkpoint
from nas_plugins.evaluators.training.dataset import Dataset
from nas_plugins.evaluators.training.digits import digits
from nas_plugins.evaluators.training.fit import NetworkTraining
from nas_plugins.evaluators.training.networks import network_options
from nas_plugins.evaluators.training.settings import TrainingSettings
from nas_plugins.protocols import Evaluator, Metric, MetricValues, Report
from nas_plugins.spaces.base import Architecture, SearchSpace

_FORMAT = 1
# Weights come from PyTorch's global generator, and time and memory are the process's: two
# trainings in threads of one process would disturb each other.
_ONE_AT_A_TIME = threading.RLock()


class TrainingEvaluator(Evaluator):
    """Trains networks of architectures and measures them on images they were not trained on.

    Works for every space with a ``network`` whose module maps `(B, C, H, W)` images to
    `(B, classes)` logits. The same architecture and seed give the same accuracies and losses on
    a CPU, in any order and process; on a GPU they may differ in the last digits. Trainings in
    threads of one process wait for each other.

    A training that diverges, does not fit into memory or whose network fails has no metrics:
    `evaluate` returns a dictionary that is empty and raises the reason when asked for one,
    `evaluate_reporting` raises `EvaluationError`.

    Args:
        dataset: ``"digits"`` (needs scikit-learn), the path of an ``.npz`` file (see
            `Dataset.from_file`), or a `Dataset`.
        resolution: Height and width to interpolate the images to; as they are if ``None``.
        network: Options of the space's network. What is not given is small enough to train in
            seconds, the size ``"training"`` of its `network_sizes`.
        epochs: Passes over the training images.
        batch_size: Most images per step.
        learning_rate: Of the first step; a cosine leads to 0 after the last epoch.
        momentum: Of SGD, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: On all parameters.
        norm_momentum: Of the running statistics of batch normalisation; ``None`` leaves the
            network's own.
        patience: Epochs without a better validation accuracy (a lower loss where it is equal)
            after which training ends. The metrics are then those of the best epoch, otherwise
            those of the last.
        seed: Of weights, order and dropout. The split of the digits does not depend on it.
        device: ``"auto"`` (CUDA where there is any, else the CPU) or PyTorch's name of one.
        threads: Threads of PyTorch while training on a CPU.
        checkpoints: Folder for one file per training, written after every epoch. A training
            that was interrupted goes on from its last epoch to the same numbers; one that has
            ended is not repeated.

    Raises:
        ValueError: An argument is out of range, or the device or folder cannot be used.
        DataError: The file of `dataset` is not one.
        MissingDependencyError: The digits are asked for without scikit-learn.
    """

    judges_networks = True

    def __init__(
        self,
        *,
        dataset: str | Path | Dataset = "digits",
        resolution: int | None = None,
        network: Mapping[str, Any] | None = None,
        epochs: int = 10,
        batch_size: int = 64,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
        norm_momentum: float | None = 0.1,
        patience: int | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int = 1,
        checkpoints: str | Path | None = None,
    ) -> None:
        self._settings = TrainingSettings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            norm_momentum=norm_momentum,
            patience=patience,
            seed=seed,
            threads=threads,
        )
        if network is not None and not isinstance(network, Mapping):
            raise ValueError(f"`network` must map names of options to values, got {network!r}")
        self._network = dict(network or {})
        self._device = chosen_device(device)
        self._data = _dataset(dataset)
        if resolution is not None:
            self._data = self._data.resized(resolution)
        self._checkpoints = None if checkpoints is None else _folder(checkpoints)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What a training gives; ``test_accuracy`` where the data have a test part."""
        return tuple(m for m in _METRICS if m.name != "test_accuracy" or self._data.test)

    @property
    def dataset(self) -> Dataset:
        """What is trained on, interpolated if that was asked for."""
        return self._data

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Channels, height and width of the images."""
        return self._data.shape

    def for_data(self, shape: tuple[int, ...]) -> TrainingEvaluator:
        """Itself; see `Evaluator.for_data`.

        Raises:
            ValueError: Its images have another shape.
        """
        if shape != self.data_shape:
            raise ValueError(
                f"training on images of {shape_text(self.data_shape)} does not go with a data set "
                f"of {shape_text(shape)}; "
                "give both `resolution` and the same channels"
            )
        return self

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        settings = self._settings
        return (
            f"trained for {settings.epochs} epochs on {self._data}, seed {settings.seed}, "
            f"{self._device}"
        )

    def check(self, space: SearchSpace) -> None:
        """Refuses a space that has no networks, or whose networks do not take the options.

        Raises:
            ValueError: It has none.
            UnknownNameError: Its builder does not take one of the options.
        """
        space.check_network(self._network)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Trains each architecture; one that fails leaves the others their values.

        Returns:
            One `MetricValues` per architecture, in order; empty where training failed: reading
            a metric then raises `MetricUnavailableError` with the reason.

        Raises:
            UnknownNameError: The space's network does not take an option that was given.
        """
        found: dict[Architecture, dict[str, float]] = {}
        for architecture in architectures:
            if architecture not in found:
                found[architecture] = self._values(architecture)
        return [copy.copy(found[architecture]) for architecture in architectures]

    @property
    def reports(self) -> bool:
        """Yes, after every epoch."""
        return True

    def evaluate_reporting(self, architecture: Architecture, report: Report) -> dict[str, float]:
        """Trains one architecture and tells `report` of every epoch.

        Args:
            architecture: What to train.
            report: Called with the number of epochs done, from 1, and ``val_accuracy`` and
                ``val_loss``, after every epoch but the last; also for the epochs of an earlier
                run that this one goes on with. What it raises ends the training, whose
                checkpoint stays.

        Raises:
            EvaluationError: Training diverges or runs out of memory, or the network fails.
            UnknownNameError: The space's network does not take an option that was given.
        """
        space = architecture.space
        channels = self._data.shape[0]
        options = network_options(
            space, self._network, classes=self._data.classes, in_channels=channels
        )
        fit = NetworkTraining(
            lambda: space.network(architecture, **options),
            self._data,
            self._settings,
            key=(space.name, architecture.key),
            device=self._device,
            checkpoint=self._checkpoint(architecture, options),
        )
        with self._alone():
            return fit.run(report)

    def _values(self, architecture: Architecture) -> dict[str, float]:
        try:
            return self.evaluate_reporting(architecture, lambda step, metrics: None)
        except EvaluationError as error:
            gaps = {metric.name: str(error) for metric in self.metrics}
            return MetricValues({}, gaps=gaps)

    def _checkpoint(
        self, architecture: Architecture, options: Mapping[str, Any]
    ) -> Checkpoint | None:
        if self._checkpoints is None:
            return None
        identity = json.dumps(
            {
                "format": _FORMAT,
                "space": architecture.space.to_json(),
                "architecture": str(architecture),
                "network": options,
                "data": self._data.digest,
                "device": self._device.type,
                **asdict(self._settings),
            },
            sort_keys=True,
            default=repr,
        )
        digest = hashlib.sha256(identity.encode()).hexdigest()[:20]
        name = f"{architecture.space.name}-{digest}.safetensors"
        return Checkpoint(self._checkpoints / name, identity)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Leaves PyTorch's generator and number of threads as they were, and frees memory."""
        cuda = self._device.type == "cuda"
        with _ONE_AT_A_TIME, torch.random.fork_rng([self._device] if cuda else []):
            threads = torch.get_num_threads()
            torch.set_num_threads(self._settings.threads)
            try:
                yield
            finally:
                torch.set_num_threads(threads)
                if cuda:
                    torch.cuda.empty_cache()

    def __repr__(self) -> str:
        changed = {
            name: value
            for name, value in asdict(self._settings).items()
            if value != getattr(TrainingSettings, name)
        }
        options = {"dataset": str(self._data.name), **changed}
        if self._network:
            options["network"] = self._network
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"


def _dataset(dataset: str | Path | Dataset) -> Dataset:
    if isinstance(dataset, Dataset):
        return dataset
    if isinstance(dataset, str) and dataset == "digits":
        return digits()
    if isinstance(dataset, (str, Path)) and Path(dataset).suffix == ".npz":
        return Dataset.from_file(dataset)
    raise ValueError(
        "`dataset` must be 'digits', the path of an .npz file or a "
        f"nas_plugins.evaluators.training.Dataset, got {excerpt(dataset)}"
    )


def _folder(path: str | Path) -> Path:
    folder = Path(path).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"`checkpoints` must be a folder, got {str(path)!r}: {error}") from error
    return folder


_METRICS = (
    Metric("val_accuracy", "%", "max", "on the validation part, after training"),
    Metric("val_loss", "", "min", "mean cross-entropy on the validation part, in nats"),
    Metric("test_accuracy", "%", "max", "on the test part, after training"),
    Metric("train_seconds", "s", "min", "wall time of training and validation"),
    Metric(
        "peak_memory_mb",
        "MB",
        "min",
        "CUDA: most memory allocated by PyTorch; CPU: parameters, gradients, momentum, buffers "
        "and what the forward pass of one batch saves; in units of 2**20 bytes",
    ),
    Metric("epochs", "", "min", "epochs trained"),
)
