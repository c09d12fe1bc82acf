"""Features of architectures whose graph says little: their choices, and how often each occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.spaces.values import Decision

Floats = npt.NDArray[np.float64]


def decision_features(
    decisions: Sequence[Decision],
    labels: Sequence[npt.NDArray[np.integer[Any]]],
    rows: npt.NDArray[np.integer[Any]],
    *,
    active: npt.NDArray[np.bool_] | None = None,
    counted: Iterable[Sequence[int]] | None = None,
) -> Floats:
    """Choices as numbers, and how often each label occurs.

    An ordered decision is one number from 0, its first choice, to 1, its last; any other one
    column per choice, 1 for the choice taken. Then for every group of decisions the number of
    decisions that take a label, for the labels that at least two of them have. What does not
    count is 0 throughout.

    >>> decisions = (Decision("a", ("conv", "pool")), Decision("b", ("conv", "pool")))
    >>> labels = [np.array([0, 1]), np.array([0, 1])]
    >>> decision_features(decisions, labels, np.array([[0, 1], [1, 1]])).tolist()
    [[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.0, 2.0]]

    Args:
        decisions: D decisions.
        labels: Per decision the number of the label of each choice; equal choices of different
            decisions share one.
        rows: Choice indices, `(B, D)`; B may be 0.
        active: `(B, D)`, which decisions count; all by default.
        counted: Groups of decisions by their positions, e.g. the layers of a stage; all that
            are not ordered by default.

    Returns:
        `(B, F)`.
    """
    indices = np.asarray(rows)
    counts = np.ones(indices.shape, dtype=bool) if active is None else active
    if counted is None:
        counted = [[i for i, decision in enumerate(decisions) if not decision.ordered]]
    columns = [np.zeros((len(indices), 0))]
    taken = np.full(indices.shape, -1, dtype=np.int64)
    for i, decision in enumerate(decisions):
        last, mine = len(decision.choices) - 1, counts[:, i]
        taken[:, i] = np.where(mine, labels[i][indices[:, i]], -1)
        if decision.ordered and last:
            columns.append((mine * indices[:, i] / last)[:, None])
        elif last:
            hot = indices[:, i, None] == np.arange(last + 1)
            columns.append((hot & mine[:, None]).astype(np.float64))
    for group in counted:
        found = Counter(label for i in group for label in labels[i].tolist())
        shared = [label for label, n in sorted(found.items()) if n > 1]
        theirs = taken[:, list(group)]
        columns += [(theirs == label).sum(axis=1, dtype=np.float64)[:, None] for label in shared]
    return np.concatenate(columns, axis=1)
