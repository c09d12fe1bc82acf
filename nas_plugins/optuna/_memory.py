"""What a sampler keeps about a study between trials."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Set
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_plugins.history import History
from nas_plugins.optuna import _known, compat, dimensions
from nas_plugins.optuna.trial_log import TrialLog, objectives_in
from nas_plugins.spaces.base import Choice, SearchSpace

_logger = compat.follow_optuna(logging.getLogger(__name__))

_MAX_STUDIES = 8


class StudyMemory:
    """What a sampler keeps about one study: caches of what follows from the trials.

    Args:
        identity: What tells the study's first trial from that of any other study.
    """

    def __init__(self, identity: tuple[Any, ...]) -> None:
        self.identity = identity
        self.exhaustion_told = False
        self._lock = threading.Lock()
        self._all = dimensions.Parameters()
        self.tpe = compat.default_sampler()
        self._parameters: dict[str, BaseDistribution] = {}
        self._space: SearchSpace | None = None
        self._log: TrialLog | None = None

    def known_parameters(self, study: Study) -> dict[str, BaseDistribution]:
        """The parameters of the trials so far; a fresh dictionary."""
        trials = compat.all_trials(study)
        with self._lock:
            return self._all.of(trials)

    def tell_exhaustion(
        self, trial: FrozenTrial, space: SearchSpace, fixed: Mapping[str, Choice]
    ) -> None:
        """Warns, once, that a trial repeats an architecture."""
        if not self.exhaustion_told:
            self.exhaustion_told = True
            _logger.warning(
                "Trial#%d repeats an architecture: the study has seen all of %r%s",
                trial.number,
                space,
                f" with {fixed} fixed" if fixed else "",
            )

    def space_of(self, parameters: Mapping[str, BaseDistribution]) -> SearchSpace | None:
        """The space of those parameters that are decisions."""
        with self._lock:
            known = self._parameters
            if known.keys() != parameters.keys() or not all(
                dimensions.same(known[name], dist) for name, dist in parameters.items()
            ):
                self._parameters = dict(parameters)
                self._space = dimensions.space_of(parameters)
            return self._space

    def space_around(
        self, study: Study, parameters: Mapping[str, BaseDistribution]
    ) -> SearchSpace | None:
        """The space of these parameters and of those of the trials so far."""
        return self.space_of({**self.known_parameters(study), **parameters})

    def constrained(self, study: Study) -> bool:
        """Whether trials have constraints: the first complete one tells."""
        complete = (t for t in compat.all_trials(study) if t.state == TrialState.COMPLETE)
        try:
            return any(compat.constraints(trial) for trial in islice(complete, 1))
        except ValueError:
            return False

    def history(
        self,
        study: Study,
        space: SearchSpace,
        trial: FrozenTrial | None,
        rest: _known.Rest = frozenset(),
        *,
        states: Set[str],
        fresh: bool = False,
    ) -> History:
        """All trials but the one being sampled, as the strategy should see them.

        Where other parameters vary, an architecture stands with the best values it had, and is
        seen if it has been tried with this `rest`.
        """
        history, records = self.look(study, space, trial, fresh=fresh)
        if records.plain(states):
            queued = records.queued(states)
            return history.avoiding(history.seen | queued) if queued else history
        seen = _known.seen(records, rest, space, states)
        return _known.best_values(history).avoiding(seen)

    def look(
        self,
        study: Study,
        space: SearchSpace,
        trial: FrozenTrial | None,
        *,
        fresh: bool = False,
    ) -> tuple[History, _known.Records]:
        """All trials that have begun but the one being sampled, and what else is known of them."""
        trials = compat.all_trials(study, fresh=fresh)
        with self._lock:
            if self._log is None or self._log.space != space:
                names = compat.metric_names(study)
                objectives = objectives_in(compat.directions(study), names)
                self._log = TrialLog(space, objectives, inactive=space is self._space)
            return self._log.look(trials, exclude=None if trial is None else trial.number)


class Memories:
    """What a sampler keeps about the studies it is used for: the latest eight of a storage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: WeakKeyDictionary[BaseStorage, dict[int, StudyMemory]] = WeakKeyDictionary()

    def of(self, study: Study) -> StudyMemory:
        """The memory of a study that has at least one trial."""
        storage, study_id = compat.study_key(study)
        # A study may be deleted and made anew under the same id.
        identity = compat.trial_identity(compat.all_trials(study)[0])
        with self._lock:
            memories = self._kept.setdefault(storage, {})
            memory = memories.pop(study_id, None)
            if memory is None or memory.identity != identity:
                memory = StudyMemory(identity)
            memories[study_id] = memory
            if len(memories) > _MAX_STUDIES:
                del memories[next(iter(memories))]
            return memory
