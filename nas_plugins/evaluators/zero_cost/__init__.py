"""Zero-cost proxies: how good a network may become, judged from one batch before any training.

The names below load PyTorch when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins._lazy import lazy

if TYPE_CHECKING:
    from nas_plugins.evaluators.zero_cost.batch import Batch
    from nas_plugins.evaluators.zero_cost.engine import Scores, score_network
    from nas_plugins.evaluators.zero_cost.evaluator import Row, ZeroCostEvaluator, score
    from nas_plugins.evaluators.zero_cost.proxy import Proxy
    from nas_plugins.evaluators.zero_cost.settings import Settings

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Batch": "batch",
        "Proxy": "proxy",
        "Row": "evaluator",
        "Scores": "engine",
        "Settings": "settings",
        "ZeroCostEvaluator": "evaluator",
        "score": "evaluator",
        "score_network": "engine",
    },
)

__all__ = [
    "Batch",
    "Proxy",
    "Row",
    "Scores",
    "Settings",
    "ZeroCostEvaluator",
    "score",
    "score_network",
]
