"""What the language-model tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins.llm import ChatModel, ChatReply, ChatRequest, Message
from nas_plugins.llm.retry import Clock

KEY = "sk-loopback-0123456789abcdef"
SCHEMA = {
    "type": "object",
    "properties": {"gene": {"type": "string"}},
    "required": ["gene"],
    "additionalProperties": False,
}


class FakeClock(Clock):
    """A time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []
        self._mutex = threading.Lock()

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._mutex:
            self.now += seconds
            self.slept.append(seconds)


class ScriptedChat(ChatModel):
    """A model that plays a script of replies and errors, the last one for ever."""

    def __init__(
        self,
        script: Iterable[ChatReply | BaseException] = (),
        *,
        name: str = "scripted:one",
        capabilities: Iterable[str] = ("schema",),
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.capabilities = frozenset(capabilities)
        self.script = list(script) or [reply()]
        self.asked: list[ChatRequest] = []
        self.before = before
        self._mutex = threading.Lock()

    def complete(self, request: ChatRequest) -> ChatReply:
        with self._mutex:
            self.asked.append(request)
            outcome = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.before()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def reply(text: str = "hello", **changes: Any) -> ChatReply:
    """A reply of 100 + 10 tokens."""
    fields: dict[str, Any] = {
        "model": "served-model",
        "finish_reason": "stop",
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "seconds": 0.5,
        "usd": None,
    }
    return ChatReply(text=text, **{**fields, **changes})


def ask(text: str = "a gene, please", **changes: Any) -> ChatRequest:
    """A request."""
    return ChatRequest((Message("user", text),), **changes)


def tagged(**tags: str) -> FrozenDict[str]:
    """Tags of a request."""
    return FrozenDict(tags)
