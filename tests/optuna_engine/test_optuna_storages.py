"""The sampler, its notes and its histories in each of Optuna's storages."""

from __future__ import annotations

import optuna
import pytest
from engine_helpers import SPACE, Noting, long_note, value_of
from optuna.testing.storages import STORAGE_MODES, StorageSupplier

from nas_plugins.optuna import ArchiveEvolutionSampler, StrategySampler, create_study, history


@pytest.mark.parametrize("mode", STORAGE_MODES)
def test_every_storage_keeps_notes_and_proposals(mode: str) -> None:
    with StorageSupplier(mode) as storage:
        study = create_study(
            SPACE, ["worth:max"], strategy=Noting(), seed=0, storage=storage, name="s"
        )
        study.optimize(value_of, n_trials=6, n_jobs=2 if mode != "journal_redis" else 1)
        again = optuna.load_study(study_name="s", storage=storage)
        found = history(again)
        assert found.space == SPACE
        assert len(found.seen) == len(found.complete) == 6
        for trial in found.trials:
            assert trial.notes == {"why": long_note(str(trial.architecture))}


@pytest.mark.parametrize("mode", STORAGE_MODES)
def test_every_storage_gives_the_same_proposals(mode: str) -> None:
    found = []
    for each in ("inmemory", mode):
        with StorageSupplier(each) as storage:
            sampler = ArchiveEvolutionSampler(space=SPACE, seed=1, n_initial=3)
            study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
            study.optimize(value_of, n_trials=8)
            found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


def test_a_proposal_without_notes_costs_one_attribute() -> None:
    with StorageSupplier("sqlite") as storage:
        study = optuna.create_study(
            storage=storage, sampler=StrategySampler("random", space=SPACE, seed=0)
        )
        study.optimize(value_of, n_trials=3)
        assert [list(t.system_attrs) for t in study.trials] == [["nas_plugins:choices"]] * 3
