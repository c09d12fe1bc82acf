"""Reading a chat completion of OpenAI's protocol, where nothing can be taken for granted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nas_plugins.llm.base import ChatReply, ChatRequest
from nas_plugins.llm.errors import ChatError, RefusedChatError, TransientChatError
from nas_plugins.llm.retry import is_transient

_FILTERED = "content_filter"
_SHOWN = 200


def parse_completion(
    body: object, request: ChatRequest, *, asked: str, seconds: float
) -> ChatReply:
    """Returns the reply that a response holds; an empty or cut one is a reply too.

    Args:
        body: The decoded JSON.
        request: What was asked; bounds the tokens where the response does not count them.
        asked: Name of the model, for a response that does not name it.
        seconds: How long it took.

    Raises:
        RefusedChatError: The model refuses, or a filter kept the reply back.
        TransientChatError: The response holds an error that may pass.
        ChatError: It is not a chat completion.
    """
    if not isinstance(body, Mapping):
        raise _no_completion(f"it is {_type(body)}")
    if body.get("error") and not body.get("choices"):
        raise _reported(body["error"])
    choice = _choice(body)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise _no_completion(f"`message` is {_type(message)}")
    text = _text(message, "content")
    refusal = _text(message, "refusal")
    finish = _text(choice, "finish_reason")
    reply = ChatReply(
        text=text,
        model=_text(body, "model") or asked,
        finish_reason=finish,
        seconds=seconds,
        **_usage(body.get("usage"), request, text),
    )
    if refusal or finish == _FILTERED:
        why = refusal or text or "its filter kept the reply back"
        raise RefusedChatError(f"{asked} refuses: {why[:_SHOWN]}", reply=reply)
    return reply


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_completion(f"`choices` is {_type(choices) if choices else 'empty'}")
    if not isinstance(choices[0], Mapping):
        raise _no_completion(f"`choices` holds {_type(choices[0])}")
    return choices[0]


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _no_completion(f"`{name}` is {_type(value)}")
    return value


def _usage(usage: object, request: ChatRequest, text: str) -> dict[str, Any]:
    """Tokens and costs; bounds where the endpoint does not count."""
    counts = usage if isinstance(usage, Mapping) else {}
    prompt, completion = (
        _count(counts.get(name)) for name in ("prompt_tokens", "completion_tokens")
    )
    estimated = prompt is None or completion is None
    if prompt is None:
        prompt = request.most_prompt_tokens
    if completion is None:
        completion = min(request.max_tokens, len(text.encode("utf-8", "replace")))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "estimated": estimated,
        "usd": _cost(counts.get("cost")),
    }


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if isinstance(value, int) and whole and value >= 0 else None


def _cost(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < math.inf else None


def _reported(error: object) -> ChatError:
    """An error that comes as a success, as brokers of endpoints send them."""
    fields = error if isinstance(error, Mapping) else {"message": error}
    text = f"the endpoint reports: {str(fields.get('message'))[:_SHOWN]}"
    status = _count(fields.get("code"))
    if status is not None and is_transient(status):
        return TransientChatError(text, status=status)
    return ChatError(text, status=status)


def _no_completion(why: str) -> ChatError:
    # The endpoint did something, and what it did may have to be paid for.
    return ChatError(f"the answer is not a chat completion: {why}", billed=True)


def _type(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
