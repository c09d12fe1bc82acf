"""Studies tell what they search, once and for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from engine_helpers import SPACE, DistinctPair, open_storage, value_of

import nas_plugins as nap
from nas_plugins.errors import EngineError
from nas_plugins.history import Objective
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    StrategySampler,
    create_study,
    history,
    study_settings,
)


def _two(trial: optuna.Trial) -> tuple[float, float]:
    return value_of(trial), float(trial.number % 4)


def test_a_study_remembers_space_objectives_and_settings(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    study = create_study(
        SPACE,
        ["worth:max", "cost:min"],
        strategy="archive-evolution",
        seed=7,
        storage=storage,
        name="s",
        settings={"benchmark": "none", "trials": 6},
    )
    assert study.metric_names == ["worth", "cost"]
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    study.optimize(_two, n_trials=6)
    again = optuna.load_study(study_name="s", storage=storage)
    found = history(again)
    assert found.space == SPACE
    assert found.objectives == (Objective("worth"), Objective("cost", "min"))
    assert len(found.complete) == 6
    settings = study_settings(again)
    assert settings.pop("versions")["optuna"] == optuna.__version__
    assert settings == {
        "strategy": "archive-evolution",
        "seed": 7,
        "settings": {"benchmark": "none", "trials": 6},
    }


def test_a_resumed_study_goes_on_with_its_own_seed(tmp_path: Path) -> None:
    found = []
    for parts in ((10,), (4, 6)):
        storage = open_storage(f"sqlite:///{tmp_path}/{len(parts)}.db")
        seed: int | None = 11
        for n_trials in parts:
            study = create_study(
                SPACE, ["x:max"], strategy="local-search", seed=seed, storage=storage,
                name="s", resume=True,
            )  # fmt: skip
            study.optimize(value_of, n_trials=n_trials)
            seed = None
        found.append([t.params for t in study.trials])
    assert found[0] == found[1]


def test_a_seed_is_drawn_and_kept() -> None:
    study = create_study(SPACE, ["x:max"], strategy="random")
    seed = study_settings(study)["seed"]
    assert isinstance(seed, int)
    study.optimize(value_of, n_trials=3)
    twin = create_study(SPACE, ["x:max"], strategy="random", seed=seed)
    twin.optimize(value_of, n_trials=3)
    assert [t.params for t in study.trials] == [t.params for t in twin.trials]


def test_a_study_is_not_resumed_unasked_nor_for_something_else(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    options = {"storage": storage, "name": "s", "strategy": "random"}
    create_study(SPACE, ["x:max"], **options)
    with pytest.raises(EngineError, match="study 's' exists already; resume it or choose"):
        create_study(SPACE, ["x:max"], **options)
    with pytest.raises(EngineError, match=r"`objectives` \[.x:max.\], not \[.y:max.\]"):
        create_study(SPACE, ["y:max"], resume=True, **options)
    with pytest.raises(EngineError, match="study 's' has `space`"):
        create_study(nap.space("nasbench201"), ["x:max"], resume=True, **options)
    with pytest.raises(EngineError, match=r"has the directions \['max'\], not those of"):
        create_study(SPACE, ["x:min"], resume=True, **options)


def test_long_spaces_are_kept_too(tmp_path: Path) -> None:
    space = nap.CategoricalSpace({f"layer {i}": list(range(40)) for i in range(30)})
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    create_study(space, ["x:max"], strategy="random", storage=storage, name="s")
    study = optuna.load_study(study_name="s", storage=storage)
    assert history(study).space == space
    assert max(len(str(v)) for v in study.user_attrs.values()) <= 2045


def test_any_optuna_sampler_can_be_used() -> None:
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = create_study(SPACE, ["x:max"], strategy=sampler, seed=0)
    assert study.sampler is sampler
    assert study_settings(study)["strategy"] == "RandomSampler"
    named = create_study(SPACE, ["x:max"], strategy=ArchiveEvolutionSampler(space=SPACE).strategy)
    assert isinstance(named.sampler, StrategySampler)
    assert study_settings(named)["strategy"].startswith("ArchiveEvolution(n_initial=10")


def test_the_history_of_a_study_that_others_made() -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    with pytest.raises(EngineError, match="have no categorical parameter; pass `space`"):
        history(study)
    study.optimize(lambda t: value_of(t) + t.suggest_float("lr", 0, 1), n_trials=5)
    found = history(study)
    assert [d.name for d in found.space.decisions] == ["op0", "op1", "op2", "op3"]
    assert found.objectives == (Objective("value"),)
    assert np.array_equal(-found.losses[:, 0], [t.value for t in study.trials])
    assert history(study, space=SPACE, objectives=["worth:max"]).objectives[0].name == "worth"
    with pytest.raises(EngineError, match="not those of `objectives`"):
        history(study, objectives=["worth:min"])
    with pytest.raises(EngineError, match="not those of `objectives`"):
        history(study, objectives=["worth:max", "cost:min"])


def test_a_space_that_cannot_be_rebuilt_must_be_given() -> None:
    class Foreign(DistinctPair):
        def to_json(self) -> dict[str, object]:
            return {"name": "somewhere-else"}

    study = create_study(Foreign(), ["x:max"], strategy="random")
    with pytest.raises(EngineError, match="cannot be built here: unknown space"):
        history(study)
    assert history(study, space=DistinctPair()).trials == ()
