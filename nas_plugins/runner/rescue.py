"""What a study held when it was last read, for a search whose storage is lost on the way."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from nas_plugins.errors import EngineError


class LastSeen:
    """The trials of a study as they were last read, and what the study says of itself.

    Args:
        study: The study, whose attributes do not change any more.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._name, self._directions = study.study_name, study.directions
        self._attributes = study.user_attrs
        self._trials: dict[int, FrozenTrial] = {}

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Takes in all trials that the storage has.

        Raises:
            EngineError: They are fewer than it had before.
        """
        if len(trials) < len(self._trials):
            raise EngineError(
                f"the storage has lost trials of study {self._name!r} while it was used: it holds "
                f"{len(trials)} and had {len(self._trials)}"
            )
        self._trials = {trial.number: trial for trial in trials}

    def ended(self, trial: FrozenTrial) -> None:
        """Takes in a trial that this process has ended."""
        self._trials[trial.number] = trial

    def study(self) -> optuna.Study:
        """The study in memory."""
        study = optuna.create_study(
            storage=InMemoryStorage(), study_name=self._name, directions=self._directions
        )
        for key, value in self._attributes.items():
            study.set_user_attr(key, value)
        study.add_trials([trial for _, trial in sorted(self._trials.items())])
        return study
