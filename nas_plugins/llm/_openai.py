"""Any endpoint that speaks OpenAI's chat protocol, hosted or local."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas_plugins._checks import positive
from nas_plugins._secrets import HIDDEN, learn, learn_from, learn_from_url, without_passwords
from nas_plugins.errors import needing
from nas_plugins.llm._completion import parse_completion
from nas_plugins.llm._deadline import watched, within
from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest
from nas_plugins.llm.errors import ChatError, ChatSetupError, TransientChatError
from nas_plugins.llm.retry import is_transient, retry_after

if TYPE_CHECKING:
    import httpx2
    from openai import OpenAI

_LOG = logging.getLogger(__name__)

_LONGEST_MESSAGE = 400
_LARGEST_BODY = 8 << 20
_NOT_UNDERSTOOD = (400, 422)
_REPLY_FORMS = ("json_schema", "json_object", "text")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_LOOKS_SECRET = re.compile(r"\bsk-[\w*.-]+|(?<=Bearer )\S+")


@dataclass(frozen=True)
class _Dialect:
    """What of the protocol an endpoint understands; found out by its answers.

    Attributes:
        reply: One of `_REPLY_FORMS`.
        limit: Name of the limit on the reply's tokens.
        without: Parameters that it refuses.
    """

    reply: str = _REPLY_FORMS[0]
    limit: str = "max_tokens"
    without: frozenset[str] = frozenset()

    def after(self, complaint: str, *, schema: bool) -> _Dialect | None:
        """What to try next, or ``None`` where there is nothing to change.

        Args:
            complaint: What the endpoint said.
            schema: Whether the request asked for a form of the reply.
        """
        if "max_completion_tokens" in complaint and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        for name in ("temperature", "seed"):
            if name not in self.without and re.search(rf"\b{name}\b", complaint):
                return replace(self, without=self.without | {name})
        position = _REPLY_FORMS.index(self.reply) + 1
        if schema and position < len(_REPLY_FORMS):
            return replace(self, reply=_REPLY_FORMS[position])
        return None


class OpenAIChat(ChatModel):
    """A model behind an OpenAI-compatible endpoint.

    Address and key come from the environment, as OpenAI's client reads them: ``OPENAI_API_KEY``
    and, for any other endpoint than OpenAI's own, ``OPENAI_BASE_URL``. An endpoint that needs
    no key still wants the variable set, to anything. The key is in no error and no log.

    Where the endpoint does not understand a JSON schema, it is asked for any JSON object, and
    where it does not understand that either, for text; that is remembered. The same holds for
    ``temperature``, ``seed`` and the name of the limit on tokens. Such a refused request is
    not counted as an attempt of its own.

    Args:
        model: Name of the model, as the endpoint knows it.
        timeout: Seconds until a call is given up, > 0, however slowly an answer trickles in.
        strict: Whether to ask for strict obedience to the schema.
        extra: Further fields of the request, e.g. ``{"reasoning_effort": "low"}``.
        grammar_field: Name of the request's field for a GBNF grammar, where the endpoint has
            one (``"grammar"`` for the server of llama.cpp); then grammars are used.

    Raises:
        ChatSetupError: No model or no key is given.
        MissingDependencyError: The package ``openai`` is not installed.
    """

    def __init__(
        self,
        model: str = "",
        *,
        timeout: float = 60.0,
        strict: bool = True,
        extra: Mapping[str, Any] | None = None,
        grammar_field: str | None = None,
    ) -> None:
        if not model:
            raise ChatSetupError("`openai` must name a model, e.g. openai:gpt-4.1")
        positive(timeout=timeout)
        self.model = model
        self.timeout = timeout
        self.strict = strict
        self.extra = dict(extra or {})
        self.grammar_field = grammar_field
        self._dialect = _Dialect()
        self._open()

    @property
    def name(self) -> str:
        """``openai:<model>``."""
        return f"openai:{self.model}"

    @property
    def capabilities(self) -> frozenset[str]:
        """JSON schemas; grammars where `grammar_field` is given."""
        return frozenset({"schema", "grammar"} if self.grammar_field else {"schema"})

    @property
    def parameters(self) -> dict[str, Any]:
        """Endpoint and further fields."""
        url = self._client.base_url
        return {
            "endpoint": f"{url.scheme}://{url.netloc.decode()}{url.path}",
            "extra": self.extra,
            "strict": self.strict,
            "grammar_field": self.grammar_field,
        }

    def complete(self, request: ChatRequest) -> ChatReply:
        """Asks once.

        Raises:
            TransientChatError: 408, 409, 429, 5xx, a time-out or a lost connection.
            RefusedChatError: The model or the endpoint's filter refuses.
            ChatError: Any other refusal of the endpoint, or an answer that makes no sense.
        """
        first: ChatError | None = None
        dialect = self._dialect
        wants = request.schema is not None and not self._grammar(request)
        while True:
            try:
                reply = self._ask(request, dialect)
            except ChatError as error:
                first = first or error
                if error.status not in _NOT_UNDERSTOOD:
                    raise
                following = dialect.after(str(error), schema=wants)
                if following is None:
                    raise first from None
                dialect = following
            else:
                if dialect != self._dialect:
                    _LOG.warning("%s is asked differently from now on: %s", self.name, first)
                    self._dialect = dialect
                return reply

    # -- one request -----------------------------------------------------------------------

    def _ask(self, request: ChatRequest, dialect: _Dialect) -> ChatReply:
        started = time.monotonic()
        with within(self.timeout) as deadline:
            try:
                body = self._send(self._fields(request, dialect))
            except Exception as error:
                # Not chained: what the endpoint or the client says may repeat the key.
                raise self._translated(error, late=deadline.passed) from None
        try:
            reply = parse_completion(
                body, request, asked=self.model, seconds=time.monotonic() - started
            )
        except ChatError as error:
            error.args = (self._clean(str(error)),)
            raise
        return reply

    def _send(self, fields: dict[str, Any]) -> Any:
        raw = self._client.chat.completions.with_raw_response.create(**fields)
        content = raw.http_response.content
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            shown = content[:60].decode("utf-8", "replace")
            raise ChatError(
                f"{self.name} answered {len(content):,} bytes that are not JSON: "
                f"{self._clean(shown)!r}",
                billed=True,
            ) from None

    def _fields(self, request: ChatRequest, dialect: _Dialect) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "temperature": request.temperature,
            "seed": request.sampling_seed,
            dialect.limit: request.max_tokens,
        }
        extra = dict(self.extra)
        if self._grammar(request):
            extra[str(self.grammar_field)] = request.grammar
        elif request.schema is not None and dialect.reply == "json_schema":
            form = {"name": "reply", "strict": self.strict, "schema": dict(request.schema)}
            fields["response_format"] = {"type": "json_schema", "json_schema": form}
        elif request.schema is not None and dialect.reply == "json_object":
            fields["response_format"] = {"type": "json_object"}
        if extra:
            fields["extra_body"] = extra
        return {name: value for name, value in fields.items() if name not in dialect.without}

    def _grammar(self, request: ChatRequest) -> bool:
        return self.grammar_field is not None and request.grammar is not None

    # -- what goes wrong -------------------------------------------------------------------

    def _translated(self, error: Exception, *, late: bool) -> ChatError:
        import openai

        if late or isinstance(error, openai.APITimeoutError):
            text = f"{self.name} did not answer within {self.timeout:g} seconds"
            return TransientChatError(text, billed=late or _was_sent(error))
        own = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        if isinstance(own, ChatError):  # of a hook, which the client wraps
            own.args = (self._clean(str(own)),)
            return own
        if isinstance(error, openai.APIStatusError):
            words = self._clean(_words(error.body) or str(error))
            status = error.status_code
            text = f"{self.name} answered with HTTP status {status}: {words}"
            if is_transient(status):
                wait = retry_after(error.response.headers, now=time.time())
                return TransientChatError(text, status=status, retry_after=wait)
            return ChatError(text, status=status)
        if isinstance(error, openai.APIConnectionError):
            why = self._clean(str(error.__cause__ or error)) or "no reason is known"
            text = f"the connection to {self.name} failed: {why}"
            return TransientChatError(text, billed=_was_sent(error))
        return ChatError(f"{self.name}: {type(error).__name__}: {self._clean(str(error))}")

    def _clean(self, text: str) -> str:
        """The text on one line and not too long, without anything secret."""
        text = _LOOKS_SECRET.sub(HIDDEN, without_passwords(text))
        text = " ".join(text.split())
        return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."

    # -- the client ------------------------------------------------------------------------

    def _open(self) -> None:
        self._client = _client(self.timeout)
        _learn(self._client)
        learn_from(self.extra)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._dialect = _Dialect()
        self._open()

    def __repr__(self) -> str:
        return f"OpenAIChat({self.model!r})"


def _client(timeout: float) -> OpenAI:
    asked = "OpenAI-compatible endpoints are asked with the package openai"
    with needing(f"{asked}, which cannot be imported", "'nas-plugins[llm]'"):
        import httpx2
        import openai
    logging.getLogger("httpx2").addFilter(_without_passwords)  # the same one stands there once
    try:
        return openai.OpenAI(
            **_address(),
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(
                event_hooks={"request": [watched], "response": [_at_home, _bounded]},
                limits=httpx2.Limits(max_keepalive_connections=0),
            ),
        )
    except openai.OpenAIError:
        raise ChatSetupError(
            "no API key: set the environment variable OPENAI_API_KEY, and OPENAI_BASE_URL where "
            "the endpoint is not OpenAI's own; where none is needed, any key will do"
        ) from None


def _without_passwords(record: logging.LogRecord) -> bool:
    """A filter for the client's log, which tells whole addresses."""
    record.msg, record.args = without_passwords(record.getMessage()), ()
    return True


