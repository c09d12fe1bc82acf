"""The ledger's file: torn lines, killed processes, several processes."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from chat_helpers import ScriptedChat, ask, tagged
from loopback import LoopbackServer, serving

from nas_plugins.errors import DataError
from nas_plugins.llm import (
    Budget,
    BudgetExceededError,
    CallRecord,
    ChatError,
    ChatSession,
    read_ledger,
)
from nas_plugins.llm.budget import Spent
from nas_plugins.llm.jsonl import JsonLines
from nas_plugins.llm.ledger import Ledger


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- files of lines ------------------------------------------------------------------------


def test_lines_come_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lines.jsonl"
    writer, reader = JsonLines(path), JsonLines(path)
    assert reader.new() == []
    writer.append({"a": "ü\n"})
    writer.append({"a": 2})
    assert reader.new() == [(1, {"a": "ü\n"}), (2, {"a": 2})]
    writer.append({"a": 3})
    assert reader.new() == [(3, {"a": 3})]
    assert reader.new() == []


def test_a_torn_last_line_is_kept_marked_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lines.jsonl"
    torn = '{"a": "' + "x" * 10_000
    path.write_text('{"a": 1}\n' + torn)
    reader = JsonLines(path)
    assert reader.new() == [(1, {"a": 1})]
    assert "last line" in caplog.text
    JsonLines(path).append({"a": 2})
    assert [data for _, data in reader.new()] == [{"a": 2}]
    assert [data for _, data in JsonLines(path).new()] == [{"a": 1}, {"a": 2}]
    assert torn in path.read_text()


def test_a_missing_newline_at_the_end_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}')
    reader = JsonLines(path)
    assert reader.new() == [(1, {"a": 1}), (2, {"a": 2})]
    assert reader.new() == []
    JsonLines(path).append({"a": 3})
    assert reader.new() == [(3, {"a": 3})]
    assert JsonLines(path).new() == [(1, {"a": 1}), (2, {"a": 2}), (3, {"a": 3})]


@pytest.mark.parametrize("broken", ['{"a": ', "[1]", "nonsense", '"text"', "\ufffd", "[" * 5000])
def test_a_broken_line_is_named_and_the_file_is_left_alone(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "lines.jsonl"
    text = f'{{"a": 1}}\n{broken}\n{{"a": 3}}\n'
    path.write_text(text)
    reader = JsonLines(path)
    for _ in range(2):
        with pytest.raises(DataError, match=r"line 2 of .*lines\.jsonl is not a JSON object"):
            reader.new()
    assert path.read_text() == text


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('\n{"a": 1}\n\n  \n{"a": 2}\n')
    assert [data for _, data in JsonLines(path).new()] == [{"a": 1}, {"a": 2}]


# -- the ledger ----------------------------------------------------------------------------


def test_a_call_is_reserved_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    seen: list[list[dict[str, object]]] = []
    model = ScriptedChat(before=lambda: seen.append(_lines(path)))
    _, record = ChatSession(model, ledger=path).ask(ask(tags=tagged(role="knowledge")))
    (before,) = seen
    assert [line["event"] for line in before] == ["reserve"]
    assert before[0]["tokens"] == ask().most_tokens
    assert before[0]["tags"] == {"role": "knowledge", "asked": "scripted:one"}
    assert [line["event"] for line in _lines(path)] == ["reserve", "done"]
    assert _lines(path)[1]["usd"] == "unpriced"
    assert read_ledger(path) == (record,)


def test_a_second_session_goes_on_with_the_same_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = ChatSession(ScriptedChat(), ledger=path, budget=Budget(max_calls=3))
    first.ask(ask())
    second = ChatSession(ScriptedChat(), ledger=path, budget=Budget(max_calls=3))
    second.ask(ask())
    first.ask(ask())
    for session in (first, second):
        with pytest.raises(BudgetExceededError):
            session.ask(ask())
        assert session.spent().calls == 3


def test_an_unfinished_call_stays_counted_until_its_end_is_known(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    reserve = {"event": "reserve", "id": "x", "attempts": 2, "tokens": 500, "usd": 0.1}
    path.write_text(json.dumps({**reserve, "started": 0.0, "tags": {}}) + "\n")
    session = ChatSession(ScriptedChat(), ledger=path)
    assert (session.spent().calls, session.spent().tokens) == (2, 500)
    assert [r.id for r in Ledger(path).unfinished()] == ["x"]
    known = [CallRecord(id="x", attempts=1, prompt_tokens=30)]
    assert (session.spent(known).calls, session.spent(known).tokens) == (1, 30)


_RESERVED = {"event": "reserve", "id": "b", "attempts": 1, "tokens": 9, "usd": 0.1, "started": 1.0}
_FINISHED = {"event": "done", "id": "b", "attempts": 1, "prompt_tokens": 9, "usd": 0.1}


@pytest.mark.parametrize(
    "line",
    [
        {"event": "done"},
        {"event": "done", "id": "a", "prompt_tokens": "9"},
        {"event": "reserve", "id": "a"},
        {"event": "later"},
        {},
        *(
            {**line, name: value}
            for line, names in (
                (_RESERVED, ("attempts", "tokens", "usd", "started")),
                (_FINISHED, ("attempts", "lost_tokens", "usd", "started", "seconds")),
            )
            for name in names
            for value in (math.nan, math.inf, -1, 10**30, True, "9")
        ),
    ],
)
def test_a_line_that_is_no_call_is_named(tmp_path: Path, line: dict[str, object]) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError, match=r"line 1 of .*ledger\.jsonl: "):
        ChatSession(ScriptedChat(), ledger=path)


def test_a_ledger_that_breaks_later_is_a_chat_error_and_nothing_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    model = ScriptedChat()
    session = ChatSession(model, ledger=path)
    session.ask(ask())
    with path.open("a") as stream:
        stream.write("nonsense\n")
    with pytest.raises(ChatError, match="the ledger cannot be used, so nothing is asked") as error:
        session.ask(ask())
    assert error.value.record is not None
    assert len(model.asked) == 1


@pytest.mark.parametrize("word", ["calls", "tokens", "usd", "seconds"])
def test_what_is_no_number_passes_no_limit(word: str) -> None:
    spent = Spent(**{word: math.nan})
    with pytest.raises(BudgetExceededError, match=word):
        Budget(**{f"max_{word}": 10}).check(spent)


@pytest.mark.parametrize("place", ["ledger", "store"])
@pytest.mark.parametrize("fault", ["folder is a file", "folder is read only", "file is read only"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, fault: str
) -> None:
    path = tmp_path / "folder" / "calls.jsonl"
    if fault == "folder is a file":
        path.parent.write_text("")
    elif fault == "folder is read only":
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        path.parent.mkdir()
        path.touch()

        def refuse(*_: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ChatError, match=f"`{place}` must be a file that can be written"):
        ChatSession(ScriptedChat(), mode="record", **{"store": tmp_path / "s", place: path})


def test_a_session_that_only_begins_leaves_no_ledger(tmp_path: Path) -> None:
    ChatSession(ScriptedChat(), ledger=tmp_path / "new" / "ledger.jsonl")
    assert not list(tmp_path.iterdir())


def test_there_must_be_a_ledger_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no ledger"):
        read_ledger(tmp_path / "none.jsonl")


# -- processes -----------------------------------------------------------------------------

_WORKER = """
    import sys
    from nas_plugins.llm import (
        Budget, BudgetExceededError, ChatError, ChatRequest, ChatSession, Message, RetryPolicy,
        chat_model,
    )
    session = ChatSession(
        chat_model("openai:gpt-test", timeout=20.0), ledger=sys.argv[1],
        budget=Budget(max_calls=int(sys.argv[2])), retry=RetryPolicy(base=0.001),
    )
    print("ready", flush=True)
    sys.stdin.readline()
    made = 0
    while True:
        try:
            session.ask(ChatRequest((Message("user", f"call {made}"),)))
            made += 1
        except BudgetExceededError:
            break
        except ChatError:
            pass
    print(made, flush=True)
