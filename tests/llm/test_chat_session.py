"""Sessions: retries, budgets, rates, prices."""

from __future__ import annotations

import logging
import random
import threading
from email.utils import formatdate
from typing import Any

import pytest
from chat_helpers import FakeClock, ScriptedChat, ask, reply, tagged
from hypothesis import given
from hypothesis import strategies as st

from nas_plugins.llm import (
    Budget,
    BudgetExceededError,
    CallRecord,
    ChatError,
    ChatSession,
    ChatSetupError,
    RateLimits,
    RefusedChatError,
    RetryPolicy,
    TransientChatError,
)
from nas_plugins.llm.limits import Bucket
from nas_plugins.llm.retry import retry_after

PRICES = {"date": "2026-09-01", "served-model": {"input": 1.0, "output": 10.0}}


def _session(model: ScriptedChat, clock: FakeClock, **options: Any) -> ChatSession:
    return ChatSession(model, clock=clock, rng=random.Random(0), **options)


def _busy(**changes: Any) -> TransientChatError:
    return TransientChatError("busy", **{"status": 429, **changes})


# -- one call ------------------------------------------------------------------------------


def test_a_call_is_on_record(clock: FakeClock) -> None:
    session = _session(ScriptedChat(), clock)
    tags = tagged(role="crossover", niche="2", generation="3", trial="17", other="x")
    request = ask(template="crossover@1", seed=4, tags=tags)
    answer, record = session.ask(request)
    assert answer == reply()
    assert (record.role, record.niche, record.generation, record.trial) == (
        "crossover",
        "2",
        "3",
        "17",
    )
    assert (record.asked, record.model) == ("scripted:one", "served-model")
    assert record.parameters == {"temperature": 0.7, "max_tokens": 1024, "seed": 4, "sample": 0}
    assert record.prompt_hash == request.prompt_hash
    assert (record.template, record.finish_reason) == ("crossover@1", "stop")
    assert (record.tokens, record.attempts, record.ok) == (110, 1, True)
    assert record.usd is None
    assert session.records == (record,)


def test_a_refusal_is_raised_and_paid_for(clock: FakeClock) -> None:
    refusal = RefusedChatError("no", reply=reply("no", finish_reason="refusal"))
    session = _session(ScriptedChat([refusal]), clock, prices=PRICES)
    with pytest.raises(RefusedChatError) as caught:
        session.ask(ask())
    record = caught.value.record
    assert record is not None
    assert (record.outcome, record.attempts, record.tokens) == ("refused: no", 1, 110)
    assert record.usd == pytest.approx(2e-4)
    assert session.records == (record,)


def test_whatever_a_foreign_model_raises_becomes_a_chat_error(clock: FakeClock) -> None:
    session = _session(ScriptedChat([KeyError("choices")]), clock)
    with pytest.raises(ChatError, match="scripted:one: KeyError: 'choices'") as caught:
        session.ask(ask())
    assert caught.value.record is not None
    session = _session(ScriptedChat(["text"]), clock)
    with pytest.raises(ChatError, match="returned str, no reply"):
        session.ask(ask())


def test_an_interruption_is_counted_at_the_most(clock: FakeClock) -> None:
    session = _session(ScriptedChat([KeyboardInterrupt()]), clock)
    with pytest.raises(KeyboardInterrupt):
        session.ask(ask())
    (record,) = session.records
    assert record.outcome == "interrupted: KeyboardInterrupt"
    assert session.spent().tokens == ask().most_tokens


# -- retries -------------------------------------------------------------------------------


def test_transport_faults_are_tried_again_with_growing_jitter(clock: FakeClock) -> None:
    model = ScriptedChat([_busy(), _busy(), _busy(), reply()])
    _, record = _session(model, clock).ask(ask())
    assert record.attempts == 4
    assert record.seconds == pytest.approx(sum(clock.slept), abs=1e-5)
    assert len(clock.slept) == 3
    assert all(0 <= s <= 2**k for k, s in enumerate(clock.slept))


def test_retries_are_capped_in_number(clock: FakeClock) -> None:
    model = ScriptedChat([_busy()])
    session = _session(model, clock, retry=RetryPolicy(attempts=3))
    with pytest.raises(TransientChatError) as caught:
        session.ask(ask())
    assert len(model.asked) == 3
    assert caught.value.record is not None
    assert caught.value.record.attempts == 3
    assert caught.value.record.outcome == "transport: busy"


def test_retries_are_capped_in_time(clock: FakeClock) -> None:
    model = ScriptedChat([_busy()])
    session = _session(model, clock, retry=RetryPolicy(attempts=1000, total=50.0))
    with pytest.raises(TransientChatError):
        session.ask(ask())
    assert sum(clock.slept) <= 50
    assert len(model.asked) < 100


