"""Our spaces as model spaces of NNI: exact round trips, valid samples, networks, dumps."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nni")

import nni
import numpy as np
from nni.mutable import SampleValidationError
from nni.nas.hub.pytorch import NasBench201 as HubNasBench201
from nni.nas.space import SimplifiedModelSpace
from nni.nas.strategy import Random
from nni_helpers import Scores

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError
from nas_plugins.nni import model_space, translator
from nas_plugins.nni.experiment import published_or_own
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.spaces.categorical import CategoricalSpace

# NNI holds 1, 1.0 and True to be equal, and lets no label have a slash.
MIXED = CategoricalSpace({"a/b": [1, True, 1.0, None], "c": [2.5, "x"], "one": [0]})
NAMES = ("nasbench201", "nasbench101", "darts", "darts-cell", "fbnet")


def spaces() -> list[SearchSpace]:
    return [*(nap.space(name) for name in NAMES), MIXED]


@pytest.mark.parametrize("space", spaces(), ids=lambda space: space.name)
def test_architectures_and_samples_are_translated_exactly(space: SearchSpace) -> None:
    models = SimplifiedModelSpace.from_model(model_space(space), None)
    translate = translator(models)
    assert translate.space == space
    for architecture in space.architectures(space.random(200, np.random.default_rng(0))):
        frozen = models.freeze(translate.sample(architecture))
        assert translate.architecture(frozen.sample) == architecture


@pytest.mark.parametrize("space", spaces(), ids=lambda space: space.name)
def test_a_model_is_sent_as_plain_data(space: SearchSpace) -> None:
    models = SimplifiedModelSpace.from_model(model_space(space), None)
    architecture = space.sample(np.random.default_rng(1))
    sent = nni.load(nni.dump(models.freeze(translator(models).sample(architecture))))
    assert translator(sent).space == space
    assert translator(sent).architecture(sent.sample) == architecture


def test_what_is_not_an_architecture_is_refused() -> None:
    models = model_space("nasbench101")
    translate = translator(models)
    nothing = translate.sample(translate.space.sample(np.random.default_rng(0)))
    nothing |= {f"edge_{i}": 0 for i in range(21)}
    with pytest.raises(SampleValidationError, match="no path leads from the input"):
        models.validate(nothing)


def test_strategies_of_nni_find_architectures_in_it() -> None:
    from nni.nas.execution import SequentialExecutionEngine

    evaluator = Scores(lambda sample: float(len(sample)))
    models = SimplifiedModelSpace.from_model(model_space("nasbench101"), evaluator)
    Random(seed=0)(models, SequentialExecutionEngine(max_model_count=10))
    translate = translator(models)
    assert len(evaluator.calls) == 10
    assert len({translate.architecture(sample).key for sample in evaluator.calls}) > 5


def test_a_frozen_model_is_the_network_of_the_architecture() -> None:
    import torch

    models = model_space("nasbench201")
    translate = translator(models)
    architecture = translate.space.sample(np.random.default_rng(0))
    sample = translate.sample(architecture)
    frozen = SimplifiedModelSpace.from_model(models, None).freeze(sample)
    expected = sum(p.numel() for p in translate.space.network(architecture).parameters())
    for network in (frozen.executable_model(), models.freeze(sample)):
        assert sum(p.numel() for p in network.parameters()) == expected
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_nnis_own_space_is_taken_where_it_is_the_same() -> None:
    found: dict[str, Any] = {name: published_or_own(nap.space(name)) for name in NAMES}
    assert isinstance(found["nasbench201"], HubNasBench201)
    assert [translator(space).space.name for space in found.values()] == list(NAMES)


def test_names_and_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        model_space("nasbench20")
    with pytest.raises(TypeError, match="takes no options, got \\['n'\\]"):
        model_space(MIXED, n=1)
