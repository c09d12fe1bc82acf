"""OpenAI-compatible endpoints, good and bad, over real connections."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from chat_helpers import KEY, SCHEMA, ask
from loopback import (
    Behaviour,
    LoopbackServer,
    breaks_off,
    completion,
    drips,
    drips_headers,
    fails,
    half_closes,
    hangs,
    redirects,
    refuses,
    rubbish,
    says,
    sends,
    truncates,
)

from nas_plugins.errors import MissingDependencyError
from nas_plugins.llm import (
    ChatError,
    ChatModel,
    ChatSession,
    ChatSetupError,
    RefusedChatError,
    RetryPolicy,
    TransientChatError,
    chat_model,
)

pytest.importorskip("openai")

Serve = Callable[..., LoopbackServer]


def _model(**options: Any) -> ChatModel:
    return chat_model("openai:gpt-test", **{"timeout": 5.0, **options})


def _failure(serve: Serve, behaviour: Behaviour, **options: Any) -> ChatError:
    server = serve(behaviour)
    with pytest.raises(ChatError) as caught:
        _model(**options).complete(ask())
    assert len(server.requests) == 1
    return caught.value


# -- what is asked and understood ----------------------------------------------------------


def test_a_completion_becomes_a_reply(serve: Serve) -> None:
    server = serve(says('{"gene": "31042"}', usage={"prompt_tokens": 7, "completion_tokens": 3}))
    reply = _model().complete(ask(schema=SCHEMA, seed=5, temperature=0.25, max_tokens=99))
    assert reply.text == '{"gene": "31042"}'
    assert (reply.model, reply.finish_reason) == ("served-model-2026", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.usd) == (7, 3, None)
    assert not reply.cached
    assert not reply.estimated
    sent = server.requests[0]
    assert sent["model"] == "gpt-test"
    assert (sent["temperature"], sent["seed"], sent["max_tokens"]) == (0.25, 5, 99)
    assert sent["messages"] == [{"role": "user", "content": "a gene, please"}]
    form = {"name": "reply", "strict": True, "schema": SCHEMA}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": form}
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_extra_fields_and_grammars_are_sent(serve: Serve) -> None:
    server = serve(says("1"))
    model = _model(extra={"reasoning_effort": "low"}, grammar_field="grammar")
    assert model.capabilities == {"schema", "grammar"}
    model.complete(ask(grammar="root ::= [0-9]", schema=SCHEMA))
    sent = server.requests[0]
    assert sent["reasoning_effort"] == "low"
    assert sent["grammar"] == "root ::= [0-9]"
    assert "response_format" not in sent


@pytest.mark.parametrize(("text", "finish"), [("", "stop"), (None, "stop"), ("cut", "length")])
def test_empty_and_cut_replies_are_visible(serve: Serve, text: str | None, finish: str) -> None:
    serve(says(text, finish_reason=finish))
    reply = _model().complete(ask())
    assert reply.text == (text or "")
    assert reply.cut == (finish == "length")


@pytest.mark.parametrize("behaviour", [refuses(), says("", finish_reason="content_filter")])
def test_refusals_are_raised_with_what_they_cost(serve: Serve, behaviour: Behaviour) -> None:
    error = _failure(serve, behaviour)
    assert isinstance(error, RefusedChatError)
    assert error.reply is not None
    assert error.reply.prompt_tokens == 100


def test_the_endpoints_own_cost_is_used(serve: Serve) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.0125}
    serve(says("x", usage=usage))
    assert _model().complete(ask()).usd == 0.0125


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, 5])
def test_without_counts_the_tokens_are_bounds(serve: Serve, usage: object) -> None:
    serve(says("x" * 50, usage=usage))
    request = ask(max_tokens=20)
    reply = _model().complete(request)
    assert reply.estimated
    assert reply.prompt_tokens == request.most_prompt_tokens
    assert reply.completion_tokens == 20


# -- endpoints that understand less --------------------------------------------------------


def test_an_endpoint_without_schemas_is_asked_for_json_once_and_for_all(serve: Serve) -> None:
    server = serve(fails(400, "response_format.type json_schema is unknown"), says("{}"))
    model = _model()
    for _ in range(2):
        assert model.complete(ask(schema=SCHEMA)).text == "{}"
    formats = [r["response_format"]["type"] for r in server.requests]
    assert formats == ["json_schema", "json_object", "json_object"]


def test_an_endpoint_without_any_format_is_asked_for_text(serve: Serve) -> None:
    unknown = fails(400, "response_format is unknown")
    server = serve(unknown, unknown, says("{}"))
    assert _model().complete(ask(schema=SCHEMA)).text == "{}"
    assert "response_format" not in server.requests[-1]


def test_other_refused_parameters_are_left_out(serve: Serve) -> None:
    server = serve(
        fails(400, "Unsupported parameter: use 'max_completion_tokens' instead"),
        fails(400, "'temperature' does not support 0.7 with this model"),
        fails(400, "unknown field: seed"),
        says("x"),
    )
    assert _model().complete(ask()).text == "x"
    sent = server.requests[-1]
    assert sent["max_completion_tokens"] == 1024
    assert not {"max_tokens", "temperature", "seed"} & set(sent)


def test_a_request_that_is_wrong_anyway_is_told_as_it_was_first(serve: Serve) -> None:
    server = serve(fails(400, "the context is too long"), fails(400, "something else"))
    model = _model()
    with pytest.raises(ChatError, match="the context is too long") as caught:
        model.complete(ask(schema=SCHEMA))
    assert caught.value.status == 400
    # What was tried is not taken for what the endpoint understands.
    server.script[:] = [says("{}")]
    model.complete(ask(schema=SCHEMA))
    assert server.requests[-1]["response_format"]["type"] == "json_schema"


# -- faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_passing_errors_are_transient_and_never_tried_again_here(
    serve: Serve, status: int
) -> None:
    error = _failure(serve, fails(status, "try later", Retry_After="7"))
    assert isinstance(error, TransientChatError)
    assert (error.status, error.retry_after, error.billed) == (status, 7.0, False)
    assert "try later" in str(error)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_lasting_errors_are_not_transient(serve: Serve, status: int) -> None:
    error = _failure(serve, fails(status, "no"))
    assert not isinstance(error, TransientChatError)
    assert error.status == status


def test_a_date_may_say_when_to_come_again(serve: Serve) -> None:
    past = fails(429, "slow", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    error = _failure(serve, past)
    assert isinstance(error, TransientChatError)
    assert error.retry_after == 0.0


@pytest.mark.parametrize(
    "behaviour", [hangs(), drips(), drips_headers()], ids=["hangs", "drips", "drips headers"]
)
def test_an_endpoint_that_never_ends_is_given_up(serve: Serve, behaviour: Behaviour) -> None:
    error = _failure(serve, behaviour, timeout=0.3)
    assert isinstance(error, TransientChatError)
    assert error.billed
    assert "did not answer within 0.3 seconds" in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("elsewhere", ["http://localhost:{port}/v1/", "http://127.0.0.1:1/v1/"])
def test_a_redirect_to_another_host_is_not_followed(
    serve: Serve, status: int, elsewhere: str
) -> None:
    server = serve(says("x"))
    server.script[:] = [redirects(elsewhere.format(port=server.server_address[1]), status)]
    with pytest.raises(ChatError, match="which is not followed") as caught:
        _model().complete(ask())
    assert not isinstance(caught.value, TransientChatError)
    assert len(server.requests) == 1


def test_a_redirect_on_the_same_host_is_followed(serve: Serve) -> None:
    server = serve(redirects("/v2/chat/completions"), says("x"))
    assert _model().complete(ask()).text == "x"
    assert len(server.requests) == 2


@pytest.mark.parametrize("behaviour", [breaks_off(), half_closes()], ids=["reset", "half-closed"])
def test_a_lost_connection_is_transient_and_may_have_cost(
    serve: Serve, behaviour: Behaviour
) -> None:
    error = _failure(serve, behaviour)
    assert isinstance(error, TransientChatError)
    assert error.billed


def test_a_refused_connection_is_transient_and_cost_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(says("x"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
    with pytest.raises(TransientChatError) as caught:
        _model().complete(ask())
    assert not caught.value.billed


@pytest.mark.parametrize(
    "behaviour",
    [
        truncates(),
        rubbish(),
        sends(b""),
        sends(b"null"),
        sends(b"[]"),
        sends(b"{}"),
        sends(b'{"choices": []}'),
        sends(b'{"choices": 5}'),
        sends(b'{"choices": [5]}'),
        sends(b'{"choices": [{"message": null}]}'),
        sends(b'{"choices": [{"message": {"content": 5}}]}'),
        sends(b'{"choices": [{"message": {"content": ["a"]}}]}'),
        sends(b'{"choices": [{"message": {"content": "a"}, "finish_reason": 5}]}'),
        sends(json.dumps({**completion("x"), "model": {}}).encode()),
        sends(b"[" * 100_000),
        sends(b"<html>busy</html>", kind="text/html"),
    ],
)
def test_what_is_no_completion_is_an_error_in_few_words(
    serve: Serve, behaviour: Behaviour
) -> None:
    error = _failure(serve, behaviour)
    assert type(error) is ChatError
    assert error.billed
    assert len(str(error)) < 600
    assert "\n" not in str(error)


def test_a_huge_body_is_not_read_to_its_end(serve: Serve) -> None:
    assert "more than" in str(_failure(serve, rubbish(9 << 20)))


def test_a_long_reply_is_a_reply(serve: Serve) -> None:
    serve(says("x" * (1 << 20)))
    assert len(_model().complete(ask()).text) == 1 << 20


@pytest.mark.parametrize(("code", "transient"), [(502, True), (402, False), ("bad", False)])
def test_an_error_that_comes_as_a_success_is_one(
    serve: Serve, code: object, transient: bool
) -> None:
    body = {"error": {"code": code, "message": "upstream"}}
    error = _failure(serve, sends(json.dumps(body).encode()))
    assert isinstance(error, TransientChatError) == transient
    assert "upstream" in str(error)


# -- the key -------------------------------------------------------------------------------


def test_the_key_is_in_no_error_and_no_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    told = f"Incorrect API key provided: {KEY}; you sent 'Bearer {KEY}'"
    with caplog.at_level(logging.DEBUG):
        error = _failure(serve, fails(401, told))
        session = ChatSession(_model())
        with pytest.raises(ChatError) as caught:
            session.ask(ask())
    shown = [str(error), str(caught.value), repr(session.records), caplog.text, repr(_model())]
    shown.append("".join(map(str, _tracebacks(caught.value))))
    assert not [text for text in shown if KEY in text]
    assert "***" in str(error)
    assert session.records[0].attempts == 1


def _tracebacks(error: BaseException) -> list[str]:
    import traceback

    return traceback.format_exception(error)


def test_secrets_of_the_address_are_sent_and_not_shown(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(fails(500, "hunter2-long or hunter3/long is wrong"))
    url = server.url.replace("http://", "http://me:hunter2-long@")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}?token=hunter3%2Flong&api-version=7#x")
    with caplog.at_level(logging.DEBUG), pytest.raises(TransientChatError) as caught:
        _model().complete(ask())
    assert server.paths == ["/v1/chat/completions?token=hunter3%2Flong&api-version=7"]
    for shown in (str(caught.value), json.dumps(_model().parameters), caplog.text):
        assert "hunter" not in shown
    assert _model().parameters["endpoint"].endswith("/v1/")


def test_an_address_that_is_none_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(says("x"))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://host:many/v1")
    with pytest.raises(ChatSetupError, match="OPENAI_BASE_URL"):
        _model()


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ChatSetupError, match="OPENAI_API_KEY"):
        chat_model("openai:gpt-test")


def test_without_the_package_the_command_is_given(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(says("x"))
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nas-plugins\[llm\]'"):
        chat_model("openai:gpt-test")


def test_a_model_pickles_without_its_client(serve: Serve) -> None:
    serve(says("x"))
    again = pickle.loads(pickle.dumps(_model(extra={"a": 1})))
    assert KEY.encode() not in pickle.dumps(again)
    assert again.complete(ask()).text == "x"
    assert again.parameters == _model(extra={"a": 1}).parameters


def test_wrong_options_are_refused(serve: Serve) -> None:
    serve(says("x"))
    with pytest.raises(ValueError, match="`timeout` must be > 0, got 0"):
        _model(timeout=0)


# -- with a session ------------------------------------------------------------------------


def test_a_session_outlasts_faults_and_counts_every_attempt(serve: Serve) -> None:
    server = serve(fails(429, Retry_After="0"), fails(500), half_closes(), says("at last"))
    quick = RetryPolicy(base=0.001)
    session = ChatSession(_model(), retry=quick)
    started = time.monotonic()
    reply, record = session.ask(ask())
    assert (reply.text, record.attempts, len(server.requests)) == ("at last", 4, 4)
    assert session.spent().calls == 4
    # The connection that was lost may have cost a whole reply.
    assert session.spent().tokens == 110 + ask().most_tokens
    assert time.monotonic() - started < 20
