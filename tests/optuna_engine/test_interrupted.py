"""Failed, interrupted and killed trials: no architecture is lost because a machine was."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from engine_helpers import TINY, Noting, open_storage, params_of
from optuna.samplers import PartialFixedSampler
from optuna.trial import TrialState

import nas_plugins as nap
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    StrategySampler,
    history,
    suggest,
)

NINE = nap.CategoricalSpace({"a": [0, 1, 2], "b": [0, 1, 2]})


def total(trial: optuna.Trial) -> float:
    return float(sum(int(str(c)) for c in suggest(trial, NINE).choices.values()))


def once(error: BaseException, number: int) -> Callable[[optuna.Trial], float]:
    """Raises in the trial of this number."""

    def objective(trial: optuna.Trial) -> float:
        value = total(trial)
        if trial.number == number:
            raise error
        return value

    return objective


def _distinct(study: optuna.Study) -> int:
    return len({json.dumps(p, sort_keys=True) for p in params_of(study)})


@pytest.mark.parametrize("sampler", [ArchiveEvolutionSampler, LocalSearchSampler])
@pytest.mark.parametrize("declared", [True, False])
def test_what_was_interrupted_comes_first(sampler: type[StrategySampler], declared: bool) -> None:
    study = optuna.create_study(sampler=sampler(space=NINE if declared else None, seed=0))
    with pytest.raises(KeyboardInterrupt):
        study.optimize(once(KeyboardInterrupt(), 3), n_trials=9)
    study.optimize(total, n_trials=6)
    assert study.trials[3].state == TrialState.FAIL
    assert study.trials[4].params == study.trials[3].params
    assert _distinct(study) == 9


def test_by_hand_too_and_notes_stay() -> None:
    study = optuna.create_study(sampler=StrategySampler(Noting(), space=NINE, seed=0))
    trial = study.ask()
    try:
        total(trial)
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        study.tell(trial, state=TrialState.FAIL)
    total(study.ask())
    first, second = history(study, space=NINE).trials
    assert first.architecture == second.architecture
    assert first.notes == second.notes


def test_the_objectives_own_failure_is_not_offered_again_until_nothing_new_is_left() -> None:
    study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=NINE, seed=0))
    study.optimize(once(ConnectionError("away"), 2), n_trials=9, catch=ConnectionError)
    assert _distinct(study) == 9
    study.optimize(total, n_trials=1)
    assert study.trials[9].params == study.trials[2].params


def test_a_stale_trial_counts_as_killed(tmp_path: Path) -> None:
    study = optuna.create_study(
        sampler=ArchiveEvolutionSampler(space=NINE, seed=0),
        storage=open_storage(f"sqlite:///{tmp_path}/s.db"),
    )
    study.optimize(total, n_trials=2)
    dead = study.ask()
    total(dead)
    study._storage.set_trial_state_values(dead._trial_id, TrialState.FAIL)  # as heartbeats do
    study.optimize(total, n_trials=7)
    assert study.trials[3].params == study.trials[2].params
    assert _distinct(study) == 9


def _searched(sampler: type[StrategySampler], *, killed: int | None) -> list[dict[str, object]]:
    space = nap.space("nasbench201")
    study = optuna.create_study(sampler=sampler(space=space, seed=0), direction="maximize")
    while len(study.trials) < 14:
        trial = study.ask()
        value = float(sum(i * c for i, c in enumerate(suggest(trial, space).indices, start=1)))
        if trial.number == killed:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        else:
            study.tell(trial, value)
    return [dict(trial.params) for trial in study.trials]


@pytest.mark.parametrize("sampler", [RandomArchitectureSampler, LocalSearchSampler])
def test_what_a_seed_repeats_after_a_kill(sampler: type[StrategySampler]) -> None:
    whole, killed = _searched(sampler, killed=None), _searched(sampler, killed=6)
    assert killed == _searched(sampler, killed=6)
    assert killed[:7] == whole[:7]
    assert killed[7] == whole[6]
    # What looks at the history sees a failed trial more; random search sees its number only.
    assert (killed[8:] == whole[8:]) is (sampler is RandomArchitectureSampler)


def test_a_trial_that_hangs_is_repeated_before_complete_ones() -> None:
    study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=NINE, seed=0))
    total(study.ask())  # its process dies here, and nobody tells
    study.optimize(total, n_trials=8)
    assert _distinct(study) == 9
    study.optimize(total, n_trials=1)
    assert study.trials[9].params == study.trials[0].params


def test_what_kills_its_process_every_time_is_given_up() -> None:
    study = optuna.create_study(sampler=ArchiveEvolutionSampler(space=NINE, seed=0))

    def objective(trial: optuna.Trial) -> float:
        value = total(trial)
        if value == 4:
            raise KeyboardInterrupt
        return value

    while len(study.trials) < 11:
        with suppress(KeyboardInterrupt):
            study.optimize(objective, n_trials=11 - len(study.trials))
    worst = [t for t in study.trials if t.params == {"a": 2, "b": 2}]
    assert len(worst) == 3
    assert _distinct(study) == 9


def test_which_states_count_is_an_option() -> None:
    for states, times in (
        (("complete", "failed", "interrupted"), 1),
        (("complete", "failed"), 2),
    ):
        sampler = RandomArchitectureSampler(space=NINE, seed=0, seen_states=states)
        study = optuna.create_study(sampler=sampler)
        with pytest.raises(KeyboardInterrupt):
            study.optimize(once(KeyboardInterrupt(), 0), n_trials=1)
        study.optimize(total, n_trials=8)
        assert sum(p == study.trials[0].params for p in params_of(study)) == times
    pruned = RandomArchitectureSampler(space=TINY, seed=0, seen_states=["complete"])
    study = optuna.create_study(sampler=pruned)

    def prune(trial: optuna.Trial) -> float:
        suggest(trial, TINY)
        raise optuna.TrialPruned

    study.optimize(prune, n_trials=20)
    study.optimize(lambda t: float(suggest(t, TINY).indices[0]), n_trials=4)
    assert len({json.dumps(p) for p in params_of(study)[20:]}) == 4
    with pytest.raises(ValueError, match=r"`seen_states` must be of \['complete'.*\['waiting'\]"):
        RandomArchitectureSampler(seen_states=["waiting"])


@pytest.mark.parametrize("space", [NINE, None])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_an_exhausted_study_stops_if_asked_to(space: nap.SearchSpace | None, n_jobs: int) -> None:
    sampler = ArchiveEvolutionSampler(space=space, seed=0, on_exhausted="stop")
    study = optuna.create_study(sampler=sampler)
    study.optimize(total, n_trials=50, n_jobs=n_jobs)
    assert 9 <= len(study.trials) < 9 + n_jobs
    assert _distinct(study) == 9
    study = optuna.create_study(sampler=PartialFixedSampler({"a": 1}, sampler))
    study.optimize(total, n_trials=50)
    assert len(study.trials) == (3 if space is not None else len(study.trials))
    study.tell(study.ask(), 1.0)  # by hand there is nothing to stop
    with pytest.raises(ValueError, match="`on_exhausted` must be 'repeat' or 'stop', got 'end'"):
        RandomArchitectureSampler(on_exhausted="end")


def test_numbers_beside_the_architecture_are_never_exhausted() -> None:
    study = optuna.create_study(
        sampler=ArchiveEvolutionSampler(space=TINY, seed=0, on_exhausted="stop")
    )
    study.optimize(lambda t: suggest(t, TINY).indices[0] + t.suggest_float("lr", 0, 1), 12)
    assert len(study.trials) == 12
