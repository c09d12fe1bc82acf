"""A server on loopback that speaks OpenAI's chat protocol and misbehaves as it is told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/json"

Behaviour = Callable[["Handler", dict[str, Any]], None]
"""Answers one request; is given the decoded body."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length))
        self.server.behave(self, body)

    def send(
        self,
        data: bytes,
        *,
        status: int = 200,
        kind: str = JSON,
        headers: Mapping[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """Sends a response; `length` is what it claims to have."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def reset(self) -> None:
        """Breaks the connection off, with a reset rather than a clean end."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class LoopbackServer(ThreadingHTTPServer):
    """Plays a script: each request meets the next behaviour, the last one for ever.

    Attributes:
        requests: Bodies of the requests, in order of arrival.
        headers: Their headers, names in lower case.
        paths: Their paths, with the query.
        stopping: Set when the server ends; hanging behaviours wait for it.
    """

    daemon_threads = True
    # Faults abort connections in the middle; that is not worth a traceback.
    block_on_close = False

    def __init__(self, script: Iterable[Behaviour] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Behaviour] = list(script) or [says("hello")]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.stopping = threading.Event()
        self._mutex = threading.Lock()

    @property
    def url(self) -> str:
        """What ``OPENAI_BASE_URL`` is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def behave(self, handler: Handler, body: dict[str, Any]) -> None:
        with self._mutex:
            self.requests.append(body)
            self.paths.append(handler.path)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        behaviour(handler, body)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients are meant to hang up."""


@contextmanager
def serving(*script: Behaviour) -> Iterator[LoopbackServer]:
    """A server that runs while the block does."""
    server = LoopbackServer(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def completion(text: str | None, **changes: Any) -> dict[str, Any]:
    """The body of a chat completion.

    Args:
        text: The reply.
        **changes: ``finish_reason``, ``refusal``, ``usage``, ``model``, or any other field.
    """
    message = {"role": "assistant", "content": text, "refusal": changes.pop("refusal", None)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": changes.pop("model", "served-model-2026"),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": changes.pop("finish_reason", "stop"),
            }
        ],
        "usage": changes.pop(
            "usage", {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        ),
        **changes,
    }


# -- behaviours ----------------------------------------------------------------------------


def says(text: str | None, **changes: Any) -> Behaviour:
    """A good completion with this text."""
    return sends(json.dumps(completion(text, **changes)).encode())


def answers(reply: Callable[[dict[str, Any]], str]) -> Behaviour:
    """A good completion with a text made from the request's body."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(json.dumps(completion(reply(body))).encode())

    return behave


def sends(data: bytes, *, status: int = 200, **options: Any) -> Behaviour:
    """These very bytes; `options` are those of `Handler.send`."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(data, status=status, **options)

    return behave


def fails(status: int, message: str = "it failed", **headers: str) -> Behaviour:
    """An HTTP error in the protocol's form; write headers with ``_`` for ``-``."""
    error = {"message": message, "type": "some_error", "param": None, "code": None}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sends(json.dumps({"error": error}).encode(), status=status, headers=named)


def hangs() -> Behaviour:
    """Never answers, and keeps the connection open until the server ends."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.server.stopping.wait(60)
        handler.close_connection = True

    return behave


def drips(every: float = 0.05) -> Behaviour:
    """Begins an answer and sends one more byte now and then, without an end."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(b'{"id": "', length=1 << 30)
        while not handler.server.stopping.wait(every):
            handler.wfile.write(b"x")

    return behave


def drips_headers(every: float = 0.02, times: int = 150) -> Behaviour:
    """Begins the headers and sends one more byte now and then."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(times):
            if handler.server.stopping.wait(every):
                break
            handler.wfile.write(b"x")
        handler.close_connection = True

    return behave


def redirects(to: str, status: int = 307) -> Behaviour:
    """Sends the client elsewhere."""
    return sends(b"", status=status, headers={"Location": to})


def breaks_off(after: int = 40) -> Behaviour:
    """Sends the beginning of a completion and then resets the connection."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        data = json.dumps(completion("hello")).encode()
        handler.send(data[:after], length=len(data))
        time.sleep(0.02)
        handler.reset()

    return behave


def half_closes(after: int = 40) -> Behaviour:
    """Sends the beginning of a completion and ends the stream, as if that were all."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        data = json.dumps(completion("hello")).encode()
        handler.send(data[:after], length=len(data))
        handler.connection.shutdown(socket.SHUT_WR)
        handler.close_connection = True

    return behave


def truncates(after: int = 40) -> Behaviour:
    """Sends the beginning of a completion, and says that it is the whole."""
    return sends(json.dumps(completion("hello")).encode()[:after])


def rubbish(size: int = 1 << 20) -> Behaviour:
    """Many bytes that mean nothing."""
    return sends(bytes(range(256)) * (size // 256))


def refuses(why: str = "I cannot help with that.") -> Behaviour:
    """A refusal as the protocol writes it."""
    return says(None, refusal=why)
