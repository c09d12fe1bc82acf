"""No model at all: legal replies drawn uniformly, through the very same path."""

from __future__ import annotations

import time

from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest, sha256_of
from nas_plugins.llm.errors import ChatError, ChatSetupError


class NullChat(ChatModel):
    """The control that knows nothing: answers what the request's `uniform` draws.

    Its draws follow from the request alone, so that the same request has the same reply.

    Raises:
        ChatSetupError: An argument is given; there is but one null model.
    """

    name = "null"
    capabilities = frozenset({"schema", "grammar", "null", "free"})

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise ChatSetupError(f"`null` must have no argument, got {argument!r}")

    def complete(self, request: ChatRequest) -> ChatReply:
        """Draws a reply.

        Raises:
            ChatError: The request says not how to draw one.
        """
        import numpy as np

        if request.uniform is None:
            raise ChatError("the null model answers only requests that have `uniform`")
        started = time.monotonic()
        # The digest covers the seed and the sample index.
        rng = np.random.default_rng(int(sha256_of([self.name, request.digest]), 16))
        text = request.uniform(rng)
        return ChatReply(
            text=text,
            model=self.name,
            finish_reason="stop",
            prompt_tokens=0,
            completion_tokens=0,
            seconds=time.monotonic() - started,
            usd=0.0,
        )

    def __repr__(self) -> str:
        return "NullChat()"
