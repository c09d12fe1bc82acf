"""Recorded replies: caches, recordings, exact repetitions."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from chat_helpers import FakeClock, ScriptedChat, ask, reply, tagged

from nas_plugins.errors import DataError
from nas_plugins.llm import (
    Budget,
    ChatError,
    ChatModel,
    ChatSession,
    ChatSetupError,
    RefusedChatError,
    ReplayMissError,
    RetryPolicy,
    TransientChatError,
    chat_model,
)
from nas_plugins.llm.cache import ReplyStore, cache_key


def _session(model: ChatModel, mode: str, store: Path, **options: Any) -> ChatSession:
    return ChatSession(model, mode=mode, store=store, clock=FakeClock(), **options)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "replies.jsonl"


def test_a_cache_asks_once_for_each_sample(store: Path) -> None:
    model = ScriptedChat([reply("one"), reply("two")])
    session = _session(model, "cache", store, budget=Budget(max_calls=2))
    first, _ = session.ask(ask())
    other, _ = session.ask(ask(sample=1))
    again, record = session.ask(ask())
    assert (first.text, other.text, again.text) == ("one", "two", "one")
    assert (first.cached, again.cached, record.cached) == (False, True, True)
    assert (again.prompt_tokens, again.seconds) == (100, 0.5)
    assert session.spent().calls == 2
    # Another process has the same cache.
    fresh = ScriptedChat([TransientChatError("never asked")])
    assert _session(fresh, "cache", store).ask(ask(sample=1))[0].text == "two"


def test_the_key_knows_the_model_and_its_settings() -> None:
    plain, other = ScriptedChat(), ScriptedChat(name="scripted:two")
    set_up = ScriptedChat()
    set_up.parameters = {"extra": {"top_p": 0.5}}
    keys = {cache_key(model, ask()) for model in (plain, other, set_up)}
    assert len(keys) == 3
    assert cache_key(plain, ask()) == cache_key(ScriptedChat(), ask(tags=tagged(role="x")))


def test_a_cache_asks_again_after_a_failure(store: Path) -> None:
    model = ScriptedChat([ChatError("bad body"), reply("good")])
    session = _session(model, "cache", store)
    with pytest.raises(ChatError, match="bad body"):
        session.ask(ask())
    assert session.ask(ask())[0].text == "good"


def test_recording_always_asks(store: Path) -> None:
    model = ScriptedChat([reply("one"), reply("two")])
    session = _session(model, "record", store)
    assert [session.ask(ask())[0].text for _ in range(2)] == ["one", "two"]
    # Of several replies to one request the last one counts.
    assert _session(model, "replay", store).ask(ask())[0].text == "two"


def test_replaying_never_asks(store: Path) -> None:
    _session(ScriptedChat([reply("one")]), "record", store).ask(ask())
    silent = ScriptedChat([AssertionError("asked")])
    session = _session(silent, "replay", store)
    assert session.ask(ask())[0].text == "one"
    with pytest.raises(ReplayMissError, match="template 'crossover@1'") as caught:
        session.ask(ask(template="crossover@1"))
    assert caught.value.record is not None
    assert caught.value.record.outcome.startswith("replay miss: ")
    assert silent.asked == []


def test_a_recording_can_be_read_by_people(store: Path) -> None:
    _session(ScriptedChat(), "record", store).ask(ask(tags=tagged(role="mutation")))
    (line,) = [json.loads(text) for text in store.read_text().splitlines()]
    assert line["messages"] == [["user", "a gene, please"]]
    assert line["tags"] == {"role": "mutation"}
    assert line["digest"] == ask().digest
    assert line["reply"]["text"] == "hello"


# -- the replay model ----------------------------------------------------------------------


def test_a_recorded_run_is_repeated_with_its_failures(store: Path) -> None:
    script = [
        reply("one", usd=0.25),
        RefusedChatError("I will not", reply=reply("")),
        TransientChatError("busy", status=503),
        reply("two"),
    ]
    model = ScriptedChat(script, capabilities=("schema", "small"))
    recording = _session(model, "record", store, retry=RetryPolicy(attempts=1))

    def outcomes(session: ChatSession) -> list[str]:
        found = []
        for k in range(4):
            try:
                found.append(session.ask(ask(sample=k))[0].text)
            except ChatError as error:
                found.append(f"{isinstance(error, RefusedChatError)} {error}")
        return found

    recorded = outcomes(recording)
    assert recorded == ["one", "True I will not", "False busy", "two"]
    clock = FakeClock()
    replay = chat_model(f"replay:{store}")
    repeated = ChatSession(replay, clock=clock)
    assert outcomes(repeated) == recorded
    # What failed for good is not tried again.
    assert clock.slept == []
    assert replay.name == "replay:scripted:one"
    assert replay.capabilities == {"schema", "small", "free"}
    answer, _ = repeated.ask(ask())
    assert (answer.cached, answer.usd, answer.model) == (True, 0.25, "served-model")
    assert pickle.loads(pickle.dumps(replay)).complete(ask()).text == "one"
    with pytest.raises(ReplayMissError, match="holds no reply to this request"):
        replay.complete(ask(sample=9))


def test_a_replay_needs_a_file_with_replies_of_one_model(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ChatSetupError, match="`replay` must name a file"):
        chat_model("replay")
    with pytest.raises(ChatSetupError, match=r"none\.jsonl"):
        chat_model(f"replay:{tmp_path / 'none.jsonl'}")
    store.write_text("")
    with pytest.raises(ChatSetupError, match="holds no recorded reply"):
        chat_model(f"replay:{store}")
    for name in ("scripted:one", "scripted:two"):
        _session(ScriptedChat(name=name), "record", store).ask(ask(template=name))
    with pytest.raises(DataError, match="must hold replies of one model"):
        chat_model(f"replay:{store}")


# -- broken files --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        '{"key": "a"}',
        '{"key": "a", "digest": "b", "model": "m", "capabilities": [], "reply": {"text": "x"}}',
        '{"key": "a", "digest": "b", "model": "m", "capabilities": [], "reply": 5}',
        json.dumps(
            {
                **{"key": "a", "digest": "b", "model": "m", "capabilities": []},
                "reply": {**reply().to_json(), "prompt_tokens": "9"},
            }
        ),
        '{"key": 1, "digest": "b", "model": "m", "capabilities": [], "error": {"text": "x"}}',
    ],
)
def test_a_broken_line_is_named_and_nothing_is_lost(store: Path, line: str) -> None:
    _session(ScriptedChat(), "record", store).ask(ask())
    with store.open("a") as stream:
        stream.write(line + "\n")
    text = store.read_text()
    for open_it in (
        lambda: _session(ScriptedChat(), "cache", store),
        lambda: chat_model(f"replay:{store}"),
    ):
        with pytest.raises(DataError, match=r"line 2 of .*replies\.jsonl"):
            open_it()
    assert store.read_text() == text


def test_a_torn_recording_goes_on(store: Path) -> None:
    session = _session(ScriptedChat(), "cache", store)
    session.ask(ask())
    with store.open("a") as stream:
        stream.write('{"key": "torn')
    model = ScriptedChat([reply("new")])
    resumed = _session(model, "cache", store)
    assert resumed.ask(ask())[0].cached
    resumed.ask(ask(sample=1))
    assert ReplyStore(store).find(model, ask(sample=1)) is not None
    assert len(model.asked) == 1


def test_a_store_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    session = _session(ScriptedChat(), "record", folder / "replies.jsonl")
    folder.write_text("a file in its place")
    assert session.ask(ask())[0].text == "hello"
    assert "cannot record a reply" in caplog.text


def test_threads_write_whole_lines(store: Path) -> None:
    session = _session(ScriptedChat([reply("x" * 5000)]), "record", store)
    threads = [
        threading.Thread(
            target=lambda k=k: [session.ask(ask(sample=k * 20 + j)) for j in range(20)]
        )
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in store.read_text().splitlines()]
    assert len({line["digest"] for line in lines}) == 80
