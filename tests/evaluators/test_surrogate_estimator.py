"""The surrogate as a regressor: honest, repeatable, at home in scikit-learn, kept in a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nas_plugins.errors import DataError, MissingDependencyError, UnknownNameError
from nas_plugins.evaluators.surrogate import Surrogate, storage
from nas_plugins.evaluators.surrogate import models as surrogate_models
from nas_plugins.evaluators.surrogate.scale import Scale
from nas_plugins.evaluators.surrogate.transform import Quantiles

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def data() -> tuple[Floats, Floats]:
    """Noisy labels that depend on two of six features."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((400, 6))
    labels = 90 + 3 * np.sin(features[:, 0]) + features[:, 1] + 0.3 * rng.standard_normal(400)
    return features, labels


def rank_correlation(first: Floats, second: Floats) -> float:
    ranks = [np.argsort(np.argsort(v)) for v in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.parametrize("model", ["gp", "extra-trees", "xgboost", "naslib", "auto", "blend"])
def test_every_model_learns_to_rank(model: str, data: tuple[Floats, Floats]) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("xgboost")
    features, labels = data
    surrogate = Surrogate(model=model, folds=2).fit(features[:60], labels[:60])
    assert rank_correlation(surrogate.predict(features[60:]), labels[60:]) > 0.75
    assert sum(surrogate.weights_.values()) == pytest.approx(1.0)


def test_the_same_labels_and_seed_give_the_same_predictions(data: tuple[Floats, Floats]) -> None:
    pytest.importorskip("sklearn")
    features, labels = data
    first, second = (
        Surrogate(folds=2, seed=3).fit(features[:30], labels[:30]).predict(features[30:])
        for _ in range(2)
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize("target", ["rank", "z"])
def test_predictions_are_in_the_unit_of_the_labels(
    target: str, data: tuple[Floats, Floats]
) -> None:
    features, labels = data
    surrogate = Surrogate(model="gp", target=target).fit(features[:80], labels[:80])
    predicted, deviation = surrogate.predict(features[80:], return_std=True)
    assert np.abs(predicted - labels[80:]).mean() < 0.8
    assert (deviation > 0).all()
    assert 0.1 < np.median(deviation) < 2.0


def test_intervals_cover_what_they_say(data: tuple[Floats, Floats]) -> None:
    features, labels = data
    surrogate = Surrogate(model="gp").fit(features[:100], labels[:100])
    for level in (0.5, 0.9):
        low, high = surrogate.interval(features[100:], level)
        inside = np.mean((low <= labels[100:]) & (labels[100:] <= high))
        assert abs(inside - level) < 0.15
        assert abs(surrogate.coverage(level) - level) < 0.15


def test_missing_features_are_no_obstacle(data: tuple[Floats, Floats]) -> None:
    features, labels = data
    holes = np.where(np.random.default_rng(1).random(features.shape) < 0.1, np.nan, features)
    holes[3, 2], holes[4, 2], holes[:, 5] = np.inf, -np.inf, np.nan
    surrogate = Surrogate(model="gp").fit(holes[:100], labels[:100])
    predicted = surrogate.predict(holes[100:])
    assert np.isfinite(predicted).all()
    assert rank_correlation(predicted, labels[100:]) > 0.7
    assert np.isfinite(surrogate.predict(np.full((1, 6), np.nan))).all()


def test_that_a_value_is_missing_can_itself_be_learned() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 2))
    dead = rng.random(60) < 0.3
    features[dead, 0] = np.nan
    labels = np.where(dead, 10.0, 90.0) + rng.standard_normal(60)
    predicted = Surrogate(model="gp").fit(features[:40], labels[:40]).predict(features[40:])
    assert predicted[dead[40:]].max() < predicted[~dead[40:]].min()


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_labels_is_enough_to_start(n: int, data: tuple[Floats, Floats]) -> None:
    features, labels = data
    surrogate = Surrogate().fit(features[:n], labels[:n])
    assert np.isfinite(surrogate.predict(features, return_std=True)).all()
    assert np.isnan(surrogate.coverage()) == (n < 5)


