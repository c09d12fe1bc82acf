"""A model of the Hugging Face hub or of a folder, run in this process by transformers."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from nas_plugins.errors import needing
from nas_plugins.llm.base import ChatModel, ChatReply, ChatRequest
from nas_plugins.llm.errors import ChatError, ChatSetupError

_LOG = logging.getLogger(__name__)

_SMALL = 1e9


class TransformersChat(ChatModel):
    """A causal language model in this process; one reply at a time.

    Replies follow a schema or a grammar while decoding, where the package ``llguidance`` is
    installed. Code that a model brings along is never run.

    The same request has the same reply, on the same device and with the same versions.

    Args:
        model: Name on the hub or path of a folder. With ``HF_HUB_OFFLINE=1`` in the environment
            nothing is downloaded.
        device: ``"auto"`` is CUDA where there is one, else the CPU.
        dtype: ``"float32"``, ``"bfloat16"``, ``"float16"``; ``"auto"`` is bfloat16 on CUDA and
            float32 elsewhere.
        revision: Branch, tag or commit of the model on the hub.
        small: Whether the model is too small for prose. If ``None``, so it is below a thousand
            million parameters, as its configuration tells.

    Raises:
        ChatSetupError: There is no such model.
        MissingDependencyError: ``transformers`` or ``torch`` is not installed.
    """

    def __init__(
        self,
        model: str = "",
        *,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        small: bool | None = None,
    ) -> None:
        if not model:
            raise ChatSetupError("`transformers` must name a model of the hub or a folder")
        if dtype not in ("auto", "float32", "bfloat16", "float16"):
            raise ValueError(
                f"`dtype` must be 'auto', 'float32', 'bfloat16' or 'float16', got {dtype!r}"
            )
        self.model = model
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.small = _is_small(_config(model, revision)) if small is None else small
        self._engine: _Engine | None = None
        self._mutex = threading.Lock()

    @property
    def name(self) -> str:
        """``transformers:<model>``."""
        return f"transformers:{self.model}"

    @property
    def capabilities(self) -> frozenset[str]:
        """Schemas and grammars where ``llguidance`` is installed."""
        able = {"free"}
        if importlib.util.find_spec("llguidance") is not None:
            able |= {"schema", "grammar"}
        return frozenset(able | {"small"} if self.small else able)

    @property
    def parameters(self) -> dict[str, Any]:
        """What tells this model from others."""
        return {"revision": self.revision, "dtype": self.dtype}

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answers; loads the model at the first call.

        Raises:
            ChatError: The model cannot be loaded, the prompt is too long, or the grammar or the
                schema is not understood.
        """
        started = time.monotonic()
        with self._mutex:
            if self._engine is None:
                self._engine = self._load()
            text, prompt_tokens, tokens, ended = self._engine.decode(request)
        return ChatReply(
            text=text,
            model=self.model,
            finish_reason="stop" if ended else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=tokens,
            seconds=time.monotonic() - started,
            usd=0.0,
        )

    def close(self) -> None:
        """Frees the memory; the next call loads the model again."""
        with self._mutex:
            self._engine = None

    def _load(self) -> _Engine:
        from nas_plugins._torch import chosen_device, torch

        transformers = _transformers()
        started = time.monotonic()
        try:
            device = chosen_device(self.device)
            plain = torch.bfloat16 if device.type == "cuda" else torch.float32
            dtype = plain if self.dtype == "auto" else getattr(torch, self.dtype)
            options = {"revision": self.revision}
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.model, **options)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                self.model, dtype=dtype, **options
            )
            model = model.to(device).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise ChatError(f"{self.name} cannot be loaded: {error}") from error
        _LOG.info("loaded %s in %.1f s", self.model, time.monotonic() - started)
        return _Engine(tokenizer, model)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._engine = None
        self._mutex = threading.Lock()

    def __repr__(self) -> str:
        return f"TransformersChat({self.model!r})"


