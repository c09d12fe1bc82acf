"""What a candidate is worth. More is better; all is on a logarithmic scale.

Symbols
    ``s``           a candidate's normal score in an objective, with mean ``mu`` and standard
                    deviation ``sigma``; less is better
    ``p``           the objective that is improved, the first that is not known beforehand; the
                    others keep to their budgets
    ``b_k``         budget of objective k, a loss that a candidate is not to exceed
    ``t_k``         the score that stands for ``b_k``
    ``h(z)``        ``phi(z) + z Phi(z)``, see `nas_plugins.numerics.acquisition`

One objective: the expected improvement ``sigma h((best - mu) / sigma)``.

Several: in half of the proposals the expected improvement of objective p within budgets of the
others, times the probability of keeping to them (Gardner et al., "Bayesian Optimization with
Inequality Constraints", 2014, on the epsilon constraints of Haimes et al., 1971)::

    sigma_p h((best_p - mu_p) / sigma_p) prod_k Phi((t_k - mu_k) / sigma_k)

where ``best_p`` is the best score of a trial that keeps to them, and each ``b_k`` is drawn evenly
from the least loss on the front to the greatest that was observed, or that a candidate is known
to have. In the other half, with two
objectives, the expected gain of hypervolume. Its reference is the worst loss on the front in
objective p, and the worst of *all* trials in the other: with the worst on the front in both, a
search whose front has become short never again looks at what is slower and more accurate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.numerics.acquisition import hypervolume_gain, log_expected_improvement
from nas_plugins.strategies.graph_gp.model import Belief

Floats = npt.NDArray[np.float64]

_NODES = np.array([NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)])
_REFERENCE = 1.1
_BATCH = 256
_TINY = 1e-300


class Outcome(ABC):
    """What one objective of M candidates may come out as."""

    @abstractmethod
    def losses(self) -> Floats:
        """Equally likely losses, `(M, S)`."""

    @abstractmethod
    def log_within(self, budget: float) -> Floats:
        """Logarithm of the probability that the loss is at most `budget`, `(M,)`."""

    @abstractmethod
    def log_improvement(self, best: float) -> Floats:
        """Logarithm of the expected improvement on a loss, `(M,)`."""


@dataclass(frozen=True, eq=False)
class ExactOutcome(Outcome):
    """An objective that is known before the evaluation.

    Attributes:
        values: Losses of the candidates, `(M,)`.
    """

    values: Floats

    def losses(self) -> Floats:
        """The loss."""
        return self.values[:, None]

    def log_within(self, budget: float) -> Floats:
        """Of 0 or 1."""
        return np.where(self.values <= budget, 0.0, np.log(_TINY))

    def log_improvement(self, best: float) -> Floats:
        """Of the loss."""
        return np.log(np.maximum(best - self.values, _TINY))


@dataclass(frozen=True, eq=False)
class BelievedOutcome(Outcome):
    """An objective that is modelled by its normal scores.

    Attributes:
        mean: Of the candidates' scores, `(M,)`.
        deviation: Their standard deviations, `(M,)`.
        scale: Between scores and losses.
    """

    mean: Floats
    deviation: Floats
    scale: ScoreScale

    def losses(self) -> Floats:
        """Sixteen quantiles, as losses."""
        return self.scale.losses(self.mean[:, None] + self.deviation[:, None] * _NODES)

    def log_within(self, budget: float) -> Floats:
        """By the score that stands for the budget."""
        from scipy.special import log_ndtr

        z: Floats = (self.scale.score(budget) - self.mean) / self.deviation
        found: Floats = log_ndtr(z)
        return found

    def log_improvement(self, best: float) -> Floats:
        """Of the score."""
        return log_expected_improvement(self.mean, self.deviation, self.scale.score(best))


class ScoreScale:
    """Normal scores as losses and back: interpolated between trials, linear beyond the best.

    Args:
        scores: Those of the trials, `(n,)`.
        losses: Those of the trials, `(n,)`.
    """

    def __init__(self, scores: Floats, losses: Floats) -> None:
        order = np.argsort(scores, kind="stable")
        self._scores, self._losses = scores[order], losses[order]
        tenth = min(max(len(order) // 10, 1), len(order) - 1)
        run = self._scores[tenth] - self._scores[0]
        rise = self._losses[tenth] - self._losses[0]
        self._slope = float(rise / run) if run > 0 else 0.0

    def losses(self, scores: Floats) -> Floats:
        """Losses that scores of any shape stand for."""
        beyond = self._slope * np.minimum(scores - self._scores[0], 0.0)
        found: Floats = np.interp(scores, self._scores, self._losses) + beyond
        return found

    def score(self, loss: float) -> float:
        """The score that stands for a loss."""
        better = loss - self._losses[0]
        if better < 0 and self._slope > 0:
            return float(self._scores[0] + better / self._slope)
        return float(np.interp(loss, self._losses, self._scores))


def best_of_one(belief: Belief, best: float, log_weights: Floats) -> int:
    """Position of the candidate of greatest expected improvement.

    Args:
        belief: About the scores of M candidates.
        best: Best score of a trial.
        log_weights: `(M,)`, added to the logarithm of the improvement; at most 0.
    """
    # Improvement grows with the deviation, so that a bound on this is a bound on that.
    bounds = log_expected_improvement(belief.mean, belief.largest_deviations(), best)
    bounds = bounds + log_weights
    order = np.argsort(-bounds, kind="stable")
    chosen, utility = int(order[0]), -np.inf
    for start in range(0, len(order), _BATCH):
        at = order[start : start + _BATCH]
        if bounds[at[0]] <= utility:
            break
        exact = log_expected_improvement(belief.mean[at], belief.deviations(at), best)
        exact = exact + log_weights[at]
        top = int(np.argmax(exact))
        if exact[top] > utility:
            chosen, utility = int(at[top]), float(exact[top])
    return chosen


@dataclass(frozen=True, eq=False)
class Wish:
    """What the next trial of a search with several objectives is to be, drawn once per trial.

    Attributes:
        primary: p.
        budgets: b of each objective; infinite for p. ``None`` for the gain of hypervolume.
    """

    primary: int
    budgets: Floats | None

    @classmethod
    def drawn(
        cls, losses: Floats, greatest: Floats, primary: int, rng: np.random.Generator
    ) -> Wish:
        """Draws one.

        Args:
            losses: Of the trials that are feasible and finite, `(n, m)`, n >= 1.
            greatest: `(m,)` budgets up to which each objective is looked at.
            primary: p.
            rng: Source of randomness.
        """
        by_area = rng.random() < 0.5
        if by_area and losses.shape[1] == 2:
            return cls(primary, None)
        least = losses[pareto.front_mask(losses)].min(axis=0)
        budgets = rng.uniform(least, np.maximum(greatest, least))
        budgets[primary] = np.inf
        return cls(primary, budgets)

    def worth(self, outcomes: Sequence[Outcome], losses: Floats) -> Floats:
        """Logarithm of what each candidate is worth, `(M,)`.

        Args:
            outcomes: One per objective.
            losses: Of the trials that are feasible and finite, `(n, m)`, n >= 1.
        """
        p = self.primary
        budgets = self.budgets
        if budgets is None:
            gain = _area_gain(outcomes, losses, p)
            if gain.max() > 0:
                return np.log(np.maximum(gain, _TINY))
            budgets = losses.max(axis=0)  # nothing adds area: improve p wherever
        inside = (losses <= budgets).all(axis=1)
        best = losses[inside, p].min() if inside.any() else losses[:, p].max()
        worth = outcomes[p].log_improvement(float(best))
        for k, outcome in enumerate(outcomes):
            if k != p:
                worth = worth + outcome.log_within(float(budgets[k]))
        return worth


def _area_gain(outcomes: Sequence[Outcome], losses: Floats, p: int) -> Floats:
    """Expected gain of the dominated area, `(M,)`."""
    front = losses[pareto.front_mask(losses)]
    ideal, reference = front.min(axis=0), losses.max(axis=0)
    reference[p] = front[:, p].max()
    # A front of one point has no extent; that of all trials stands in.
    reference = np.where(reference > ideal, reference, losses.max(axis=0))
    span = np.where(reference > ideal, reference - ideal, 1.0)
    first, second = ((o.losses() - ideal[j]) / span[j] for j, o in enumerate(outcomes))
    return hypervolume_gain(first, second, (front - ideal) / span, _REFERENCE)


def log_probability_below(belief: Belief, threshold: float) -> Floats:
    """Logarithm of the probability that a value is at most `threshold`, `(M,)`."""
    from scipy.special import log_ndtr

    deviations = belief.deviations(np.arange(len(belief.mean)))
    found: Floats = log_ndtr((threshold - belief.mean) / deviations)
    return found