def test_retry_after_is_honoured_and_not_exceeded_by_much(clock: FakeClock) -> None:
    model = ScriptedChat([_busy(retry_after=20.0), reply()])
    _session(model, clock).ask(ask())
    assert 20 <= clock.slept[0] <= 21


def test_an_endpoint_that_asks_for_too_long_is_not_waited_for(clock: FakeClock) -> None:
    model = ScriptedChat([_busy(retry_after=3600.0)])
    with pytest.raises(TransientChatError):
        _session(model, clock).ask(ask())
    assert clock.slept == []
    assert len(model.asked) == 1


@pytest.mark.parametrize("error", [ChatError("no such model", status=404), RefusedChatError("no")])
def test_other_errors_are_not_tried_again(clock: FakeClock, error: ChatError) -> None:
    model = ScriptedChat([error])
    with pytest.raises(ChatError):
        _session(model, clock).ask(ask())
    assert len(model.asked) == 1


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    now = 1_700_000_000.0
    date = formatdate(now + 90, usegmt=True)
    assert retry_after({"retry-after": "7.5"}, now=now) == 7.5
    assert retry_after({"retry-after": date}, now=now) == pytest.approx(90, abs=1)
    assert retry_after({"retry-after": formatdate(now - 90, usegmt=True)}, now=now) == 0
    for nonsense in ("", "soon", "nan", "inf", "Wed, 99 Foo 2015", "-" * 2000):
        assert retry_after({"retry-after": nonsense}, now=now) is None
    assert retry_after({"retry-after": "-5"}, now=now) == 0
    assert retry_after({}, now=now) is None


@given(st.integers(1, 60), st.floats(0, 1e4), st.integers(0, 2**32))
def test_waits_are_never_negative_nor_too_long(attempt: int, waited: float, seed: int) -> None:
    policy = RetryPolicy(attempts=50, base=0.5, longest=8.0, total=100.0)
    wait = policy.wait(attempt, waited, None, random.Random(seed))
    assert wait is None or (0 <= wait <= 8 and waited + wait <= 100 and attempt < 50)


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"base": 0}, {"longest": -1}, {"total": -1}])
def test_wrong_policies_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be >"):
        RetryPolicy(**wrong)


# -- budgets -------------------------------------------------------------------------------


def test_calls_stop_at_the_budget_and_say_so(clock: FakeClock) -> None:
    model = ScriptedChat()
    session = _session(model, clock, budget=Budget(max_calls=3))
    for _ in range(3):
        session.ask(ask())
    for _ in range(2):
        with pytest.raises(BudgetExceededError, match="budget of 3 calls") as caught:
            session.ask(ask())
    assert len(model.asked) == 3
    assert caught.value.record is not None
    assert caught.value.record.attempts == 0
    assert caught.value.record.outcome.startswith("budget: ")
    assert session.spent().calls == 3


def test_attempts_count_as_calls(clock: FakeClock) -> None:
    model = ScriptedChat([_busy()])
    session = _session(model, clock, budget=Budget(max_calls=2))
    with pytest.raises(BudgetExceededError) as caught:
        session.ask(ask())
    assert len(model.asked) == 2
    assert caught.value.record is not None
    assert caught.value.record.attempts == 2


def test_tokens_are_kept_back_before_a_call(clock: FakeClock) -> None:
    request = ask(max_tokens=50)
    model = ScriptedChat([reply(prompt_tokens=20, completion_tokens=5)])
    session = _session(model, clock, budget=Budget(max_tokens=request.most_tokens + 30))
    session.ask(request)
    session.ask(request)
    with pytest.raises(BudgetExceededError, match="tokens is used up: 50 spent"):
        session.ask(request)
    assert len(model.asked) == 2


def test_lost_replies_count_at_the_most(clock: FakeClock) -> None:
    model = ScriptedChat([_busy(status=None, billed=True), _busy(), reply()])
    session = _session(model, clock)
    _, record = session.ask(ask())
    assert record.lost_tokens == ask().most_tokens
    assert session.spent().tokens == 110 + ask().most_tokens


def test_dollars_are_counted_by_the_given_prices(clock: FakeClock) -> None:
    request = ask(max_tokens=100)
    model = ScriptedChat(name="openai:served-model")
    session = _session(model, clock, prices=PRICES, budget=Budget(max_usd=0.0015))
    answer, record = session.ask(request)
    assert answer.usd == record.usd == pytest.approx(100e-6 + 10 * 10e-6)
    session.ask(request)
    session.ask(request)
    # 0.0006 are spent, and the next call may cost 0.001 and its prompt.
    with pytest.raises(BudgetExceededError, match="usd"):
        session.ask(request)
    assert len(model.asked) == 3


