"""The models of a search: one per objective, per constraint, and one of what fails."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from nas_plugins.history import History, TrialState
from nas_plugins.numerics.matern import MaternPrior
from nas_plugins.numerics.ranks import normal_scores, spearman
from nas_plugins.spaces.base import Rows
from nas_plugins.strategies.graph_gp.acquisition import (
    BelievedOutcome,
    ExactOutcome,
    Floats,
    Outcome,
    ScoreScale,
    Wish,
    best_of_one,
    log_probability_below,
)
from nas_plugins.strategies.graph_gp.candidates import Candidates
from nas_plugins.strategies.graph_gp.model import Belief, Learner
from nas_plugins.training_set import Positions

_ONE = MaternPrior()
_SEVERAL = MaternPrior(smooth=True)
_YES_OR_NO = MaternPrior(noise=-1.0)

_FIRST_CHECK = 8
_TRUSTED = 0.2
_SHORTLIST = 2048
_LEAST_SUCCESS = 0.02


class Models:
    """What the complete trials say of the candidates.

    Args:
        history: With a complete trial.
        learner: Its complete trials, in order, and the candidates.
        exact: Objectives that are known beforehand, by position.
    """

    def __init__(
        self, history: History, learner: Learner, exact: Mapping[int, ExactOutcome]
    ) -> None:
        self._history, self._learner, self._exact = history, learner, exact
        self._n_objectives = len(history.objectives)
        self._feasible = history.violations <= 0

    @cached_property
    def _beliefs(self) -> dict[int, Belief]:
        prior = _ONE if self._n_objectives == 1 else _SEVERAL
        return {
            j: self._learner.belief(partial(_scores, self._history.losses[:, j]), prior)
            for j in range(self._n_objectives)
            if j not in self._exact
        }

    @property
    def trusted(self) -> bool:
        """Whether some model predicts its own trials, or it is too early to tell.

        By the rank correlation of the trials with what leaving each out predicts.
        """
        if not self._beliefs or len(self._history.complete) < _FIRST_CHECK:
            return True
        return any(spearman(b.left_out, b.values) > _TRUSTED for b in self._beliefs.values())

    def best(self, log_weights: Floats, rng: np.random.Generator) -> int:
        """Position of the candidate to evaluate next.

        Args:
            log_weights: `(M,)` logarithms of what the worth is multiplied with.
            rng: Source of randomness.
        """
        usable = self._feasible & np.isfinite(self._history.losses).all(axis=1)
        if not usable.any():
            return self._least_violation(log_weights)
        if self._n_objectives == 1 and self._beliefs:
            scores = _scores(self._history.losses[:, 0], len(usable))
            return best_of_one(self._beliefs[0], float(scores[usable].min()), log_weights)
        losses = self._history.losses[usable]
        primary = min(self._beliefs, default=0)
        wish = Wish.drawn(losses, self._greatest(losses), primary, rng)
        every = np.arange(len(log_weights))
        rough = wish.worth(self._outcomes(usable, every, exactly=False), losses) + log_weights
        at = np.argsort(-rough, kind="stable")[:_SHORTLIST]
        worth = wish.worth(self._outcomes(usable, at, exactly=True), losses) + log_weights[at]
        return int(at[np.argmax(worth)])

    def _greatest(self, losses: Floats) -> Floats:
        """Greatest loss of each objective, `(m,)`, that of candidates too where it is known."""
        greatest: Floats = losses.max(axis=0)
        for j, outcome in self._exact.items():
            finite = outcome.values[np.isfinite(outcome.values)]
            greatest[j] = max(greatest[j], finite.max(initial=-np.inf))
        return greatest

    def _least_violation(self, log_weights: Floats) -> int:
        """While nothing is feasible, constraints are what is improved."""
        history = self._history
        told = np.where(history.violations > 0, history.violations, np.inf)
        belief = self._learner.belief(partial(_scores, told), _ONE)
        return best_of_one(belief, float(belief.values.min()), log_weights)

    def _outcomes(
        self, usable: npt.NDArray[np.bool_], at: Positions, *, exactly: bool
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for j in range(self._n_objectives):
            if j in self._exact:
                outcomes.append(ExactOutcome(self._exact[j].values[at]))
                continue
            belief = self._beliefs[j]
            losses = self._history.losses[:, j]
            scale = ScoreScale(_scores(losses, len(losses))[usable], losses[usable])
            spread = belief.deviations(at) if exactly else belief.largest_deviations()[at]
            outcomes.append(BelievedOutcome(belief.mean[at], spread, scale))
        return outcomes

    def log_feasible(self) -> Floats:
        """Logarithm of the probability that a candidate keeps to the constraints, `(M,)`."""
        total = np.zeros(self._learner.n_candidates)
        complete = self._history.complete
        if self._feasible.all() or not self._feasible.any():
            return total
        for name in complete[0].constraints:
            values = np.array([trial.constraints.get(name, np.nan) for trial in complete])
            if np.isnan(values).any() or not 0 < (values <= 0).sum() < len(values):
                continue
            belief = self._learner.belief(partial(_scores, values), _SEVERAL)
            finite = np.isfinite(values)
            scale = ScoreScale(_scores(values, len(values))[finite], values[finite])
            total += log_probability_below(belief, scale.score(0.0))
        return total


def log_success(history: History, running: Rows, found: Candidates) -> Floats:
    """Logarithm of the probability that a candidate does not fail, `(M,)`.

    Args:
        history: The search.
        running: Trials that run, `(r, D)`.
        found: M candidates.
    """
    over = [t for t in history.trials if t.state is not TrialState.RUNNING]
    failed = np.array([float(t.state is TrialState.FAILED) for t in over])
    if not failed.any():
        return np.zeros(len(found))
    share = float(failed.mean())
    rows = history.space.rows([t.architecture for t in over])
    learner = Learner(history.space, rows, running, found)
    belief = learner.belief(lambda k: failed[:k] - share, _YES_OR_NO)
    success: Floats = np.log(np.clip(1.0 - share - belief.mean, _LEAST_SUCCESS, 1.0))
    return success


def _scores(losses: Floats, first: int) -> Floats:
    """Normal scores of the first losses."""
    return normal_scores(losses[:first])
