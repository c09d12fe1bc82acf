"""Objectives that are known before an architecture is evaluated: parameters, a latency table."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nas_plugins import _public
from nas_plugins.errors import MetricUnavailableError, unknown_name
from nas_plugins.history import Objective
from nas_plugins.protocols import Evaluator
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.strategies.graph_gp.features import Floats, KeptRows

UNKNOWN = np.inf
"""Loss of an architecture that the evaluator has no value for."""


@lru_cache(maxsize=16)
def known_losses(space: SearchSpace, objective: Objective, evaluator: Evaluator | str) -> KeptRows:
    """Losses `(B, 1)` of architectures, as an evaluator knows them; infinite where it does not.

    Args:
        space: The space.
        objective: The metric, and whether less is better.
        evaluator: What has it, or its name.

    Raises:
        UnknownNameError: It has no such metric, or no evaluator has its name.
    """
    if isinstance(evaluator, str):
        evaluator = _public.measuring(evaluator, "known", (objective.name,))
    names = [metric.name for metric in evaluator.metrics]
    if objective.name not in names:
        raise unknown_name("metric that `known` names", objective.name, names)
    known = evaluator

    def losses(rows: Rows) -> Floats:
        found = known.evaluate(space.architectures(rows))
        return np.array([[_loss(values, objective)] for values in found])

    return KeptRows(losses)


def _loss(values: dict[str, float], objective: Objective) -> float:
    try:
        loss = float(values[objective.name]) * objective.sign
    except (KeyError, MetricUnavailableError):
        return UNKNOWN
    return loss if np.isfinite(loss) else UNKNOWN
