"""Recorded replies: a JSONL file for caches, recordings and exact repetitions of a run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas_plugins._reading import refusing
from nas_plugins._wording import excerpt
from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest, sha256_of
from nas_plugins.llm.errors import ChatError, RefusedChatError
from nas_plugins.llm.jsonl import JsonLines

_REFUSED, _FAILED = "refused", "failed"


@dataclass(frozen=True)
class Recorded:
    """What a call came to.

    Attributes:
        model: Name of the model that was asked.
        capabilities: What that model could do.
        reply: What it answered; ``None`` where it failed for good.
        error: Why, in words.
        refused: Whether it refused.
    """

    model: str
    capabilities: frozenset[str]
    reply: ChatReply | None
    error: str = ""
    refused: bool = False

    def give(self) -> ChatReply:
        """Returns the reply, marked as cached.

        Raises:
            RefusedChatError: That is what was recorded.
            ChatError: The recorded call failed; gives its words.
        """
        if self.reply is not None:
            return replace(self.reply, cached=True)
        kind = RefusedChatError if self.refused else ChatError
        raise kind(self.error)


class ReplyStore:
    """A file of recorded replies that threads and processes share.

    Every line holds one request, readable, and what came of it. Of several lines for the same
    request the last one counts.

    Args:
        path: The file; need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self._lines = JsonLines(path)
        self._by_key: dict[str, Recorded] = {}
        self._by_digest: dict[str, Recorded] = {}
        self._mutex = threading.RLock()

    @property
    def path(self) -> Path:
        """The file."""
        return self._lines.path

    def load(self) -> None:
        """Reads what is new in the file.

        Raises:
            DataError: A line is broken; names it.
        """
        with self._mutex:
            for number, data in self._lines.new():
                with refusing(f"line {number} of {self.path}", "a recorded reply"):
                    key, digest, recorded = _parsed(data)
                self._by_key[key] = recorded
                self._by_digest[digest] = recorded

    def check(self) -> None:
        """Tells before anything is asked that the file cannot be written.

        Raises:
            OSError: It cannot be opened to append, or locked.
        """
        self._lines.check()

    def find(self, model: ChatModel, request: ChatRequest) -> Recorded | None:
        """What this model came to on this request, or ``None``."""
        return self._look(self._by_key, cache_key(model, request))

    def find_request(self, request: ChatRequest) -> Recorded | None:
        """What any model came to on this request, or ``None``."""
        return self._look(self._by_digest, request.digest)

    def all(self) -> tuple[Recorded, ...]:
        """What the file holds, the last line of each request."""
        with self._mutex:
            self.load()
            return tuple(self._by_digest.values())

    def put(self, model: ChatModel, request: ChatRequest, outcome: ChatReply | ChatError) -> None:
        """Records what a call came to.

        Raises:
            OSError: The file cannot be written.
        """
        self._lines.append(_line(model, request, outcome))

    def _look(self, table: Mapping[str, Recorded], key: str) -> Recorded | None:
        with self._mutex:
            if key not in table:
                self.load()
            return table.get(key)


def cache_key(model: ChatModel, request: ChatRequest) -> str:
    """SHA-256 of everything that a reply depends on, in hexadecimal.

    Of the model its name and its own settings; of the request the messages, sampling
    parameters, schema, grammar, template and the number of the sample.
    """
    return sha256_of([model.name, dict(model.parameters), request.digest])


def _line(
    model: ChatModel, request: ChatRequest, outcome: ChatReply | ChatError
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "key": cache_key(model, request),
        "digest": request.digest,
        "model": model.name,
        "capabilities": sorted(model.capabilities),
        "template": request.template,
        "tags": dict(request.tags),
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        "sample": request.sample,
        "messages": [[m.role, m.content] for m in request.messages],
    }
    if isinstance(outcome, ChatReply):
        line["reply"] = replace(outcome, cached=False).to_json()
    else:
        refused = isinstance(outcome, RefusedChatError)
        line["error"] = {"kind": _REFUSED if refused else _FAILED, "text": str(outcome)}
    return line


def _parsed(data: Mapping[str, Any]) -> tuple[str, str, Recorded]:
    reply, error = data.get("reply"), data.get("error", {})
    if reply is None and not error:
        raise ValueError("it has neither a `reply` nor an `error`")
    recorded = Recorded(
        model=_text(data["model"]),
        capabilities=frozenset(data["capabilities"]),
        reply=None if reply is None else ChatReply.from_json(reply),
        error=_text(error.get("text", "")),
        refused=error.get("kind") == _REFUSED,
    )
    return _text(data["key"]), _text(data["digest"]), recorded


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {excerpt(value)}")
    return value
