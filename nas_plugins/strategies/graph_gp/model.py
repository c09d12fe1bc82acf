"""What the trials say of candidates: one Gaussian process per value.

Symbols, beside those of `nas_plugins.numerics.gp`
    ``c_ij``   covariance of trial i and candidate j, up to the factor ``a``; 1 at most
    ``v``      noise of a trial, up to a

The variance of candidate j given all trials is at most that given any one of them, ``a (1 -
c_ij^2 / (1 + v))``. The least of these bounds costs one pass over the covariances, the exact
variance a solution with n right-hand sides; so where only the best candidate is wanted, those are
looked at exactly whose bound leaves them a chance.

A trial that still runs is taken for evaluated at its mean: the means of others stay, and the
uncertainty of what is like it shrinks (Ginsbourger, Le Riche and Carraro, "Kriging is well-suited
to parallelize optimization", 2010).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.gp import GaussianPosterior
from nas_plugins.numerics.matern import Matern, MaternPrior, fitted
from nas_plugins.spaces.base import Rows, SearchSpace
from nas_plugins.strategies.graph_gp.candidates import Candidates
from nas_plugins.strategies.graph_gp.features import Floats, scaled_features, squared_distances
from nas_plugins.training_set import Positions, informative, settled_size

_LEAST_VARIANCE = 1e-9
_MAX_KNOWN = 300
_MAX_SETTLED = 150
_FIRST_FIT = 8
_FIT_GROWTH = 1.1


class Belief:
    """What is believed of one value of M candidates.

    Args:
        kernel: The covariance.
        squares: `(n, n)` squared distances of the trials.
        values: `(k,)` values of the first k trials; the others still run.
        cross: `(n, M)` squared distances of trials and candidates.

    Attributes:
        mean: `(M,)`.
        values: As given.
    """

    def __init__(
        self,
        kernel: Matern,
        squares: Floats,
        values: Floats,
        cross: npt.NDArray[np.float32],
    ) -> None:
        self._noise = kernel.noise
        self.values = values
        k = len(values)
        covariance = np.asarray(kernel(squares), np.float64)
        self._posterior = self._told = self._given(covariance[:k, :k], values)
        if k < len(squares):
            running = covariance[k:, :k] @ self._told.weights
            self._posterior = self._given(covariance, np.concatenate([values, running]))
        self._cross = kernel(cross)
        weights = self._posterior.weights.astype(np.float32)
        self.mean: Floats = (weights @ self._cross).astype(np.float64)

    def _given(self, covariance: Floats, values: Floats) -> GaussianPosterior:
        return GaussianPosterior(covariance + self._noise * np.eye(len(values)), values)

    @property
    def left_out(self) -> Floats:
        """What each complete trial would be predicted as without itself, `(k,)`."""
        return self._told.left_out

    def largest_deviations(self) -> Floats:
        """Upper bounds on the standard deviations of the values, without noise, `(M,)`."""
        nearest = self._cross.max(axis=0).astype(np.float64)
        return self._deviations(nearest**2 / (1.0 + self._noise))

    def deviations(self, at: Positions) -> Floats:
        """Standard deviations of the values of some candidates, without noise."""
        _, columns = self._posterior.at(self._cross[:, at].astype(np.float64))
        return self._deviations((columns**2).sum(axis=0))

    def _deviations(self, explained: Floats) -> Floats:
        found: Floats = np.sqrt(self._told.scale * np.maximum(1.0 - explained, _LEAST_VARIANCE))
        return found


class Learner:
    """Trials that values are known of, others that run, and candidates.

    Args:
        space: The space.
        rows: `(n, D)` trials with values.
        running: `(r, D)` trials without.
        found: M candidates.

    Attributes:
        n_candidates: M.
    """

    def __init__(self, space: SearchSpace, rows: Rows, running: Rows, found: Candidates) -> None:
        self._n = len(rows)
        self.n_candidates = len(found)
        self._found = found
        known = np.concatenate([rows, running])
        self._names = [row.tobytes() for row in known]
        self._features = scaled_features(space)(known)

    def belief(self, values: Callable[[int], Floats], prior: MaternPrior) -> Belief:
        """What the trials say of one value of the candidates.

        Beyond 300 trials those are learned from that `informative` picks. Scale and noise are
        fitted anew when the trials have become a tenth more.

        Args:
            values: Gives those of the first k trials, `(k,)`, low is good.
            prior: Of scale and noise.
        """
        kernel = self._kernel(values, prior)
        told = values(self._n)
        at = informative(told[:, None], _MAX_KNOWN)
        used = np.concatenate([at, np.arange(self._n, len(self._names))])
        features = self._features[used]
        cross = self._found.distances(features, [self._names[i] for i in used.tolist()])
        return Belief(kernel, squared_distances(features, features), told[at], cross)

    def _kernel(self, values: Callable[[int], Floats], prior: MaternPrior) -> Matern:
        settled = settled_size(self._n, _FIRST_FIT, _FIT_GROWTH)
        told = values(settled)
        at = informative(told[:, None], _MAX_SETTLED)
        return _fitted(self._features[:settled][at].tobytes(), told[at].tobytes(), prior)


@lru_cache(maxsize=64)
def _fitted(features: bytes, values: bytes, prior: MaternPrior) -> Matern:
    y = np.frombuffer(values, dtype=np.float64)
    z = np.frombuffer(features, dtype=np.float64).reshape(len(y), -1)
    return fitted(squared_distances(z, z), y, prior)
