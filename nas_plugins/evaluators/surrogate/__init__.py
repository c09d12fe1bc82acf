"""Label-trained surrogates: predict what training would give, from proxies and the graph."""

from __future__ import annotations

from nas_plugins.evaluators.surrogate.estimator import Surrogate
from nas_plugins.evaluators.surrogate.evaluator import Counts, SurrogateEvaluator
from nas_plugins.evaluators.surrogate.features import Encoder

__all__ = ["Counts", "Encoder", "Surrogate", "SurrogateEvaluator"]
