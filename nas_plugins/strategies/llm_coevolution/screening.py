"""Which of several candidates to evaluate: additive effects of the choices, read off the history.

The same statistics that rules are mined from, as numbers: a ridge regression of the ranks of each
objective on what an architecture chooses, and on how often it chooses it. It needs no model of
language and a dozen trials.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.history import History
from nas_plugins.numerics import ridge
from nas_plugins.numerics.ranks import mid_ranks
from nas_plugins.spaces.base import Architecture, Rows, SearchSpace

Floats = npt.NDArray[np.float64]

MIN_TRIALS = 8
"""Fewest complete trials that effects are read from."""

_RIDGE = 1.0
_COUNT_WEIGHT = 0.5
# Far above rounding, so that machines that round differently choose the same.
_TIE = 1e-9


def most_promising(
    history: History, candidates: Sequence[Architecture], rng: np.random.Generator
) -> int:
    """Position of the candidate whose predicted ranks reach farthest beyond the front.

    How far is the additive epsilon indicator (Zitzler et al., IEEE Trans. Evol. Comput. 7,
    2003): by how much the candidate would have to be worse, in ranks, until some trial of the
    front were as good in every objective.

    Args:
        history: What has been evaluated; with fewer than `MIN_TRIALS` complete trials the first
            candidate is taken.
        candidates: At least one.
        rng: Breaks ties.
    """
    if len(candidates) == 1 or len(history.complete) < MIN_TRIALS:
        return 0
    space = history.space
    ranks = _ranks(history)
    known = features(space, space.rows([trial.architecture for trial in history.complete]))
    wanted = features(space, space.rows(candidates))
    means = ranks.mean(axis=0)
    predicted = wanted @ ridge.solve(known, ranks - means, _RIDGE) + means
    front = pareto.constrained_front(history.losses, history.violations)
    gains = (ranks[front][None] - predicted[:, None]).max(axis=2).min(axis=1)
    best = np.flatnonzero(gains >= gains.max() - _TIE)
    return int(best[rng.integers(len(best))])


def features(space: SearchSpace, rows: Rows) -> Floats:
    """What each architecture chooses, and how often: one column per choice of a decision, and
    one per choice of the decisions that share their choices. `(B, D)` to `(B, F)`.

    Decisions without effect count as not taken.
    """
    active = space.active(rows)
    columns = []
    shared: dict[tuple[object, ...], list[Floats]] = {}
    for position, decision in enumerate(space.decisions):
        chosen = rows[:, position, None] == np.arange(len(decision.choices))
        block = (chosen & active[:, position, None]).astype(np.float64)
        columns.append(block)
        shared.setdefault(decision.choices, []).append(block)
    counts = [sum(blocks) * _COUNT_WEIGHT for blocks in shared.values() if len(blocks) > 1]
    return np.concatenate([*columns, *counts], axis=1)


def _ranks(history: History) -> Floats:
    """Ranks of the losses in (0, 1], `(n, m)`; the infeasible rank behind all the feasible."""
    columns = [mid_ranks(losses, history.violations) for losses in history.losses.T]
    return np.stack(columns, axis=1) / len(history.complete)


__all__ = ["MIN_TRIALS", "features", "most_promising"]
