"""How a network is trained."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

_LEAST = {"epochs": 1, "batch_size": 1, "seed": 0, "threads": 1, "patience": 1}


@dataclass(frozen=True)
class TrainingSettings:
    """SGD with momentum and a cosine from the learning rate to 0, without restarts.

    That is how NAS-Bench-201 trains (Dong and Yang, ICLR 2020, table 2: Nesterov momentum .9,
    learning rate .1, weight decay 5e-4), for fewer epochs. Warm-up, augmentation and label
    smoothing are not used.

    Attributes:
        epochs: Passes over the training images; the cosine ends with the last.
        batch_size: Most images per step. An epoch is cut into batches of nearly equal size.
        learning_rate: Of the first step.
        momentum: Of SGD, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: On all parameters.
        norm_momentum: Of the running statistics of batch normalisation; ``None`` leaves the
            network's own. NAS-Bench-101's .003 suits its long trainings: after 200 steps its
            statistics would still be half those of no data at all.
        patience: Epochs without a better validation accuracy after which training ends;
            ``None`` for never.
        seed: Of weights, order of the images and what the network draws (dropout).
        threads: Threads of PyTorch while training on a CPU; their number decides the last
            digits of the results.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    norm_momentum: float | None = 0.1
    patience: int | None = None
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name, smallest in _LEAST.items():
            value = getattr(self, name)
            if (name, value) == ("patience", None):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
                raise ValueError(f"`{name}` must be a whole number >= {smallest}, got {value!r}")
        for name in ("learning_rate", "momentum", "weight_decay", "norm_momentum"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) and (name, value) != ("norm_momentum", None):
                raise ValueError(f"`{name}` must be a number, got {value!r}")
        self._check_ranges()

    def _check_ranges(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"`learning_rate` must be > 0 and finite, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1), got {self.momentum}")
        if self.nesterov and self.momentum == 0:
            raise ValueError("`nesterov` needs a `momentum` > 0, got 0")
        if self.norm_momentum is not None and not 0 < self.norm_momentum <= 1:
            raise ValueError(f"`norm_momentum` must be in (0, 1], got {self.norm_momentum}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"`weight_decay` must be >= 0 and finite, got {self.weight_decay}")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of `steps` in all."""
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def derived_seed(*parts: object) -> int:
    """A seed that follows from `parts` in every process, 63 bits."""
    text = "\x1f".join(map(repr, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
