"""The options of a co-evolution, checked before anything is loaded or asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_plugins import registry
from nas_plugins._checks import at_least, integers, numbers, shares
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import unknown_name
from nas_plugins.llm import (
    MODES,
    Budget,
    ChatModel,
    ChatSession,
    RateLimits,
    RetryPolicy,
    as_chat_model,
    chat_model,
)
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.llm_coevolution.niches import KINDS

OFF = "off"
"""Value of the option ``llm`` for a search without a model: the classical operators alone."""

KNOWLEDGE = ("llm", "statistics", "off")
"""Who edits the rules."""

HIDEABLE = ("benchmark", "dataset", "device", "operations", "metrics")
"""What prompts can keep to themselves, against a model that remembers a benchmark."""


@dataclass(frozen=True)
class CoEvolutionOptions:
    """What may be chosen of a co-evolution.

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
        object.__setattr__(self, "task", _checked_task(self.task))
        if not isinstance(self.hide, str):
            object.__setattr__(self, "hide", tuple(self.hide))
        if self.bounds is not None:
            object.__setattr__(self, "bounds", _checked_bounds(self.bounds))
        _check_names(self)
        _check_numbers(self)
        # What these refuse is told at once, before anything is loaded or asked.
        self._budget, self._limits, self._retry  # noqa: B018
        if self.mode != "live" and self.store is None:
            raise ValueError(f"`store` must be given in mode {self.mode!r}")

    @property
    def hidden(self) -> frozenset[str]:
        """What `hide` names."""
        words = self.hide.split(",") if isinstance(self.hide, str) else self.hide
        return frozenset(word.strip() for word in words if word.strip())

    def session(self) -> ChatSession:
        """Loads the model and begins to count what it costs.

        Raises:
            ChatSetupError: The model cannot be used so: no key, no such file, no price.
            MissingDependencyError: A package is absent; the message gives the pip command.
        """
        model = self.llm
        if isinstance(model, str):
            model = chat_model(model, **self.llm_options)
        return ChatSession(
            model,
            budget=self._budget,
            ledger=self.ledger,
            mode=self.mode,
            store=self.store,
            retry=self._retry,
            limits=self._limits,
            prices=self.prices,
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


def _check_names(options: CoEvolutionOptions) -> None:
    if isinstance(options.llm, str):
        family = options.llm.partition(":")[0]
        families = [*registry.names("chat model"), OFF]
        if family not in families:
            raise unknown_name("chat model", family, families)
        if options.llm_options and family != OFF:
            registry.refuse_unknown_options("chat model", family, options.llm_options)
    elif as_chat_model(options.llm) and options.llm_options:
        raise ValueError(f"`llm_options` are for a model's name, got {dict(options.llm_options)}")
    for name, known in (
        ("partition", KINDS),
        ("knowledge", KNOWLEDGE),
        ("mode", MODES),
    ):
        if getattr(options, name) not in known:
            raise unknown_name(f"`{name}`", str(getattr(options, name)), known)
    for word in options.hidden:
        if word not in HIDEABLE:
            raise unknown_name("thing to `hide`", str(word), HIDEABLE)


def _check_numbers(options: CoEvolutionOptions) -> None:
    least = {
        "n_niches": 1,
        "n_initial": 0,
        "children": 1,
        "candidates": 1,
        "max_rules": 2,
        "repairs": 0,
    }
    for name, bound in least.items():
        integers(**{name: getattr(options, name)})
        at_least(bound, **{name: getattr(options, name)})
    if options.repairs > 1:
        raise ValueError(f"`repairs` must be 0 or 1, got {options.repairs}")
    shares(crossover_probability=options.crossover_probability)
    shares(classical_share=options.classical_share)
    for name in ("temperature", "knowledge_temperature"):
        numbers(**{name: getattr(options, name)})
        if not 0 <= getattr(options, name) < float("inf"):
            raise ValueError(f"`{name}` must be >= 0, got {getattr(options, name)}")
    at_least(1, reply_tokens=options.reply_tokens)


def _checked_bounds(bounds: Iterable[float]) -> tuple[float, ...]:
    try:
        return tuple(map(float, bounds))
    except (TypeError, ValueError):
        raise TypeError(f"`bounds` must be numbers, got {bounds!r}") from None


def _checked_task(task: Mapping[str, str]) -> FrozenDict[str]:
    """The task as plain texts."""
    for name, value in dict(task).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"`task` must map texts to texts, got {name!r}: {value!r}")
    return FrozenDict(task)
