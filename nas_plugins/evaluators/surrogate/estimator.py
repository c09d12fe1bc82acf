"""The surrogate: predicts a label from features, with an interval, in scikit-learn's manner."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins._reading import refusing
from nas_plugins.errors import unknown_name
from nas_plugins.evaluators.surrogate import storage
from nas_plugins.evaluators.surrogate.models import MODELS, Model, available, build, require
from nas_plugins.evaluators.surrogate.scale import TARGETS, Scale
from nas_plugins.evaluators.surrogate.validation import (
    ONE_SIGMA,
    Mixture,
    blend_weights,
    choose,
    conformal_quantile,
    cross_validate,
    honest_coverage,
)

Floats = npt.NDArray[np.float64]
_Ratios = tuple[npt.NDArray[np.intp], Floats]

MIN_VALIDATED = 5
"""Fewest labels that are cross-validated."""

MIN_CHOSEN = 20
"""Fewest labels among whose models ``"auto"`` chooses; with fewer it is the Gaussian process.

Cross-validation on ten labels chooses badly: on NAS-Bench-201, CIFAR-10, over 24 draws, Kendall's
tau was .647 with the choice and .677 with the Gaussian process alone.
"""


class Surrogate:
    """Predicts labels from features that may be missing; learns from ten labels or a thousand.

    A scikit-learn estimator without importing scikit-learn: `clone`, `cross_val_score` and
    pipelines take it. The same labels and seed give the same predictions.

    After `fit`, ``weights_`` are the models' shares in the prediction, ``errors_`` their
    out-of-fold mean squared errors in scores, ``n_features_in_`` and ``n_labels_`` what was
    seen.

    Args:
        model: ``"blend"``, ``"gp"``, ``"extra-trees"``, ``"xgboost"``, ``"naslib"`` (NASLib's
            XGBoost on raw features and z-scores), or ``"auto"``: the blend, or one of its
            models where that is clearly better in cross-validation; the Gaussian process with
            under 20 labels. ``"auto"`` and ``"blend"`` use the models whose libraries are
            installed; the Gaussian process needs none.
        target: ``"rank"``: normal scores of the labels' ranks; ``"z"``: z-scores.
        groups: Group of each feature, for the Gaussian process, which weighs groups against
            each other; one group by default.
        folds: Parts of the cross-validation; with 0 there is none, so that a blend has equal
            weights and intervals are not calibrated.
        seed: Seed of the parts and of the models.
    """

    _estimator_type = "regressor"

    def __init__(
        self,
        *,
        model: str = "auto",
        target: str = "rank",
        groups: Sequence[int | str] | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.target = target
        self.groups = groups
        self.folds = folds
        self.seed = seed

    # -- learning --------------------------------------------------------------------------

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Surrogate:  # noqa: N803 - scikit-learn's
        """Learns from labels.

        Args:
            X: `(n, F)` features, n >= 2; NaN and infinities mean that a value is missing.
            y: `(n,)` finite labels.

        Raises:
            ValueError: A shape is wrong, a label is not finite, or an option is out of range.
            UnknownNameError: `model` or `target` is not known.
            MissingDependencyError: `model` needs a library that is not installed.
        """
        features, labels = self._checked(X, y)
        self._prepare(features, labels)
        fitted = {name: self._build(name) for name in self._names(len(labels))}
        self._held: _Ratios | None = None
        self.errors_: dict[str, float] = {}
        self._mixture = Mixture(dict.fromkeys(fitted, 1 / len(fitted)))
        with _one_thread():
            for model in fitted.values():
                model.fit(features, self._score)
            if self.folds and len(labels) >= MIN_VALIDATED:
                self._validate(fitted)
        self._models = {name: fitted[name] for name in self._mixture.weights}
        return self

    def _prepare(self, features: Floats, labels: Floats) -> None:
        self._x, self._y = features, labels
        self.n_features_in_, self.n_labels_ = features.shape[1], len(labels)
        self._scale = Scale.of(labels, "z" if self.model == "naslib" else self.target)
        self._score = self._scale.score(labels)

    def _names(self, n: int) -> tuple[str, ...]:
        if self.model in ("auto", "blend"):
            return available() if n >= (MIN_CHOSEN if self.model == "auto" else 2) else ("gp",)
        require(self.model)
        return (self.model,)

    def _build(self, name: str) -> Model:
        return build(name, self.groups, self.seed)

    def _validate(self, fitted: Mapping[str, Model]) -> None:
        held = cross_validate(
            fitted,
            self._x,
            self._score,
            folds=min(self.folds, len(self._score)),
            seed=self.seed,
        )
        self.errors_ = held.errors(self._score)
        mixture = blend_weights(self.errors_) if self.model == "blend" else None
        self._mixture = mixture or choose(held, self._score)
        mean, spread = self._mixture(held.means, held.spreads)
        self._held = (held.fold, np.abs(self._score - mean) / spread)

    @property
    def weights_(self) -> dict[str, float]:
        """Share of each model in the prediction, adding up to 1."""
        self._fitted()
        return dict(self._mixture.weights)

    # -- predicting ------------------------------------------------------------------------

    def predict(
        self,
        X: npt.ArrayLike,  # noqa: N803 - scikit-learn's name
        return_std: bool = False,
    ) -> Any:
        """Predicts labels.

        Args:
            X: `(B, F)`.
            return_std: Whether to return calibrated standard deviations too: half the width of
                the interval that covers 68 %.

        Returns:
            `(B,)` predictions in the labels' unit, or a pair of these and their deviations.
        """
        mean, spread = self._scores(X)
        values = self._scale.label(mean)
        if not return_std:
            return values
        half = self._factor(ONE_SIGMA) * spread
        width = self._scale.label(mean + half) - self._scale.label(mean - half)
        return values, width / 2

    def interval(self, X: npt.ArrayLike, level: float = 0.9) -> tuple[Floats, Floats]:  # noqa: N803
        """Bounds between which a label lies with probability `level`, each `(B,)`.

        Conformal: the spreads of the models times the factor that covered that share of the
        labels out of fold.
        """
        _check_level(level)
        mean, spread = self._scores(X)
        half = self._factor(level) * spread
        return self._scale.label(mean - half), self._scale.label(mean + half)

    def coverage(self, level: float = 0.9) -> float:
        """Share of the labels inside their interval while held out; NaN with under 5 labels.

        The factor for each fold comes from the other folds, so this does not flatter.
        """
        _check_level(level)
        self._fitted()
        if self._held is None:
            return float("nan")
        fold, ratios = self._held
        return honest_coverage(ratios, fold.tolist(), level)

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:  # noqa: N803 - scikit-learn's
        """R^2 of the predictions, as scikit-learn's regressors."""
        labels = np.asarray(y, dtype=np.float64)
        residual = float(((labels - self.predict(X)) ** 2).sum())
        total = float(((labels - labels.mean()) ** 2).sum())
        return 1.0 - residual / total if total > 0 else float(residual == 0)

    def _scores(self, X: npt.ArrayLike) -> tuple[Floats, Floats]:  # noqa: N803
        self._fitted()
        features = _matrix(X)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"`X` must have {self.n_features_in_} columns as in fit, got {features.shape[1]}"
            )
        found = {name: model.predict(features) for name, model in self._models.items()}
        means = {name: mean for name, (mean, _) in found.items()}
        return self._mixture(means, {name: spread for name, (_, spread) in found.items()})

    def _factor(self, level: float) -> float:
        ratios = np.zeros(0) if self._held is None else self._held[1]
        return conformal_quantile(ratios, level)

    # -- scikit-learn's protocol -----------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Arguments of the constructor by name."""
        return {name: getattr(self, name) for name in _parameters()}

    def set_params(self, **params: Any) -> Surrogate:
        """Sets arguments of the constructor.

        Raises:
            UnknownNameError: There is no such argument.
        """
        for name, value in params.items():
            if name not in _parameters():
                raise unknown_name("parameter of Surrogate", name, _parameters())
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(allow_nan=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_models")

    def __repr__(self) -> str:
        given = [f"{n}={getattr(self, n)!r}" for n in _parameters() if n != "groups"]
        return f"{type(self).__name__}({', '.join(given)})"

    # -- files -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Writes labels, settings and fitted parameters to one file, without pickle.

        The Gaussian process is kept as its hyperparameters, XGBoost in its own format; extra
        trees are grown again from the seed when the file is read, so with another version of
        scikit-learn they may come out a little different. A checksum guards the whole.
        """
        self._fitted()
        arrays: dict[str, npt.NDArray[Any]] = {"x": self._x, "y": self._y}
        if self._held is not None:
            arrays["fold"], arrays["ratios"] = self._held
        arrays |= {f"model/{name}": model.state() for name, model in self._models.items()}
        settings = {**self.get_params(), "groups": storage.plain(self.groups)}
        facts = {"weights": dict(self._mixture.weights), "errors": self.errors_}
        storage.write(Path(path), {"settings": settings, **facts}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Surrogate:
        """Reads a file that `save` wrote.

        Raises:
            DataError: The file is absent, torn or of another kind.
            MissingDependencyError: It holds a model whose library is not installed.
        """
        header, arrays = storage.read(Path(path))
        with refusing(path, storage.WHAT):
            return cls._restored(header, arrays)

    @classmethod
    def _restored(cls, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Surrogate:
        self = cls(**header["settings"])
        arrays["x"], arrays["y"] = self._checked(arrays["x"], arrays["y"])
        self._prepare(arrays["x"], arrays["y"])
        weights = {str(name): float(weight) for name, weight in header["weights"].items()}
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
            raise ValueError(f"the models' weights are {weights}")
        self._mixture = Mixture(weights)
        self.errors_ = dict(header["errors"])
        self._held = (arrays["fold"], arrays["ratios"]) if "fold" in arrays else None
        self._models = {name: self._build(name) for name in self._mixture.weights}
        for name, model in self._models.items():
            model.restore(arrays[f"model/{name}"], self._x, self._score)
        return self

    # -- checks ----------------------------------------------------------------------------

    def _checked(self, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:  # noqa: N803
        if self.model not in MODELS:
            raise unknown_name("surrogate model", str(self.model), MODELS)
        if self.target not in TARGETS:
            raise unknown_name("target", str(self.target), TARGETS)
        if self.folds < 2 and (self.folds or self.model == "auto"):
            rule = ">= 2 for model 'auto'" if self.model == "auto" else "0 or >= 2"
            raise ValueError(f"`folds` must be {rule}, got {self.folds}")
        features = _matrix(X)
        labels = np.asarray(y, dtype=np.float64)
        if labels.shape != (len(features),):
            raise ValueError(f"`y` must have shape ({len(features)},), got {labels.shape}")
        if len(labels) < 2:
            raise ValueError(f"`y` must hold at least 2 labels, got {len(labels)}")
        if not np.isfinite(labels).all():
            place = int(np.flatnonzero(~np.isfinite(labels))[0])
            raise ValueError(f"`y` must be finite, got {labels[place]} at {place}")
        if self.groups is not None and len(self.groups) != features.shape[1]:
            raise ValueError(
                f"`groups` must name a group for each of the {features.shape[1]} columns of "
                f"`X`, got {len(self.groups)}"
            )
        return features, labels

    def _fitted(self) -> None:
        if not hasattr(self, "_models"):
            raise ValueError("fit the surrogate before it predicts or is saved")


def _one_thread() -> AbstractContextManager[Any]:
    """Keeps linear algebra from using every core, where threadpoolctl can; sums stay the same."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    limited: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limited


def _matrix(features: npt.ArrayLike) -> Floats:
    matrix = np.asarray(features, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"`X` must have 2 dimensions, got shape {matrix.shape}")
    return matrix


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, got {level}")


def _parameters() -> list[str]:
    return list(inspect.signature(Surrogate.__init__).parameters)[1:]
