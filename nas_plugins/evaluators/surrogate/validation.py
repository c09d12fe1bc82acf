"""Out-of-fold predictions: which models to trust, how far, and how honest the intervals are.

Symbols
    ``y_i``             label i, as a score
    ``m_ai, d_ai``      mean and spread of model a for it, fitted without it
    ``E_a``             mean of ``(m_ai - y_i)^2`` over i
    ``w_a``             share of model a in the blend, in proportion to ``1 / E_a^2``
    ``m_i, d_i``        the blend: ``m_i = sum_a w_a m_ai``, ``d_i^2 = sum_a w_a (d_ai^2 + (m_ai -
                        m_i)^2)``, the variance of the mixture
    ``r_i``             ``|y_i - m_i| / d_i``

An interval ``m +- f d`` that is to hold a further label with probability l takes for f the
``ceil((n + 1) l)``-th smallest of the n ratios r.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas_plugins.evaluators.surrogate.models import Model

Floats = npt.NDArray[np.float64]

ONE_SIGMA = 0.6826894921370859
_PREFERENCE = 0.95
_SHARPNESS = 2.0


@dataclass(frozen=True, eq=False)
class Held:
    """What was predicted for each label while it was held out.

    Attributes:
        fold: `(n,)` in which fold it was held out.
        means: `(n,)` by model.
        spreads: `(n,)` by model.
    """

    fold: npt.NDArray[np.intp]
    means: Mapping[str, Floats]
    spreads: Mapping[str, Floats]

    def errors(self, target: Floats) -> dict[str, float]:
        """Mean squared error by model."""
        return {name: float(((mean - target) ** 2).mean()) for name, mean in self.means.items()}


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights of models that add up to one prediction.

    Attributes:
        weights: Positive, adding up to 1, by model.
    """

    weights: Mapping[str, float]

    def __call__(
        self, means: Mapping[str, Floats], spreads: Mapping[str, Floats]
    ) -> tuple[Floats, Floats]:
        """Mean and spread: the models' own spreads and their disagreement, in squares."""
        mean = sum((w * means[m] for m, w in self.weights.items()), np.zeros(1))
        square = sum(
            (w * (spreads[m] ** 2 + (means[m] - mean) ** 2) for m, w in self.weights.items()),
            np.zeros(1),
        )
        return mean, np.sqrt(square)


def cross_validate(
    models: Mapping[str, Model],
    features: Floats,
    target: Floats,
    *,
    folds: int,
    seed: int,
) -> Held:
    """Predicts every label by models that have not seen it.

    Args:
        models: Models fitted on all labels; their hyperparameters are kept, a slight leak.
        features: `(n, F)`.
        target: `(n,)`.
        folds: Number of parts, at most n.
        seed: Seed of the random parts.
    """
    n = len(target)
    fold = np.empty(n, dtype=np.intp)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % folds
    means = {name: np.empty(n) for name in models}
    spreads = {name: np.empty(n) for name in models}
    for part in range(folds):
        out = fold == part
        for name, fitted in models.items():
            model = fitted.renewed()
            model.fit(features[~out], target[~out])
            means[name][out], spreads[name][out] = model.predict(features[out])
    return Held(fold, means, spreads)


def blend_weights(errors: Mapping[str, float]) -> Mixture:
    """Weights in proportion to 1 / error^2, so that a poor model has little say.

    Args:
        errors: Out-of-fold mean squared error by model.
    """
    least = max(min(errors.values()), 1e-12)
    raw = {name: (least / max(error, least)) ** _SHARPNESS for name, error in errors.items()}
    total = sum(raw.values())
    return Mixture({name: weight / total for name, weight in raw.items()})


def choose(held: Held, target: Floats) -> Mixture:
    """The blend of all models, unless one alone has an error at least 5 % below the blend's.

    The blend's error counts with weights fitted on the same folds, hence slightly low.
    """
    errors = held.errors(target)
    blend = blend_weights(errors)
    mean, _ = blend(held.means, held.spreads)
    best = min(errors, key=errors.__getitem__)
    if errors[best] < _PREFERENCE * float(((mean - target) ** 2).mean()):
        return Mixture({best: 1.0})
    return blend


def conformal_quantile(ratios: Floats, level: float) -> float:
    """Smallest factor of the spreads that covers a further label with probability `level`.

    Split conformal prediction with its finite-sample correction (Vovk, Gammerman and Shafer,
    "Algorithmic Learning in a Random World", 2005; Lei et al., JASA 2018), applied to
    out-of-fold residuals. The largest ratio where there are too few for the level.
    """
    if not len(ratios):
        return 1.0
    rank = int(np.ceil((len(ratios) + 1) * level))
    return float(np.sort(ratios)[min(rank, len(ratios)) - 1])


def honest_coverage(ratios: Floats, fold: Sequence[int], level: float) -> float:
    """Share of labels inside intervals whose factor comes from the other folds alone."""
    parts = np.asarray(fold)
    inside = [
        ratios[parts == part] <= conformal_quantile(ratios[parts != part], level)
        for part in np.unique(parts)
    ]
    return float(np.concatenate(inside).mean()) if inside else float("nan")
