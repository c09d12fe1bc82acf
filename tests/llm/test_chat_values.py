"""Requests, replies, records: what tells them apart, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chat_helpers import SCHEMA, ask, reply, tagged
from hypothesis import given
from hypothesis import strategies as st

from nas_plugins.errors import UnknownNameError
from nas_plugins.llm import (
    Budget,
    BudgetExceededError,
    CallRecord,
    ChatError,
    ChatReply,
    ChatRequest,
    ChatSession,
    ChatSetupError,
    Message,
    Prices,
    Spent,
    as_chat_model,
    chat_model,
)
from nas_plugins.llm.budget import measure

# -- requests ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": SCHEMA},
        {"grammar": "root ::= [0-9]"},
        {"temperature": 0.2},
        {"max_tokens": 7},
        {"seed": 1},
        {"sample": 1},
        {"template": "crossover@2"},
    ],
)
def test_everything_that_counts_changes_the_digest(changes: dict[str, object]) -> None:
    assert ask(**changes).digest != ask().digest
    assert ask(**changes).digest == ask(**changes).digest


def test_messages_change_the_digest_and_their_borders_do_too() -> None:
    one = ChatRequest((Message("system", "ab"), Message("user", "c")))
    other = ChatRequest((Message("system", "a"), Message("user", "bc")))
    assert one.digest != other.digest
    assert one.prompt_hash != other.prompt_hash


def test_tags_and_the_uniform_reply_do_not_count() -> None:
    plain = ask()
    other = ask(tags=tagged(role="crossover"), uniform=lambda rng: "x")
    assert other == plain
    assert hash(other) == hash(plain)
    assert other.digest == plain.digest


def test_the_order_of_keys_in_a_schema_does_not_count() -> None:
    turned = dict(reversed(SCHEMA.items()))
    assert ask(schema=turned).digest == ask(schema=SCHEMA).digest


def test_the_digest_is_the_same_in_another_process() -> None:
    code = (
        "from nas_plugins.llm import ChatRequest, Message\n"
        "print(ChatRequest((Message('user', 'x'),), schema={'b': 1, 'a': [2]}).digest)"
    )
    seeded = {**os.environ, "PYTHONHASHSEED": "4711"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=seeded
    )
    request = ChatRequest((Message("user", "x"),), schema={"a": [2], "b": 1})
    assert done.stdout.strip() == request.digest


def test_a_sample_has_its_own_seed() -> None:
    seeds = {ask(seed=3, sample=k).sampling_seed for k in range(20)}
    assert len(seeds) == 20
    assert ask(seed=3).sampling_seed == 3
    assert all(0 <= s < 2**31 for s in seeds | {ask(seed=2**70).sampling_seed})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": -1.0}, r"`temperature` must be >= 0, got -1"),
        ({"temperature": float("nan")}, "`temperature`"),
        ({"max_tokens": 0}, "`max_tokens` must be >= 1, got 0"),
        ({"seed": -1}, "`seed` must be >= 0"),
        ({"sample": -1}, "`sample` must be >= 0"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(**changes)


def test_a_request_needs_messages_of_known_roles() -> None:
    with pytest.raises(ValueError, match="`messages` must not be empty"):
        ChatRequest(())
    with pytest.raises(ValueError, match="`role` must be one of"):
        Message("robot", "hello")


@given(st.text(max_size=200), st.integers(1, 10_000))
def test_any_text_has_a_digest_and_a_bound_on_its_tokens(text: str, most: int) -> None:
    request = ask(text, max_tokens=most)
    assert len(request.digest) == 64
    assert request.most_tokens >= most + 16


def test_requests_pickle() -> None:
    request = ask(schema=SCHEMA, tags=tagged(role="x"))
    again = pickle.loads(pickle.dumps(request))
    assert again == request
    assert again.tags == request.tags


# -- replies and records -------------------------------------------------------------------


def test_replies_survive_json_and_unknown_keys() -> None:
    data = {**reply("ü").to_json(), "later_version": 1}
    assert ChatReply.from_json(json.loads(json.dumps(data))) == reply("ü")


def test_records_survive_json_and_say_unpriced() -> None:
    record = CallRecord(id="a", role="crossover", niche="2", parameters={"seed": 1})
    data = record.to_json()
    assert data["usd"] == "unpriced"
    assert CallRecord.from_json(json.loads(json.dumps({**data, "new": 1}))) == record
    assert dataclasses.replace(record, usd=0.25).to_json()["usd"] == 0.25


@pytest.mark.parametrize(
    "wrong",
    [{"id": 5}, {"prompt_tokens": "9"}, {"prompt_tokens": True}, {"cached": 1}, {"usd": "free"}],
)
def test_a_record_of_wrong_types_is_refused(wrong: dict[str, object]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=f"`{name}` of a call must not be"):
        CallRecord.from_json({"id": "a", **wrong})
    with pytest.raises(ValueError, match="`id` of a call must be given"):
        CallRecord.from_json({})


# -- budgets and prices --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "spent", "more", "which"),
    [
        (Budget(max_calls=3), Spent(calls=3), {}, "calls"),
        (Budget(max_tokens=100), Spent(tokens=60), {"tokens": 41}, "tokens"),
        (Budget(max_usd=1), Spent(usd=0.9), {"usd": 0.2}, "usd"),
        (Budget(max_seconds=10), Spent(seconds=10), {}, "seconds"),
        (Budget(max_seconds=10), Spent(seconds=4), {"wait": 6.0}, "seconds"),
    ],
)
def test_a_budget_says_what_is_used_up(
    budget: Budget, spent: Spent, more: dict[str, float], which: str
) -> None:
    with pytest.raises(BudgetExceededError, match=f"{which} is used up") as caught:
        budget.check(spent, **more)
    assert caught.value.which == which
    assert caught.value.spent == getattr(spent, which)


def test_a_budget_may_be_used_up_to_the_last_token() -> None:
    Budget(max_calls=3, max_tokens=100).check(Spent(calls=2, tokens=60), tokens=40)
    Budget().check(Spent(calls=10**9), tokens=10**9)


def test_negative_budgets_are_refused() -> None:
    with pytest.raises(ValueError, match="`max_usd` must be >= 0, got -1"):
        Budget(max_usd=-1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20))))
def test_time_that_calls_share_counts_once(spans: list[tuple[int, int]]) -> None:
    covered = {t for start, length in spans for t in range(start, start + length)}
    assert measure((start, start + length) for start, length in spans) == len(covered)


def test_prices_are_per_million_tokens_and_dated() -> None:
    prices = Prices.of({"date": "2026-09-01", "m": {"input": 2, "output": 8}})
    assert prices.usd(500_000, 250_000, "other", "m") == 3.0
    assert prices.usd(1, 1, "other") is None
    assert prices.date == "2026-09-01"


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_prices_are_read_from_files(tmp_path: Path, suffix: str) -> None:
    if suffix == "toml":
        pytest.importorskip("tomllib")
        text = 'date = 2026-09-01\n["gpt-4.1"]\ninput = 2.0\noutput = 8.0\n'
    else:
        text = '{"date": "2026-09-01", "gpt-4.1": {"input": 2, "output": 8}}'
    path = tmp_path / f"prices.{suffix}"
    path.write_text(text)
    assert Prices.of(path).usd(1_000_000, 0, "gpt-4.1") == 2.0
    assert Prices.of(str(path)).date == "2026-09-01"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"m": {"input": 1, "output": 1}}, "must have a `date`"),
        ({"date": "x", "m": {"input": 1}}, "must give 'm' an `input` and an `output`"),
        ({"date": "x", "m": {"input": -1, "output": 1}}, "must be a number >= 0"),
        ({"date": "x", "m": {"input": "1", "output": 1}}, "must be a number >= 0"),
        ({"date": "x", "m": 3}, "must give 'm'.*: got 3$"),
        ({"date": "x", "m": {"input": 1}}, "there is no 'output'$"),
        ({"date": "x", "m": {"inptu": 1}}, "unknown key 'inptu'; did you mean 'input'"),
        ("/no/such/prices.json", "cannot read the prices"),
    ],
)
def test_wrong_prices_are_refused(source: object, message: str) -> None:
    with pytest.raises(ChatSetupError, match=message):
        Prices.of(source)


# -- models by name ------------------------------------------------------------------------


def test_models_are_found_by_family_and_argument() -> None:
    assert chat_model("null").name == "null"
    with pytest.raises(UnknownNameError, match="unknown chat model 'opena'; did you mean"):
        chat_model("opena:gpt-4.1")
    with pytest.raises(ChatSetupError, match="must name something behind the colon"):
        chat_model("openai:")
    with pytest.raises(ChatSetupError, match="must name a model"):
        chat_model("openai")


def test_the_null_model_draws_what_the_request_says() -> None:
    def digit(rng: np.random.Generator) -> str:
        return str(rng.integers(10**6))

    null = chat_model("null")
    texts = [null.complete(ask(uniform=digit, sample=k)).text for k in range(5)]
    assert len(set(texts)) == 5
    assert texts == [null.complete(ask(uniform=digit, sample=k)).text for k in range(5)]
    assert "null" in null.capabilities
    with pytest.raises(ChatError, match="`uniform`"):
        null.complete(ask())
    with pytest.raises(ChatSetupError, match="must have no argument"):
        chat_model("null:x")


@pytest.mark.parametrize("statement", ["import nas_plugins.llm", "import nas_plugins.llm.session"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"openai", "httpx", "httpx2", "torch", "transformers", "xllamacpp", "numpy"}
    assert not heavy & set(done.stdout.split())


def test_a_model_of_a_third_party_needs_a_name_and_an_answer_only() -> None:
    class Plain:
        name = "plain"

        def complete(self, request: ChatRequest) -> ChatReply:
            return reply("hello")

    model = as_chat_model(Plain())
    assert (model.name, model.capabilities, dict(model.parameters)) == ("plain", frozenset(), {})
    assert ChatSession(Plain()).model.name == "plain"  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`llm` must be a name or a chat model, got 3"):
        as_chat_model(3)