def test_equal_labels_or_constant_features_give_a_constant() -> None:
    features = np.arange(12.0).reshape(6, 2)
    assert Surrogate().fit(features, np.full(6, 7.0)).predict(features) == pytest.approx(7.0)
    flat = Surrogate(target="z").fit(np.zeros((6, 2)), np.arange(6.0)).predict(np.ones((2, 2)))
    assert flat[0] == flat[1] == pytest.approx(2.5, abs=0.3)


@pytest.mark.parametrize("target", ["rank", "z"])
def test_the_scale_is_strictly_increasing_and_comes_back(target: str) -> None:
    labels = np.array([10.0, 10.0, 88.0, 90.0, 91.0, 91.5])
    scale = Scale.of(labels, target)
    assert scale.label(scale.score(labels)) == pytest.approx(labels)
    line = np.linspace(-6, 6, 50)
    assert (np.diff(scale.label(line)) > 0).all()
    assert scale.score(scale.label(line)) == pytest.approx(line)


def test_quantiles_drop_constants_and_number_the_groups() -> None:
    features = np.array([[1.0, 5.0, 0.0], [1.0, 7.0, np.nan], [1.0, 9.0, 2.0]])
    quantiles = Quantiles.of(features, ["a", "b", "c"])
    assert quantiles.groups.tolist() == [0, 1, 1]
    assert quantiles(features).std(axis=0)[0] == pytest.approx(1.0)
    assert quantiles(features)[1, 1:].tolist() == [0.0, 2.0]


# -- scikit-learn ------------------------------------------------------------------------------


def test_scikit_learn_takes_it_for_one_of_its_own(data: tuple[Floats, Floats]) -> None:
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    features, labels = data[0][:60], data[1][:60]
    surrogate = Surrogate(model="gp", folds=3, seed=5)
    copy = base.clone(surrogate)
    assert copy is not surrogate
    assert copy.get_params() == surrogate.get_params()
    assert base.is_regressor(surrogate)
    assert selection.cross_val_score(surrogate, features, labels, cv=3).mean() > 0.4
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), surrogate)
    assert steps.fit(features, labels).score(features, labels) > 0.8
    search = selection.GridSearchCV(surrogate, {"target": ["rank", "z"]}, cv=2)
    assert search.fit(features, labels).best_params_["target"] in ("rank", "z")


