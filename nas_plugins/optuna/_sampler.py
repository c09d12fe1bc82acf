"""Any strategy as an Optuna sampler."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_plugins import _public
from nas_plugins._checks import at_least
from nas_plugins.engine import proposals
from nas_plugins.history import History
from nas_plugins.optuna import _attributes, compat, dimensions
from nas_plugins.optuna.trial_log import TrialLog, objectives_in, restrict
from nas_plugins.protocols import Strategy, as_strategy
from nas_plugins.spaces.base import Architecture, SearchSpace

_logger = logging.getLogger(__name__)

_MAX_STUDIES = 8
_MAX_CLAIMS = 8
_MAX_STRATEGY_CLAIMS = 3

_CONTENTION = "other workers were faster to take what the strategy proposed"
_INDEPENDENT_SAMPLING_WARNING = (
    "The parameter `%s` in Trial#%d is sampled independently using `%s` instead of `%s`, "
    "potentially degrading the optimization performance. This fallback happened because it is "
    "not a categorical parameter, or not a part of every trial. You can suppress this warning "
    "by setting `warn_independent_sampling` to `False` in the constructor of `%s` if this "
    "independent sampling is intended behavior."
)


class StrategySampler(BaseSampler):
    """Sampler that lets a search strategy propose whole architectures.

    The strategy sees all trials of the study and proposes all decisions of the next trial
    jointly. Nothing evolves in the sampler: every proposal follows from the seed, the trials in
    the storage and the number of the new trial. A study that was interrupted and resumed goes on
    as if it had not been, and workers with the same seed never draw the same numbers.

    No architecture is proposed twice, by any worker, unless the strategy's option
    ``avoid_duplicates`` is false or the space is exhausted (a warning says so, once). What is
    proposed is written to the trial at once, so that other workers see it; a worker that finds
    its choice taken meanwhile chooses again.

    Example:

        .. testcode::

            import nas_plugins as nap
            import optuna
            from nas_plugins.optuna import StrategySampler
            from nas_plugins.optuna import suggest

            space = nap.space("nasbench201")
            sampler = StrategySampler("archive-evolution", space=space, seed=0)
            study = optuna.create_study(direction="minimize", sampler=sampler)
            study.optimize(lambda t: space.complexity(suggest(t, space)).params, n_trials=20)

    .. note::
        With ``n_jobs > 1`` Optuna reseeds the sampler before every trial, so that such a run
        cannot be repeated. Run several processes instead.

    Args:
        strategy:
            The strategy, or the name it is registered under, e.g. ``"archive-evolution"``.
        space:
            The space that the strategy searches, or its registered name. Its decisions are
            sampled jointly from the first trial on; other parameters of the objective are
            sampled independently. If :obj:`None`, the space consists of the parameters that
            all complete trials of the study have in common, as with other samplers of Optuna:
            the categorical ones and short integer ranges are the strategy's, the rest is
            sampled independently.
        seed:
            Seed, a non-negative integer. If :obj:`None`, entropy of the system is used.
        independent_sampler:
            Sampler of all parameters that are not the strategy's. If :obj:`None`, these are
            drawn at random, reproducibly for each trial and parameter.
        warn_independent_sampling:
            Whether to warn, once per parameter, when a parameter is sampled independently
            although no ``space`` was given.

    Raises:
        TypeError: ``strategy`` has no method ``propose``.
        ValueError: ``seed`` is negative, or Optuna cannot tell two choices of a decision of
            ``space`` apart, such as 1 and True.
        UnknownNameError: A name is not registered; the message suggests the nearest.
    """

    def __init__(
        self,
        strategy: Strategy | str,
        *,
        space: SearchSpace | str | None = None,
        seed: int | None = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
    ) -> None:
        at_least(0, seed=seed)
        self._space = _public.space(space) if isinstance(space, str) else space
        if self._space is not None:
            dimensions.check(self._space)
        if isinstance(strategy, str):
            strategy = _public.strategy(strategy, space=self._space)
        self._strategy = as_strategy(strategy)
        self._entropy = proposals.fresh_entropy() if seed is None else int(seed)
        self._independent_sampler = independent_sampler
        self._warn_independent_sampling = warn_independent_sampling
        self._forget()

    @property
    def strategy(self) -> Strategy:
        """The strategy that proposes."""
        return self._strategy

    @property
    def space(self) -> SearchSpace | None:
        """The space given, or ``None`` where it follows from the trials."""
        return self._space

    # -- Optuna's interface ----------------------------------------------------------------

    def reseed_rng(self) -> None:
        self._entropy = proposals.fresh_entropy()
        if self._independent_sampler is not None:
            self._independent_sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.after_trial(study, trial, state, values)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is not None:
            return dimensions.distributions(self._space)
        common = self._memory(study).common_parameters(study)
        return {name: dist for name, dist in common.items() if not dist.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        params: dict[str, Any] = {}
        space = self._space or self._space_around(study, search_space)
        if search_space and space is not None:
            params.update(self._architecture(study, trial, space).choices)
        for name, distribution in search_space.items():
            if name not in params:
                params[name] = self.sample_independent(study, trial, name, distribution)
        # PartialFixedSampler deletes keys of what we return, so it is a dictionary of its own.
        return {name: params[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self._warn(study, trial, param_name)
        if self._independent_sampler is not None:
            return self._independent_sampler.sample_independent(
                study, trial, param_name, param_distribution
            )
        rng = self._rng(trial, zlib.crc32(param_name.encode("utf-8", "surrogatepass")))
        return dimensions.draw(param_distribution, rng)

    # -- what is behind it -----------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        caches = ("_lock", "_memories", "_warned")
        return {name: value for name, value in self.__dict__.items() if name not in caches}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._memories: WeakKeyDictionary[BaseStorage, dict[int, _Memory]] = WeakKeyDictionary()
        self._warned: set[str] = set()

    def _rng(self, trial: FrozenTrial, *stream: int) -> np.random.Generator:
        """The random numbers of one trial, the same in every process and at every call."""
        return proposals.trial_rng(self._entropy, trial.number, *stream)

    def _memory(self, study: Study) -> _Memory:
        storage, study_id = compat.study_key(study)
        # A study may be deleted and made anew under the same id.
        identity = compat.trial_identity(compat.all_trials(study)[0])
        with self._lock:
            memories = self._memories.setdefault(storage, {})
            memory = memories.pop(study_id, None)
            if memory is None or memory.identity != identity:
                memory = _Memory(identity)
            memories[study_id] = memory
            if len(memories) > _MAX_STUDIES:
                del memories[next(iter(memories))]
            return memory

    def _space_around(
        self, study: Study, search_space: Mapping[str, BaseDistribution]
    ) -> SearchSpace | None:
        """The space of the trials' common parameters; PartialFixedSampler hides some."""
        memory = self._memory(study)
        common = memory.common_parameters(study)
        return memory.space_of({**common, **search_space})

    def _architecture(self, study: Study, trial: FrozenTrial, space: SearchSpace) -> Architecture:
        """Chooses an architecture and publishes it, so that no other worker chooses it too.

        Of two workers that choose the same one, each first writes its choice and then looks
        for the other's: the later writer at least sees the earlier one's and chooses again.
        """
        rng = self._rng(trial)
        memory = self._memory(study)
        fixed = restrict(compat.fixed_params(study, trial), space)
        history = memory.history(study, space, trial).fixing(fixed)
        may_repeat = not self._strategy.avoid_duplicates
        for claim in range(_MAX_CLAIMS):
            if claim < _MAX_STRATEGY_CLAIMS:
                choice = proposals.choose(self._strategy, history, rng)
            else:
                taken = history.seen
                choice = proposals.choose_at_random(history, rng, taken, reason=_CONTENTION)
            architecture = choice.proposal.architecture
            _write(study, trial, _attributes.choices_entries(architecture.choices))
            if may_repeat or choice.exhausted:
                break
            history = memory.history(study, space, trial, fresh=True).fixing(fixed)
            if architecture.key not in history.seen:
                break
        _write(study, trial, _attributes.note_entries(choice.proposal.notes))
        if choice.exhausted and not may_repeat and not memory.exhaustion_told:
            memory.exhaustion_told = True
            _logger.warning(
                "Trial#%d repeats an architecture: the study has seen all of %r%s",
                trial.number,
                space,
                f" with {fixed} fixed" if fixed else "",
            )
        return architecture

    def _warn(self, study: Study, trial: FrozenTrial, name: str) -> None:
        wanted = self._warn_independent_sampling and self._space is None
        if not wanted or name in self._warned:
            return
        trials = compat.all_trials(study)
        if any(t.state == TrialState.COMPLETE for t in trials):
            self._warned.add(name)
            own = type(self).__name__
            other = type(self._independent_sampler or self).__name__
            used = other if self._independent_sampler is not None else "random sampling"
            _logger.warning(_INDEPENDENT_SAMPLING_WARNING, name, trial.number, used, own, own)


