"""Training one network: epochs, validation, early stop, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field

from nas_plugins._torch import nn, torch
from nas_plugins.errors import EvaluationError
from nas_plugins.evaluators.training.checkpoint import Checkpoint, Content
from nas_plugins.evaluators.training.dataset import Dataset, Part
from nas_plugins.evaluators.training.failures import failures_named
from nas_plugins.evaluators.training.memory import MemoryMeter
from nas_plugins.evaluators.training.settings import TrainingSettings, derived_seed
from nas_plugins.protocols import Report

_MIB = 2**20
_FEWEST_AT_ONCE = 256  # images per forward pass without gradients
_NETWORK, _MOMENTUM = "network.", "momentum."


@dataclass
class TrainingState:
    """All plain values that change from epoch to epoch.

    Attributes:
        epoch: Epochs done.
        seconds: Time they took.
        memory: Bytes at the peak.
        accuracies: On the validation part, in percent, per epoch.
        losses: On the validation part, mean cross-entropy in nats, per epoch.
        best: The epoch whose values count, from 1.
        test_accuracy: In percent after that epoch, where there is a test part.
    """

    epoch: int = 0
    seconds: float = 0.0
    memory: int = 0
    accuracies: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best: int = 0
    test_accuracy: float | None = None


class NetworkTraining:
    """One training.

    Every epoch draws from a seed of its own, so that neither the order of trainings nor an
    interruption changes the numbers and no state of a generator need be kept.

    Args:
        build: Makes the network, drawing weights from PyTorch's global generator.
        data: On the CPU.
        settings: How to train.
        key: What the seeds follow from beside the seed of the settings.
        device: Where to train.
        checkpoint: Where the state is kept after every epoch, or ``None``.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        data: Dataset,
        settings: TrainingSettings,
        *,
        key: tuple[object, ...],
        device: torch.device,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._build, self._data, self._settings = build, data, settings
        self._key, self._device, self._checkpoint = key, device, checkpoint
        self._state = TrainingState()
        self._steps = math.ceil(len(data.train) / settings.batch_size)

    def run(self, report: Report) -> dict[str, float]:
        """Trains to the end and returns the metrics.

        Args:
            report: Told the validation metrics after every epoch that another one follows,
                from 1, those of an earlier run that this one goes on with included. What it
                raises ends the training.

        Raises:
            EvaluationError: The network fails, diverges or does not fit into memory.
        """
        content = self._checkpoint.load() if self._checkpoint else None
        if content is not None:
            self._state = TrainingState(**content[1])
        for epoch in range(1, self._state.epoch + 1 - self._over):
            report(epoch, self._values(epoch))
        if not self._over:
            with failures_named("before the first epoch"):
                data = self._data.to(self._device)
                meter = MemoryMeter(self._device)
                network, optimizer = self._start(content)
            while not self._over:
                with failures_named(f"in epoch {self._state.epoch + 1}"):
                    self._epoch(network, optimizer, data, meter)
                self._save(network, optimizer)
                if not self._over:
                    report(self._state.epoch, self._values(self._state.epoch))
        return self._metrics()

    @property
    def _over(self) -> bool:
        state, patience = self._state, self._settings.patience
        waited = state.epoch - state.best
        return state.epoch >= self._settings.epochs or (
            patience is not None and state.epoch > 0 and waited >= patience
        )

    # -- the network and its optimiser -----------------------------------------------------

    def _start(self, content: Content | None) -> tuple[nn.Module, torch.optim.SGD]:
        network, optimizer = self._fresh()
        if content is None or self._checkpoint is None:
            return network, optimizer
        try:
            _restore(network, optimizer, content[0])
        except (KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            self._checkpoint.refuse(f"it does not fit the network ({reason})")
            self._state = TrainingState()
            return self._fresh()
        return network, optimizer

    def _fresh(self) -> tuple[nn.Module, torch.optim.SGD]:
        settings = self._settings
        torch.manual_seed(derived_seed(settings.seed, *self._key, "weights"))
        network = self._build()
        if not isinstance(network, nn.Module):
            raise TypeError(f"it is no torch.nn.Module but a {type(network).__name__}")
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and settings.norm_momentum:
                module.momentum = settings.norm_momentum
        network = network.to(self._device)
        optimizer = torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad],
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
        )
        return network, optimizer

    # -- one epoch -------------------------------------------------------------------------

    def _epoch(
        self,
        network: nn.Module,
        optimizer: torch.optim.SGD,
        data: Dataset,
        meter: MemoryMeter,
    ) -> None:
        state = self._state
        begun, epoch = time.perf_counter(), state.epoch + 1
        self._train(network, optimizer, data.train, meter)
        accuracy, loss = self._score(network, data.val)
        if not math.isfinite(loss):
            raise _diverged(epoch, loss)
        state.accuracies.append(accuracy)
        state.losses.append(loss)
        state.epoch = epoch
        better = self._is_best(epoch)
        if better:
            state.best = epoch
        if data.test is not None and better and (self._settings.patience or self._over):
            state.test_accuracy = self._score(network, data.test)[0]
        peak = meter.peak(network, momentum=self._settings.momentum > 0)
        state.memory = max(state.memory, peak)
        state.seconds += time.perf_counter() - begun

    def _is_best(self, epoch: int) -> bool:
        """Whether the values of the last epoch count; without patience they always do."""
        state = self._state
        if self._settings.patience is None or not state.best:
            return True
        now, best = epoch - 1, state.best - 1
        return (state.accuracies[now], -state.losses[now]) > (
            state.accuracies[best],
            -state.losses[best],
        )

    def _train(
        self, network: nn.Module, optimizer: torch.optim.SGD, part: Part, meter: MemoryMeter
    ) -> None:
        settings, steps = self._settings, self._steps
        epoch = self._state.epoch
        torch.manual_seed(derived_seed(settings.seed, *self._key, "epoch", epoch))
        order = torch.randperm(len(part)).to(self._device)
        total = torch.zeros((), device=self._device)
        network.train()
        for step, rows in enumerate(order.tensor_split(steps)):
            rate = settings.rate(epoch * steps + step, settings.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with meter.forward() if meter.counts else nullcontext():
                logits = self._logits(network, part.images[rows])
                loss = nn.functional.cross_entropy(logits, part.labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
        if not torch.isfinite(total):
            raise _diverged(epoch + 1, float(total))

    @torch.no_grad()
    def _score(self, network: nn.Module, part: Part) -> tuple[float, float]:
        """Accuracy in percent and mean cross-entropy."""
        network.eval()
        hits, total = 0, 0.0
        for rows in _chunks(len(part), max(self._settings.batch_size, _FEWEST_AT_ONCE)):
            labels = part.labels[rows]
            logits = self._logits(network, part.images[rows])
            hits += int((logits.argmax(1) == labels).sum())
            total += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
        return 100 * hits / len(part), total / len(part)

    def _logits(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        logits = network(images)
        wanted = (len(images), self._data.classes)
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
            found = getattr(logits, "shape", None)
            got = type(logits).__name__ if found is None else f"shape {tuple(found)}"
            raise ValueError(
                f"it must map images {tuple(images.shape)} to logits {wanted}, got {got}"
            )
        return logits

    # -- results and checkpoints -----------------------------------------------------------

    def _values(self, epoch: int) -> dict[str, float]:
        state = self._state
        return {
            "val_accuracy": state.accuracies[epoch - 1],
            "val_loss": state.losses[epoch - 1],
        }

    def _metrics(self) -> dict[str, float]:
        state = self._state
        test = {} if state.test_accuracy is None else {"test_accuracy": state.test_accuracy}
        return {
            **self._values(state.best),
            **test,
            "train_seconds": state.seconds,
            "peak_memory_mb": state.memory / _MIB,
            "epochs": float(state.epoch),
        }

    def _save(self, network: nn.Module, optimizer: torch.optim.SGD) -> None:
        if self._checkpoint is None:
            return
        tensors = {_NETWORK + name: t for name, t in network.state_dict().items()}
        if not self._over:  # nothing goes on from a training that is over
            for name, parameter in network.named_parameters():
                momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
                if momentum is not None:
                    tensors[_MOMENTUM + name] = momentum
        self._checkpoint.save(tensors, asdict(self._state))


def _restore(
    network: nn.Module, optimizer: torch.optim.SGD, tensors: Mapping[str, torch.Tensor]
) -> None:
    network.load_state_dict(
        {n.removeprefix(_NETWORK): t for n, t in tensors.items() if n.startswith(_NETWORK)}
    )
    for name, parameter in network.named_parameters():
        momentum = tensors.get(_MOMENTUM + name)
        if momentum is not None:
            optimizer.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)


def _chunks(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, start + size)


def _diverged(epoch: int, loss: float) -> EvaluationError:
    return EvaluationError(f"training diverged in epoch {epoch}: the loss is {loss}")
