"""Really training architectures: on scikit-learn's digits, or on a data set of the user.

The names below load PyTorch when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins._lazy import lazy

if TYPE_CHECKING:
    from nas_plugins.evaluators.training.dataset import Dataset, Part
    from nas_plugins.evaluators.training.evaluator import TrainingEvaluator

__getattr__, __dir__ = lazy(
    __name__, {"Dataset": "dataset", "Part": "dataset", "TrainingEvaluator": "evaluator"}
)

__all__ = ["Dataset", "Part", "TrainingEvaluator"]
