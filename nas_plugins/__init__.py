"""Architecture-aware search for the tools people already use.

>>> import nas_plugins as nap
>>> space = nap.space("nasbench201")
>>> space.size
15625
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins import nni as nni  # makes `nni.nas.strategy.ArchVQ` resolve
from nas_plugins._lazy import lazy

if TYPE_CHECKING:
    from nas_plugins._public import benchmark, evaluator, space, strategy
    from nas_plugins.composition import combine
    from nas_plugins.history import History, Objective, Proposal, Trial, TrialState
    from nas_plugins.protocols import Benchmark, Evaluator, Metric, Strategy
    from nas_plugins.reproduction.comparison import Comparison, compare
    from nas_plugins.reproduction.experiments import reproduce
    from nas_plugins.results import SearchResult
    from nas_plugins.runner.sampling import SampleResult, sample
    from nas_plugins.runner.scoring import ScoreResult, score
    from nas_plugins.runner.search import search
    from nas_plugins.runner.studies import load_study
    from nas_plugins.runner.training import TrainResult, train
    from nas_plugins.spaces.base import Architecture, Complexity, Decision, SearchSpace
    from nas_plugins.spaces.categorical import CategoricalSpace

__version__ = "0.1.0"

# Loaded on first use, so that `import nas_plugins` costs milliseconds.
__getattr__, __dir__ = lazy(
    __name__,
    {
        "benchmark": "_public",
        "combine": "composition",
        "compare": "reproduction.comparison",
        "evaluator": "_public",
        "reproduce": "reproduction.experiments",
        "space": "_public",
        "strategy": "_public",
        "History": "history",
        "Objective": "history",
        "Proposal": "history",
        "Trial": "history",
        "TrialState": "history",
        "Benchmark": "protocols",
        "Evaluator": "protocols",
        "Metric": "protocols",
        "Strategy": "protocols",
        "SampleResult": "runner.sampling",
        "sample": "runner.sampling",
        "ScoreResult": "runner.scoring",
        "score": "runner.scoring",
        "load_study": "runner.studies",
        "TrainResult": "runner.training",
        "train": "runner.training",
        "Comparison": "reproduction.comparison",
        "SearchResult": "results",
        "search": "runner.search",
        "Architecture": "spaces.base",
        "Complexity": "spaces.base",
        "Decision": "spaces.base",
        "SearchSpace": "spaces.base",
        "CategoricalSpace": "spaces.categorical",
    },
)

__all__ = [
    "Architecture",
    "Benchmark",
    "CategoricalSpace",
    "Comparison",
    "Complexity",
    "Decision",
    "Evaluator",
    "History",
    "Metric",
    "Objective",
    "Proposal",
    "SampleResult",
    "ScoreResult",
    "SearchResult",
    "SearchSpace",
    "Strategy",
    "TrainResult",
    "Trial",
    "TrialState",
    "benchmark",
    "combine",
    "compare",
    "evaluator",
    "load_study",
    "reproduce",
    "sample",
    "score",
    "search",
    "space",
    "strategy",
    "train",
]
