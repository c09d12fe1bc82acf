"""The regressors a surrogate chooses from: Gaussian process, extra trees, XGBoost, and a blend.

Each takes a matrix of features and an `(n,)` target and predicts a mean and a spread, the latter
up to a factor that the surrogate calibrates.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nas_plugins.errors import MissingDependencyError, needing, unknown_name
from nas_plugins.evaluators.surrogate.gp import GaussianProcess
from nas_plugins.evaluators.surrogate.transform import Quantiles

Floats = npt.NDArray[np.float64]
Groups = Sequence[int | str]

SINGLE = ("gp", "extra-trees", "xgboost", "naslib")
MODELS = ("auto", "blend", *SINGLE)
BLENDED = ("gp", "extra-trees", "xgboost")

_HUGE = 1e9
_NEEDS = {"extra-trees": "sklearn.ensemble", "xgboost": "xgboost", "naslib": "xgboost"}
_PACKAGES = {"sklearn.ensemble": "scikit-learn", "xgboost": "XGBoost"}


class Model(Protocol):
    """One regressor."""

    def fit(self, features: Floats, target: Floats) -> None:
        """Fits `(n, F)` features, NaN where missing, and an `(n,)` target."""
        ...

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Means and spreads, each `(B,)`; a spread is positive."""
        ...

    def renewed(self) -> Model:
        """An unfitted model with the hyperparameters of this one, for cross-validation."""
        ...

    def state(self) -> npt.NDArray[Any]:
        """What cannot be refitted from the labels, or costs too much; may be empty."""
        ...

    def restore(self, state: npt.NDArray[Any], features: Floats, target: Floats) -> None:
        """Brings a fitted model back from its state and the labels."""
        ...


class GP:
    """`GaussianProcess` on quantiles, one length scale per group of features."""

    def __init__(
        self, groups: Groups | None, seed: int, parameters: Mapping[int, Floats] | None = None
    ) -> None:
        self._groups, self._seed = groups, seed
        # By number of groups: a fold may lack a group that is constant there.
        self._parameters = dict(parameters or {})

    def fit(self, features: Floats, target: Floats) -> None:
        """Fits the hyperparameters too, where they are not known."""
        self._quantiles = Quantiles.of(features, self._groups)
        groups = self._quantiles.groups
        self._mean = float(target.mean())
        self._process = None
        if len(groups):  # else no feature varies
            known = self._parameters.get(len(set(groups.tolist())))
            self._process = GaussianProcess(groups, seed=self._seed, parameters=known)
            self._process.fit(self._quantiles(features), target)

    def renewed(self) -> GP:
        """Keeps the length scales and the noise."""
        state = self.state()
        return GP(self._groups, self._seed, {len(state) - 1: state})

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Posterior means and standard deviations."""
        if self._process is None:
            return np.full(len(features), self._mean), np.ones(len(features))
        return self._process.predict(self._quantiles(features))

    def state(self) -> npt.NDArray[Any]:
        """The hyperparameters."""
        return np.zeros(0) if self._process is None else np.asarray(self._process.parameters)

    def restore(self, state: npt.NDArray[Any], features: Floats, target: Floats) -> None:
        """One Cholesky decomposition."""
        self._parameters = {len(state) - 1: state}
        self.fit(features, target)


class ExtraTrees:
    """100 extremely randomised trees on quantiles; the spread is that of the trees.

    Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006.
    """

    def __init__(self, groups: Groups | None, seed: int, trees: int = 100) -> None:
        self._groups, self._seed, self._trees = groups, seed, trees

    def fit(self, features: Floats, target: Floats) -> None:
        """Grows the trees."""
        ensemble = require("extra-trees")
        self._quantiles = Quantiles.of(features, self._groups)
        self._mean = float(target.mean())
        self._forest = ensemble.ExtraTreesRegressor(
            self._trees, max_features=0.5, n_jobs=1, random_state=self._seed
        )
        if len(self._quantiles.groups):
            self._forest.fit(self._quantiles(features), target)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation over the trees."""
        if not len(self._quantiles.groups):
            return np.full(len(features), self._mean), np.ones(len(features))
        known = self._quantiles(features).astype(np.float32)
        trees = np.stack([t.tree_.predict(known)[:, 0] for t in self._forest.estimators_])
        return trees.mean(axis=0), trees.std(axis=0) + 1e-6

    def renewed(self) -> ExtraTrees:
        """The same settings."""
        return ExtraTrees(self._groups, self._seed, self._trees)

    def state(self) -> npt.NDArray[Any]:
        """Nothing: the same seed grows the same trees."""
        return np.zeros(0)

    def restore(self, state: npt.NDArray[Any], features: Floats, target: Floats) -> None:
        """Grows the trees again."""
        self.fit(features, target)


