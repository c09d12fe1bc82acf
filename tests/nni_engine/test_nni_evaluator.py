"""Our evaluators in NNI: on samples, on frozen models, sent to trial processes, failing."""

from __future__ import annotations

import logging
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nni")

import nni
import nni.nas.nn.pytorch as nas
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.hub.pytorch import DARTS, NasBench101, NasBench201
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import ExecutableModelSpace, ModelStatus, RawFormatModelSpace
from nni.nas.space import SimplifiedModelSpace as Simplified
from nni.nas.strategy import Random

import nas_plugins as nap
from nas_plugins import Architecture, Metric
from nas_plugins.benchmarks.base import Table, TabularBenchmark
from nas_plugins.errors import (
    DataError,
    EvaluationError,
    InvalidArchitectureError,
    MetricUnavailableError,
    UnknownNameError,
)
from nas_plugins.history import TrialState
from nas_plugins.nni import RandomSearch, evaluator, translator
from nas_plugins.nni._evaluator import DEFAULT, REASON, ArchitectureEvaluator
from nas_plugins.spaces.nasbench201 import NASBench201


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Small(ModelSpace):
    """Images of the digits to logits, by one of nine networks."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [2, 4, 8])
        kernels = [nas.MutableConv2d(1, width, k, padding=k // 2) for k in (1, 3, 5)]
        self.conv = nas.LayerChoice(kernels, label="kernel")
        self.head = nas.MutableLinear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


class Fake:
    """Says how many convolutions a cell has; knows nothing of one with five."""

    metrics = (Metric("convs", "", "max"), Metric("cost_ms", "ms", "min"))

    def __init__(self, space: Any = None) -> None:
        if space is not None:
            self.space = space
        self.asked: list[Architecture] = []

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        self.asked += architectures
        found = []
        for architecture in architectures:
            n = sum("conv" in str(choice) for choice in architecture.choices.values())
            if n == 5:
                raise EvaluationError("five\nconvolutions are too many")
            found.append({"convs": np.float32(n), "cost_ms": n / 2, "odd": math.nan})
        return found


def table() -> TabularBenchmark:
    """A table of all cells of NAS-Bench-201 but the one of 3x3 convolutions."""
    space = NASBench201()
    rows = np.concatenate(list(space.enumerate()))
    accuracy = rows.sum(axis=1).astype(float)
    accuracy[(rows == 3).all(axis=1)] = np.nan
    columns = {"val_accuracy": accuracy, "latency_ms": 100 - rows[:, 0].astype(float)}
    metrics = (Metric("val_accuracy", "%", "max"), Metric("latency_ms", "ms", "min"))
    return TabularBenchmark("test/table", space, Table(rows, columns, metrics, "made up"))


class Run:
    """Models on the sequential engine, with all that they reported."""

    def __init__(self, model_space: Any, judge: Any, *, kind: Any = Simplified) -> None:
        self.models = kind.from_model(model_space, judge)
        self.engine = SequentialExecutionEngine(continue_on_failure=True)
        self.finals: list[Any] = []
        self.intermediates: list[Any] = []
        for name, kept in (
            ("final_metric", self.finals),
            ("intermediate_metric", self.intermediates),
        ):
            self.engine.register_model_event_callback(name, lambda e, k=kept: k.append(e.metric))

    def __call__(self, sample: dict[str, Any]) -> ExecutableModelSpace:
        model = self.models.freeze(sample)
        self.engine.submit_models(model)
        return model


def cell(*operations: str) -> dict[str, str]:
    return dict(
        zip(
            [f"cell/{e}" for e in ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")],
            operations,
            strict=True,
        )
    )


CELL = cell("conv_3x3", "none", "conv_1x1", "skip_connect", "none", "avg_pool_3x3")


@pytest.fixture(scope="module")
def nb201() -> NasBench201:
    return NasBench201(stem_out_channels=4, num_modules_per_stack=1)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr(Simplified, "executable_model", refuse)
    monkeypatch.setattr(RawFormatModelSpace, "executable_model", refuse)


# -- on samples ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("kind", [Simplified, RawFormatModelSpace])
def test_a_table_is_asked_without_a_network(nb201: NasBench201, kind: Any) -> None:
    judge = evaluator(table(), objectives=["latency_ms:min", "val_accuracy:max"])
    run = Run(nb201, judge, kind=kind)
    model = run(CELL)
    assert run.finals == [{DEFAULT: -97.0, "val_accuracy": 3 + 2 + 1 + 4, "latency_ms": 97.0}]
    assert {type(value) for value in run.finals[0].values()} == {float}
    assert model.metric == -97.0
    assert [str(o) for o in judge.objectives] == ["latency_ms:min", "val_accuracy:max"]
    assert judge.source == "made up"


@pytest.mark.usefixtures("no_network")
def test_a_failure_is_one_model_with_its_reason(
    nb201: NasBench201, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(nb201, evaluator(table()))
    with caplog.at_level(logging.ERROR, "nni"):
        failed = run(cell(*["conv_3x3"] * 6))
    assert failed.status is ModelStatus.Failed
    assert failed.metric is None
    assert "it was not measured" in run.intermediates[0][REASON]
    assert "'test/table' has no 'val_accuracy'" in caplog.text
    assert run(CELL).metric == 10.0
    assert len(run.finals) == 1


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        (["conv_3x3"] * 5 + ["none"], "five convolutions are too many"),
        (["none"] * 6, None),
    ],
)
def test_what_an_evaluator_raises_is_the_reason(
    nb201: NasBench201, operations: list[str], reason: str | None
) -> None:
    run = Run(nb201, evaluator(Fake()))
    model = run(cell(*operations))
    if reason is None:
        assert run.finals == [{DEFAULT: 0.0, "convs": 0.0, "cost_ms": 0.0}]
        assert math.copysign(1, run.finals[0][DEFAULT]) == 1
    else:
        assert model.status is ModelStatus.Failed
        assert run.intermediates == [{DEFAULT: 0.0, REASON: reason}]


def test_a_missing_objective_is_a_failure(nb201: NasBench201) -> None:
    class Forgetful(Fake):
        metrics = (*Fake.metrics, Metric("odd", "", "max"), Metric("lost", "", "max"))

    for name, reason in (("odd", "'odd' is nan"), ("lost", "no metric 'lost'; it returned")):
        run = Run(nb201, evaluator(Forgetful(), objectives=[f"{name}:max"]))
        assert run(CELL).status is ModelStatus.Failed
        assert reason in run.intermediates[0][REASON]


def test_other_errors_are_reasons_too(nb201: NasBench201) -> None:
    class Broken(Fake):
        def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
            raise ZeroDivisionError("by nothing")

    run = Run(nb201, evaluator(Broken()))
    assert run(CELL).status is ModelStatus.Failed
    assert run.intermediates[0][REASON] == "ZeroDivisionError: by nothing"


@pytest.mark.usefixtures("no_network")
def test_closed_forms_know_the_sizes_of_the_hub() -> None:
    run = Run(DARTS(width=(4, 8), num_cells=(3, 5)), evaluator("complexity"))
    translate = translator(run.models)
    architecture = translate.space.sample(np.random.default_rng(0))
    run(translate.sample(architecture))
    params = translate.space.complexity(architecture).params
    assert run.finals == [
        {DEFAULT: -params / 1e6, "params_m": params / 1e6, "flops_m": run.finals[0]["flops_m"]}
    ]


@pytest.mark.usefixtures("no_network")
def test_an_evaluators_own_space_is_met_or_the_model_refused() -> None:
    # The same cells with another padding of the graph, and with another operation.
    for space, model_space in (
        (nap.space("nasbench101", padding="end"), NasBench101(8, 1, 1)),
        (nap.space("darts", with_none=True), DARTS(width=4, num_cells=3)),
        (nap.space("darts"), DARTS(width=(4,), num_cells=3)),
    ):
        fake = Fake(space)
        run = Run(model_space, evaluator(fake))
        translate = translator(run.models)
        while not run.finals:
            run(translate.sample(translate.space.sample(np.random.default_rng(len(fake.asked)))))
        assert {architecture.space for architecture in fake.asked} == {space}
    run = Run(DARTS(width=(4, 8), num_cells=3), evaluator(Fake(nap.space("darts"))))
    translate = translator(run.models)
    model = run(translate.sample(translate.space.sample(np.random.default_rng(0))))
    assert model.status is ModelStatus.Failed
    assert "also decides ['width']; fix these" in run.intermediates[0][REASON]


@pytest.mark.usefixtures("no_network")
def test_a_real_table_gives_its_values(
    nb201: NasBench201, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        benchmark = nap.benchmark("nasbench201/cifar10")
    except DataError as error:
        pytest.skip(str(error))
    judge = evaluator("nasbench201/cifar10")
    assert [str(o) for o in judge.objectives] == ["val_accuracy:max"]
    run = Run(nb201, judge)
    space = benchmark.space
    architectures = space.architectures(space.random(30, np.random.default_rng(0)))
    for architecture in architectures:
        run(translator(nb201).sample(architecture))
    expected = benchmark.evaluate(architectures)
    assert run.finals == [{DEFAULT: row["val_accuracy"], **row} for row in expected]


# -- on frozen models ----------------------------------------------------------------------------


def test_zero_cost_proxies_score_the_frozen_network(nb201: NasBench201) -> None:
    judge = evaluator("zero-cost", proxies=["params", "grad_norm"], preset="smoke")
    assert [str(o) for o in judge.objectives] == ["grad_norm:max"]
    run = Run(nb201, judge)
    for _ in range(2):
        run(CELL)
    first, second = run.finals
    assert first == second  # the weights are seeded
    architecture = translator(nb201).architecture(CELL)
    expected = architecture.space.complexity(architecture, channels=4, cells=1).params / 1e6
    assert first["params"] == pytest.approx(expected)
    assert first["grad_norm"] > 0


def test_proxies_take_samples_that_no_benchmark_knows() -> None:
    run = Run(
        DARTS(width=4, num_cells=3), evaluator("zero-cost", proxies=["params"], preset="smoke")
    )
    sample = translator(run.models).sample(nap.space("darts").sample(np.random.default_rng(0)))
    sample |= {"normal/input_5_0": [3], "normal/input_5_1": [3]}
    assert run(sample).status is ModelStatus.Trained


def test_scores_are_kept_apart_by_model_space(
    nb201: NasBench201, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"proxies": ["params"], "preset": "smoke", "cache": str(tmp_path)}
    found = []
    for model_space in (nb201, nb201, NasBench201(stem_out_channels=8, num_modules_per_stack=1)):
        run = Run(model_space, evaluator("zero-cost", **options))
        run(CELL)
        found.append(run.finals[0]["params"])
    assert found[0] == found[1] < found[2]
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_latency_is_that_of_the_frozen_network() -> None:
    shape = (1, 8, 8)
    run = Run(Small(), evaluator("latency", shape=shape, repeats=3, warmup=1))
    run({"width": 4, "kernel": 1})
    (metrics,) = run.finals
    assert metrics["latency_ms"] > 0
    assert metrics[DEFAULT] == -metrics["latency_ms"]
    broken = Run(Small(), evaluator("latency", shape=(3, 8, 8), repeats=3, warmup=1))
    assert broken({"width": 4, "kernel": 1}).status is ModelStatus.Failed
    assert "was not measured" in broken.intermediates[0][REASON]


def test_training_trains_the_frozen_network_and_reports_epochs(tmp_path: Any) -> None:
    pytest.importorskip("sklearn")
    judge = evaluator("training", epochs=3, batch_size=128, checkpoints=tmp_path)
    run = Run(Small(), judge)
    model = run({"width": 8, "kernel": 1})
    (metrics,) = run.finals
    assert metrics["epochs"] == 3
    assert metrics[DEFAULT] == metrics["val_accuracy"] > 10
    assert [set(m) for m in run.intermediates] == [{DEFAULT, "val_accuracy", "val_loss"}] * 2
    assert len(model.metrics.intermediates) == 2
    # The checkpoint is that of this sample of this model space.
    run({"width": 8, "kernel": 1})
    assert run.finals[1] == metrics
    run({"width": 4, "kernel": 1})
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    with pytest.raises(UnknownNameError, match="network option"):
        Simplified.from_model(Small(), evaluator("training", network={"channels": 8})).freeze(
            {"width": 8, "kernel": 1}
        ).execute()


def test_several_sources_get_what_each_needs(nb201: NasBench201) -> None:
    zero_cost = nap.evaluator("zero-cost", proxies=["params"], preset="smoke", cache=False)
    both = nap.combine({"table": table(), "zero-cost": zero_cost}, ["val_accuracy", "params"])
    run = Run(nb201, evaluator(both, objectives=["val_accuracy:max", "params:min"]))
    run(CELL)
    (metrics,) = run.finals
    assert metrics["val_accuracy"] == metrics[DEFAULT] == 10
    assert 0 < metrics["params"] < 0.02  # four channels, one cell; the space's own has sixteen


def test_an_evaluator_of_ones_own_may_ask_for_networks(nb201: NasBench201) -> None:
    class Counting(Fake):
        def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
            networks = [a.space.network(a) for a in architectures]
            return [{"convs": len(list(n.parameters())), "cost_ms": 1.0} for n in networks]

    run = Run(nb201, evaluator(Counting(), on_network=True))
    run(CELL)
    assert run.finals[0]["convs"] > 10


# -- sent elsewhere ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "model_space", "sample"),
    [
        (lambda: evaluator("complexity", resolution=16), NasBench201, CELL),
        (lambda: evaluator(nap.evaluator("complexity")), NasBench201, CELL),
        (
            lambda: evaluator("zero-cost", proxies=["params"], preset="smoke"),
            Small,
            {"width": 4, "kernel": 2},
        ),
    ],
)
def test_a_model_evaluates_the_same_in_another_process(
    judge: Callable[[], ArchitectureEvaluator], model_space: Any, sample: dict[str, Any]
) -> None:
    run = Run(model_space(), judge())
    run(sample)
    there = nni.load(nni.dump(run.models.freeze(sample)))
    assert isinstance(there.evaluator, ArchitectureEvaluator)
    assert not there.mutables.simplify()
    assert [there.execute()] == run.finals


def test_evaluators_are_written_as_their_arguments() -> None:
    one = evaluator("complexity", objectives=["flops_m:min", "params_m:min"], resolution=16)
    for copy in (nni.load(nni.dump(one)), pickle.loads(pickle.dumps(one))):
        assert copy == one
        assert hash(copy) == hash(one)
        assert copy.objectives == one.objectives
        assert repr(copy) == repr(one)
    assert len(nni.dump(one)) < 400
    assert one != evaluator("complexity", objectives=["flops_m:min"], resolution=16)
    assert one != evaluator("complexity", objectives=["flops_m:min", "params_m:min"])
    assert one._dump()["target"] == "complexity"
    assert evaluator(table())._dump()["target"] == "test/table"


def test_a_network_alone_does_not_tell_its_architecture(nb201: NasBench201) -> None:
    judge = evaluator(table())
    model = Simplified.from_model(nb201, judge).freeze(CELL)
    with pytest.raises(TypeError, match=r"freeze\(sample\).execute\(\)"):
        judge.evaluate(model.executable_model())
    assert model.execute()["val_accuracy"] == 10


# -- made wrongly --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: evaluator("complexty"), UnknownNameError, "did you mean 'complexity'"),
        (lambda: evaluator("nasbench201/cifar"), UnknownNameError, "nasbench201/cifar10"),
        (lambda: evaluator("zero-cost", preset="fsat"), UnknownNameError, "did you mean 'fast'"),
        (
            lambda: evaluator("complexity", objectives=["flops:min"]),
            UnknownNameError,
            "did you mean 'flops_m'",
        ),
        (
            lambda: evaluator("complexity", objectives=["flops"]),
            UnknownNameError,
            "did you mean 'flops_m'",
        ),
        (
            lambda: evaluator("complexity", objectives=["flops_m", "flops_m:max"]),
            ValueError,
            "different names",
        ),
        (lambda: evaluator("complexity", objectives=[]), ValueError, "must not be empty"),
        (lambda: evaluator(Fake(), space=1), TypeError, r"takes no options, got \['space'\]"),
        (lambda: evaluator(Random()), TypeError, "NNI's own evaluators are used as they are"),
    ],
)
def test_mistakes_are_explained(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_objectives_may_be_names_and_are_never_test_data_by_themselves() -> None:
    judge = evaluator(Fake(), objectives=["cost_ms", "convs"])
    assert [str(o) for o in judge.objectives] == ["cost_ms:min", "convs:max"]
    assert [str(o) for o in evaluator(Fake()).objectives] == ["convs:max"]

    class Tested(Fake):
        metrics = (Metric("test_accuracy", "%", "max"), Metric("params_m", "M", "min"))

    with pytest.raises(ValueError, match=r"there are test_accuracy:max, params_m:min"):
        evaluator(Tested())
    assert evaluator(Tested(), objectives=["test_accuracy"]).objectives[0].direction == "max"


def test_a_metric_may_not_take_the_name_of_nnis() -> None:
    class Taken(Fake):
        metrics = (Metric("default", "", "max"),)

    with pytest.raises(ValueError, match="named 'default'"):
        evaluator(Taken())


def test_the_errors_are_raised_as_they_are(nb201: NasBench201) -> None:
    models = Simplified.from_model(nb201, evaluator(table()))
    with pytest.raises(MetricUnavailableError):
        models.freeze(cell(*["conv_3x3"] * 6)).execute()
    wrong = Simplified.from_model(Small(), evaluator(table())).freeze({"width": 4, "kernel": 1})
    with pytest.raises(InvalidArchitectureError, match=r"space 'nasbench201'.*also decides"):
        wrong.execute()


def test_our_strategies_know_objectives_and_reasons(nb201: NasBench201) -> None:
    strategy = RandomSearch(seed=0)
    run = Run(nb201, evaluator(Fake(), objectives=["convs:max", "cost_ms:min"]))
    engine = SequentialExecutionEngine(max_model_count=60, continue_on_failure=True)
    strategy(run.models, engine)
    history = strategy.history
    assert [str(o) for o in history.objectives] == ["convs:max", "cost_ms:min"]
    failed = [t for t in history.trials if t.state is TrialState.FAILED]
    assert 0 < len(failed) < 10
    assert all("five convolutions" in t.notes["reason"].replace("\n", " ") for t in failed)
    assert len(history.complete) == 60 - len(failed)


def test_nnis_own_strategies_search_with_it(nb201: NasBench201) -> None:
    run = Run(nb201, evaluator(table(), objectives=["latency_ms:min"]))
    engine = SequentialExecutionEngine(max_model_count=20, continue_on_failure=True)
    strategy = Random()
    strategy(run.models, engine)
    best = next(iter(strategy.list_models(limit=1)))
    assert best.metric <= -96


def test_what_was_kept_of_our_own_model_spaces_outlives_a_new_version() -> None:
    from nas_plugins.nni import model_space
    from nas_plugins.nni._samples import FrozenModelSpace

    space = RawFormatModelSpace.from_model(
        model_space(nap.space("categorical", decisions={"a": [1, 2]}))
    )
    known = FrozenModelSpace(space.freeze({"a": 1})).to_json()["options"]["model"]
    assert known.endswith(" 202ffad859ba6b9a")
