"""Really training architectures: on scikit-learn's digits, or on a data set of the user.

The names below load PyTorch when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_plugins.evaluators.training.dataset import Dataset, Part
    from nas_plugins.evaluators.training.evaluator import TrainingEvaluator

_HOMES = {"Dataset": "dataset", "Part": "dataset", "TrainingEvaluator": "evaluator"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["Dataset", "Part", "TrainingEvaluator"]
