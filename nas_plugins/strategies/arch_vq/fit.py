"""The training loop of both stages: epochs, held-out score, early stopping, resume."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nas_plugins._files import replacing
from nas_plugins._reading import refusing
from nas_plugins._torch import Tensor, nn, torch
from nas_plugins.errors import DataError
from nas_plugins.strategies.arch_vq.config import Schedule


class Task(Protocol):
    """What one stage learns."""

    @property
    def name(self) -> str:
        """``"vqvae"`` or ``"prior"``; also names the file to resume from."""
        ...

    @property
    def module(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def size(self) -> int:
        """Number of training examples."""
        ...

    def loss(self, index: Tensor) -> Tensor:
        """Loss of a batch, given as positions of training examples."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Metrics on the held-out examples."""
        ...

    def score(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """What early stopping compares; greater is better."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where training stands after an epoch.

    Attributes:
        stage: Name of the stage.
        epoch: Epochs done, from 1.
        epochs: Epochs planned.
        metrics: Training loss and held-out metrics.
        seconds: Time spent in this stage, earlier runs that were resumed included.
        remaining: Expected seconds to the end of the stage.
    """

    stage: str
    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    seconds: float
    remaining: float


@dataclass
class _State:
    """All that changes from epoch to epoch."""

    epoch: int
    seconds: float
    best: tuple[float, ...]
    best_epoch: int
    best_metrics: dict[str, float]
    best_weights: dict[str, Tensor]


class Fit:
    """One stage of training.

    Args:
        task: What is learned.
        schedule: How.
        run: Identifies the run; a state saved by another one is refused.
        state_file: Where the state is saved after every epoch, ``None`` for nowhere.
        on_epoch: Called after every epoch.
    """

    def __init__(
        self,
        task: Task,
        schedule: Schedule,
        *,
        run: Mapping[str, Any],
        state_file: Path | None = None,
        on_epoch: Callable[[Progress], None] | None = None,
    ) -> None:
        self.task, self.schedule, self.run_id = task, schedule, dict(run)
        self.state_file, self.on_epoch = state_file, on_epoch
        self._batch = min(schedule.batch_size, task.size)
        self._steps = schedule.steps_per_epoch(task.size)
        self._epochs = schedule.epochs_for(task.size)
        steps = self._epochs * self._steps
        self._optimizer = torch.optim.AdamW(
            task.module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self._annealing = (
            torch.optim.lr_scheduler.OneCycleLR(
                self._optimizer, schedule.learning_rate, total_steps=steps
            )
            if schedule.one_cycle and steps > 2
            else None
        )
        self._state = _State(0, 0.0, (), 0, {}, {})

    def run(self, *, resume: bool = False) -> dict[str, float]:
        """Trains and leaves the best weights in the module.

        Returns:
            Held-out metrics of the best epoch, and `epochs`, `best_epoch`, `seconds`.
        """
        state = self._state
        if resume and self.state_file is not None and self.state_file.exists():
            self._restore(self.state_file)
        while state.epoch < self._epochs and not self._patience_is_over():
            begin = time.perf_counter()
            metrics = {"loss": self._train_epoch(), **self.task.evaluate()}
            state.epoch += 1
            state.seconds += time.perf_counter() - begin
            score = self.task.score(metrics)
            if not state.best or score > state.best:
                state.best, state.best_epoch, state.best_metrics = score, state.epoch, metrics
                state.best_weights = copy.deepcopy(self.task.module.state_dict())
            if self.state_file is not None:
                self._save()
            self._report(metrics)
        self.task.module.load_state_dict(state.best_weights)
        self.task.module.eval()
        return {
            **state.best_metrics,
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "seconds": round(state.seconds, 1),
        }

    def _train_epoch(self) -> float:
        module = self.task.module.train()
        order = torch.randperm(self.task.size)
        total = torch.zeros(())
        for step in range(self._steps):
            loss = self.task.loss(order[step * self._batch : (step + 1) * self._batch])
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), self.schedule.clip)
            self._optimizer.step()
            if self._annealing is not None:
                self._annealing.step()
            total += loss.detach().cpu()
        module.eval()
        return float(total) / self._steps

    def _patience_is_over(self) -> bool:
        waited = self._state.epoch - self._state.best_epoch
        return 0 < self.schedule.patience <= waited

    def _report(self, metrics: Mapping[str, float]) -> None:
        if self.on_epoch is not None:
            state, epochs = self._state, self._epochs
            remaining = state.seconds / state.epoch * (epochs - state.epoch)
            self.on_epoch(
                Progress(self.task.name, state.epoch, epochs, metrics, state.seconds, remaining)
            )

    # -- the state on disk -----------------------------------------------------------------

    def _save(self) -> None:
        path = self.state_file
        if path is None:
            return
        content = {
            "run": self.run_id,
            "state": vars(self._state),
            "module": self.task.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "annealing": self._annealing.state_dict() if self._annealing else None,
            "random": torch.get_rng_state(),
        }
        with replacing(path) as partial:
            torch.save(content, partial)

    def _restore(self, path: Path) -> None:
        with refusing(path, "a whole training state"):
            content = torch.load(path, weights_only=True, map_location="cpu")
            run = dict(content["run"])
        if run != self.run_id:
            different = sorted(k for k in self.run_id if run.get(k) != self.run_id[k])
            raise DataError(f"{path} belongs to another run, its {', '.join(different)} differ")
        with refusing(path, "a whole training state"):
            self.task.module.load_state_dict(content["module"])
            self._optimizer.load_state_dict(content["optimizer"])
            if self._annealing is not None:
                self._annealing.load_state_dict(content["annealing"])
            torch.set_rng_state(content["random"])
            vars(self._state).update(vars(type(self._state)(**content["state"])))
