"""Spaces as users write them, and constraints on every Optuna."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import numpy as np
import optuna
import pytest

import nas_plugins as nap
from nas_plugins.history import History, Objective
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    StrategySampler,
    create_study,
    history,
    set_constraints,
    suggest,
)
from nas_plugins.optuna.compat import quiet_optuna

CHOICES = {"a": [1, 2, 3], "b": ["x", "y"]}


def test_a_dictionary_of_choices_is_a_space() -> None:
    study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=CHOICES, seed=0))
    study.optimize(lambda t: float(len(str(suggest(t, CHOICES)))), n_trials=6)
    found = history(study, space=CHOICES)
    assert found.space == nap.CategoricalSpace(CHOICES)
    assert len(found.seen) == 6
    made = create_study(CHOICES, ["x:max"], strategy="random", seed=0)
    made.optimize(lambda t: float(len(str(suggest(t, CHOICES)))), n_trials=3)
    assert history(made).space == nap.CategoricalSpace(CHOICES)
    with pytest.raises(TypeError, match="`space` must be a space, its name or a dictionary"):
        RandomArchitectureSampler(space=3)


@pytest.mark.parametrize("sampler", [ArchiveEvolutionSampler, LocalSearchSampler])
def test_constraints_of_an_objective_of_ones_own(sampler: type[StrategySampler]) -> None:
    space = nap.CategoricalSpace({f"op{i}": tuple(range(5)) for i in range(5)})

    def objective(trial: optuna.Trial) -> float:
        found = [int(str(choice)) for choice in suggest(trial, space).choices.values()]
        set_constraints(trial, {"size": sum(found) - 9})
        return float(sum(x * x for x in found))

    study = optuna.create_study(direction="maximize", sampler=sampler(space=space, seed=0))
    study.optimize(objective, n_trials=150)
    best = history(study, space=space).best
    assert best is not None
    assert best.violation == 0
    assert best.values[0] >= 27  # 4, 4 and 1 make 33
    assert study.best_trials[0].value == best.values[0]


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        (RandomArchitectureSampler, {"avoid_duplicates": True}),  # that the space is exhausted
        (LLMCoEvolutionSampler, {"llm": "off", "avoid_duplicates": False}),  # too few niches
    ],
)
def test_what_silences_optuna_silences_us_but_not_the_runner(
    sampler: type[StrategySampler], options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> int:
        caplog.clear()
        study = optuna.create_study(
            sampler=pickle.loads(pickle.dumps(sampler(space=CHOICES, seed=0, **options)))
        )
        study.optimize(lambda t: float(len(str(suggest(t, CHOICES)))), n_trials=7)
        return sum(record.name.startswith("nas_plugins") for record in caplog.records)

    before = optuna.logging.get_verbosity()
    try:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        assert told() == 1
        with quiet_optuna():
            assert told() == 1
            chatter = logging.LogRecord("optuna.study", logging.INFO, "", 0, "", (), None)
            assert not any(h.filter(chatter) for h in logging.getLogger("optuna").handlers)
        assert all(h.filter(chatter) for h in logging.getLogger("optuna").handlers)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        assert told() == 0
    finally:
        optuna.logging.set_verbosity(before)


def test_more_choices_than_an_index_of_16_bits_holds() -> None:
    space = nap.CategoricalSpace({"id": list(range(70_000)), "b": [0, 1]})
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(200)]
    assert max(a.indices[0] for a in drawn) > 2**15
    assert space.architectures(space.rows(drawn)) == drawn
    assert len(set(space.keys(space.rows(drawn)).tolist())) == len(set(drawn))
    changed = [space.mutate(drawn[0], rng) for _ in range(20)]
    assert all(c != drawn[0] for c in changed)
    assert History(space, (Objective("x"),)).seen == frozenset()
    for sampler in (RandomArchitectureSampler, LocalSearchSampler, ArchiveEvolutionSampler):
        study = optuna.create_study(sampler=sampler(space=space, seed=0))
        study.optimize(lambda t: float(str(suggest(t, space).choices["id"])), n_trials=12)
        assert len(history(study, space=space).seen) == 12
        assert all(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials)
