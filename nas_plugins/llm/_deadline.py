"""An end to all that one call over HTTP may take, its headers and a slow trickle included.

The client bounds each pause alone, so a server that sends a byte now and then is read for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2


class Deadline:
    """Cuts the connections of a call when its time is over.

    Attributes:
        passed: Whether that has happened.
    """

    def __init__(self) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._mutex = threading.Lock()

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """Takes note of a connection; the client's ``trace`` extension."""
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return
        found = info["return_value"].get_extra_info("socket")
        with self._mutex:
            self._sockets.append(found)
            if self.passed:
                _cut(found)

    def end(self) -> None:
        """Cuts them, which wakes whoever reads."""
        with self._mutex:
            self.passed = True
            for found in self._sockets:
                _cut(found)


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """Gives the calls in the block, all together, so many seconds."""
    deadline = Deadline()
    timer = threading.Timer(seconds, deadline.end)
    timer.daemon = True
    token = _CURRENT.set(deadline)
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        _CURRENT.reset(token)


def watched(request: httpx2.Request) -> None:
    """A hook of the client: the request's connection is cut in time.

    Only new connections are told of, so none may be kept for the next request.
    """
    deadline = _CURRENT.get()
    if deadline is not None:
        request.extensions = {**request.extensions, "trace": deadline.watch}


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
