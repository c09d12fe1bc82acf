"""Random search without repetition: the baseline of every other strategy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas_plugins.history import History, Proposal
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws


@dataclass(frozen=True)
class RandomSearch(Strategy):
    """Draws architectures at random.

    Attributes:
        avoid_duplicates: Whether to propose no architecture twice.
    """

    avoid_duplicates: bool = True

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` random architectures; fewer when the space is exhausted."""
        draws = FreshDraws(history, rng, avoid_duplicates=self.avoid_duplicates)
        return [Proposal(architecture) for architecture in draws.random(n)]