def test_parameters_can_be_set_by_name() -> None:
    assert Surrogate().set_params(model="gp", seed=4).get_params()["seed"] == 4
    with pytest.raises(UnknownNameError, match="did you mean 'seed'"):
        Surrogate().set_params(sed=1)


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["gp", "xgboost", "blend"])
def test_a_saved_surrogate_predicts_the_same(
    model: str, data: tuple[Floats, Floats], tmp_path: Path
) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("xgboost")
    features, labels = data
    surrogate = Surrogate(model=model, folds=2, groups=list("aabbcc"), seed=2)
    surrogate.fit(features[:40], labels[:40]).save(tmp_path / "one.surrogate")
    loaded = Surrogate.load(tmp_path / "one.surrogate")
    assert loaded.get_params() == surrogate.get_params()
    assert loaded.weights_ == surrogate.weights_
    assert loaded.coverage(0.8) == surrogate.coverage(0.8)
    for ours, theirs in zip(
        loaded.predict(features, return_std=True),
        surrogate.predict(features, return_std=True),
        strict=True,
    ):
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_a_torn_or_foreign_file_is_refused_by_name(
    data: tuple[Floats, Floats], tmp_path: Path
) -> None:
    path = tmp_path / "torn.surrogate"
    Surrogate(model="gp").fit(data[0][:20], data[1][:20]).save(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not an archive at all"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"torn\.surrogate"):
            Surrogate.load(path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz"):
        Surrogate.load(tmp_path / "other.npz")
    with pytest.raises(DataError, match="absent"):
        Surrogate.load(tmp_path / "absent")


@pytest.mark.parametrize("weight", ["x", None, {}, [], "nan", -1.0])
def test_weights_that_are_none_are_refused(
    data: tuple[Floats, Floats], tmp_path: Path, weight: Any
) -> None:
    path = tmp_path / "a.surrogate"
    Surrogate(model="gp").fit(data[0][:20], data[1][:20]).save(path)
    header, arrays = storage.read(path)
    storage.write(path, {**header, "weights": {"gp": weight}}, arrays)
    with pytest.raises(DataError, match=r"a\.surrogate"):
        Surrogate.load(path)


def test_a_changed_file_fails_its_checksum(data: tuple[Floats, Floats], tmp_path: Path) -> None:
    path = tmp_path / "one.surrogate"
    Surrogate(model="gp").fit(data[0][:20], data[1][:20]).save(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["y"] = arrays["y"] + 1
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(DataError, match="checksum"):
        Surrogate.load(path)


# -- what goes wrong ---------------------------------------------------------------------------


def test_without_xgboost_the_others_do(
    monkeypatch: pytest.MonkeyPatch, data: tuple[Floats, Floats]
) -> None:
    def absent(name: str) -> object:
        if name in missing:
            raise ImportError(f"No module named {name!r}")
        return real(name)

    real = surrogate_models.importlib.import_module
    missing = {"xgboost", "sklearn.ensemble"}
    monkeypatch.setattr(surrogate_models.importlib, "import_module", absent)
    features, labels = data[0][:20], data[1][:20]
    assert set(Surrogate(folds=2).fit(features, labels).weights_) == {"gp"}
    for model in ("xgboost", "naslib", "extra-trees"):
        with pytest.raises(MissingDependencyError, match=r"pip install 'nas-plugins\[surrogate\]"):
            Surrogate(model=model).fit(features, labels)


@pytest.mark.parametrize(
    ("options", "x", "y", "message"),
    [
        ({}, [[1.0]], [1.0], "at least 2 labels, got 1"),
        ({}, [[1.0], [2.0]], [1.0, np.nan], "finite, got nan at 1"),
        ({}, [1.0, 2.0], [1.0, 2.0], "2 dimensions"),
        ({}, [[1.0], [2.0]], [1.0], r"shape \(2,\)"),
        ({"folds": 1}, [[1.0], [2.0]], [1.0, 2.0], "`folds` must be >= 2"),
        ({"groups": ["a", "b"]}, [[1.0], [2.0]], [1.0, 2.0], "each of the 1 columns"),
        ({"model": "gb"}, [[1.0], [2.0]], [1.0, 2.0], "did you mean 'gp'"),
        ({"target": "ranks"}, [[1.0], [2.0]], [1.0, 2.0], "did you mean 'rank'"),
    ],
)
def test_bad_input_is_named(
    options: dict[str, object], x: list[object], y: list[float], message: str
) -> None:
    with pytest.raises((ValueError, UnknownNameError), match=message):
        Surrogate(**options).fit(x, y)  # type: ignore[arg-type]


def test_it_must_be_fitted_first(data: tuple[Floats, Floats]) -> None:
    with pytest.raises(ValueError, match="fit the surrogate"):
        Surrogate().predict(data[0])
    fitted = Surrogate(model="gp").fit(data[0][:10], data[1][:10])
    with pytest.raises(ValueError, match="6 columns"):
        fitted.predict(data[0][:, :2])
    with pytest.raises(ValueError, match="between 0 and 1"):
        fitted.coverage(90)


def test_the_package_imports_neither_scikit_learn_nor_xgboost() -> None:
    code = (
        "import sys, nas_plugins.evaluators.surrogate; "
        "print({'sklearn', 'xgboost', 'torch', 'scipy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
