"""Any strategy as an Optuna sampler."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Collection, Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_plugins import _public
from nas_plugins._checks import at_least, integers
from nas_plugins.engine import proposals
from nas_plugins.optuna import _attributes, _known, compat, dimensions
from nas_plugins.optuna._apart import draw_apart, handed_out
from nas_plugins.optuna._configuration import REST_STREAM, Chooser
from nas_plugins.optuna._hints import Hints
from nas_plugins.optuna._memory import Memories
from nas_plugins.protocols import Strategy, as_strategy
from nas_plugins.spaces.base import Choice, SearchSpace

_STRATEGY_LOGGERS = ("nas_plugins.strategies", "nas_plugins.llm")
"""Where strategies say what they have to say; those of others in their own modules."""


class StrategySampler(BaseSampler):
    """Sampler that lets a search strategy propose whole architectures.

    The strategy sees all trials of the study and proposes all decisions of the next trial
    jointly. Nothing evolves in the sampler: every proposal follows from the seed, the trials in
    the storage and the number of the new trial. A study that was interrupted and resumed goes on
    as if it had not been, and workers with the same seed never draw the same numbers.

    Decisions that the objective does not ask for, because of others, make no difference.

    No architecture is proposed twice, by any worker, unless the strategy's option
    ``avoid_duplicates`` is false or the space is exhausted (a warning says so, once). What is
    proposed is written to the trial at once, so that other workers see it; a worker that finds
    its choice taken meanwhile chooses again.

    Where the objective has other parameters too (a learning rate), an architecture may come
    again with other numbers, and its value is the best it had. Half of the trials then give one
    of the best architectures other numbers, half try another with the numbers of the best.

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
            The space that the strategy searches, its registered name, or a dictionary of
            choices such as ``{"op": ["conv", "pool"]}``. Its decisions are sampled jointly from
            the first trial on. If :obj:`None`, the space consists of the parameters of the
            study's trials: the categorical ones and ranges of at most 4,096 values, whole
            numbers or with a step, also those that an objective asks for in some trials only.
        seed:
            Seed, a non-negative integer. If :obj:`None`, entropy of the system is used.
        independent_sampler:
            Sampler of all parameters that are not the strategy's, such as a learning rate. It
            samples them jointly if it can, as it would alone. If :obj:`None`, Optuna's TPE,
            which goes on reproducibly whenever the study is resumed.
        warn_independent_sampling:
            Whether to tell, once per parameter, that it is sampled by TPE although no
            ``independent_sampler`` was given.
        seen_states:
            States in which a trial's configuration counts as tried. ``"interrupted"`` is the
            one more: trials that failed without a failure of the objective, as they were
            interrupted from the keyboard or their process was killed. They are evaluated again
            before anything else, at most three times.
        on_exhausted:
            What to do when the study has tried all of the space: ``"repeat"`` (first what has
            failed, or seems to hang), or ``"stop"`` the study, as Optuna's grid sampler does.

    Raises:
        TypeError: ``strategy`` has no method ``propose``, or an option is not of its kind.
        ValueError: ``seed`` is negative, an option is none of those named here, or Optuna cannot
            tell two choices of a decision of ``space`` apart, such as 1 and True.
        UnknownNameError: A name is not registered; the message suggests the nearest.
    """

    def __init__(
        self,
        strategy: Strategy | str,
        *,
        space: SearchSpace | str | Mapping[str, Sequence[Choice]] | None = None,
        seed: int | None = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        seen_states: Collection[str] = ("complete", "pruned", "failed", "running"),
        on_exhausted: str = "repeat",
    ) -> None:
        if seed is not None:
            integers(seed=seed)
        at_least(0, seed=seed)
        _check_states(seen_states)
        if not isinstance(independent_sampler, BaseSampler | None):
            raise TypeError(
                "`independent_sampler` must be a sampler of Optuna, such as "
                f"optuna.samplers.TPESampler(), got {independent_sampler!r}"
            )
        if on_exhausted not in ("repeat", "stop"):
            raise ValueError(f"`on_exhausted` must be 'repeat' or 'stop', got {on_exhausted!r}")
        self._space = None if space is None else dimensions.as_space(space)
        if self._space is not None:
            dimensions.check(self._space)
        if isinstance(strategy, str):
            strategy = _public.strategy(strategy, space=self._space)
        self._strategy = as_strategy(strategy)
        self._entropy = proposals.fresh_entropy() if seed is None else int(seed)
        self._independent_sampler = independent_sampler
        self._warn_independent_sampling = warn_independent_sampling
        self._seen_states = frozenset(seen_states)
        self._on_exhausted = on_exhausted
        self._forget()

    @property
    def strategy(self) -> Strategy:
        """The strategy that proposes."""
        return self._strategy

    @property
    def space(self) -> SearchSpace | None:
        """The space given, or ``None`` where it follows from the trials."""
        return self._space

    def over(self, space: SearchSpace) -> StrategySampler:
        """This sampler over another space, to go on with its study there."""
        other = copy.copy(self)
        other._space = space
        return other

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
        if self._space is not None and state == TrialState.COMPLETE:
            self._hints.names(self._space, trial)
        if self._space is not None and state == TrialState.FAIL:
            self._hints.refused(self._space, study, trial)
        if state == TrialState.FAIL:
            entry = _attributes.failure_entry(interrupted=compat.is_interrupted())
            compat.write_attributes(study, trial, [entry])
        if self._on_exhausted == "stop" and self._is_exhausted(study, trial):
            compat.stop(study)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is not None:
            own: dict[str, BaseDistribution] = dimensions.distributions(self._space)
            names = {decision.name for decision in self._space.decisions}
        else:
            common = self._memories.of(study).known_parameters(study)
            decisions = {n: dist for n, dist in common.items() if dimensions.is_decision(dist)}
            own = {n: dist for n, dist in decisions.items() if dimensions.is_relative(dist)}
            names = set(decisions)
        rest = self._rest_space(study, trial, names)
        if self._independent_sampler is None:
            rest = {name: dist for name, dist in rest.items() if not dimensions.huge(dist)}
        return own | {name: dist for name, dist in rest.items() if name not in names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._space is not None:
            known = self._memories.of(study).known_parameters(study)
            dimensions.refuse_other_choices(study.study_name, known, search_space)
        space = self._space_around(study, search_space)
        names = {decision.name for decision in space.decisions} if space is not None else set()
        others = {name: dist for name, dist in search_space.items() if name not in names}
        params = self._sample_rest(study, trial, others)
        decided = compat.fixed_params_of(study).keys() - search_space.keys()
        if space is not None and any(
            len(d.choices) > 1 and d.name not in decided for d in space.decisions
        ):
            params, architecture = self._chooser(study, trial, space).configuration(others, params)
            for decision, index in zip(space.decisions, architecture.indices, strict=True):
                if (dist := search_space.get(decision.name)) is not None:
                    params[decision.name] = dimensions.value(dist, decision, index)
        # PartialFixedSampler deletes keys of what we return, so it is a dictionary of its own.
        return {name: params[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        stream = zlib.crc32(param_name.encode("utf-8", "surrogatepass"))
        decides = self._decides(param_name, param_distribution)
        if decides:
            self._hints.equals(study, trial, param_name, param_distribution)
            space = partial(self._space_around, study, {})
            for handed in handed_out(study, trial, space, param_name, param_distribution):
                return handed
        own = decides or dimensions.huge(param_distribution)
        if own and self._independent_sampler is None:
            rng = self._rng(trial, stream)
            if self._space is None and decides:
                return draw_apart(study, trial, param_name, param_distribution, rng)
            return dimensions.draw(param_distribution, rng)
        self._warn(study, trial, [param_name])
        sampler = self._rest_sampler(study, trial, stream)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    # -- what is behind it -----------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        caches = ("_memories", "_hints")
        return {name: value for name, value in self.__dict__.items() if name not in caches}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._memories = Memories()
        self._hints = Hints()
        for package in (*_STRATEGY_LOGGERS, type(self._strategy).__module__):
            compat.follow_optuna_within(package)

    def _rng(self, trial: FrozenTrial, *stream: int) -> np.random.Generator:
        """The random numbers of one trial, the same in every process and at every call."""
        return proposals.trial_rng(self._entropy, trial.number, *stream)

    def _space_around(
        self, study: Study, search_space: Mapping[str, BaseDistribution]
    ) -> SearchSpace | None:
        """The space given, or that of the trials' parameters; PartialFixedSampler hides some."""
        return self._space or self._memories.of(study).space_around(study, search_space)

    def _chooser(self, study: Study, trial: FrozenTrial, space: SearchSpace) -> Chooser:
        return Chooser(
            study,
            trial,
            space,
            memory=self._memories.of(study),
            strategy=self._strategy,
            states=self._seen_states,
            entropy=self._entropy,
            inherits=self._independent_sampler is None,
            told=self._hints.told,
        )

    def _is_exhausted(self, study: Study, trial: FrozenTrial) -> bool:
        space = self._space_around(study, {})
        return space is not None and self._chooser(study, trial, space).is_exhausted()

    def _decides(self, name: str, distribution: BaseDistribution) -> bool:
        """Whether a parameter is the strategy's, even where it cannot be sampled jointly yet."""
        if self._space is None:
            return dimensions.is_decision(distribution)
        return any(decision.name == name for decision in self._space.decisions)

    def _rest_space(
        self, study: Study, trial: FrozenTrial, decisions: Set[str]
    ) -> dict[str, BaseDistribution]:
        """The parameters that are not the strategy's, as far as they are sampled jointly."""
        if self._independent_sampler is None:
            # Optuna takes its time to compare many choices.
            known = self._memories.of(study).known_parameters(study)
            if known.keys() <= decisions:
                return {}
        sampler = self._independent_sampler or self._memories.of(study).tpe
        return sampler.infer_relative_search_space(study, trial)

    def _rest_sampler(self, study: Study, trial: FrozenTrial, *stream: int) -> BaseSampler:
        """What samples the parameters that are not the strategy's.

        Optuna's TPE, unless another was given, gets random numbers that follow from the trial
        as all others do.
        """
        if self._independent_sampler is not None:
            return self._independent_sampler
        seed = int(self._rng(trial, REST_STREAM, *stream).integers(2**32))
        memory = self._memories.of(study)
        return compat.seeded(memory.tpe, seed, constrained=memory.constrained(study))

    def _sample_rest(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All parameters of a part of the space, as its sampler would sample them alone."""
        params: dict[str, Any] = {}
        if search_space or self._independent_sampler is not None:
            self._warn(study, trial, list(search_space))
            sampler = self._rest_sampler(study, trial)
            params.update(sampler.sample_relative(study, trial, search_space))
        for name, distribution in search_space.items():
            if name not in params:
                params[name] = self.sample_independent(study, trial, name, distribution)
        return params

    def _warn(self, study: Study, trial: FrozenTrial, names: Sequence[str]) -> None:
        if self._warn_independent_sampling and self._independent_sampler is None:
            self._hints.rest(study, trial, names, type(self).__name__)


def _check_states(seen: Collection[str]) -> None:
    if isinstance(seen, str) or not isinstance(seen, Collection):
        raise TypeError(f"`seen_states` must be a list of states, got {seen!r}")
    if unknown := [state for state in seen if state not in _known.STATES]:
        raise ValueError(f"`seen_states` must be of {list(_known.STATES)}, got {unknown}")
