"""What a model learns from a search: which trials, as what numbers; and the best of them.

Symbols
    ``n``   number of complete trials
    ``m``   number of objectives
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.history import History, TrialState
from nas_plugins.numerics.ranks import normal_scores
from nas_plugins.spaces.base import Rows

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

_FRONT = 12


def complete_rows(history: History) -> Rows:
    """Choices of the complete trials `(n, D)`."""
    return history.space.rows([trial.architecture for trial in history.complete])


def running_rows(history: History) -> Rows:
    """Choices of the running trials `(r, D)`."""
    running = TrialState.RUNNING
    return history.space.rows([t.architecture for t in history.trials if t.state is running])


def objective_scores(history: History, first: int | None = None) -> Floats:
    """Normal scores of the first complete trials, all by default, `(n, m)`; low is good.

    Infeasible trials score behind all feasible ones, by their violation.
    """
    losses, violations = history.losses[:first], history.violations[:first]
    return np.stack([normal_scores(column, violations) for column in losses.T], axis=1)


def settled_size(n: int, first: int, growth: float) -> int:
    """Greatest number of a fixed series that is not above `n`; `n` itself below the first.

    What is fitted to that many trials stays the same until the next number is reached, in every
    process.

    Args:
        n: Number of complete trials.
        first: Where the series starts.
        growth: Factor from each number to the next, which is larger by 1 at least.
    """
    size = first
    if n < first:
        return n
    while (larger := int(size * growth) + 1) <= n:
        size = larger
    return size


def informative(scores: Floats, limit: int) -> Positions:
    """Positions of at most `limit` trials: the best half by their best score, the rest evenly.

    Args:
        scores: `(n, m)`, low is good.
        limit: How many.
    """
    n = len(scores)
    if n <= limit:
        return np.arange(n)
    order = np.argsort(scores.min(axis=1), kind="stable")
    best, rest = order[: limit // 2], np.sort(order[limit // 2 :])
    spread = rest[np.linspace(0, len(rest) - 1, limit - len(best)).astype(np.int64)]
    return np.sort(np.concatenate([best, spread]))


def elite(history: History, size: int = 5) -> Positions:
    """Positions of the best complete trials; of a larger front up to twelve over its length.

    Args:
        history: The search.
        size: How many, where the front has no more.
    """
    ranks = pareto.constrained_ranks(history.losses, history.violations)
    order = np.lexsort((history.losses[:, 0], ranks))
    front = order[: int((ranks == ranks.min()).sum())]
    if len(front) <= size:
        return order[:size]
    spread = np.linspace(0, len(front) - 1, min(len(front), max(_FRONT, size)))
    chosen: Positions = front[spread.round().astype(np.int64)]
    return chosen
