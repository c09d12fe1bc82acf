"""Asking a language model within a budget, patiently, on record."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_plugins._doing import doing
from nas_plugins._frozen import FrozenDict
from nas_plugins._secrets import without_secrets
from nas_plugins.errors import DataError
from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest, as_chat_model
from nas_plugins.llm.budget import Budget, Spent
from nas_plugins.llm.cache import ReplyStore
from nas_plugins.llm.errors import (
    BudgetExceededError,
    ChatError,
    ChatSetupError,
    RefusedChatError,
    ReplayMissError,
    TransientChatError,
)
from nas_plugins.llm.ledger import CallRecord, Ledger, Reservation, new_record
from nas_plugins.llm.limits import RateLimits, Throttle
from nas_plugins.llm.prices import Prices
from nas_plugins.llm.retry import Clock, RetryPolicy

_LOG = logging.getLogger(__name__)

MODES = ("live", "cache", "record", "replay")

_LONGEST_OUTCOME = 300
_KINDS: tuple[tuple[type[ChatError], str], ...] = (
    (BudgetExceededError, "budget"),
    (RefusedChatError, "refused"),
    (ReplayMissError, "replay miss"),
    (TransientChatError, "transport"),
    (ChatError, "failed"),
)


class ChatSession:
    """Asks one model for one search; may be used from several threads at once.

    Every call is checked against the budget before it is made, waits its turn, is tried again
    after faults of the transport, and gets a line in the ledger.

    Args:
        model: Who answers.
        budget: What all processes of the search may spend together.
        ledger: File that the processes share; ``None`` keeps the calls in memory.
        mode: ``"live"`` asks. ``"cache"`` takes a reply from `store` if it holds one, else asks
            and stores. ``"record"`` asks and stores, failures too. ``"replay"`` only takes from
            `store`.
        store: File of recorded replies, for all modes but the first.
        retry: When to try again.
        limits: Requests and tokens per minute.
        prices: US dollars per million tokens, a mapping or a TOML or JSON file; see
            `Prices.of`. Without, calls are "unpriced", unless the endpoint tells the cost.
        clock: The time; for tests.
        rng: Source of the jitter; for tests.

    Raises:
        ValueError: `mode` is unknown or its `store` is missing.
        ChatSetupError: A budget in US dollars is given, and no price for the model; or the
            ledger or the recording cannot be written.
        DataError: The ledger or the store has a broken line; names it.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        budget: Budget | None = None,
        ledger: str | Path | None = None,
        mode: str = "live",
        store: str | Path | None = None,
        retry: RetryPolicy | None = None,
        limits: RateLimits | None = None,
        prices: Prices | Mapping[str, Any] | str | Path | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {list(MODES)}, got {mode!r}")
        if mode != "live" and store is None:
            raise ValueError(f"`store` must be given in mode {mode!r}")
        self.model = as_chat_model(model)
        self.budget = budget or Budget()
        self.mode = mode
        self.prices = Prices.of(prices)
        self._retry = retry or RetryPolicy()
        self._clock = clock or Clock()
        self._rng = rng or random.Random()
        self._throttle = Throttle(limits or RateLimits(), self._clock)
        self._heard = False  # whether somebody has been told that attempts fail
        self._ledger = Ledger(ledger)
        self._store = ReplyStore(store) if store is not None and mode != "live" else None
        with _told_before("ledger", self._ledger.path):
            self._ledger.check()
        self._ledger.records()
        if self._store is not None:
            if mode == "record":  # a cache that can only be read still answers
                with _told_before("store", self._store.path):
                    self._store.check()
            self._store.load()
        if self.budget.max_usd is not None and self._price(0, 0) is None:
            raise ChatSetupError(
                f"`max_usd` needs a price for {model.name!r}: give `prices` with US dollars per "
                "million tokens of `input` and `output`, and the `date` they were read"
            )

    @property
    def records(self) -> tuple[CallRecord, ...]:
        """The finished calls, of this process and of the ledger file."""
        return self._ledger.records()

    def spent(self, known: Iterable[CallRecord] = ()) -> Spent:
        """What is used up, calls under way included.

        Args:
            known: Finished calls that the ledger may not hold, e.g. those in a history.
        """
        return self._ledger.spent(now=self._clock.time(), known=known)

    def ask(
        self, request: ChatRequest, *, known: Iterable[CallRecord] = ()
    ) -> tuple[ChatReply, CallRecord]:
        """Gets a reply, and the record of the call.

        Args:
            request: What to ask.
            known: Finished calls that the ledger may not hold, e.g. those in a history; they
                count in the budget, each once.

        Raises:
            BudgetExceededError: The next attempt would exceed the budget.
            TransientChatError: All attempts failed.
            RefusedChatError: The model refuses.
            ReplayMissError: The recorded run does not hold the request.
            ChatError: Anything else. All have the attribute `record`.
        """
        call = _Call(request, new_record(request, asked=self.model.name, started=self._now()))
        try:
            reply = self._recorded(request)
            if reply is None:
                reply = self._attempts(call, tuple(known))
        except ChatError as error:
            error.record = self._failed(call, error)
            raise
        except BaseException as error:
            # An interruption: what was under way may have to be paid for.
            call.lose(request, self._price(*_most(request)))
            self._settle(call, None, f"interrupted: {type(error).__name__}")
            raise
        return reply, self._settle(call, reply, "ok")

    # -- one call --------------------------------------------------------------------------

    def _recorded(self, request: ChatRequest) -> ChatReply | None:
        if self._store is None or self.mode == "record":
            return None
        with _as_chat_error("the recorded replies cannot be used"):
            found = self._store.find(self.model, request)
        if self.mode == "replay":
            if found is None:
                raise ReplayMissError(
                    f"{self._store.path} holds no reply of {self.model.name!r} to this request "
                    f"(template {request.template!r}, digest {request.digest[:12]})"
                )
            return found.give()
        # A failure is worth another try.
        return found.give() if found is not None and found.reply is not None else None

    def _attempts(self, call: _Call, known: tuple[CallRecord, ...]) -> ChatReply:
        """Asks until there is a reply or no reason to ask again."""
        request, waited = call.request, 0.0
        while True:
            self._reserve(call, known)
            self._throttle.wait(request.most_tokens)
            try:
                reply = self._complete(call)
            except TransientChatError as error:
                wait = self._retry.wait(call.attempts, waited, error.retry_after, self._rng)
                if wait is None:
                    self._keep(request, error)
                    raise
                self._check(call, known, wait)
                level, self._heard = (logging.INFO if self._heard else logging.WARNING), True
                _LOG.log(
                    level,
                    "%s does not answer: %s; attempt %d failed, the next is in %.3g s",
                    self.model.name,
                    error,
                    call.attempts,
                    wait,
                )
                self._clock.sleep(wait)
                waited += wait
            except ChatError as error:
                self._keep(request, error)
                raise
            else:
                if not reply.cached:
                    self._keep(request, reply)
                return reply

    def _complete(self, call: _Call) -> ChatReply:
        """One attempt; whatever it costs is noted in `call`."""
        request, used = call.request, 0
        try:
            with doing(f"asking {self.model.name}"):
                reply = self.model.complete(request)
            if not isinstance(reply, ChatReply):
                raise ChatError(f"{self.model.name} returned {type(reply).__name__}, no reply")
            reply = self._priced(_clean(reply))
            used = reply.prompt_tokens + reply.completion_tokens
        except ChatError as error:
            if error.reply is not None:
                error.reply = self._priced(_clean(error.reply))
                used = error.reply.prompt_tokens + error.reply.completion_tokens
            elif error.billed:
                used = request.most_tokens
                call.lose(request, self._price(*_most(request)))
            raise
        except Exception as error:
            # A third party's model; callers need not know what it may raise.
            raise ChatError(f"{self.model.name}: {type(error).__name__}: {error}") from error
        finally:
            self._throttle.settle(request.most_tokens, used)
        return reply

    def _reserve(self, call: _Call, known: tuple[CallRecord, ...]) -> None:
        call.attempts += 1
        try:
            with _as_chat_error("the ledger cannot be used, so nothing is asked"):
                self._ledger.reserve(
                    self._wanted(call),
                    lambda spent: self._check_spent(call, spent),
                    now=self._now(),
                    known=known,
                )
        except ChatError:
            call.attempts -= 1
            raise

    def _wanted(self, call: _Call) -> Reservation:
        return Reservation(
            id=call.record.id,
            attempts=call.attempts,
            tokens=call.lost_tokens + call.request.most_tokens,
            usd=call.lost_usd + (self._price(*_most(call.request)) or 0.0),
            started=call.record.started,
            tags=FrozenDict({**call.request.tags, "asked": self.model.name}),
        )

    def _check_spent(self, call: _Call, spent: Spent) -> None:
        """Checks all of a call's attempts, so far and next, on top of the other calls."""
        wanted = self._wanted(call)
        self.budget.check(spent, calls=wanted.attempts, tokens=wanted.tokens, usd=wanted.usd)

    def _check(self, call: _Call, known: tuple[CallRecord, ...], wait: float) -> None:
        """Whether there is time left to wait; the rest is checked when that is over."""
        if self.budget.max_seconds is not None:
            with _as_chat_error("the ledger cannot be used, so nothing is asked"):
                spent = self.spent(known)
            Budget(max_seconds=self.budget.max_seconds).check(spent, wait=wait)

    # -- how it ends -----------------------------------------------------------------------

    def _failed(self, call: _Call, error: ChatError) -> CallRecord:
        kind = next(word for of, word in _KINDS if isinstance(error, of))
        words = " ".join(str(error).split())
        return self._settle(call, error.reply, f"{kind}: {words}"[:_LONGEST_OUTCOME])

    def _settle(self, call: _Call, reply: ChatReply | None, outcome: str) -> CallRecord:
        record = replace(
            call.record,
            attempts=call.attempts,
            lost_tokens=call.lost_tokens,
            seconds=round(max(0.0, self._now() - call.record.started), 6),
            usd=call.lost_usd,
            outcome=outcome,
        )
        if reply is not None:
            record = replace(
                record,
                model=reply.model,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                finish_reason=reply.finish_reason,
                estimated=reply.estimated,
                usd=None if reply.usd is None else reply.usd + call.lost_usd,
            )
            if reply.cached:
                record = replace(record, cached=True, attempts=0, seconds=reply.seconds)
        elif call.lost_tokens and self._price(0, 0) is None:
            record = replace(record, usd=None)
        self._ledger.settle(record)
        return record

    def _keep(self, request: ChatRequest, outcome: ChatReply | ChatError) -> None:
        wanted = self.mode == "record" or isinstance(outcome, ChatReply)
        if self._store is not None and wanted:
            try:
                self._store.put(self.model, request, outcome)
            except (OSError, ValueError) as error:
                _LOG.warning("cannot record a reply in %s: %s", self._store.path, error)

    def _priced(self, reply: ChatReply) -> ChatReply:
        if reply.usd is not None:
            return reply
        usd = self._price(reply.prompt_tokens, reply.completion_tokens, reply.model)
        return reply if usd is None else replace(reply, usd=usd)

    def _price(self, prompt_tokens: int, completion_tokens: int, *names: str) -> float | None:
        if "free" in self.model.capabilities:
            return 0.0
        asked = self.model.name
        names = (*names, asked, asked.partition(":")[2])
        return self.prices.usd(prompt_tokens, completion_tokens, *names)

    def _now(self) -> float:
        return self._clock.time()


