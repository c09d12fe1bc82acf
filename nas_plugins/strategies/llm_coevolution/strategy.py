"""LLM co-evolution: a language model evolves architectures and a knowledge base, in niches.

Zhu, Zhang and Huang, "LLM-NAS", arXiv 2510.01472 (first published as "PEL-NAS").
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from nas_plugins.errors import PluginError
from nas_plugins.history import History, Proposal, Trial
from nas_plugins.llm.errors import ChatSetupError
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws
from nas_plugins.sections import Facts, Section, StrategySummary
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.strategies.llm_coevolution import report
from nas_plugins.strategies.llm_coevolution.breeding import Breeder
from nas_plugins.strategies.llm_coevolution.config import OFF, CoEvolutionOptions
from nas_plugins.strategies.llm_coevolution.conversation import Conversation, RememberingSession
from nas_plugins.strategies.llm_coevolution.niches import Partition, partition
from nas_plugins.strategies.llm_coevolution.schedule import NicheSchedule

_logger = logging.getLogger(__name__)

_MAX_PARTITIONS = 4


@dataclass(frozen=True)
class LLMCoEvolution(CoEvolutionOptions, Strategy):
    """A language model breeds architectures in niches of complexity and learns rules as it goes.

    The space is cut into niches along an axis. Niches take turns. In each one, uniform draws come
    first, then generations: at the start of a generation the model reads the last candidates and
    edits a knowledge base; then, for a coin tossed here, it combines or mutates members of the
    niche's Pareto archive, and writes all children of the generation in one reply. Children that
    are illegal, known or outside the niche are counted; the model is asked for others once, and
    what is still missing a classical operator breeds inside the niche. The defaults make
    2 calls in each of 6 niches and 10 generations: 120 calls and 330 trials.

    Nothing is kept but caches: replies, rules and the calls made are notes on trials, which
    `coevolution_log` reads. The first trial of a generation waits for the model, others take the
    children that wait. A model whose answers fail, or whose budget is used up, is replaced by the
    classical operator, with the reason in the note; the search goes on. While the engine fixes
    choices (an enqueued trial), the classical operator proposes.

    The options are those of `CoEvolutionOptions`.
    """

    asks_language_model = True
    takes_task = True

    def prepare(self, space: SearchSpace) -> None:
        """Cuts the space into niches and builds the model now, so that faults are told at once.

        Raises:
            ChatSetupError: The model cannot be used so: no key, no such file, no price.
            MissingDependencyError: A package is absent; the message gives the pip command.
        """
        self._partition(space)
        if self.llm != OFF:
            self._session()

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted.

        Whatever the model answers, or if it does not, the classical operator stands in.

        Raises:
            ChatSetupError: The model cannot be used so: no key, no such file, no price.
            MissingDependencyError: A package is absent; the message gives the pip command.
        """
        schedule = NicheSchedule(history, self._partition(history.space), self)
        draws = FreshDraws(history, rng, avoid_duplicates=self.avoid_duplicates)
        fixed = any(decision.name in history.fixed for decision in history.space.decisions)
        session, reason = (None, "") if fixed else self._session_or_reason()
        talk = None if session is None else Conversation(schedule, session)
        breeder = Breeder(schedule, draws, talk, reason)
        served, left = list(schedule.served), schedule.left()
        found: list[Proposal] = []
        while len(found) < n:
            slots = schedule.plan(served, left, n - len(found), rng)
            if not slots:
                break
            breeder.make_generations(slots, left)
            for slot in slots:
                proposal = breeder.unnoted(slot.niche) if fixed else breeder.fill(slot)
                if proposal is None:
                    left[slot.niche] = 0
                    continue
                found.append(proposal)
                served[slot.niche] += 1
                left[slot.niche] -= self.avoid_duplicates
        while len(found) < n:
            proposal = breeder.anything()
            if proposal is None:
                break
            found.append(proposal)
        return found

    @classmethod
    def summary(cls, history: History, settings: Mapping[str, Any]) -> StrategySummary | None:
        """Niches, rules, replies and costs; ``None`` where the trials are another strategy's."""
        log = report.log_of(history, settings)
        return None if log is None else report.summary(log)

    @classmethod
    def sections(cls, history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
        """Niches, rules and the model; nothing where the trials are another strategy's."""
        log = report.log_of(history, settings)
        return () if log is None else report.sections(log)

    @classmethod
    def facts(cls, trial: Trial) -> Mapping[str, Facts]:
        """Who made the trial's architecture, from whom, where and why."""
        return report.facts(trial)

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    # -- built when first needed -----------------------------------------------------------

    @cached_property
    def _lock(self) -> Any:
        return threading.RLock()

    @cached_property
    def _cache(self) -> dict[str, Any]:
        """The model, or why there is none, and the partitions of the last spaces."""
        return {"partitions": {}}

    def _partition(self, space: SearchSpace) -> Partition:
        with self._lock:
            known: dict[SearchSpace, Partition] = self._cache["partitions"]
            if space not in known:
                while len(known) >= _MAX_PARTITIONS:
                    del known[next(iter(known))]
                # The controls have no axis, so that its options stay as they are between arms.
                bounds = self.bounds if self.partition == "axis" else None
                known[space] = partition(
                    space,
                    kind=self.partition,
                    axis=self.axis,
                    n_niches=self.n_niches,
                    bounds=bounds,
                )
                for note in known[space].notes:
                    _logger.warning("%s", note)
            return known[space]

    def _session(self) -> RememberingSession:
        with self._lock:
            if "session" not in self._cache:
                self._cache["session"] = RememberingSession(self.session())
            session: RememberingSession = self._cache["session"]
            return session

    def _session_or_reason(self) -> tuple[RememberingSession | None, str]:
        """The model, or why the search has to do without."""
        if self.llm == OFF:
            return None, "the search has no language model"
        with self._lock:
            if "fault" not in self._cache:
                try:
                    return self._session(), ""
                except (ImportError, PluginError, ChatSetupError):
                    raise  # no later trial would be spared of it
                except Exception as error:
                    _logger.warning("the language model cannot be used", exc_info=error)
                    self._cache["fault"] = f"{type(error).__name__}: {error}"
            return None, f"the language model cannot be used: {self._cache['fault']}"


__all__ = ["OFF", "LLMCoEvolution"]
