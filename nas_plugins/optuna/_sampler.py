"""Any strategy as an Optuna sampler."""

from __future__ import annotations

import copy
import logging
import threading
import zlib
from collections.abc import Collection, Mapping, Sequence, Set
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas_plugins import _public
from nas_plugins._checks import at_least
from nas_plugins._wording import excerpt
from nas_plugins.engine import proposals
from nas_plugins.errors import EngineError, InvalidArchitectureError
from nas_plugins.history import History, Proposal
from nas_plugins.optuna import _attributes, _known, compat, dimensions
from nas_plugins.optuna._memory import StudyMemory
from nas_plugins.optuna.trial_log import restrict
from nas_plugins.protocols import Strategy, as_strategy
from nas_plugins.spaces.base import Architecture, Choice, Decision, Label, SearchSpace

_logger = compat.follow_optuna(logging.getLogger(__name__))
compat.follow_optuna(logging.getLogger(proposals.__name__))

_STRATEGY_LOGGERS = ("nas_plugins.strategies", "nas_plugins.llm")
"""Where strategies say what they have to say; those of others in their own modules."""

_MAX_STUDIES = 8
_MAX_CLAIMS = 12
_MAX_STRATEGY_CLAIMS = 7
"""Further claims are random, as several workers may ask the strategy the same for ever."""

_MAX_CANDIDATES = 8

_CONTENTION = "other workers were faster to take what the strategy proposed"
_REST_WARNING = (
    "Not architecture, and sampled by Optuna's TPE instead of the strategy: %s. Pass another "
    "sampler for such parameters as `independent_sampler`, or set `warn_independent_sampling` to "
    "`False` in the constructor of `%s` if this is intended."
)
_NAMES = (
    "Trial#%d has not asked for %s of %r, so that the search learns nothing of them%s. The "
    "objective must suggest each decision by its name."
)
_EQUALS = (
    "Trial#%d asks for %r, whose choice %r Optuna records as %r, which equals it, in study %r; "
    "the search does without it. Write %r as text if it means something else."
)
_OTHER_CHOICES = (
    "study {0!r} has {1!r} with the choices {2}, not {3}, and Optuna lets none change; "
    "`nas_plugins.optuna.continue_study` goes on with its trials in another space"
)
_REST_STREAM = 1 << 32
"""Random numbers for what is not the strategy's; above every checksum of a parameter's name."""

