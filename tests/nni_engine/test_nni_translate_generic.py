"""Any model space as decisions: labels of every kind, constraints, and who searches them."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nni")

import nni
import nni.nas.nn.pytorch as nas
import torch
from hypothesis import given
from hypothesis import strategies as st
from nni.mutable import (
    Categorical,
    CategoricalMultiple,
    Constraint,
    ConstraintViolation,
    ExpressionConstraint,
    Mutable,
    MutableDict,
    MutableSymbol,
    Numerical,
    SampleValidationError,
)
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.hub.pytorch import (
    AutoFormer,
    MobileNetV3Space,
    NasBench101,
    NasBench201,
    ProxylessNAS,
    ShuffleNetSpace,
)
from nni.nas.space import SimplifiedModelSpace
from numpy.random import RandomState

import nas_plugins as nap
from nas_plugins.errors import InvalidArchitectureError
from nas_plugins.history import History, Objective, Trial
from nas_plugins.nni import translator
from nas_plugins.nni._translate.activity import conditions
from nas_plugins.nni._translate.composed import ComposedSpace
from nas_plugins.nni._translate.generic import MAX_NUMBERS
from nas_plugins.spaces import space_from_json
from nas_plugins.strategies.arch_vq.config import PriorConfig, Recipe, Schedule, VQVAEConfig
from nas_plugins.strategies.arch_vq.train import train
from nas_plugins.testing.spaces import SearchSpaceTestCase

TINY = Recipe(
    VQVAEConfig(
        hidden=16, layers=1, latent=4, codes=32, schedule=Schedule(1, 32, 5e-3, min_steps=60)
    ),
    PriorConfig(width=16, layers=1, heads=2, schedule=Schedule(1, 32, 3e-3, min_steps=30)),
    architectures=300,
)


LARGE = (ProxylessNAS, MobileNetV3Space)


def dictionary(*mutables: Any) -> MutableDict:
    return MutableDict({mutable.label: mutable for mutable in mutables})


# -- single labels -------------------------------------------------------------------------------


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-4, 4).map(lambda x: round(x, 3)),
    st.text("abc", max_size=3),
    st.lists(st.integers(0, 2), max_size=2),
    st.tuples(st.text("xy", max_size=1), st.integers(0, 1)),
)


@st.composite
def labelled(draw: Any, label: str) -> Any:
    kind = draw(st.sampled_from(["one", "any", "some", "number"]))
    if kind == "one":
        chosen: list[Any] = []
        for value in draw(st.lists(values, min_size=1, max_size=6)):
            if all(value != known for known in chosen):
                chosen.append(value)
        return Categorical(chosen, label=label)
    if kind == "number":
        low = draw(st.integers(-3, 3))
        width = draw(st.integers(1, 6))
        step = draw(st.sampled_from([0.25, 0.5, 1, 2.5]))
        return Numerical(low, low + width, quantize=step, label=label)
    n = draw(st.integers(1, 9))
    k = draw(st.integers(1, n)) if kind == "some" else None
    named = draw(st.booleans())
    return CategoricalMultiple(
        [f"v{i}" for i in range(n)] if named else range(n), n_chosen=k, label=label
    )


@given(st.data(), st.integers(1, 4), st.integers(0, 2**31))
def test_any_labels_round_trip(data: st.DataObject, n: int, seed: int) -> None:
    mutables = [data.draw(labelled(f"label{i}")) for i in range(n)]
    space = dictionary(*mutables)
    translate = translator(space)
    state, rng = RandomState(seed), np.random.default_rng(seed)
    for _ in range(20):
        sample: dict[str, Any] = {}
        space.random(sample, state)
        architecture = translate.architecture(sample)
        assert translate.sample(architecture) == sample
        # As it comes back from a trial process.
        assert translate.architecture(json.loads(json.dumps(sample))) == architecture
        drawn = translate.space.sample(rng)
        written = translate.sample(drawn)
        space.validate(written)
        assert translate.architecture(written).key == drawn.key
        assert translate.space.parse(str(drawn)) == drawn
    assert space_from_json(json.loads(json.dumps(translate.space.to_json()))) == translate.space


@given(st.integers(1, 7), st.data())
def test_the_space_counts_what_nni_counts(n: int, data: st.DataObject) -> None:
    k = data.draw(st.one_of(st.none(), st.integers(1, n)))
    multiple = CategoricalMultiple(range(n), n_chosen=k, label="m")
    space = translator(dictionary(multiple, Numerical(0, 10, quantize=2.5, label="q"))).space
    rows = np.concatenate(list(space.enumerate()))
    assert space.size == len(np.unique(space.keys(rows))) == len(list(multiple.grid())) * 5


def test_picks_of_many_values_are_sets() -> None:
    multiple = CategoricalMultiple([f"v{i}" for i in range(12)], n_chosen=6, label="m")
    translate = translator(dictionary(multiple, Categorical([1, 2], label="a")))
    space = translate.space
    assert isinstance(space, ComposedSpace)
    assert space.size == math.comb(12, 6) * 2
    rng = np.random.default_rng(0)
    for architecture in space.architectures(space.random(500, rng)):
        sample = translate.sample(architecture)
        multiple.validate(sample)
        assert translate.architecture(sample).key == architecture.key
        assert all(space.valid(space.neighbour_rows(architecture.row)))
    sample["m"] = list(reversed(sample["m"]))
    assert translate.architecture(sample).key == architecture.key
    keys = space.keys(space.random(20_000, rng))
    assert len(np.unique(keys)) == space.size


def test_samples_are_new_and_hold_the_values_themselves() -> None:
    block = {"kernel": 3, "sizes": [1, 2]}
    translate = translator(
        dictionary(
            Categorical([block, {"kernel": 5}], label="block"),
            CategoricalMultiple([0, 1, 2], label="inputs"),
            Categorical([1, "1"], label="odd"),
        )
    )
    sample = {"block": block, "inputs": [2, 0], "odd": "1"}
    architecture = translate.architecture(sample)
    written = translate.sample(architecture)
    assert written == {"block": block, "inputs": [0, 2], "odd": "1"}
    written["block"]["sizes"].append(3)
    written["inputs"].clear()
    assert translate.sample(architecture) == {"block": block, "inputs": [0, 2], "odd": "1"}
    assert list(architecture.choices) == ["block", "inputs/0", "inputs/1", "inputs/2", "odd"]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"a": 3, "m": [0, 1]}, r"label 'a' does not take 3; it chooses from \[1, 2\]"),
        ({"a": 1, "m": [0]}, r"label 'm' does not take \[0\]"),
        ({"a": 1, "m": [0, 0]}, r"label 'm' does not take \[0, 0\]"),
        ({"a": 1, "m": 0}, "label 'm' does not take 0"),
        ({"a": 1}, r"lacks the label 'm'; it has \['a'\]"),
    ],
)
def test_other_samples_are_refused(sample: dict[str, Any], message: str) -> None:
    space = dictionary(
        Categorical([1, 2], label="a"), CategoricalMultiple(range(3), n_chosen=2, label="m")
    )
    with pytest.raises(InvalidArchitectureError, match=message):
        translator(space).architecture(sample)


class Odd(MutableSymbol):
    def __init__(self, label: str) -> None:
        self.label = label


@pytest.mark.parametrize(
    ("mutable", "message"),
    [
        (Numerical(0, 1, label="lr"), r"'lr' is a continuous .* nni.choice\('lr', \[...\]\)"),
        (Numerical(mu=0, sigma=1, label="lr"), "'lr' is a Numerical without finite bounds"),
        (Numerical(0, 1, quantize=1e-3, label="lr"), f"1,001 values .* at most {MAX_NUMBERS}"),
        (Odd("odd"), "a Odd under the label 'odd'"),
    ],
)
def test_what_cannot_be_searched_is_named(mutable: Mutable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        translator(dictionary(Categorical([1, 2], label="a"), mutable))


def test_nothing_to_choose_is_refused() -> None:
    with pytest.raises(ValueError, match="must have something to choose"):
        translator(MutableDict({}))


def test_a_range_has_the_values_that_nni_rounds_to() -> None:
    quantised = Numerical(0.1, 1.05, quantize=0.1, label="q")
    translate = translator(dictionary(quantised))
    state = RandomState(0)
    seen = {quantised.random({}, state) for _ in range(2000)}
    assert seen == set(translate.space.decisions[0].choices)
    assert translate.architecture({"q": 0.30000001}).choices == {"q": 0.1 * 3}


# -- constraints ---------------------------------------------------------------------------------


class Constrained(nas.ModelSpace):
    """Twelve decisions of which the first three must be ascending."""

    def __init__(self) -> None:
        super().__init__()
        depths = [nni.choice(f"depth{i}", [1, 2, 3, 4]) for i in range(3)]
        for mutable in depths:
            self.add_mutable(mutable)
        for i in range(2):
            rule = ExpressionConstraint(depths[i] <= depths[i + 1], label=f"rule{i}")
            self.add_mutable(rule)
        for i in range(8):
            self.add_mutable(nni.choice(f"op{i}", ["a", "b", "c"]))


def test_constraints_make_the_valid_architectures() -> None:
    model_space = Constrained()
    translate = translator(SimplifiedModelSpace.from_model(model_space))
    space = translate.space
    rows = np.random.default_rng(0).integers(space.cardinalities, size=(500, 11))
    mask = space.valid(rows)
    assert 100 < mask.sum() < 250  # 20 of 64 are ascending
    names = [d.name for d in space.decisions]
    for row, valid in zip(rows.tolist(), mask.tolist(), strict=True):
        choices = {n: d.choices[i] for n, d, i in zip(names, space.decisions, row, strict=True)}
        assert model_space.contains(choices) is valid
        assert (space.violation(row) is None) is valid
    with pytest.raises(InvalidArchitectureError, match="constraint 'rule0'"):
        translate.architecture({**choices, "depth0": 4, "depth1": 1, "depth2": 1})
    assert all(space.valid(space.random(200, np.random.default_rng(1))))
    assert pickle.loads(pickle.dumps(space)).valid(rows).tolist() == mask.tolist()


class Silent(Constraint):
    """A constraint that does not say which labels it asks for."""

    label = "silent"

    def leaf_mutables(self, is_leaf: Any) -> Any:
        yield self

    def check_contains(self, sample: dict[str, Any]) -> SampleValidationError | None:
        if sample["a"] == sample["b"]:
            return ConstraintViolation("they must differ")
        return None


def test_a_constraint_may_be_silent_about_its_labels() -> None:
    labels = [Categorical([1, 2, 3], label=name) for name in "abc"]
    translate = translator(dictionary(*labels, Silent()))
    assert translate.space.size == 18
    with pytest.raises(InvalidArchitectureError, match="'silent': they must differ"):
        translate.architecture({"a": 1, "b": 1, "c": 1})


class TestConstrainedSpaceConforms(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> ComposedSpace:
        space = translator(Constrained()).space
        assert isinstance(space, ComposedSpace)
        return space


class TestComposedSpaceConforms(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> ComposedSpace:
        tuned = FunctionalEvaluator(max, rate=nni.choice("rate", [0.1, 0.01]))
        models = SimplifiedModelSpace.from_model(NasBench201(4, 1), tuned)
        space = translator(models).space
        assert isinstance(space, ComposedSpace)
        return space


class TestPicksConform(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> ComposedSpace:
        return ComposedSpace(
            {"m/0": range(4), "m/1": range(3), "a": ["x", "y", None]}, picks={"m": [2, 4]}
        )


def test_a_core_must_come_first() -> None:
    with pytest.raises(ValueError, match="must be those of `core` 'nasbench201'"):
        ComposedSpace({"a": [1, 2]}, core={"name": "nasbench201"})


def test_what_an_evaluator_tunes_is_searched_too() -> None:
    tuned = FunctionalEvaluator(max, rate=nni.choice("rate", [0.1, 0.01]))
    models = SimplifiedModelSpace.from_model(NasBench101(8, 1, 1), tuned)
    translate = translator(models)
    space = translate.space
    assert space.size == 2 * 423_624
    for architecture in space.architectures(space.random(200, np.random.default_rng(0))):
        sample = translate.sample(architecture)
        assert translate.architecture(sample).key == architecture.key
        models.validate(sample)
    other = translate.architecture({**sample, "rate": 0.11 - sample["rate"]})
    assert other.key != translate.architecture(sample).key


# -- whole model spaces --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [ShuffleNetSpace, AutoFormer, *(pytest.param(m, marks=pytest.mark.slow) for m in LARGE)],
)
def test_spaces_of_the_hub_round_trip(make: Any) -> None:
    models = SimplifiedModelSpace.from_model(make())
    translate = translator(models)
    state = RandomState(0)
    for _ in range(250):
        sample: dict[str, Any] = {}
        models.random(sample, state)
        assert translate.sample(translate.architecture(sample)) == sample
    space = translate.space
    for architecture in space.architectures(space.random(250, np.random.default_rng(0))):
        assert translate.architecture(translate.sample(architecture)) == architecture
    models.validate(translate.sample(architecture))


class Own(nas.ModelSpace):
    """A user's space: layers, inputs, a depth, a width."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [4, 8])
        self.stem = nas.MutableConv2d(1, width, 3, padding=1)
        self.layers = nas.LayerChoice(
            [nas.MutableConv2d(width, width, k, padding=k // 2) for k in (1, 3, 5)], label="kernel"
        )
        self.deep = nas.Repeat(
            lambda i: nas.LayerChoice(
                {"relu": torch.nn.ReLU(), "tanh": torch.nn.Tanh(), "none": torch.nn.Identity()},
                label=f"activation{i}",
            ),
            (1, 4),
            label="depth",
        )
        self.inputs = nas.InputChoice(4, 2, label="inputs")
        self.head = nas.MutableLinear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.deep(self.layers(x))
        z = self.inputs([x, y, x + y, x - y])
        return self.head(z.mean((2, 3)))


def test_a_users_own_space_round_trips_and_builds() -> None:
    models = SimplifiedModelSpace.from_model(Own())
    translate = translator(models)
    space = translate.space
    assert space.size == 2 * 3 * (3 + 3**2 + 3**3 + 3**4) * 6
    for architecture in space.architectures(space.random(20, np.random.default_rng(0))):
        sample = translate.sample(architecture)
        assert translate.architecture(sample) == architecture
        network = models.freeze(sample).executable_model()
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    "make", [Own, AutoFormer, *(pytest.param(m, marks=pytest.mark.slow) for m in LARGE)]
)
def test_choices_that_do_not_count_change_neither_key_nor_network(make: Any) -> None:
    models = SimplifiedModelSpace.from_model(make())
    translate = translator(models)
    space = translate.space
    rng = np.random.default_rng(0)
    open_decisions = np.flatnonzero(space.cardinalities > 1)
    found = 0
    for row in space.random(4, rng):
        for position in rng.permutation(open_decisions).tolist():
            other = row.copy()
            other[position] = (row[position] + 1) % space.cardinalities[position]
            first, second = space.architectures(np.stack([row, other]))
            if first.key == second.key:
                found += 1
                networks = [
                    models.freeze(translate.sample(a)).executable_model() for a in (first, second)
                ]
                kinds = [[(n, type(m)) for n, m in net.named_modules()] for net in networks]
                shapes = [[(n, p.shape) for n, p in net.state_dict().items()] for net in networks]
                assert kinds[0] == kinds[1]
                assert shapes[0] == shapes[1]
                break
        neighbours = space.neighbours(first)
        assert len({n.key for n in neighbours} - {first.key}) == len(neighbours)
    assert found >= 2


class Nested(nas.ModelSpace):
    """Layers within layers, a depth that is computed, and a label that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        relu_or_tanh = nas.LayerChoice([torch.nn.ReLU(), torch.nn.Tanh()], label="inner")
        self.outer = nas.LayerChoice(
            {"nested": relu_or_tanh, "plain": torch.nn.Identity(), "other": torch.nn.GELU()},
            label="outer",
        )
        pairs = nni.choice("pairs", [0, 1, 2])
        self.deep = nas.Repeat(
            lambda i: nas.LayerChoice([torch.nn.ReLU(), torch.nn.Tanh()], label=f"deep{i}"),
            pairs * 2,
        )
        self.shared = nas.Repeat(
            lambda i: nas.LayerChoice([torch.nn.ReLU(), torch.nn.Tanh()], label="shared"),
            (0, 1),
            label="often",
        )
        self.free = nas.LayerChoice([torch.nn.ReLU(), torch.nn.Tanh()], label="free")
        self.nested = nas.LayerChoice(
            [nas.LayerChoice([torch.nn.ReLU(), torch.nn.Tanh()], label="free"), torch.nn.ReLU()],
            label="last",
        )


def test_conditions_follow_depths_and_nested_layers() -> None:
    assert conditions(Nested()) == {
        "inner": [{"outer": {0}}],
        "deep0": [{"pairs": {1, 2}}],
        "deep1": [{"pairs": {1, 2}}],
        "deep2": [{"pairs": {2}}],
        "deep3": [{"pairs": {2}}],
        "shared": [{"often": {1}}],
    }
    assert conditions(dictionary(Categorical([1, 2], label="a"))) == {}
    space = translator(Nested()).space
    assert isinstance(space, ComposedSpace)
    assert space.size == (2 + 2) * (1 + 4 + 16) * 3 * 2 * 2


class TestNestedSpaceConforms(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> ComposedSpace:
        space = translator(SimplifiedModelSpace.from_model(Nested())).space
        assert isinstance(space, ComposedSpace)
        return space


@pytest.mark.parametrize("make", [Own, Constrained])
def test_strategies_search_them(make: Any, tmp_path: Path) -> None:
    translate = translator(SimplifiedModelSpace.from_model(make()))
    train(translate.space, settings=TINY, seed=0, out=tmp_path / "model")
    options: dict[str, dict[str, Any]] = {
        "arch-vq": {"model": str(tmp_path / "model"), "n_initial": 4, "n_candidates": 64},
        "archive-evolution": {"n_initial": 4},
        "local-search": {},
        "random": {},
    }
    for name, given_options in options.items():
        strategy = nap.strategy(name, **given_options)
        history = History(translate.space, (Objective("loss", "min"),))
        for number in range(10):
            proposals = strategy.propose(history, 1, np.random.default_rng(number))
            (architecture,) = (p.architecture for p in proposals)
            assert architecture.key not in history.seen
            value = float(sum(architecture.indices))
            history = history.extend([Trial(number, architecture, values=(value,))])
