"""What is asked of a language model and what it answers, as values; and who can answer."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nas_plugins import registry
from nas_plugins._checks import at_least
from nas_plugins._default import default
from nas_plugins._frozen import FrozenDict
from nas_plugins._plugin_code import plugin_code, shown
from nas_plugins.errors import PluginError
from nas_plugins.llm.errors import ChatSetupError

if TYPE_CHECKING:
    import numpy as np

ROLES = ("system", "user", "assistant")

_BYTES_PER_TOKEN = 2
_TOKENS_PER_MESSAGE = 16
_SEEDS = 2**31


@dataclass(frozen=True)
class Message:
    """One message of a chat.

    Attributes:
        role: ``"system"``, ``"user"`` or ``"assistant"``.
        content: The text.
    """

    role: str
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"`role` must be one of {list(ROLES)}, got {self.role!r}")


@dataclass(frozen=True)
class ChatRequest:
    """One question to a language model, with all that its answer depends on but the model.

    Attributes:
        messages: The chat so far; the model answers the last one.
        schema: JSON schema of the reply, plain JSON data.
        grammar: The same as a GBNF grammar; a model that has ``"grammar"`` among its
            capabilities uses it instead of the schema.
        temperature: >= 0; 0 always takes the likeliest token.
        max_tokens: Most tokens of the reply, >= 1.
        seed: For models that can be seeded, >= 0.
        sample: Number of this sample among those of the same question, from 0. Without it a
            cache would answer every one of them with the first reply.
        template: Name and version of the prompt, e.g. ``"crossover@1"``.
        tags: For the ledger: ``role``, ``niche``, ``generation``, ``trial`` and others. They do
            not tell requests apart.
        uniform: Writes a legal reply drawn uniformly, which is what the ``null`` model answers.
            It does not tell requests apart.
    """

    messages: tuple[Message, ...]
    schema: FrozenDict[Any] | None = field(default=None, hash=False)
    grammar: str | None = None
    temperature: float = 0.7
    max_tokens: int = 1024
    seed: int = 0
    sample: int = 0
    template: str = ""
    tags: FrozenDict[str] = field(default_factory=FrozenDict, compare=False)
    uniform: Callable[[np.random.Generator], str] | None = field(
        default=None, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(self.messages))
        object.__setattr__(self, "tags", FrozenDict(self.tags))
        if self.schema is not None:
            object.__setattr__(self, "schema", FrozenDict(self.schema))
        if not self.messages:
            raise ValueError("`messages` must not be empty")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"`temperature` must be >= 0, got {self.temperature}")
        at_least(1, max_tokens=self.max_tokens)
        at_least(0, seed=self.seed, sample=self.sample)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that counts, in hexadecimal; the same in every process."""
        return sha256_of(
            {
                "messages": [[m.role, m.content] for m in self.messages],
                "schema": None if self.schema is None else dict(self.schema),
                "grammar": self.grammar,
                "temperature": float(self.temperature),
                "max_tokens": self.max_tokens,
                "seed": self.seed,
                "sample": self.sample,
                "template": self.template,
            }
        )

    @property
    def prompt_hash(self) -> str:
        """SHA-256 of the messages alone."""
        return sha256_of([[m.role, m.content] for m in self.messages])

    @property
    def sampling_seed(self) -> int:
        """The seed for the model, in ``[0, 2**31)``; another one for every `sample`."""
        if not self.sample:
            return self.seed % _SEEDS
        return int(sha256_of([self.seed, self.sample])[:8], 16) % _SEEDS

    @property
    def most_prompt_tokens(self) -> int:
        """A bound on the tokens of the prompt, schema included.

        Two bytes a token are what names of operations take, prose takes about four. Text in
        other scripts may exceed the bound.
        """
        size = sum(len(m.content.encode("utf-8", "replace")) for m in self.messages)
        if self.schema is not None:
            size += len(canonical_json(dict(self.schema)))
        return -(-size // _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(self.messages)

    @property
    def most_tokens(self) -> int:
        """`most_prompt_tokens` and `max_tokens`: what a budget keeps back for the call."""
        return self.most_prompt_tokens + self.max_tokens


@dataclass(frozen=True)
class ChatReply:
    """What a model answered.

    Attributes:
        text: The reply, perhaps empty, perhaps cut; see `finish_reason`.
        model: Name of the model as the endpoint returned it.
        finish_reason: ``"stop"``, ``"length"`` for a reply that was cut, or what the endpoint
            says.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the reply, those of hidden reasoning included.
        seconds: From the request to the reply.
        usd: What it cost, or ``None`` where no price is known.
        cached: Whether it was recorded before: nothing was spent now, and the figures are
            those of the recorded call.
        estimated: Whether the endpoint counted no tokens, so that the counts are bounds.
    """

    text: str
    model: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    usd: float | None
    cached: bool = False
    estimated: bool = False

    @property
    def cut(self) -> bool:
        """Whether `max_tokens` ended the reply."""
        return self.finish_reason == "length"

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChatReply:
        """Reads what `to_json` wrote; keys that are not known are left out.

        Raises:
            TypeError: A value is missing.
            ValueError: A value is of the wrong type.
        """
        found = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        refuse_wrong_types("a reply", found, _REPLY_TYPES)
        return cls(**found)


TEXT, COUNT, NUMBER, FLAG = (str,), (int,), (int, float), (bool,)
"""Types of JSON values, as `refuse_wrong_types` takes them."""

MOST = 1e12
"""No number of tokens, seconds or dollars is larger."""

_REPLY_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("text", "model", "finish_reason"), TEXT),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), COUNT),
    **dict.fromkeys(("cached", "estimated"), FLAG),
    "seconds": NUMBER,
    "usd": (*NUMBER, type(None)),
}