"""


def _worker(server: LoopbackServer, ledger: Path, calls: int) -> subprocess.Popen[str]:
    endpoint = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any-key"}
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_WORKER), str(ledger), str(calls)],
        env={**os.environ, **endpoint},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_two_processes_share_one_budget_under_faults(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    from loopback import fails, says, truncates

    ledger = tmp_path / "ledger.jsonl"
    script = [fails(500), truncates(), *[says("a"), fails(429, Retry_After="0")] * 50]
    with serving(*script) as server:
        workers = [_worker(server, ledger, 40) for _ in range(2)]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        made = [int(worker.communicate(timeout=60)[0]) for worker in workers]
        assert len(server.requests) == 40
    records = read_ledger(ledger)
    assert sum(r.attempts for r in records) == 40
    assert sum(r.ok for r in records) == sum(made)
    assert len({r.id for r in records}) == len(records)


def test_what_a_killed_process_was_doing_stays_counted(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    from loopback import hangs, says

    ledger = tmp_path / "ledger.jsonl"
    with serving(says("a"), hangs()) as server:
        worker = _worker(server, ledger, 40)
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
        while len(server.requests) < 2:
            server.stopping.wait(0.01)
        worker.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        worker.communicate(timeout=60)
    session = ChatSession(ScriptedChat(), ledger=ledger, budget=Budget(max_calls=3))
    assert session.spent().calls == 2
    session.ask(ask())
    with pytest.raises(BudgetExceededError):
        session.ask(ask())
