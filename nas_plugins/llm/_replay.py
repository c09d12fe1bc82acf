"""A recorded run in place of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas_plugins.errors import DataError
from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest
from nas_plugins.llm.cache import ReplyStore
from nas_plugins.llm.errors import ChatSetupError, ReplayMissError


class ReplayChat(ChatModel):
    """Answers what was recorded for the very same request, and nothing else.

    It can do what the recorded model could, so that the same prompts are written. Needs neither
    that model nor a key nor a network. What had failed fails again, with the same words.

    Args:
        path: A file that a session wrote in mode ``"record"`` or ``"cache"``.

    Raises:
        ChatSetupError: There is no such file, or it holds nothing.
        DataError: A line is broken, or the replies are of several models.
    """

    capabilities: frozenset[str]

    def __init__(self, path: str | Path = "") -> None:
        if not str(path) or not Path(path).is_file():
            raise ChatSetupError(
                f"`replay` must name a file of recorded replies, got {str(path)!r}"
            )
        self.path = Path(path)
        self._load()

    @property
    def name(self) -> str:
        """``replay:`` and the name of the recorded model."""
        return f"replay:{self.recorded_model}"

    def complete(self, request: ChatRequest) -> ChatReply:
        """Looks the request up.

        Raises:
            ReplayMissError: It was not recorded.
            RefusedChatError: The recorded model had refused.
            ChatError: The recorded call had failed.
        """
        found = self._store.find_request(request)
        if found is None:
            raise ReplayMissError(
                f"{self.path} holds no reply to this request (template {request.template!r}, "
                f"digest {request.digest[:12]})"
            )
        return found.give()

    def _load(self) -> None:
        self._store = ReplyStore(self.path)
        recorded = self._store.all()
        models = sorted({r.model for r in recorded})
        if not models:
            raise ChatSetupError(f"{self.path} holds no recorded reply")
        if len(models) > 1:
            raise DataError(f"{self.path} must hold replies of one model, got {models}")
        self.recorded_model = models[0]
        self.capabilities = frozenset.intersection(*(r.capabilities for r in recorded)) | {"free"}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._load()

    def __repr__(self) -> str:
        return f"ReplayChat({str(self.path)!r})"
