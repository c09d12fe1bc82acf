"""The additive latency model: exact on an additive truth, honest about its error elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import (
    DataError,
    InvalidArchitectureError,
    MetricUnavailableError,
    UnknownNameError,
)
from nas_plugins.evaluators.latency.additive import LatencyModel, folds
from nas_plugins.evaluators.latency.design import balanced, measured_sample
from nas_plugins.evaluators.latency.features import ingredients
from nas_plugins.evaluators.latency.model import LatencyModelEvaluator
from nas_plugins.evaluators.latency.quality import Quality
from nas_plugins.protocols import Metric
from nas_plugins.testing.evaluators import EvaluatorTestCase

CELLS = nap.space("nasbench201")
Floats = npt.NDArray[np.float64]


def draw(space: nap.SearchSpace, n: int, seed: int = 0) -> list[nap.Architecture]:
    return space.architectures(space.random(n, np.random.default_rng(seed)))


def additive_truth(space: nap.SearchSpace, seed: int = 0) -> Callable[..., Floats]:
    """A constant plus a random cost per choice, from the rows."""
    rng = np.random.default_rng(seed)
    costs = [rng.uniform(0.1, 3.0, k) for k in space.cardinalities.tolist()]

    def values(architectures: Sequence[nap.Architecture]) -> Floats:
        rows = space.rows(architectures)
        return 2.0 + sum(cost[rows[:, d]] for d, cost in enumerate(costs))

    return values


@dataclass
class Source(nap.Evaluator):
    """An evaluator with an additive truth; refuses some architectures."""

    space: nap.SearchSpace = field(default_factory=lambda: CELLS)
    refuses: Callable[[nap.Architecture], bool] = lambda architecture: False
    source: str = "an abacus, 1 thread"
    metrics: tuple[Metric, ...] = (Metric("latency_ms", "ms", "min"),)
    asked: list[nap.Architecture] = field(default_factory=list)

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        self.asked += architectures
        if not architectures:
            return []
        values = additive_truth(self.space)(architectures).tolist()
        pairs = zip(architectures, values, strict=True)
        return [{} if self.refuses(a) else {"latency_ms": v} for a, v in pairs]


class TestConforms(EvaluatorTestCase):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator("latency-model", source=Source(), n=30)

    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return draw(CELLS, 6, seed=1)


# -- the model -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench201", "fbnet", "categorical"])
def test_an_additive_truth_is_recovered_exactly(name: str) -> None:
    options = {"decisions": {"width": [8, 16, 32], "depth": [1, 2], "act": ["relu", "gelu"]}}
    space = nap.space(name, **(options if name == "categorical" else {}))
    truth = additive_truth(space)
    n = {"nasbench201": 60, "fbnet": 230, "categorical": 9}[name]
    sample = balanced(space, n, np.random.default_rng(0))
    model = LatencyModel.fit(sample, truth(sample).tolist(), source="an abacus")
    others = draw(space, 50, seed=1)
    np.testing.assert_allclose(model.predict(others), truth(others), rtol=1e-4)
    assert model.quality.mae < 1e-3
    assert model.quality.spearman > 0.99
    assert model.quality.n == n
    assert f"additive model of {n} architectures; held-out error MAE " in model.description
    assert model.description.endswith("fitted on: an abacus")


def test_dead_operations_are_free_where_the_device_says_so() -> None:
    """A truth that counts live operations only, as a compiler that removes dead ones gives."""
    costs = np.array([0.0, 0.1, 1.0, 5.0, 0.7])

    def truth(architectures: Sequence[nap.Architecture]) -> Floats:
        parts = ingredients(CELLS, architectures)
        live = parts.live_choices.reshape(-1, 6, 5).sum(axis=1)
        return 1.0 + live @ costs

    sample = balanced(CELLS, 40, np.random.default_rng(0))
    others = draw(CELLS, 200, seed=1)
    errors = {}
    for counted in ("auto", "live", "all", "both"):
        model = LatencyModel.fit(sample, truth(sample).tolist(), counted=counted)
        errors[counted] = Quality.of(model.predict(others), truth(others)).mae
        assert model.recipe.counted == {"auto": "live"}.get(counted, counted)
    assert errors["auto"] == errors["live"] < 1e-3
    assert errors["all"] > 0.1


@pytest.mark.parametrize(
    ("text", "live"),
    [
        # The first edge is `none`, so node 1 is never reached and edges out of it are dead.
        (
            "|none~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|",
            [0, 1, 0, 0, 0, 1],
        ),
        # Node 2 leads nowhere.
        (
            "|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|none~2|",
            [1, 0, 0, 0, 1, 0],
        ),
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
            "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
            [1, 1, 1, 1, 1, 1],
        ),
    ],
)
def test_live_operations_of_a_cell(text: str, live: list[int]) -> None:
    parts = ingredients(CELLS, [CELLS.parse(text)])
    assert parts.live_choices is not None
    assert parts.live_choices.reshape(6, 5).sum(axis=1).tolist() == live
    assert parts.live_counts[0, 1:6].sum() == sum(live)
    assert parts.counts[0, 1:].sum() == 7  # six operations and the output


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "darts", "darts-cell", "fbnet"])
def test_every_space_has_features(name: str) -> None:
    space = nap.space(name)
    architectures = draw(space, 5)
    parts = ingredients(space, architectures)
    assert parts.choices.sum(axis=1).tolist() == [len(space.decisions)] * 5
    assert (parts.live_counts <= parts.counts).all()
    assert parts.live_counts.sum() > 0
    assert parts.flops is not None


def test_stated_error_is_of_held_out_architectures() -> None:
    """Pure noise cannot be predicted, however well it is fitted."""
    noise = np.random.default_rng(0).uniform(1.0, 2.0, 40)
    sample = balanced(CELLS, 40, np.random.default_rng(0))
    model = LatencyModel.fit(sample, noise.tolist())
    assert model.quality.mae > 0.15  # the mean's is .25
    assert abs(model.quality.spearman) < 0.6
    assert sorted(set(folds(40).tolist())) == list(range(10))
    assert sorted(folds(6).tolist()) == list(range(6))


@pytest.mark.parametrize("n", [6, 20])
def test_few_measurements_of_flops_alone_are_enough(n: int) -> None:
    sample = balanced(CELLS, n, np.random.default_rng(0))
    values = [3.0 + CELLS.complexity(a).flops / 1e7 for a in sample]
    model = LatencyModel.fit(sample, values)
    assert model.recipe.counted == "flops"
    assert model.quality.relative < 1e-4


def test_predictions_are_never_negative() -> None:
    sample = balanced(CELLS, 30, np.random.default_rng(0))
    sizes = np.array([CELLS.complexity(a).flops for a in sample], dtype=float)
    model = LatencyModel.fit(sample, np.maximum(sizes - np.median(sizes), 0.0).tolist())
    assert model.predict(draw(CELLS, 300)).min() == 0.0
    assert model.predict([]).shape == (0,)


@pytest.mark.parametrize(
    ("n", "values", "message"),
    [
        (3, None, "`architectures` must be at least 4, got 3"),
        (30, [1.0], "`latencies` must have one value per architecture, 30, got 1"),
        (30, [float("nan")] * 30, r"`latencies\[0\]` must be finite and >= 0, got nan"),
        (30, [-1.0] * 30, r"`latencies\[0\]` must be finite and >= 0, got -1.0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(n: int, values: list[float], message: str) -> None:
    sample = draw(CELLS, n)
    with pytest.raises(ValueError, match=message):
        LatencyModel.fit(sample, [1.0] * n if values is None else values)


def test_a_choice_that_occurs_nowhere_is_named() -> None:
    sample = [a for a in draw(CELLS, 100) if a.choices["1<-0"] != "nor_conv_3x3"][:40]
    with pytest.raises(ValueError, match="must occur in `architectures`, missing are 1<-0=nor_co"):
        LatencyModel.fit(sample, [1.0] * 40)


def test_other_spaces_and_readings_are_refused() -> None:
    sample = balanced(CELLS, 10, np.random.default_rng(0))
    stranger = draw(nap.space("fbnet"), 1)
    with pytest.raises(InvalidArchitectureError, match="must be of space 'nasbench201'"):
        LatencyModel.fit([*sample, *stranger], [1.0] * 11)
    with pytest.raises(UnknownNameError, match="did you mean 'live'"):
        LatencyModel.fit(sample, [1.0] * 10, counted="life")
    model = LatencyModel.fit(sample, [1.0] * 10)
    with pytest.raises(InvalidArchitectureError, match="which the model measures"):
        model.predict(stranger)
    with pytest.raises(TypeError, match="must be an Architecture"):
        model.predict(["|none~0|"])


# -- files ---------------------------------------------------------------------------------


@pytest.fixture
def model() -> LatencyModel:
    sample = balanced(CELLS, 25, np.random.default_rng(0))
    return LatencyModel.fit(sample, additive_truth(CELLS)(sample).tolist(), source="an abacus")


def test_a_saved_model_predicts_the_same(model: LatencyModel, tmp_path: Path) -> None:
    path = tmp_path / "abacus.json"
    model.save(path)
    loaded = LatencyModel.load(path)
    others = draw(CELLS, 20)
    assert np.array_equal(loaded.predict(others), model.predict(others))
    assert loaded.description == model.description
    assert (loaded.space, loaded.quality, loaded.recipe) == (CELLS, model.quality, model.recipe)
    assert [p.name for p in tmp_path.iterdir()] == ["abacus.json"]
    evaluator = LatencyModelEvaluator(model=path, space="nasbench201")
    assert evaluator.metrics[0].description == model.description
    with pytest.raises(DataError, match=r"abacus.json is of space 'nasbench201', not of 'fbnet'"):
        LatencyModelEvaluator(model=str(path), space="fbnet")
    with pytest.raises(TypeError, match=r"takes no options, got \['device'\]"):
        LatencyModelEvaluator(model=path, device="cpu")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"nasbench201"', '"fbnet"'),
        lambda text: text.replace('"weights"', '"w"'),
        lambda text: text.replace('"counted"', '"count"'),
        lambda text: json.dumps({**json.loads(text), "weights": [1.0]}),
        lambda text: text.replace('"constant": ', '"constant": 1e999, "x": '),
    ],
)
def test_a_torn_or_foreign_file_is_refused(
    model: LatencyModel, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    path = tmp_path / "abacus.json"
    model.save(path)
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    with pytest.raises(DataError, match=r"abacus.json is not a readable latency model"):
        LatencyModel.load(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*no\.json"):
        LatencyModelEvaluator(model=tmp_path / "no.json")


# -- the sample ----------------------------------------------------------------------------


@given(n=st.integers(9, 40), seed=st.integers(0, 99))
def test_a_balanced_sample_shows_every_choice_equally(n: int, seed: int) -> None:
    for space in (CELLS, nap.space("fbnet")):
        sample = balanced(space, n, np.random.default_rng(seed))
        rows = space.rows(sample)
        assert len({a.key for a in sample}) == n
        for d, k in enumerate(space.cardinalities.tolist()):
            counts = np.bincount(rows[:, d], minlength=k)
            assert counts.min() == n // k
            assert counts.max() == -(-n // k)


@pytest.mark.parametrize("name", ["nasbench101", "darts"])
def test_spaces_with_invalid_combinations_are_covered_too(name: str) -> None:
    space = nap.space(name)
    sample = balanced(space, 30, np.random.default_rng(0))
    assert len({a.key for a in sample}) == 30
    truth = [space.complexity(a).flops / 1e8 for a in sample]
    assert LatencyModel.fit(sample, truth).quality.spearman > 0.9


def test_the_same_seed_gives_the_same_sample() -> None:
    first, second = (balanced(CELLS, 12, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_too_small_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`n` must be >= 5, .* each of the 5 choices"):
        balanced(CELLS, 4, np.random.default_rng(0))
    space = nap.space("categorical", decisions={"a": [1, 2], "b": [1, 2]})
    with pytest.raises(ValueError, match="`n` must be <= 4, the different architectures found"):
        balanced(space, 5, np.random.default_rng(0))
    rows = CELLS.random(500, np.random.default_rng(0))
    with pytest.raises(ValueError, match="`n` = 5 is too small for every choice"):
        balanced(CELLS, 5, np.random.default_rng(0), among=rows[:12])


def test_what_cannot_be_measured_is_replaced() -> None:
    picky = Source(refuses=lambda a: a.choices["1<-0"] == "none" and a.indices[1] != 1)
    sample, values = measured_sample(picky, CELLS, 20, seed=0, metric="latency_ms")
    assert len({a.key for a in sample}) == len(values) == 20
    assert not any(picky.refuses(a) for a in sample)
    assert len({a.key for a in picky.asked}) == len(picky.asked) > 20
    assert {a.indices[0] for a in sample} == set(range(5))


def test_a_choice_that_is_hardly_ever_measured_is_sought() -> None:
    picky = Source(refuses=lambda a: a.choices["1<-0"] == "none" and a.indices[1] != 1)
    for seed in range(10):
        sample, values = measured_sample(picky, CELLS, 5, seed=seed, metric="latency_ms")
        assert 5 <= len(sample) == len(values) <= 10
        assert "none" in {a.choices["1<-0"] for a in sample}


def test_a_source_that_measures_nothing_is_given_up_early() -> None:
    broken = Source(refuses=lambda a: True)
    with pytest.raises(DataError, match="'latency_ms' for 0 of 20 architectures"):
        measured_sample(broken, CELLS, 20, seed=0, metric="latency_ms")
    assert len(broken.asked) == 20


# -- the evaluator -------------------------------------------------------------------------


def test_it_measures_n_and_predicts_the_rest() -> None:
    source = Source()
    evaluator = LatencyModelEvaluator(source, n=40, seed=1)
    assert len(source.asked) == 40
    others = draw(CELLS, 30, seed=2)
    found = [values["latency_ms"] for values in evaluator.evaluate(others)]
    np.testing.assert_allclose(found, additive_truth(CELLS)(others), rtol=1e-3)
    assert len(source.asked) == 40
    (metric,) = evaluator.metrics
    assert (metric.name, metric.unit, metric.direction) == ("latency_ms", "ms", "min")
    assert metric.description == evaluator.source == evaluator.model.description
    assert "of 40 architectures; held-out error MAE" in metric.description
    assert "an abacus, 1 thread" in metric.description


def test_sources_by_name_get_their_options() -> None:
    evaluator = LatencyModelEvaluator("complexity", n=25, metric="params_m", channels=8)
    cells = draw(CELLS, 20)
    found = [values["params_m"] for values in evaluator.evaluate(cells)]
    truth = [CELLS.complexity(a, channels=8).params / 1e6 for a in cells]
    np.testing.assert_allclose(found, truth, rtol=1e-3)
    assert evaluator.metrics[0].unit == "M"


def test_wrong_words_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'latency"):
        LatencyModelEvaluator("latencie")
    with pytest.raises(UnknownNameError, match="metric of the source 'latency'; did you mean"):
        LatencyModelEvaluator(Source(), metric="latency")
    with pytest.raises(TypeError, match=r"takes no options, got \['device'\]"):
        LatencyModelEvaluator(Source(), device="cpu")


def test_reasons_of_the_source_are_passed_on() -> None:
    class Failing(Source):
        def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
            class Reason(dict[str, float]):
                def __missing__(self, name: str) -> float:
                    raise MetricUnavailableError("the abacus is broken")

            return [Reason() for _ in architectures]

    with pytest.raises(DataError, match="the last reason: the abacus is broken"):
        LatencyModelEvaluator(Failing(), n=5)
