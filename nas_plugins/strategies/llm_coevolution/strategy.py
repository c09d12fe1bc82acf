"""LLM co-evolution: a language model evolves architectures and a knowledge base, in niches.

Zhu, Zhang and Huang, "LLM-NAS", arXiv 2510.01472 (first published as "PEL-NAS").
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nas_plugins import registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import unknown_name
from nas_plugins.history import History, Proposal
from nas_plugins.llm import (
    MODES,
    Budget,
    ChatModel,
    ChatSession,
    RateLimits,
    RetryPolicy,
    chat_model,
)
from nas_plugins.protocols import Strategy
from nas_plugins.sampling import FreshDraws
from nas_plugins.spaces.base import Architecture, SearchSpace
from nas_plugins.strategies.llm_coevolution.asking import Asker
from nas_plugins.strategies.llm_coevolution.batch import Leader
from nas_plugins.strategies.llm_coevolution.brood import Brood
from nas_plugins.strategies.llm_coevolution.genes import Genes
from nas_plugins.strategies.llm_coevolution.orders import KNOWLEDGE, OrderBook
from nas_plugins.strategies.llm_coevolution.partition import KINDS, Partition, partition
from nas_plugins.strategies.llm_coevolution.prompts import HIDEABLE, Prompts, checked_task
from nas_plugins.strategies.llm_coevolution.questions import Manner, Questions
from nas_plugins.strategies.llm_coevolution.schedule import Rhythm, State, plan

_logger = logging.getLogger(__name__)

OFF = "off"
"""Value of the option ``llm`` for a search without a model: the classical operators alone."""

_MAX_PARTITIONS = 4


@dataclass(frozen=True)
class LLMCoEvolution(Strategy):
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
    children that wait. A model that fails, or whose budget is used up, is replaced by the
    classical operator, with the reason in the note; the search goes on. While the engine fixes
    choices (an enqueued trial), the classical operator proposes.

    Attributes:
        llm: A `ChatModel`, or a name such as ``"local"``, ``"openai:gpt-4.1"``, ``"null"`` (the
            same path with uniform draws in the model's place) or ``"replay:run.jsonl"``;
            ``"off"`` for the classical operators alone.
        llm_options: Options of a model that is given by name.
        partition: ``"axis"``; or, for comparison, ``"random"`` or ``"none"``.
        axis: What the niches differ in, e.g. ``"n_nor_conv_3x3"``, ``"params"`` or
            ``"hw-nas-bench/cifar10/edgegpu.latency_ms"``, or a function of an architecture;
            ``"auto"`` chooses for the space.
        n_niches: Number of niches.
        bounds: Where the second, third, ... niche begins; ``None`` chooses from a sample.
        n_initial: Uniform draws per niche at the start.
        children: Trials per niche and generation.
        crossover_probability: Of combining parents rather than mutating one.
        knowledge: Who edits the rules: ``"llm"``, ``"statistics"`` (ranks, no model) or
            ``"off"``.
        classical_share: Share of the children that archive evolution on the global front makes
            in the model's place, from 0 to 1.
        candidates: Candidates that the classical operators breed for every architecture of
            theirs, to evaluate the one that additive effects of the choices, read off the
            ranks so far, find most promising; 1 for classical operators without that help.
        temperature: Of the model when it writes children.
        knowledge_temperature: Of the model when it edits rules.
        max_rules: Most rules that a niche sees: one half global, one half its own.
        repairs: Second questions per reply that cannot be used, 0 or 1.
        reply_tokens: Most tokens of a reply; ``None`` reckons with what is asked for. Give
            more to models that think before they answer.
        task: What prompts tell of the task, e.g. ``{"dataset": "CIFAR-10"}``.
        hide: What prompts keep to themselves, of ``"benchmark"``, ``"dataset"``, ``"device"``,
            ``"operations"`` (their numbers are shuffled too) and ``"metrics"``.
        max_calls: Most calls of all processes of the search, failed attempts included.
        max_tokens: Most tokens.
        max_usd: Most US dollars; needs `prices`.
        max_seconds: Most seconds with a call under way.
        prices: US dollars per million tokens; see `nas_plugins.llm.Prices.of`.
        requests_per_minute: Rate limit of one process.
        tokens_per_minute: Rate limit of one process.
        attempts: Attempts per call at faults of the transport.
        ledger: File to which every call is written; workers share it.
        mode: ``"live"``, ``"cache"``, ``"record"`` or ``"replay"``.
        store: File of recorded replies, for all modes but the first.
        avoid_duplicates: Whether to propose no architecture twice.

    Raises:
        ValueError: An option is out of range.
        TypeError: An option has the wrong type.
        UnknownNameError: A name is not known; suggests the nearest.
    """

    asks_language_model = True
    takes_task = True

    llm: str | ChatModel = "local"
    llm_options: Mapping[str, Any] = field(default_factory=FrozenDict, hash=False)
    partition: str = "axis"
    axis: str | Callable[[Architecture], float] = "auto"
    n_niches: int = 6
    bounds: tuple[float, ...] | None = None
    n_initial: int = 5
    children: int = 5
    crossover_probability: float = 0.5
    knowledge: str = "llm"
    classical_share: float = 0.0
    candidates: int = 8
    temperature: float = 0.7
    knowledge_temperature: float = 0.2
    max_rules: int = 20
    repairs: int = 1
    reply_tokens: int | None = None
    task: Mapping[str, str] = field(default_factory=FrozenDict, hash=False)
    hide: str | tuple[str, ...] = ()
    max_calls: int | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    max_seconds: float | None = None
    prices: Mapping[str, Any] | str | Path | None = field(default=None, hash=False)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    attempts: int = 4
    ledger: str | Path | None = None
    mode: str = "live"
    store: str | Path | None = None
    avoid_duplicates: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "llm_options", FrozenDict(self.llm_options))
        object.__setattr__(self, "task", checked_task(self.task))
        if not isinstance(self.hide, str):
            object.__setattr__(self, "hide", tuple(self.hide))
        if self.bounds is not None:
            object.__setattr__(self, "bounds", tuple(map(float, self.bounds)))
        _check_names(self)
        _check_numbers(self)
        # What these refuse is told at once, before anything is loaded or asked.
        self._budget, self._limits, self._retry  # noqa: B018
        if self.mode != "live" and self.store is None:
            raise ValueError(f"`store` must be given in mode {self.mode!r}")

    def prepare(self, space: SearchSpace) -> None:
        """Cuts the space into niches and builds the model now, so that faults are told at once.

        Raises:
            ChatSetupError: The model cannot be used so: no key, no such file, no price.
            MissingDependencyError: A package is absent; the message gives the pip command.
        """
        self._partition(space)
        if self.llm != OFF:
            self._asker()

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Returns `n` proposals; fewer when the space is exhausted.

        Never raises on account of the model.
        """
        rhythm = Rhythm(self.n_initial, self.children, self.classical_share)
        state = State(history, self._partition(history.space), rhythm)
        draws = FreshDraws(history, rng, avoid_duplicates=self.avoid_duplicates)
        fixed = any(decision.name in history.fixed for decision in history.space.decisions)
        brood = self._brood(state, draws, asks=not fixed)
        served = list(state.served)
        left = state.left(avoid_duplicates=self.avoid_duplicates)
        found: list[Proposal] = []
        while len(found) < n:
            slots = plan(rhythm, served, left, n - len(found), rng)
            if not slots:
                break
            brood.lead(slots, left)
            for slot in slots:
                proposal = brood.unnoted(slot.niche) if fixed else brood.fill(slot)
                if proposal is None:
                    left[slot.niche] = 0
                    continue
                found.append(proposal)
                served[slot.niche] += 1
                left[slot.niche] -= self.avoid_duplicates
        while len(found) < n:
            proposal = brood.anything()
            if proposal is None:
                break
            found.append(proposal)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    # -- built when first needed -----------------------------------------------------------

    def _brood(self, state: State, draws: FreshDraws, *, asks: bool) -> Brood:
        brood = Brood(
            state,
            draws,
            crossover_probability=self.crossover_probability,
            candidates=self.candidates,
        )
        asker, brood.reason = self._asker_or_reason() if asks else (None, "")
        if asker is None:
            return brood
        hide = self._hidden
        genes = Genes(state.history.space, "operations" in hide)
        prompts = Prompts(
            genes, state.history.objectives, state.partition, FrozenDict(self.task), hide
        )
        questions = Questions(state.history, prompts, self._manner, "small" in asker.capabilities)
        brood.leader = Leader(questions, asker)
        brood.book = OrderBook(state, questions, self.knowledge, self.crossover_probability)
        return brood

    @property
    def _hidden(self) -> frozenset[str]:
        words = self.hide.split(",") if isinstance(self.hide, str) else self.hide
        return frozenset(word.strip() for word in words if word.strip())

    @property
    def _manner(self) -> Manner:
        return Manner(
            temperature=self.temperature,
            knowledge_temperature=self.knowledge_temperature,
            repairs=self.repairs,
            reply_tokens=self.reply_tokens,
            max_rules=self.max_rules,
            asks_rules=self.knowledge == "llm",
            avoid_duplicates=self.avoid_duplicates,
        )

    @property
    def _budget(self) -> Budget:
        return Budget(
            max_calls=self.max_calls,
            max_tokens=self.max_tokens,
            max_usd=self.max_usd,
            max_seconds=self.max_seconds,
        )

    @property
    def _limits(self) -> RateLimits:
        return RateLimits(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    @property
    def _retry(self) -> RetryPolicy:
        return RetryPolicy(attempts=self.attempts)

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

    def _asker(self) -> Asker:
        with self._lock:
            if "asker" not in self._cache:
                model = self.llm
                if isinstance(model, str):
                    model = chat_model(model, **self.llm_options)
                session = ChatSession(
                    model,
                    budget=self._budget,
                    ledger=self.ledger,
                    mode=self.mode,
                    store=self.store,
                    retry=self._retry,
                    limits=self._limits,
                    prices=self.prices,
                )
                self._cache["asker"] = Asker(session)
            asker: Asker = self._cache["asker"]
            return asker

    def _asker_or_reason(self) -> tuple[Asker | None, str]:
        """The model, or why the search has to do without."""
        if self.llm == OFF:
            return None, "the search has no language model"
        with self._lock:
            if "fault" not in self._cache:
                try:
                    return self._asker(), ""
                except Exception as error:  # the search goes on; whoever wants to know prepares
                    _logger.warning("the language model cannot be used", exc_info=error)
                    self._cache["fault"] = f"{type(error).__name__}: {error}"
            return None, f"the language model cannot be used: {self._cache['fault']}"


def _check_names(options: LLMCoEvolution) -> None:
    if isinstance(options.llm, str):
        family = options.llm.partition(":")[0]
        families = [*registry.names("chat model"), OFF]
        if family not in families:
            raise unknown_name("chat model", family, families)
    elif not isinstance(options.llm, ChatModel):
        raise TypeError(f"`llm` must be a name or a chat model, got {options.llm!r}")
    elif options.llm_options:
        raise ValueError(f"`llm_options` are for a model's name, got {dict(options.llm_options)}")
    for name, known in (
        ("partition", KINDS),
        ("knowledge", KNOWLEDGE),
        ("mode", MODES),
    ):
        if getattr(options, name) not in known:
            raise unknown_name(f"`{name}`", str(getattr(options, name)), known)
    for word in options._hidden:
        if word not in HIDEABLE:
            raise unknown_name("thing to `hide`", str(word), HIDEABLE)


def _check_numbers(options: LLMCoEvolution) -> None:
    least = {
        "n_niches": 1,
        "n_initial": 0,
        "children": 1,
        "candidates": 1,
        "max_rules": 2,
        "repairs": 0,
    }
    for name, bound in least.items():
        value = getattr(options, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"`{name}` must be an integer, got {value!r}")
        if value < bound:
            raise ValueError(f"`{name}` must be >= {bound}, got {value}")
    if options.repairs > 1:
        raise ValueError(f"`repairs` must be 0 or 1, got {options.repairs}")
    for name in ("crossover_probability", "classical_share"):
        if not 0 <= getattr(options, name) <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {getattr(options, name)}")
    for name in ("temperature", "knowledge_temperature"):
        if not 0 <= getattr(options, name) < float("inf"):
            raise ValueError(f"`{name}` must be >= 0, got {getattr(options, name)}")
    if options.reply_tokens is not None and options.reply_tokens < 1:
        raise ValueError(f"`reply_tokens` must be >= 1, got {options.reply_tokens}")


__all__ = ["OFF", "LLMCoEvolution"]
