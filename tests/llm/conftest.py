"""Fixtures of the language-model tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from chat_helpers import KEY, FakeClock
from loopback import Behaviour, LoopbackServer, serving


@pytest.fixture
def clock() -> FakeClock:
    """A time that passes only when somebody sleeps."""
    return FakeClock()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LoopbackServer]]:
    """Starts servers, and sets the environment as a user would."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    started = []

    def start(*script: Behaviour) -> LoopbackServer:
        context = serving(*script)
        server = context.__enter__()
        started.append(context)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        return server

    yield start
    for context in started:
        context.__exit__(None, None, None)
