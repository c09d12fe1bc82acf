"""What a sampler tells the user of a study, once each."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_plugins._wording import excerpt
from nas_plugins.optuna import compat, dimensions
from nas_plugins.spaces.base import Label, SearchSpace

_logger = compat.follow_optuna(logging.getLogger(__name__))

_REST_WARNING = (
    "Not architecture, and sampled by Optuna's TPE instead of the strategy: %s. Pass another "
    "sampler for such parameters as `independent_sampler`, or set `warn_independent_sampling` to "
    "`False` in the constructor of `%s` if this is intended."
)
_NAMES = (
    "Trial#%d has not asked for %s of %r, so that the search learns nothing of them%s. The "
    "objective must suggest each decision by its name."
)
_REFUSED = (
    "Trial#%d failed before it had %r of %r. Where Optuna says that a parameter's distributions "
    "differ, let the objective suggest it as a choice of %s, or change the space."
)
_EQUALS = (
    "Trial#%d asks for %r, whose choice %r Optuna records as %r, which equals it, in study %r; "
    "the search does without it. Write %r as text if it means something else."
)


class Hints:
    """What has been told, and telling it.

    Attributes:
        told: Whatever is told once has an entry here from then on; grows.
    """

    def __init__(self) -> None:
        self.told: set[str] = set()

    def names(self, space: SearchSpace, trial: FrozenTrial) -> None:
        """Tells once that the objective asks for decisions by other names than the space's."""
        decisions = {d.name: d.labels for d in space.decisions if len(d.choices) > 1}
        missing = [name for name in decisions if name not in trial.params]
        if not missing or _NAMES in self.told:
            return
        others = [name for name in trial.params if name not in decisions]
        alike = {
            name: other
            for name in missing
            for other in others
            if _labels_of(trial.distributions[other]) == decisions[name]
            and (name in other or other in name)
        }
        if alike or len(missing) == len(decisions):
            self.told.add(_NAMES)
            hint = "".join(f"; {n!r} may be its {o!r}" for n, o in list(alike.items())[:1])
            _logger.warning(_NAMES, trial.number, ", ".join(map(repr, missing)), space, hint)

    def refused(self, space: SearchSpace, study: Study, trial: FrozenTrial) -> None:
        """Tells once which decision a trial has failed at, as Optuna's own error names none.

        Nothing where a complete trial went without it too, as in a conditional objective.
        """
        missing = [d for d in space.decisions if d.name not in trial.params]
        if not missing or _REFUSED in self.told:
            return
        first = missing[0]
        if any(
            t.state == TrialState.COMPLETE and first.name not in t.params
            for t in compat.all_trials(study)
        ):
            return
        self.told.add(_REFUSED)
        choices = excerpt(list(first.choices), quotes=False)
        _logger.warning(_REFUSED, trial.number, first.name, space, choices)

    def equals(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> None:
        """Tells once per parameter which of its choices are never proposed."""
        key = f"{_EQUALS}{name}"
        if key in self.told:
            return
        self.told.add(key)
        for kept, lost in dimensions.mistaken(distribution)[:1]:
            _logger.warning(_EQUALS, trial.number, name, lost, kept, study.study_name, lost)

    def rest(self, study: Study, trial: FrozenTrial, names: Sequence[str], sampler: str) -> None:
        """Tells once per parameter, from the second trial on, that it is not the strategy's."""
        if _NAMES in self.told:
            return
        new = [name for name in names if name not in self.told]
        if new and any(t.state == TrialState.COMPLETE for t in compat.all_trials(study)):
            self.told.update(new)
            _logger.warning(_REST_WARNING, ", ".join(map(repr, new)), sampler)


def _labels_of(distribution: BaseDistribution) -> tuple[Label, ...]:
    found = dimensions.decision_of("", distribution)
    return () if found is None else found.labels
