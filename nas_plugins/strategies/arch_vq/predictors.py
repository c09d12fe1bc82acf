"""Predictors of objectives from few trials, with an honest uncertainty.

All of them predict normal scores: the trials are ranked, the feasible ones by their loss and the
others behind them by their violation, and each rank is turned into a quantile of the standard
normal. So infinite losses and the long tail of accuracies do no harm.

Symbols, beside those of `nas_plugins.numerics.gp`
    ``v``       variance of a trial around its score, up to the factor a, like K
    ``c_j``     variance of candidate j that is left, ``k0_j - sum_i V_ij^2``
    ``b_j``     covariance of candidate j with all candidates, given the trials

A candidate j that is taken for evaluated, at its mean, is one more row of the Cholesky factor:
``b_j = k(j, .) - V_j' V``, the new row of V is ``b_j / sqrt(c_j + v)``, the means stay, as the
value is no news, and every ``c`` loses the square of its entry. An ensemble of E members stands
in for a process whose covariance is that of the members' predictions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.gp import GaussianPosterior, log_likelihood
from nas_plugins.spaces.base import Rows
from nas_plugins.strategies.arch_vq.features import Describer, Features

Floats = npt.NDArray[np.float64]
Member = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

PREDICTORS = ("gp", "ridge", "lstm")

_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
_NOISES = (1e-3, 1e-2, 0.05, 0.2)
_SLOPES = (0.1, 1.0, 10.0, 100.0)
_SWEEPS = 2
_MEMBERS = 4
_MEMBER_NOISE = 0.1
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Labelled:
    """Architectures and their normal scores.

    Attributes:
        rows: `(n, D)` choice indices.
        scores: `(n,)`, low is good.
    """

    rows: Rows
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)


# -- beliefs -----------------------------------------------------------------------------------


class Beliefs(ABC):
    """What is believed about M candidates, as normal scores.

    Attributes:
        mean: `(M,)`.
        noise: Variance of a trial around its score.
    """

    mean: Floats
    noise: float

    @property
    @abstractmethod
    def deviation(self) -> Floats:
        """Standard deviations of the scores `(M,)`, without the noise of a trial."""

    @abstractmethod
    def believe(self, j: int) -> None:
        """Takes candidate j for evaluated, with its mean as the outcome (kriging believer).

        The means stay; the uncertainty of j, and of what is like it, shrinks. Ginsbourger, Le
        Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010.
        """


@dataclass(frozen=True, eq=False)
class Pairs:
    """Two batches of architectures; what all objectives share is computed once.

    Attributes:
        first: B architectures.
        second: B' architectures.
        unit: Squared distance of code vectors that counts as 1.
    """

    first: Features
    second: Features
    unit: float

    @cached_property
    def distances(self) -> Floats:
        """`(3, B, B')`: see `Features.distances`."""
        return self.first.distances(self.second, self.unit)


class Covariance(ABC):
    """Prior covariance of architectures, up to a scale that is fitted."""

    noise: float

    @abstractmethod
    def __call__(self, pairs: Pairs) -> Floats:
        """`(B, B')`."""

    @abstractmethod
    def variances(self, features: Features, unit: float) -> Floats:
        """`(B,)`: the diagonal."""


class GaussianBeliefs(Beliefs):
    """The posterior of a Gaussian process.

    Args:
        covariance: Prior covariance.
        scores: Normal scores of the n trials.
        known: The trials among themselves.
        cross: Trials and M candidates.
    """

    def __init__(self, covariance: Covariance, scores: Floats, known: Pairs, cross: Pairs) -> None:
        self._covariance, self._candidates, self._unit = covariance, cross.second, cross.unit
        whole = covariance(known) + covariance.noise * np.eye(len(scores))
        posterior = GaussianPosterior(whole, scores)
        self.mean, self._columns = posterior.at(covariance(cross))
        prior = covariance.variances(cross.second, cross.unit)
        self._left = prior - (self._columns**2).sum(axis=0)
        self._scale = posterior.scale
        self.noise = self._scale * covariance.noise

    @property
    def deviation(self) -> Floats:
        """Standard deviations `(M,)`."""
        result: Floats = np.sqrt(self._scale * np.maximum(self._left, _TINY))
        return result

    def believe(self, j: int) -> None:
        """Adds a row to the Cholesky factor."""
        one = self._candidates[np.arange(j, j + 1)]
        prior = self._covariance(Pairs(one, self._candidates, self._unit))[0]
        joint = prior - self._columns[:, j] @ self._columns
        row = joint / np.sqrt(max(self._left[j], _TINY) + self._covariance.noise)
        self._columns = np.vstack([self._columns, row])
        self._left = self._left - row**2


# -- Gaussian process --------------------------------------------------------------------------


@dataclass(frozen=True)
class Similarity(Covariance):
    """``exp(-sum_i weight_i * distance_i)`` over the distances of `Features`.

    Attributes:
        weights: One per distance.
        noise: Variance of a trial, where an architecture's is 1.
    """

    weights: tuple[float, ...]
    noise: float

    def __call__(self, pairs: Pairs) -> Floats:
        """Covariance of all pairs."""
        result: Floats = np.exp(-np.tensordot(self.weights, pairs.distances, 1))
        return result

    def variances(self, features: Features, unit: float) -> Floats:
        """Ones."""
        return np.ones(len(features))


def fitted_similarity(pairs: Pairs, scores: Floats) -> Similarity:
    """Weights and noise of greatest marginal likelihood, by coordinate ascent on a grid.

    Args:
        pairs: The n trials among themselves.
        scores: Their normal scores.
    """
    distances = pairs.distances
    eye = np.eye(len(scores))

    def likelihood(values: tuple[float, ...]) -> float:
        return log_likelihood(
            np.exp(-np.tensordot(values[:-1], distances, 1)) + values[-1] * eye, scores
        )

    best = (1.0,) * len(distances) + (_NOISES[1],)
    score = likelihood(best)
    for _ in range(_SWEEPS):
        for i in range(len(best)):
            for value in _WEIGHTS if i < len(distances) else _NOISES:
                tried = (*best[:i], value, *best[i + 1 :])
                if tried != best and (found := likelihood(tried)) > score:
                    best, score = tried, found
    return Similarity(best[:-1], best[-1])


# -- Bayesian ridge regression -----------------------------------------------------------------


@dataclass(frozen=True)
class Linear(Covariance):
    """Linear in counts and code vectors: Bayesian ridge regression as a Gaussian process.

    Attributes:
        slope: Prior variance of the linear part, beside 1 of the constant.
        noise: Variance of a trial.
    """

    slope: float
    noise: float

    def __call__(self, pairs: Pairs) -> Floats:
        """Covariance of all pairs."""
        first, second = (_inputs(f, pairs.unit) for f in (pairs.first, pairs.second))
        result: Floats = 1.0 + self.slope * (first @ second.T)
        return result

    def variances(self, features: Features, unit: float) -> Floats:
        """Diagonal."""
        result: Floats = 1.0 + self.slope * (_inputs(features, unit) ** 2).sum(axis=1)
        return result


def _inputs(features: Features, unit: float) -> Floats:
    """Shares of the labels and scaled code vectors, `(B, L + F)`."""
    counts = features.counts / max(float(features.counts[:1].sum()), 1.0)
    return np.concatenate([counts, features.codes / np.sqrt(unit)], axis=1).astype(np.float64)


def fitted_linear(pairs: Pairs, scores: Floats) -> Linear:
    """Slope and noise of greatest marginal likelihood on a grid."""
    eye = np.eye(len(scores))
    kernels = [Linear(slope, noise) for slope in _SLOPES for noise in _NOISES]
    return max(kernels, key=lambda k: log_likelihood(k(pairs) + k.noise * eye, scores))


# -- the paper's LSTM --------------------------------------------------------------------------


class EnsembleBeliefs(Beliefs):
    """Mean and spread of a few predictors.

    Args:
        predictions: `(E, M)` normal scores.
    """

    def __init__(self, predictions: Floats) -> None:
        self.mean = predictions.mean(axis=0)
        self.noise = _MEMBER_NOISE
        self._spread = (predictions - self.mean) / np.sqrt(max(len(predictions) - 1, 1))
        self._left = (self._spread**2).sum(axis=0)
        self._rows: list[Floats] = []

    @property
    def deviation(self) -> Floats:
        """Standard deviations `(M,)`."""
        result: Floats = np.sqrt(np.maximum(self._left, _TINY))
        return result

    def believe(self, j: int) -> None:
        """Shrinks what the members agree on with candidate j."""
        joint = self._spread[:, j] @ self._spread
        joint = joint - sum((row[j] * row for row in self._rows), np.zeros_like(joint))
        row = joint / np.sqrt(max(self._left[j], _TINY) + self.noise)
        self._rows.append(row)
        self._left = self._left - row**2


# -- all together ------------------------------------------------------------------------------


def beliefs(
    kind: str,
    describer: Describer,
    *,
    settled: Sequence[Labelled],
    rows: Rows,
    scores: Floats,
    candidates: Features,
) -> list[Beliefs]:
    """What a predictor believes about candidates, per objective.

    Args:
        kind: One of `PREDICTORS`.
        describer: Computes features.
        settled: Per objective the trials to which what is costly is fitted. As long as they stay
            the same, it is remembered.
        rows: All trials `(n, D)`.
        scores: Their normal scores, `(n, m)`.
        candidates: Features of the candidates.

    Raises:
        ValueError: ``"lstm"`` without a model.
    """
    packed = [(part.rows.tobytes(), part.scores.tobytes()) for part in settled]
    if kind == "lstm":
        vectors = _sequences(describer, candidates)
        return [
            EnsembleBeliefs(
                -np.stack([m(vectors) for m in _members(describer, *part)]).astype(float)
            )
            for part in packed
        ]
    features = describer(rows)
    known = Pairs(features, features, describer.scale)
    cross = Pairs(features, candidates, describer.scale)
    return [
        GaussianBeliefs(_covariance(kind, describer, *part), column, known, cross)
        for part, column in zip(packed, scores.T, strict=True)
    ]


@lru_cache(maxsize=64)
def _covariance(kind: str, describer: Describer, rows: bytes, scores: bytes) -> Covariance:
    settled = _unpacked(describer, rows, scores)
    features = describer(settled.rows)
    pairs = Pairs(features, features, describer.scale)
    if kind == "ridge":
        return fitted_linear(pairs, settled.scores)
    return fitted_similarity(pairs, settled.scores)


@lru_cache(maxsize=16)
def _members(describer: Describer, rows: bytes, scores: bytes) -> tuple[Member, ...]:
    from nas_plugins.strategies.arch_vq.lstm import Predictor

    settled = _unpacked(describer, rows, scores)
    vectors = _sequences(describer, describer(settled.rows))
    return tuple(Predictor(vectors, -settled.scores, seed=seed) for seed in range(_MEMBERS))


def _sequences(describer: Describer, features: Features) -> npt.NDArray[np.float32]:
    """Code vectors `(B, N, F)` in the order of the nodes."""
    latent = describer.latent
    if not latent.learned:
        raise ValueError("`predictor` 'lstm' reads code vectors, so it needs a model; got 'none'")
    return features.codes.reshape(len(features), latent.n_nodes, -1)


def _unpacked(describer: Describer, rows: bytes, scores: bytes) -> Labelled:
    width = len(describer.latent.space.decisions)
    values = np.frombuffer(scores, dtype=np.float64)
    return Labelled(np.frombuffer(rows, dtype=np.int16).reshape(-1, width), values)