_MAX_RESTS = 8
_MAX_COMPANIONS = 256
_MIN_REFINED = 10
_REFINED = 0.5
"""Share of the trials that give one of the best architectures other numbers.

The others try an architecture with the numbers of one of the best trials.
"""


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
        TypeError: ``strategy`` has no method ``propose``.
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
        at_least(0, seed=seed)
        if unknown := set(seen_states).difference(_known.STATES):
            raise ValueError(
                f"`seen_states` must be of {list(_known.STATES)}, got {sorted(unknown)}"
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
            self._warn_of_names(self._space, trial)
        if state == TrialState.FAIL:
            entry = _attributes.failure_entry(interrupted=compat.is_interrupted())
            _write(study, trial, [entry])
        if self._on_exhausted == "stop" and self._is_exhausted(study, trial):
            compat.stop(study)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is not None:
            own: dict[str, BaseDistribution] = dimensions.distributions(self._space)
            names = {decision.name for decision in self._space.decisions}
        else:
            common = self._memory(study).known_parameters(study)
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
            self._refuse_other_choices(study, search_space)
        space = self._space or self._space_around(study, search_space)
        names = {decision.name for decision in space.decisions} if space is not None else set()
        others = {name: dist for name, dist in search_space.items() if name not in names}
        params = self._sample_rest(study, trial, others)
        decided = compat.fixed_params_of(study).keys() - search_space.keys()
        if space is not None and any(
            len(d.choices) > 1 and d.name not in decided for d in space.decisions
        ):
            params, architecture = self._configuration(study, trial, space, others, params)
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
            self._warn_of_equals(study, trial, param_name, param_distribution)
            for handed in self._handed_out(study, trial, param_name, param_distribution):
                return handed
        own = decides or dimensions.huge(param_distribution)
        if own and self._independent_sampler is None:
            rng = self._rng(trial, stream)
            if self._space is None and decides:
                return self._draw_apart(study, trial, param_name, param_distribution, rng)
            return dimensions.draw(param_distribution, rng)
        self._warn(study, trial, [param_name])
        sampler = self._rest_sampler(study, trial, stream)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    # -- what is behind it -----------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        caches = ("_lock", "_memories", "_warned")
        return {name: value for name, value in self.__dict__.items() if name not in caches}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._memories: WeakKeyDictionary[BaseStorage, dict[int, StudyMemory]] = (
            WeakKeyDictionary()
        )
        self._warned: set[str] = set()
        for package in (*_STRATEGY_LOGGERS, type(self._strategy).__module__):
            compat.follow_optuna_within(package)

    def _rng(self, trial: FrozenTrial, *stream: int) -> np.random.Generator:
        """The random numbers of one trial, the same in every process and at every call."""
        return proposals.trial_rng(self._entropy, trial.number, *stream)

    def _memory(self, study: Study) -> StudyMemory:
        storage, study_id = compat.study_key(study)
        # A study may be deleted and made anew under the same id.
        identity = compat.trial_identity(compat.all_trials(study)[0])
        with self._lock:
            memories = self._memories.setdefault(storage, {})
            memory = memories.pop(study_id, None)
            if memory is None or memory.identity != identity:
                memory = StudyMemory(identity)
            memories[study_id] = memory
            if len(memories) > _MAX_STUDIES:
                del memories[next(iter(memories))]
            return memory

    def _space_around(
        self, study: Study, search_space: Mapping[str, BaseDistribution]
    ) -> SearchSpace | None:
        """The space of the trials' parameters; PartialFixedSampler hides some."""
        memory = self._memory(study)
        common = memory.known_parameters(study)
        return memory.space_of({**common, **search_space})

    def _decides(self, name: str, distribution: BaseDistribution) -> bool:
        """Whether a parameter is the strategy's, even where it cannot be sampled jointly yet."""
        if self._space is None:
            return dimensions.is_decision(distribution)
        return any(decision.name == name for decision in self._space.decisions)

    def _draw_apart(
        self,
        study: Study,
        trial: FrozenTrial,
        name: str,
        distribution: BaseDistribution,
        rng: np.random.Generator,
    ) -> Any:
        """Draws a decision that is not in the space yet, away from what other trials have.

        Trials that begin before any other has told its parameters draw them one by one. Of the
        choices those are taken that the fewest trials have together with what is set already;
        each draw is published, and drawn again if another worker has come to the same.
        """
        decision = dimensions.decision_of(name, distribution)
        assert decision is not None
        n = len(decision.choices)
        drawn = _attributes.read_drawn(compat.attributes(study, trial))
        for _ in range(_MAX_CLAIMS):
            counts = self._companions(study, trial, decision)
            fewest = [i for i, count in enumerate(counts) if count == min(counts)]
            if len(fewest) == n:
                index = decision.index(dimensions.draw(distribution, rng))
            else:
                index = fewest[rng.integers(len(fewest))]
            _write(study, trial, _attributes.drawn_entries({**drawn, name: index}))
            if self._companions(study, trial, decision)[index] <= counts[index]:
                break
        return dimensions.value(distribution, decision, index)

    def _companions(self, study: Study, trial: FrozenTrial, decision: Decision) -> list[int]:
        """How many other trials have each choice together with all that this one has set."""
        own = {
            key: known
            for key, dist in trial.distributions.items()
            if (known := dimensions.decision_of(key, dist)) is not None
        }
        wanted = {key: known.index(trial.params[key]) for key, known in own.items()}
        counts = [0] * len(decision.choices)
        for other in compat.all_trials(study, fresh=True)[-_MAX_COMPANIONS:]:
            if other.number == trial.number:
                continue
            drawn = _attributes.read_drawn(other.system_attrs)
            told = {**_attributes.read_choices(other.system_attrs), **other.params}
            index = _held(decision, told, drawn)
            if index is not None:
                counts[index] += all(
                    _held(known, told, drawn) == wanted[key] for key, known in own.items()
                )
        return counts

    def _handed_out(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> list[Any]:
        """The choice that was made jointly for a decision which Optuna was not told of, if any."""
        published = _attributes.read_choices(compat.attributes(study, trial))
        if name not in published:
            return []
        space = self._space or self._space_around(study, {})
        decision = next((d for d in space.decisions if d.name == name), None) if space else None
        if decision is None:
            return []
        try:
            return [dimensions.value(distribution, decision, decision.index(published[name]))]
        except InvalidArchitectureError:
            return []

    def _rest_space(
        self, study: Study, trial: FrozenTrial, decisions: Set[str]
    ) -> dict[str, BaseDistribution]:
        """The parameters that are not the strategy's, as far as they are sampled jointly."""
        if self._independent_sampler is None:
            # Optuna takes its time to compare many choices.
            known = self._memory(study).known_parameters(study)
            if known.keys() <= decisions:
                return {}
        sampler = self._independent_sampler or self._memory(study).tpe
        return sampler.infer_relative_search_space(study, trial)

    def _rest_sampler(self, study: Study, trial: FrozenTrial, *stream: int) -> BaseSampler:
        """What samples the parameters that are not the strategy's.

        Optuna's TPE, unless another was given, gets random numbers that follow from the trial
        as all others do.
        """
        if self._independent_sampler is not None:
            return self._independent_sampler
        seed = int(self._rng(trial, _REST_STREAM, *stream).integers(2**32))
        memory = self._memory(study)
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

    def _configuration(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        others: Mapping[str, BaseDistribution],
        params: dict[str, Any],
    ) -> tuple[dict[str, Any], Architecture]:
        """The other parameters, which are drawn anew if it must be, and an architecture."""
        fixed = compat.fixed_params(study, trial)
        known = {**self._memory(study).known_parameters(study), **others}
        for decision in space.decisions:
            known.pop(decision.name, None)
        rng = self._rng(trial, _REST_STREAM, 0)
        refine = bool(others) and rng.random() < _REFINED
        attempts = [params]
        if not refine:
            attempts[:0] = self._inherited(study, trial, space, others, rng)
        architecture: Architecture | None = None
        attempt = 0
        while architecture is None:
            if attempt < len(attempts):
                params = attempts[attempt]
            else:
                params = {name: dimensions.draw(dist, rng) for name, dist in others.items()}
            rest = _known.rest_of({**params, **fixed}, known)
            last = not others or attempt >= _MAX_RESTS - 1  # it always gives an architecture
            architecture = self._architecture(
                study, trial, space, rest, refine=refine and not attempt, last=last
            )
            attempt += 1
        return params, architecture

    def _inherited(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        others: Mapping[str, BaseDistribution],
        rng: np.random.Generator,
    ) -> list[dict[str, Any]]:
        """The other parameters of one of the best trials, if there is one and TPE is used.

        With the same numbers architectures differ by what they are, not by luck.
        """
        if not others or self._independent_sampler is not None:
            return []
        history = self._memory(study).history(study, space, trial, states=self._seen_states)
        if len(history.complete) < _MIN_REFINED:
            return []
        number = history.front[rng.integers(len(history.front))].number
        best = compat.all_trials(study)[number]
        same = all(best.distributions.get(name) == dist for name, dist in others.items())
        return [{name: best.params[name] for name in others}] if same else []

    def _refined(self, trial: FrozenTrial, history: History) -> list[Proposal]:
        """One of the best architectures, to be tried with other numbers, if there is one."""
        if len(history.complete) < _MIN_REFINED:
            return []
        rng = self._rng(trial, _REST_STREAM, 1)
        best = history.front[rng.integers(len(history.front))].architecture
        return self._met([] if best.key in history.seen else [Proposal(best)], history)

    def _architecture(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        rest: _known.Rest,
        *,
        refine: bool,
        last: bool,
    ) -> Architecture | None:
        """Chooses an architecture and publishes it, so that no other worker chooses it too.

        Of two workers that choose the same one, each first writes its choice and then looks
        for the other's: the later writer at least sees the earlier one's and chooses again.

        Args:
            study: The study.
            trial: The trial that is sampled.
            space: The space of the architecture.
            rest: The other parameters of the configuration.
            last: Whether to repeat a configuration where nothing new is left; otherwise
                ``None`` is returned.
        """
        rng = self._rng(trial)
        memory = self._memory(study)
        fixed = restrict(compat.fixed_params(study, trial), space)
        look = partial(memory.history, study, space, trial, rest, states=self._seen_states)
        history = look().fixing(fixed)
        if rest:
            _write(study, trial, _known.rest_entries(rest))
        may_repeat = not self._strategy.avoid_duplicates
        records = memory.look(study, space, trial)[1]
        first = self._met(_known.interrupted(records, self._seen_states), history)
        if refine and not first:
            first = self._refined(trial, history)
        further: list[Proposal] = []
        for claim in range(_MAX_CLAIMS):
            choice = self._candidate(history, rng, claim, first, further)
            if choice.exhausted and not last:
                return None
            if choice.exhausted and not may_repeat:
                left = self._met(_known.unfinished(records), history)
                choice = proposals.Chosen(left[0], exhausted=True) if left else choice
            architecture = choice.proposal.architecture
            _write(study, trial, _attributes.choices_entries(architecture.labels))
            if may_repeat or choice.exhausted:
                break
            history = look(fresh=True).fixing(fixed)
            if architecture.key not in history.seen:
                break
        _write(study, trial, _attributes.note_entries(choice.proposal.notes))
        if choice.exhausted and not may_repeat:
            memory.tell_exhaustion(trial, space, fixed)
        return architecture

    def _candidate(
        self,
        history: History,
        rng: np.random.Generator,
        claim: int,
        first: list[Proposal],
        further: list[Proposal],
    ) -> proposals.Chosen:
        """What to claim next.

        Args:
            history: What is known now.
            rng: Source of randomness.
            claim: How many claims other workers were faster with.
            first: To be tried before the strategy is asked; shrinks.
            further: What the strategy proposed beside what it was asked for; changes.
        """
        further[:] = [p for p in further if p.architecture.key not in history.seen]
        if first:
            return proposals.Chosen(first.pop(0))
        if claim >= _MAX_STRATEGY_CLAIMS:
            return proposals.choose_at_random(history, rng, history.seen, reason=_CONTENTION)
        if further:  # any of them, as other workers are about to take the next
            return proposals.Chosen(further.pop(rng.integers(len(further))))
        n = _MAX_CANDIDATES if claim else 1
        choice = proposals.choose(self._strategy, history, rng, candidates=n, told=self._warned)
        further.extend(choice.others)
        return choice

    @staticmethod
    def _met(found: list[Proposal], history: History) -> list[Proposal]:
        """Those of the proposals that have the fixed choices."""
        places = {d.name: i for i, d in enumerate(history.space.decisions)}
        fixed = {
            places[name]: history.space.decisions[places[name]].index(choice)
            for name, choice in history.fixed.items()
        }
        return [p for p in found if all(p.architecture.indices[i] == c for i, c in fixed.items())]

    def _is_exhausted(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether nothing new is left once this trial has ended."""
        memory = self._memory(study)
        space = self._space or self._space_around(study, {})
        if space is None:
            return False
        history = memory.history(study, space, None, fresh=True, states=self._seen_states)
        records = memory.look(study, space, None)[1]
        if records.has_rest or _known.interrupted(records, self._seen_states):
            return False
        fixed = restrict(compat.fixed_params_of(study), space)
        rng = self._rng(trial, _REST_STREAM, 2)
        found = proposals.choose_at_random(history.fixing(fixed), rng, history.seen, reason="")
        return found.exhausted

    def _refuse_other_choices(
        self, study: Study, search_space: Mapping[str, BaseDistribution]
    ) -> None:
        """Raises where the study's trials have a decision with other choices than the space.

        Optuna would raise as soon as the objective asks, and name neither.
        """
        known = self._memory(study).known_parameters(study)
        for name in known.keys() & search_space.keys():
            found, wanted = known[name], search_space[name]
            if (
                isinstance(found, CategoricalDistribution)
                and isinstance(wanted, CategoricalDistribution)
                and not dimensions.same(found, wanted)
            ):
                choices = [excerpt(list(d.choices), quotes=False) for d in (found, wanted)]
                raise EngineError(_OTHER_CHOICES.format(study.study_name, name, *choices))

    def _warn_of_names(self, space: SearchSpace, trial: FrozenTrial) -> None:
        """Tells once that the objective asks for decisions by other names than the space's."""
        decisions = {d.name: d.labels for d in space.decisions if len(d.choices) > 1}
        missing = [name for name in decisions if name not in trial.params]
        if not missing or _NAMES in self._warned:
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
            self._warned.add(_NAMES)
            hint = "".join(f"; {n!r} may be its {o!r}" for n, o in list(alike.items())[:1])
            _logger.warning(_NAMES, trial.number, ", ".join(map(repr, missing)), space, hint)

    def _warn_of_equals(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> None:
        """Tells once per parameter which of its choices are never proposed."""
        key = f"{_EQUALS}{name}"
        if key in self._warned:
            return
        self._warned.add(key)
        for kept, lost in dimensions.mistaken(distribution)[:1]:
            _logger.warning(_EQUALS, trial.number, name, lost, kept, study.study_name, lost)

    def _warn(self, study: Study, trial: FrozenTrial, names: Sequence[str]) -> None:
        """Tells once per parameter, from the second trial on, that it is not the strategy's."""
        unwanted = not self._warn_independent_sampling or self._independent_sampler is not None
        if unwanted or _NAMES in self._warned:
            return
        new = [name for name in names if name not in self._warned]
        if new and any(t.state == TrialState.COMPLETE for t in compat.all_trials(study)):
            self._warned.update(new)
            _logger.warning(_REST_WARNING, ", ".join(map(repr, new)), type(self).__name__)


def _labels_of(distribution: BaseDistribution) -> tuple[Label, ...]:
    found = dimensions.decision_of("", distribution)
    return () if found is None else found.labels


def _held(decision: Decision, told: Mapping[str, Any], drawn: Mapping[str, int]) -> int | None:
    """The position of the choice that a trial has of a decision, as far as it is known."""
    if decision.name not in told:
        index = drawn.get(decision.name, -1)
        return index if 0 <= index < len(decision.choices) else None
    try:
        return decision.index(told[decision.name])
    except InvalidArchitectureError:
        return None


def _write(study: Study, trial: FrozenTrial, entries: Any) -> None:
    for key, value in entries:
        compat.set_trial_attribute(study, trial, key, value)