class _Memory:
    """What a sampler keeps about one study: caches of what follows from the trials.

    Args:
        identity: What tells the study's first trial from that of any other study.
    """

    def __init__(self, identity: tuple[Any, ...]) -> None:
        self.identity = identity
        self.exhaustion_told = False
        self._lock = threading.Lock()
        self._intersection = IntersectionSearchSpace()
        self._parameters: dict[str, BaseDistribution] = {}
        self._space: SearchSpace | None = None
        self._log: TrialLog | None = None

    def common_parameters(self, study: Study) -> dict[str, BaseDistribution]:
        """The parameters that all complete trials share; a fresh dictionary."""
        with self._lock:
            return self._intersection.calculate(study, use_cache=True)

    def space_of(self, parameters: Mapping[str, BaseDistribution]) -> SearchSpace | None:
        """The space of those parameters that are decisions."""
        with self._lock:
            if parameters != self._parameters:
                self._parameters = dict(parameters)
                self._space = dimensions.space_of(parameters)
            return self._space

    def history(
        self, study: Study, space: SearchSpace, trial: FrozenTrial, *, fresh: bool = False
    ) -> History:
        """All trials but the one being sampled."""
        trials = compat.all_trials(study, fresh=fresh)
        with self._lock:
            if self._log is None or self._log.space != space:
                names = compat.metric_names(study)
                self._log = TrialLog(space, objectives_in(compat.directions(study), names))
            return self._log.history(trials, exclude=trial.number)


def _write(study: Study, trial: FrozenTrial, entries: Any) -> None:
    for key, value in entries:
        compat.set_trial_attribute(study, trial, key, value)
