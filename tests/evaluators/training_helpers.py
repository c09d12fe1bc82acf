"""A data set that trains in milliseconds and a space whose networks fail in every way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from nas_plugins import Architecture, CategoricalSpace
from nas_plugins.evaluators.training import Dataset, TrainingEvaluator

SIDE, CLASSES = 4, 3


def arrays(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of three patterns with noise, `(n, 1, 4, 4)`, and their labels."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).normal(size=(CLASSES, 1, SIDE, SIDE))
    labels = np.arange(n) % CLASSES
    return patterns[labels] + 0.5 * rng.normal(size=(n, 1, SIDE, SIDE)), labels


def tiny(*, test: bool = True) -> Dataset:
    """48 images to train, 24 to validate, 24 to test."""
    return Dataset.from_arrays(
        arrays(48, seed=0), arrays(24, seed=1), arrays(24, seed=2) if test else None
    )


def trainer(**options: Any) -> TrainingEvaluator:
    """Two epochs on `tiny`."""
    defaults = {"dataset": tiny(), "epochs": 2, "batch_size": 16, "device": "cpu"}
    return TrainingEvaluator(**{**defaults, **options})


class Toy(CategoricalSpace):
    """A third party's space: its builder is its own, and some of its networks fail."""

    def __init__(self) -> None:
        kinds = ["plain", "dropout", "memory", "cpu-memory", "nan", "broken", "shape", "text"]
        super().__init__({"width": [4, 8], "kind": kinds})

    def network(
        self, architecture: Architecture, *, classes: int = 10, in_channels: int = 3
    ) -> nn.Module:
        return Net(architecture.choices, classes, in_channels)

    def pick(self, kind: str, width: int = 4) -> Architecture:
        return self.architecture({"width": width, "kind": kind})


class Net(nn.Module):
    def __init__(self, choices: Mapping[str, Any], classes: int, in_channels: int) -> None:
        super().__init__()
        self.kind, width = choices["kind"], choices["width"]
        if self.kind == "broken":
            raise RuntimeError("it cannot be built\nfor reasons that take lines")
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.dropout = nn.Dropout(0.5 if self.kind == "dropout" else 0.0)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> Any:
        if self.kind == "memory":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.kind == "cpu-memory":
            torch.empty(2**62, dtype=torch.uint8)
        logits = self.head(self.dropout(self.features(images).mean((2, 3))))
        if self.kind == "shape":
            return logits[:, :2]
        if self.kind == "text":
            return "logits"
        return logits * torch.nan if self.kind == "nan" else logits


def steady(row: Mapping[str, float]) -> dict[str, float]:
    """The metrics that do not depend on the clock."""
    return {name: value for name, value in row.items() if name != "train_seconds"}
