"""Choosing the configuration of one trial: its architecture and its other parameters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas_plugins.engine import proposals
from nas_plugins.history import History, Proposal
from nas_plugins.optuna import _attributes, _known, compat, dimensions
from nas_plugins.optuna._memory import StudyMemory
from nas_plugins.optuna.trial_log import restrict
from nas_plugins.protocols import Strategy
from nas_plugins.spaces.base import Architecture, SearchSpace

compat.follow_optuna(logging.getLogger(proposals.__name__))

REST_STREAM = 1 << 32
"""Random numbers for what is not the strategy's; above every checksum of a parameter's name."""

MAX_CLAIMS = 12
_MAX_STRATEGY_CLAIMS = 7
"""Further claims are random, as several workers may ask the strategy the same for ever."""

_MAX_CANDIDATES = 8

_CONTENTION = "other workers were faster to take what the strategy proposed"

_MAX_RESTS = 8
_MIN_REFINED = 10
_REFINED = 0.5
"""Share of the trials that give one of the best architectures other numbers.

The others try an architecture with the numbers of one of the best trials.
"""


@dataclass(frozen=True)
class Chooser:
    """Chooses what one trial evaluates.

    Attributes:
        study: The study.
        trial: The trial that is sampled.
        space: The space of its architecture.
        memory: What is kept of the study.
        strategy: What proposes architectures.
        states: Those in which a trial's configuration counts as tried.
        entropy: Seed of the random numbers.
        inherits: Whether a trial may get the other parameters of an earlier one.
        told: Failures of the strategy that have been logged; grows.
    """

    study: Study
    trial: FrozenTrial
    space: SearchSpace
    memory: StudyMemory
    strategy: Strategy
    states: Set[str]
    entropy: int
    inherits: bool
    told: set[str]

    def configuration(
        self, others: Mapping[str, BaseDistribution], params: dict[str, Any]
    ) -> tuple[dict[str, Any], Architecture]:
        """The other parameters, which are drawn anew if it must be, and an architecture.

        Args:
            others: The other parameters.
            params: Their values, as their own sampler has drawn them.
        """
        fixed = compat.fixed_params(self.study, self.trial)
        known = {**self.memory.known_parameters(self.study), **others}
        for decision in self.space.decisions:
            known.pop(decision.name, None)
        rng = self._rng(REST_STREAM, 0)
        refine = bool(others) and rng.random() < _REFINED
        attempts = [params]
        if not refine:
            attempts[:0] = self._inherited(others, rng)
        architecture: Architecture | None = None
        attempt = 0
        while architecture is None:
            if attempt < len(attempts):
                params = attempts[attempt]
            else:
                params = {name: dimensions.draw(dist, rng) for name, dist in others.items()}
            rest = _known.rest_of({**params, **fixed}, known)
            last = not others or attempt >= _MAX_RESTS - 1  # it always gives an architecture
            architecture = self._architecture(rest, refine=refine and not attempt, last=last)
            attempt += 1
        return params, architecture

    def _inherited(
        self, others: Mapping[str, BaseDistribution], rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """The other parameters of one of the best trials, if there is one.

        With the same numbers architectures differ by what they are, not by luck.
        """
        if not others or not self.inherits:
            return []
        history = self.memory.history(self.study, self.space, self.trial, states=self.states)
        if len(history.complete) < _MIN_REFINED:
            return []
        number = history.front[rng.integers(len(history.front))].number
        best = compat.all_trials(self.study)[number]
        same = all(best.distributions.get(name) == dist for name, dist in others.items())
        return [{name: best.params[name] for name in others}] if same else []

    def _refined(self, history: History) -> list[Proposal]:
        """One of the best architectures, to be tried with other numbers, if there is one."""
        if len(history.complete) < _MIN_REFINED:
            return []
        rng = self._rng(REST_STREAM, 1)
        best = history.front[rng.integers(len(history.front))].architecture
        return _met([] if best.key in history.seen else [Proposal(best)], history)

    def _architecture(self, rest: _known.Rest, *, refine: bool, last: bool) -> Architecture | None:
        """Chooses an architecture and publishes it, so that no other worker chooses it too.

        Of two workers that choose the same one, each first writes its choice and then looks
        for the other's: the later writer at least sees the earlier one's and chooses again.

        Args:
            rest: The other parameters of the configuration.
            refine: Whether to try one of the best architectures with them first.
            last: Whether to repeat a configuration where nothing new is left; otherwise
                ``None`` is returned.
        """
        study, trial, space = self.study, self.trial, self.space
        rng = self._rng()
        fixed = restrict(compat.fixed_params(study, trial), space)
        look = partial(self.memory.history, study, space, trial, rest, states=self.states)
        history = look().fixing(fixed)
        if rest:
            compat.write_attributes(study, trial, _known.rest_entries(rest))
        may_repeat = not self.strategy.avoid_duplicates
        records = self.memory.look(study, space, trial)[1]
        first = _met(_known.interrupted(records, self.states), history)
        if refine and not first:
            first = self._refined(history)
        further: list[Proposal] = []
        for claim in range(MAX_CLAIMS):
            choice = self._candidate(history, rng, claim, first, further)
            if choice.exhausted and not last:
                return None
            if choice.exhausted and not may_repeat:
                left = _met(_known.unfinished(records), history)
                choice = proposals.Chosen(left[0], exhausted=True) if left else choice
            architecture = choice.proposal.architecture
            compat.write_attributes(study, trial, _attributes.choices_entries(architecture.labels))
            if may_repeat or choice.exhausted:
                break
            history = look(fresh=True).fixing(fixed)
            if architecture.key not in history.seen:
                break
        compat.write_attributes(study, trial, _attributes.note_entries(choice.proposal.notes))
        if choice.exhausted and not may_repeat:
            self.memory.tell_exhaustion(trial, space, fixed)
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
        choice = proposals.choose(self.strategy, history, rng, candidates=n, told=self.told)
        further.extend(choice.others)
        return choice

    def is_exhausted(self) -> bool:
        """Whether nothing new is left once this trial has ended."""
        history = self.memory.history(self.study, self.space, None, fresh=True, states=self.states)
        records = self.memory.look(self.study, self.space, None)[1]
        if records.has_rest or _known.interrupted(records, self.states):
            return False
        fixed = restrict(compat.fixed_params_of(self.study), self.space)
        rng = self._rng(REST_STREAM, 2)
        found = proposals.choose_at_random(history.fixing(fixed), rng, history.seen, reason="")
        return found.exhausted

    def _rng(self, *stream: int) -> np.random.Generator:
        return proposals.trial_rng(self.entropy, self.trial.number, *stream)


def _met(found: list[Proposal], history: History) -> list[Proposal]:
    """Those of the proposals that have the fixed choices."""
    places = {d.name: i for i, d in enumerate(history.space.decisions)}
    fixed = {
        places[name]: history.space.decisions[places[name]].index(choice)
        for name, choice in history.fixed.items()
    }
    return [p for p in found if all(p.architecture.indices[i] == c for i, c in fixed.items())]
