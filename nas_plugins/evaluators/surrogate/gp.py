"""A Gaussian process with one length scale per group of features, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nas_plugins.numerics.gp import GaussianPosterior, log_likelihood

Floats = npt.NDArray[np.float64]

MAX_TUNED = 250
"""Most labels on which the hyperparameters are fitted; the posterior has all of them."""

_SCALE, _NOISE = -2.5, -3.0
_TRUST = (0.3, 0.1)
_BOUNDS = ((-7.0, 3.0), (-8.0, 0.0))
_STEPS = (1.0, 0.5, 0.25)


class GaussianProcess:
    """Matern 3/2 covariance on the mean squared distances of groups of features.

    ``k(x, x') = (1 + r) exp(-r)``, ``r = sqrt(3 sum_g w_g d_g(x, x'))``, where ``d_g`` is the
    squared distance over the features of group g, divided by their number (Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006, section 4.2). The weights and the
    noise have the greatest posterior density under weak log-normal priors, which matter below
    some fifty labels; the amplitude follows from them in closed form.

    Args:
        groups: Group of each feature, 0 to G - 1.
        seed: Chooses the labels that tune, where there are more than `MAX_TUNED`.
        parameters: Logarithms of the G weights and the noise, where they are known already.
    """

    def __init__(
        self, groups: npt.NDArray[np.intp], *, seed: int = 0, parameters: Floats | None = None
    ) -> None:
        self._groups, self._seed = groups, seed
        self.parameters = parameters

    def fit(self, features: Floats, target: Floats) -> GaussianProcess:
        """Fits `(n, F)` features and an `(n,)` target with mean near 0."""
        if self.parameters is None:
            self.parameters = self._tuned(features, target)
        self._known, self._mean = features, float(target.mean())
        covariance = self._covariance(self.parameters, self._distances(features, features))
        covariance += np.exp(self.parameters[-1]) * np.eye(len(target))
        self._posterior = GaussianPosterior(covariance, target - self._mean)
        return self

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Means and standard deviations of labels, each `(B,)`; the labels' noise is included."""
        if self.parameters is None:
            raise ValueError("fit the model before it predicts")
        cross = self._covariance(self.parameters, self._distances(self._known, features))
        noise = float(np.exp(self.parameters[-1]))
        means, columns = self._posterior.at(cross)
        left = np.maximum(1.0 + noise - (columns**2).sum(axis=0), noise)
        return self._mean + means, np.sqrt(self._posterior.scale * left)

    def _tuned(self, features: Floats, target: Floats) -> Floats:
        if len(target) > MAX_TUNED:
            chosen = np.random.default_rng(self._seed).permutation(len(target))[:MAX_TUNED]
            features, target = features[chosen], target[chosen]
        distances = self._distances(features, features)
        start = np.full(len(distances) + 1, _SCALE)
        start[-1] = _NOISE
        centred = target - target.mean()
        eye = np.eye(len(target))

        def loss(parameters: Floats) -> float:
            whole = self._covariance(parameters, distances) + np.exp(parameters[-1]) * eye
            away = (parameters - start) ** 2
            prior = _TRUST[0] * away[:-1].sum() + _TRUST[1] * away[-1]
            return float(prior - log_likelihood(whole, centred))

        return _descend(loss, start)

    def _distances(self, first: Floats, second: Floats) -> list[Floats]:
        n_groups = int(self._groups.max(initial=-1)) + 1
        parts = [self._groups == g for g in range(n_groups)]
        return [_squared(first[:, part], second[:, part]) for part in parts]

    def _covariance(self, parameters: Floats, distances: list[Floats]) -> Floats:
        if not distances:  # no feature varies
            raise ValueError("`features` must have a column that varies")
        total = sum(w * d for w, d in zip(np.exp(parameters[:-1]), distances, strict=True))
        root = np.sqrt(3.0 * total)
        covariance: Floats = (1.0 + root) * np.exp(-root)
        return covariance


def _squared(first: Floats, second: Floats) -> Floats:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    distances: Floats = np.maximum(squares - 2.0 * first @ second.T, 0.0) / first.shape[1]
    return distances


def _descend(loss: Callable[[Floats], float], start: Floats) -> Floats:
    """Coordinate descent with shrinking steps within the bounds."""
    best, least = start, loss(start)
    low = np.array([_BOUNDS[0][0]] * (len(start) - 1) + [_BOUNDS[1][0]])
    high = np.array([_BOUNDS[0][1]] * (len(start) - 1) + [_BOUNDS[1][1]])
    for step in _STEPS:
        moved = True
        while moved:
            moved = False
            for i in range(len(start)):
                for sign in (step, -step):
                    tried = best.copy()
                    tried[i] = np.clip(tried[i] + sign, low[i], high[i])
                    found = loss(tried) if tried[i] != best[i] else np.inf
                    if found < least - 1e-9:
                        best, least, moved = tried, found, True
                        break
    return best