def _address() -> dict[str, Any]:
    """The endpoint's address and its query, which the client would take for a part of the path.

    Raises:
        ChatSetupError: It is no URL.
    """
    import httpx2

    given = os.environ.get("OPENAI_BASE_URL", "").strip()
    learn_from_url(given)
    try:
        url = httpx2.URL(given)
    except httpx2.InvalidURL as error:
        raise ChatSetupError(f"OPENAI_BASE_URL is no address: {error}") from None
    if not given:
        return {}
    plain = url.copy_with(query=None, fragment=None)
    return {"base_url": str(plain), "default_query": dict(url.params)}


def _at_home(response: httpx2.Response) -> None:
    """A hook that refuses a redirect to where the key and the prompt were not sent.

    Raises:
        ChatError: Scheme, host or port are others.
    """
    if not response.has_redirect_location:
        return
    asked = response.request.url
    given = asked.join(response.headers["location"])
    if (given.scheme, given.host, given.port) != (asked.scheme, asked.host, asked.port):
        raise ChatError(
            f"the endpoint at {asked.host} redirects to {given.scheme}://{given.host}, which is "
            "not followed; if that is right, set OPENAI_BASE_URL to it",
            status=response.status_code,
        )


def _bounded(response: httpx2.Response) -> None:
    """A hook that bounds the size of a body; its time is bounded with the call's."""
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for chunk in self._stream:
                size += len(chunk)
                if size > _LARGEST_BODY:
                    raise ChatError(f"the answer has more than {size:,} bytes", billed=True)
                yield chunk

        def close(self) -> None:
            self._stream.close()

    response.stream = Bounded(response.stream)


def _learn(client: OpenAI) -> None:
    """Tells every text that must not be shown."""
    url = client.base_url
    learn(client.api_key, getattr(client, "admin_api_key", None), url.password)
    for name, value in client.default_headers.items():
        if _SECRET_HEADER.search(name):
            learn(str(value), str(value).rpartition(" ")[2])


def _words(body: object) -> str:
    """What the endpoint says is wrong, where its answer has the usual form."""
    if not isinstance(body, Mapping):
        return ""
    message, parameter = body.get("message"), body.get("param")
    if not isinstance(message, str):
        return ""
    return f"{message} (`{parameter}`)" if isinstance(parameter, str) else message


def _was_sent(error: Exception) -> bool:
    """Whether the request may have reached the endpoint."""
    import httpx2

    never = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
    return not isinstance(error.__cause__, (*never, httpx2.UnsupportedProtocol))