class XGBoost:
    """Gradient boosting; the spread is constant.

    Args:
        seed: Seed of the subsampling.
        naslib: NASLib's settings (500 rounds, depth 6, step .3, nothing subsampled, infinities
            as +-1e9) instead of the soft ones (400 rounds, depth 4, step .05, rows .8, columns
            .5). White et al., "How Powerful are Performance Predictors in Neural Architecture
            Search?", NeurIPS 2021.
    """

    def __init__(self, seed: int, *, naslib: bool = False) -> None:
        self._naslib, self._seed = naslib, seed
        self._rounds = 500 if naslib else 400
        soft = {"max_depth": 4, "eta": 0.05, "subsample": 0.8, "colsample_bytree": 0.5}
        self._settings: dict[str, Any] = {
            "objective": "reg:squarederror",
            "seed": seed,
            "nthread": 1,
            "verbosity": 0,
            **({"max_depth": 6, "eta": 0.3} if naslib else soft),
        }

    def fit(self, features: Floats, target: Floats) -> None:
        """Boosts."""
        xgboost = require("xgboost")
        data = xgboost.DMatrix(self._clean(features), label=target)
        self._booster = xgboost.train(self._settings, data, num_boost_round=self._rounds)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Predictions and ones."""
        data = require("xgboost").DMatrix(self._clean(features))
        means = np.asarray(self._booster.predict(data), dtype=np.float64)
        return means, np.ones(len(features))

    def renewed(self) -> XGBoost:
        """The same settings."""
        return XGBoost(self._seed, naslib=self._naslib)

    def state(self) -> npt.NDArray[Any]:
        """Nothing: the same seed grows the same trees.

        XGBoost's own file is not kept: it believes what a file says of its trees, so that a
        changed one can end the process.
        """
        return np.zeros(0)

    def restore(self, state: npt.NDArray[Any], features: Floats, target: Floats) -> None:
        """Grows the trees again."""
        self.fit(features, target)

    def _clean(self, features: Floats) -> Floats:
        if self._naslib:
            return np.nan_to_num(features, nan=np.nan, posinf=_HUGE, neginf=-_HUGE)
        return np.where(np.isfinite(features), features, np.nan)


def build(name: str, groups: Groups | None, seed: int) -> Model:
    """Builds a single model.

    Raises:
        UnknownNameError: No single model has this name.
        MissingDependencyError: Its library is not installed.
    """
    require(name)
    if name == "gp":
        return GP(groups, seed)
    if name == "extra-trees":
        return ExtraTrees(groups, seed)
    if name in ("xgboost", "naslib"):
        return XGBoost(seed, naslib=name == "naslib")
    raise unknown_name("surrogate model", name, SINGLE)


def require(name: str) -> Any:
    """Imports the library that a model needs.

    Raises:
        MissingDependencyError: It is not installed; says what to run.
    """
    module = _NEEDS.get(name)
    if module is None:
        return None
    needs = f"surrogate model {name!r} needs {_PACKAGES[module]}"
    with needing(f"{needs}, which cannot be imported", "'nas-plugins[surrogate]'"):
        return importlib.import_module(module)


def available() -> tuple[str, ...]:
    """The blended models whose libraries are installed; the Gaussian process needs none."""
    found = []
    for name in BLENDED:
        try:
            require(name)
        except MissingDependencyError:
            continue
        found.append(name)
    return tuple(found)