class _Call:
    """A call while it is made.

    Args:
        request: What is asked.
        record: As far as it is known before.
    """

    def __init__(self, request: ChatRequest, record: CallRecord) -> None:
        self.request = request
        self.record = record
        self.attempts = 0
        self.lost_tokens = 0
        self.lost_usd = 0.0

    def lose(self, request: ChatRequest, usd: float | None) -> None:
        """Counts an attempt that may have cost the most and brought nothing."""
        if self.attempts:
            self.lost_tokens += request.most_tokens
            self.lost_usd += usd or 0.0


def _clean(reply: ChatReply) -> ChatReply:
    """The reply without the keys that an endpoint may have repeated in it."""
    texts = (reply.text, reply.model, reply.finish_reason)
    text, model, finish = (without_secrets(text) for text in texts)
    return replace(reply, text=text, model=model, finish_reason=finish)


def _most(request: ChatRequest) -> tuple[int, int]:
    return request.most_prompt_tokens, request.max_tokens


@contextlib.contextmanager
def _told_before(what: str, path: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ChatSetupError(
            f"`{what}` must be a file that can be written, got {path}: {error.strerror or error}"
        ) from error


@contextlib.contextmanager
def _as_chat_error(what: str) -> Iterator[None]:
    """Whoever asks need only know `ChatError`."""
    try:
        yield
    except (DataError, OSError) as error:
        raise ChatError(f"{what}: {error}") from error


__all__ = [
    "MODES",
    "Budget",
    "CallRecord",
    "ChatSession",
    "Clock",
    "Prices",
    "RateLimits",
    "RetryPolicy",
    "Spent",
]