class _Engine:
    """A loaded model.

    The tokens are drawn here and not by ``model.generate``, which draws from PyTorch's global
    generator: other threads of the process use that.
    """

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self._guide: Any = None
        configured = getattr(model.generation_config, "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        self._ends = {int(e) for e in [*ends, tokenizer.eos_token_id] if e is not None}
        names = inspect.signature(model.forward).parameters
        # Without it the logits of the whole prompt are computed, a hundred megabytes.
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in names else {}

    def decode(self, request: ChatRequest) -> tuple[str, int, int, bool]:
        """Writes a reply.

        Returns:
            The text without special tokens, the tokens of prompt and reply, and whether the
            model ended it, rather than the limit.
        """
        from nas_plugins._torch import torch

        prompt = self._prompt(request)
        room = getattr(self.model.config, "max_position_embeddings", None)
        if room is not None and len(prompt) >= room:
            raise ChatError(f"the prompt has {len(prompt):,} tokens, the model takes {room:,}")
        limit = request.max_tokens if room is None else min(request.max_tokens, room - len(prompt))
        guide = self._constraint(request)
        rng = torch.Generator().manual_seed(request.sampling_seed)
        ids = torch.tensor([prompt], device=self.model.device)
        written: list[int] = []
        past, ended = None, False
        with torch.inference_mode():
            while len(written) < limit and not ended:
                out = self.model(
                    input_ids=ids, past_key_values=past, use_cache=True, **self._last_only
                )
                past = out.past_key_values
                logits = out.logits[0, -1].float().cpu()
                token = _sampled(_masked(logits, guide), request.temperature, rng)
                ended = token in self._ends
                if not ended:
                    written.append(token)
                    ended = guide is not None and not _takes_more(guide, token)
                ids = torch.tensor([[token]], device=self.model.device)
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        return text, len(prompt), len(written), ended

    def _prompt(self, request: ChatRequest) -> list[int]:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            # The template writes the special tokens itself.
            found = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            text = "\n\n".join(m["content"] for m in messages) + "\n"
            found = self.tokenizer(text)["input_ids"]
        return [int(i) for i in found]

    def _constraint(self, request: ChatRequest) -> Any:
        """The grammar's matcher; ``None`` without a grammar or a library for it."""
        if request.grammar is None and request.schema is None:
            return None
        if importlib.util.find_spec("llguidance") is None:
            return None
        import llguidance

        if self._guide is None:
            vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
            self._guide = llguidance.LLTokenizer(
                _described(self.tokenizer),
                n_vocab=vocabulary,
                eos_token=sorted(self._ends) or None,
            )
        try:
            if request.grammar is not None:
                grammar = llguidance.grammar_from("gbnf", request.grammar)
            else:
                schema = json.dumps(dict(request.schema or {}))
                grammar = llguidance.grammar_from("json_schema", schema)
            matcher = llguidance.LLMatcher(self._guide, grammar)
        except ValueError as error:
            raise ChatError(f"the grammar or schema is not understood: {error}") from error
        if matcher.is_error():
            raise ChatError(f"the grammar or schema is not understood: {matcher.get_error()}")
        return matcher


def _takes_more(matcher: Any, token: int) -> bool:
    """Notes a token, and tells whether more may come.

    Raises:
        ChatError: The grammar's library takes the token for another text than it has.
    """
    if not matcher.consume_token(token):
        raise ChatError("llguidance does not understand the tokens of the model")
    return not matcher.is_stopped()


def _described(tokenizer: Any) -> str:
    """The tokenizer as JSON, for llguidance."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ChatError("grammars and schemas need a model with a fast tokenizer")
    data = json.loads(backend.to_str())
    data["padding"] = data["truncation"] = None
    byte_level = "ByteLevel" in json.dumps(data.get("pre_tokenizer"))
    if byte_level and (data.get("decoder") or {}).get("type") != "ByteLevel":
        # Tokenizers converted from GGUF files have a mixed decoder, from which llguidance
        # concludes that the tokens are plain text.
        data["model"]["byte_fallback"] = False
        data["decoder"] = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": True,
        }
    return json.dumps(data)


def _masked(logits: Any, matcher: Any) -> Any:
    """The logits, with -inf where the grammar forbids a token; shape `(vocabulary,)`."""
    if matcher is None:
        return logits
    from nas_plugins._torch import torch

    allowed = torch.frombuffer(bytearray(matcher.compute_logit_bias()), dtype=torch.uint8) > 0
    size = min(len(allowed), len(logits))
    masked = torch.full_like(logits, -torch.inf)
    masked[:size] = torch.where(allowed[:size], logits[:size], -torch.inf)
    if not torch.isfinite(masked).any():
        raise ChatError("the grammar allows no token of the model here")
    return masked


def _sampled(logits: Any, temperature: float, rng: Any) -> int:
    """A token; the likeliest one where the temperature is 0."""
    if temperature == 0:
        return int(logits.argmax())
    from nas_plugins._torch import torch

    chances = torch.softmax((logits - logits.max()) / temperature, dim=-1)
    return int(torch.multinomial(chances, 1, generator=rng))


def _config(model: str, revision: str | None) -> Any:
    transformers = _transformers()
    try:
        return transformers.AutoConfig.from_pretrained(model, revision=revision)
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ChatSetupError(
            f"`transformers` must name a model of the hub or a folder, got {model!r}: {why}"
        ) from error


def _is_small(config: Any) -> bool:
    """Whether a model has fewer than a thousand million parameters, as far as can be told."""
    text = getattr(config, "text_config", config)
    width, layers, words = (
        getattr(text, name, None) for name in ("hidden_size", "num_hidden_layers", "vocab_size")
    )
    if not (width and layers and words):
        return False
    return bool(12 * width * width * layers + words * width < _SMALL)


def _transformers() -> Any:
    with needing(
        "models of the hub are run with transformers and PyTorch", "'nas-plugins[transformers]'"
    ):
        import torch  # noqa: F401
        import transformers
    return transformers
