"""Which candidate to evaluate next, given beliefs about each objective.

Symbols
    ``s_j``             a candidate's score in objective j, less is better: normal, with mean
                        ``mu_j`` and deviation ``sigma_j``
    ``q_1 .. q_16``     quantiles of the standard normal at ``(i - 1/2) / 16``
    ``w``               weights of the objectives, uniform over those that add up to 1

An expectation over ``s_j`` is the mean over ``mu_j + sigma_j q_i``, or one draw or bound in its
place. One objective: log expected improvement. Two: the gain of hypervolume (both in
`nas_plugins.numerics.acquisition`), of scores turned back into losses. More: by how much ``max_j
w_j (s_j + 4) + 0.05 sum_j w_j (s_j + 4)``, the augmented Tchebycheff scalarisation of Knowles'
ParEGO (2006), improves on the trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nas_plugins import pareto
from nas_plugins.numerics.acquisition import hypervolume_gain, log_expected_improvement
from nas_plugins.strategies.arch_vq.predictors import Beliefs

Floats = npt.NDArray[np.float64]

ACQUISITIONS = ("ei", "ucb", "thompson")

_NODES = np.array([NormalDist().inv_cdf((i + 0.5) / 16) for i in range(16)])
_CONFIDENCE = 1.0
_REFERENCE = 1.1
_AUGMENTED = 0.05
_TINY = 1e-12


def outcomes(kind: str, one: Beliefs, rng: np.random.Generator) -> Floats:
    """Scores that candidates may have, `(M, S)`; their mean stands for the expectation.

    Args:
        kind: ``"ei"``: 16 quantiles. ``"ucb"``: the optimistic end of the interval of one
            standard deviation. ``"thompson"``: one draw.
        one: Beliefs about one objective.
        rng: Source of randomness.
    """
    mean, deviation = one.mean[:, None], one.deviation[:, None]
    steps: Floats = np.full((1, 1), -_CONFIDENCE)
    if kind == "ei":
        steps = _NODES[None]
    elif kind == "thompson":
        steps = rng.standard_normal(mean.shape)
    return mean + deviation * steps


def single(kind: str, one: Beliefs, best: float, rng: np.random.Generator) -> Floats:
    """Utility of candidates with one objective, `(M,)`, more is better.

    Expected improvement comes as its logarithm, which still tells candidates apart where the
    improvement itself underflows.

    Args:
        kind: One of `ACQUISITIONS`.
        one: Beliefs.
        best: Best score so far.
        rng: Source of randomness.
    """
    if kind != "ei":
        return -outcomes(kind, one, rng)[:, 0]
    return log_expected_improvement(one.mean, one.deviation, best)


def several(
    kind: str, beliefs: Sequence[Beliefs], scores: Floats, losses: Floats, rng: np.random.Generator
) -> Floats:
    """Utility of candidates with several objectives, `(M,)`, more is better.

    Args:
        kind: One of `ACQUISITIONS`.
        beliefs: One per objective.
        scores: Normal scores of the trials, `(n, m)`.
        losses: Their losses, `(n, m)`; NaN in trials that are not feasible or not finite.
        rng: Source of randomness.
    """
    drawn = [outcomes(kind, one, rng) for one in beliefs]
    usable = ~np.isnan(losses).any(axis=1)
    if len(beliefs) == 2 and usable.sum() > 1:
        gain = _area_gain(drawn, scores[usable], losses[usable])
        if gain.max() > 0:
            return gain
    weights = rng.dirichlet(np.ones(len(beliefs)))
    best = _scalarised(scores.T[:, :, None], weights).min()
    utility: Floats = np.maximum(best - _scalarised(np.stack(drawn), weights), 0).mean(axis=1)
    if utility.max() > 0:
        return utility
    utility = -_scalarised(np.stack(drawn), weights).mean(axis=1)
    return utility


def _scalarised(scores: Floats, weights: Floats) -> Floats:
    """Scores `(m, M, S)` to `(M, S)`."""
    weighted = weights[:, None, None] * (scores + 4.0)  # positive but for the best of 30,000
    result: Floats = weighted.max(axis=0) + _AUGMENTED * weighted.sum(axis=0)
    return result


def _area_gain(drawn: Sequence[Floats], scores: Floats, losses: Floats) -> Floats:
    """Expected gain of dominated area with two objectives, `(M,)`.

    The scores are turned back into losses, and these are scaled so that the front found so far
    spans the unit square.
    """
    front = losses[pareto.front_mask(losses)]
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    # A front of one point has no extent; that of all trials stands in.
    nadir = np.where(nadir > ideal, nadir, np.maximum(losses.max(axis=0), ideal + _TINY))
    span = nadir - ideal
    first, second = (
        (_loss_of(d, scores[:, j], losses[:, j]) - ideal[j]) / span[j] for j, d in enumerate(drawn)
    )
    return hypervolume_gain(first, second, (front - ideal) / span, _REFERENCE)


def _loss_of(drawn: Floats, scores: Floats, losses: Floats) -> Floats:
    """Scores as losses: interpolated between the trials, and linear beyond the best."""
    order = np.argsort(scores, kind="stable")
    knots, values = scores[order], losses[order]
    tenth = min(max(len(knots) // 10, 1), len(knots) - 1)
    run = knots[tenth] - knots[0]
    slope = (values[tenth] - values[0]) / run if run > 0 else 0.0
    beyond = slope * np.minimum(drawn - knots[0], 0.0)
    result: Floats = np.interp(drawn, knots, values) + beyond
    return result
