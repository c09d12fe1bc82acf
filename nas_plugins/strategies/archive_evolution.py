"""Archive evolution: mutate a random member of the current Pareto front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas_plugins._checks import at_least, integers, shares
from nas_plugins.history import History, Proposal
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws, started
from nas_plugins.spaces.base import Architecture


@dataclass(frozen=True)
class ArchiveEvolution(Strategy):
    """Evolution whose parents are drawn uniformly from the Pareto front of all trials.

    The steady-state scheme of SEMO (Laumanns et al., PPSN 2002) with a random start: one
    decision of the parent is changed, sometimes a second. With constraints the front is that
    of the feasible trials, or of the least violating ones while nothing is feasible. With one
    objective the parents are the best trials.

    Attributes:
        n_initial: Random architectures before the first mutation.
        second_change_probability: Probability that a second decision is changed too.
        avoid_duplicates: Whether to propose no architecture twice. A mutation that was seen is
            drawn again, from another parent; after `tries` of them decisions are changed one
            more at a time, and at last the proposal is random.
        tries: Mutations drawn before the changes widen.
    """

    n_initial: int = 10
    second_change_probability: float = 0.5
    avoid_duplicates: bool = True
    tries: int = 16

    def __post_init__(self) -> None:
        integers(n_initial=self.n_initial, tries=self.tries)
        at_least(1, n_initial=self.n_initial, tries=self.tries)
        shares(second_change_probability=self.second_change_probability)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted."""
        draws = FreshDraws(history, rng, avoid_duplicates=self.avoid_duplicates)
        parents = [trial.architecture for trial in history.front]
        missing = self.n_initial - started(history, up_to=self.n_initial)
        found = draws.random(min(n, missing) if parents else n)
        while len(found) < n:
            child = self._child(draws, parents) if parents else None
            drawn = [child] if child is not None else draws.random()
            if not drawn:
                break
            found += drawn
        return [Proposal(architecture) for architecture in found]

    def _child(self, draws: FreshDraws, parents: list[Architecture]) -> Architecture | None:
        rng = draws.rng
        for _ in range(self.tries):
            parent = parents[rng.integers(len(parents))]
            changes = 1 + int(rng.random() < self.second_change_probability)
            child = draws.mutation(parent, n_changes=changes)
            if child is not None:
                return child
        return draws.widening(parents[rng.integers(len(parents))], n_changes=2)
