"""Regularised evolution: tournaments in a population from which the oldest dies.

Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search",
AAAI 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins._checks import at_least, integers
from nas_plugins.history import History, Proposal
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws, started
from nas_plugins.spaces.base import Architecture


@dataclass(frozen=True)
class RegularizedEvolution(Strategy):
    """Mutates the winner of a tournament among the youngest trials.

    The population is the `population_size` complete trials with the highest numbers: a trial
    dies of age, however good it is. With several objectives the tournament goes to the lower
    non-dominated rank, then to the larger crowding distance; infeasible trials rank behind all
    feasible ones, by their violation.

    Attributes:
        population_size: Trials alive; so many are drawn at random first. The default suits
            budgets of up to some 200 trials (chosen on CIFAR-10 of NAS-Bench-201, where 50 is
            behind until then); the paper's 100 is for thousands.
        sample_size: Trials drawn from the population, with replacement, for a tournament.
        avoid_duplicates: Whether to propose no architecture twice. A mutation that was seen is
            drawn again after a new tournament; after `tries` of them decisions are changed one
            more at a time, and at last the proposal is random.
        tries: Mutations drawn before the changes widen.
    """

    population_size: int = 10
    sample_size: int = 10
    avoid_duplicates: bool = True
    tries: int = 16

    def __post_init__(self) -> None:
        sizes = {"population_size": self.population_size, "sample_size": self.sample_size}
        integers(**sizes, tries=self.tries)
        at_least(1, **sizes, tries=self.tries)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted."""
        draws = FreshDraws(history, rng, avoid_duplicates=self.avoid_duplicates)
        ranked = self._ranked(history)
        missing = self.population_size - started(history, up_to=self.population_size)
        found = draws.random(min(n, missing) if ranked else n)
        while len(found) < n:
            child = self._child(draws, ranked) if ranked else None
            drawn = [child] if child is not None else draws.random()
            if not drawn:
                break
            found += drawn
        return [Proposal(architecture) for architecture in found]

    def _ranked(self, history: History) -> list[Architecture]:
        """The population, best first."""
        trials = history.complete[-self.population_size :]
        population = History(history.space, history.objectives, trials)
        order = _tournament_order(population.losses, population.violations)
        return [trials[i].architecture for i in order]

    def _child(self, draws: FreshDraws, ranked: list[Architecture]) -> Architecture | None:
        for _ in range(self.tries):
            child = draws.mutation(self._winner(draws.rng, ranked))
            if child is not None:
                return child
        return draws.widening(self._winner(draws.rng, ranked), n_changes=2)

    def _winner(self, rng: np.random.Generator, ranked: list[Architecture]) -> Architecture:
        return ranked[int(rng.integers(len(ranked), size=self.sample_size).min())]


def _tournament_order(
    losses: npt.NDArray[np.float64], violations: npt.NDArray[np.float64]
) -> list[int]:
    """Positions from best to worst: by constrained rank, then by crowding distance."""
    ranks = pareto.constrained_ranks(losses, violations)
    crowding = np.zeros(len(losses))
    if losses.shape[1] > 1:
        for rank in np.unique(ranks):
            members = ranks == rank
            crowding[members] = pareto.crowding_distance(losses[members])
    order: list[int] = np.lexsort((-crowding, ranks)).tolist()
    return order