def refuse_wrong_types(
    what: str, found: Mapping[str, Any], types: Mapping[str, tuple[type, ...]]
) -> None:
    """Raises if a value that was read is not of one of its types; a bool is no number.

    What has been spent is a sum of such numbers, which NaN, a negative number or one without
    bound would make meaningless, and a limit with it.

    Raises:
        ValueError: Names the value.
    """
    for name, value in found.items():
        wanted = types[name]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ValueError(f"`{name}` of {what} must not be {value!r:.60}")
        if isinstance(value, (int, float)) and not 0 <= value <= MOST:
            raise ValueError(f"`{name}` of {what} must be in [0, {MOST:g}], got {value!r:.60}")


class ChatModel(ABC):
    """Something that answers chat requests; may be asked from several threads at once.

    An object with `name` and `complete` that is no subclass is adapted: `as_chat_model`.
    """

    @default
    def name(self) -> str:
        """Family and argument, e.g. ``"openai:gpt-4.1"``: each model's own; else its class's."""
        return type(self).__name__

    @default
    def capabilities(self) -> frozenset[str]:
        """What the model can do, of these words.

        ``"schema"``: replies that follow a JSON schema. ``"grammar"``: replies that follow a
        GBNF grammar. ``"small"``: too small for prose; wants short genes and elites only.
        ``"null"``: answers with `ChatRequest.uniform`. ``"free"``: costs no money.
        """
        return frozenset()

    @default
    def parameters(self) -> Mapping[str, Any]:
        """Its own settings that change what it answers, plain JSON; keys of a cache hold them."""
        return {}

    @abstractmethod
    def complete(self, request: ChatRequest) -> ChatReply:
        """Answers once; never tries again by itself.

        Raises:
            TransientChatError: The same call may succeed later.
            RefusedChatError: The model refuses.
            ChatError: Anything else that gives no usable reply.
        """


def as_chat_model(given: Any) -> ChatModel:
    """The model as it is, or an object with `name` and a method `complete` made one.

    Raises:
        TypeError: It lacks one of them.
    """
    if isinstance(given, ChatModel):
        return given
    if not (hasattr(given, "name") and callable(getattr(given, "complete", None))):
        raise TypeError(f"`llm` must be a name or a chat model, got {shown(given)}")
    return _AdaptedChatModel(given)


@dataclass(frozen=True, repr=False)
class _AdaptedChatModel(ChatModel):
    given: Any

    @property
    def name(self) -> str:
        return str(self.given.name)

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset(getattr(self.given, "capabilities", ()))

    @property
    def parameters(self) -> Mapping[str, Any]:
        return dict(getattr(self.given, "parameters", {}))

    def complete(self, request: ChatRequest) -> ChatReply:
        reply: ChatReply = self.given.complete(request)
        return reply

    def __repr__(self) -> str:
        return shown(self.given)


def chat_model(spec: str, **options: Any) -> ChatModel:
    """Builds a chat model, e.g. ``chat_model("openai:gpt-4.1")`` or ``chat_model("local")``.

    Args:
        spec: ``family`` or ``family:argument``; the family is registered in the entry-point
            group ``nas_plugins.chat_models``.
        **options: Options of the family.

    Raises:
        UnknownNameError: The family is not registered; the message suggests the nearest.
        ChatSetupError: The model cannot be used so: no key, no such file.
        MissingDependencyError: A package is absent; the message gives the pip command.
        PluginError: The plug-in cannot be imported or built.
    """
    family, colon, argument = spec.partition(":")
    if colon and not argument:
        raise ChatSetupError(f"`spec` must name something behind the colon, got {spec!r}")
    factory = registry.load("chat model", family)
    refusals = (TypeError, ValueError)
    with plugin_code(f"chat model {family!r}", "cannot be built", passing=refusals):
        made = factory(argument, **options) if argument else factory(**options)
    try:
        return as_chat_model(made)
    except TypeError as error:
        raise PluginError(f"chat model {family!r} is of no use: {error}") from error


def canonical_json(data: object) -> str:
    """JSON text that is the same for equal data.

    Raises:
        TypeError: Something in it is not plain JSON data.
    """
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def sha256_of(data: object) -> str:
    """SHA-256 of plain JSON data, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()