def test_dollars_need_a_price_or_a_model_that_is_free(clock: FakeClock) -> None:
    with pytest.raises(ChatSetupError, match="`max_usd` needs a price for 'scripted:one'"):
        _session(ScriptedChat(), clock, budget=Budget(max_usd=1.0))
    free = ScriptedChat([reply(usd=0.0)], capabilities=("free",))
    session = _session(free, clock, budget=Budget(max_usd=0.0))
    assert session.ask(ask())[1].usd == 0.0


def test_an_endpoints_own_cost_comes_before_the_prices(clock: FakeClock) -> None:
    session = _session(ScriptedChat([reply(usd=0.5)]), clock, prices=PRICES)
    assert session.ask(ask())[1].usd == 0.5
    assert session.spent().usd == 0.5


def test_time_is_a_budget_too(clock: FakeClock) -> None:
    model = ScriptedChat(before=lambda: clock.sleep(4.0))
    session = _session(model, clock, budget=Budget(max_seconds=10.0))
    for _ in range(3):
        session.ask(ask())
        clock.now += 1000  # between calls no time is spent
    with pytest.raises(BudgetExceededError, match="seconds"):
        session.ask(ask())
    assert session.spent().seconds == pytest.approx(12)


def test_nobody_waits_longer_than_the_budget(clock: FakeClock) -> None:
    model = ScriptedChat([_busy(retry_after=60.0)])
    session = _session(model, clock, budget=Budget(max_seconds=10.0))
    with pytest.raises(BudgetExceededError, match="to wait"):
        session.ask(ask())
    assert clock.slept == []


def test_calls_known_from_a_history_count_once(clock: FakeClock) -> None:
    session = _session(ScriptedChat(), clock, budget=Budget(max_calls=3))
    _, own = session.ask(ask())
    other = CallRecord(id="elsewhere", attempts=1, prompt_tokens=5)
    known = [own, other, other]
    assert session.spent(known).calls == 2
    assert session.spent(known).tokens == 115
    session.ask(ask(), known=known)
    with pytest.raises(BudgetExceededError):
        session.ask(ask(), known=known)


def test_cached_calls_cost_nothing(clock: FakeClock) -> None:
    session = _session(ScriptedChat([reply(cached=True, usd=0.5)]), clock)
    _, record = session.ask(ask())
    assert record.cached
    assert record.attempts == 0
    spent = session.spent()
    assert (spent.calls, spent.tokens, spent.usd) == (0, 0, 0.0)


def test_threads_together_keep_to_the_budget() -> None:
    gate = threading.Barrier(4, timeout=20)
    model = ScriptedChat(before=gate.wait)
    session = ChatSession(model, budget=Budget(max_calls=4))
    outcomes: list[str] = []

    def work(k: int) -> None:
        try:
            session.ask(ask(sample=k))
            outcomes.append("ok")
        except BudgetExceededError:
            outcomes.append("budget")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["budget"] * 6 + ["ok"] * 4
    assert len(model.asked) == 4
    assert session.spent().calls == 4


# -- rates ---------------------------------------------------------------------------------


def test_requests_per_minute(clock: FakeClock) -> None:
    session = _session(ScriptedChat(), clock, limits=RateLimits(requests_per_minute=6))
    for _ in range(9):
        session.ask(ask())
    assert clock.slept == pytest.approx([10.0] * 3)


def test_tokens_per_minute_are_set_right_when_the_reply_is_there(clock: FakeClock) -> None:
    request = ask(max_tokens=1000)
    limits = RateLimits(tokens_per_minute=request.most_tokens)
    session = _session(ScriptedChat(), clock, limits=limits)
    session.ask(request)
    assert clock.slept == []
    session.ask(request)
    # Only the 110 tokens of the first reply are missing.
    assert clock.slept == pytest.approx([110 * 60 / request.most_tokens])


def test_a_request_larger_than_the_bucket_is_served(clock: FakeClock) -> None:
    bucket = Bucket(60.0, clock)
    assert bucket.take(120.0) == pytest.approx(60.0)
    assert bucket.take(1.0) == pytest.approx(61.0)
    clock.now += 61
    assert bucket.take(1.0) == pytest.approx(1.0)


def test_wrong_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="`requests_per_minute` must be > 0, got 0"):
        RateLimits(requests_per_minute=0)


def test_modes_need_a_store(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="`mode` must be one of"):
        _session(ScriptedChat(), clock, mode="offline")
    with pytest.raises(ValueError, match="`store` must be given in mode 'cache'"):
        _session(ScriptedChat(), clock, mode="cache")


def test_an_endpoint_that_does_not_answer_is_told_at_its_first_failure(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    session = _session(ScriptedChat([_busy(), _busy(), reply(), _busy(), reply()]), clock)
    with caplog.at_level(logging.WARNING, "nas_plugins"):
        session.ask(ask())
        session.ask(ask(seed=2))
    (told,) = [r.getMessage() for r in caplog.records]  # once, not at each failure
    assert told.startswith("scripted:one does not answer: busy; attempt 1 failed, the next is in")
