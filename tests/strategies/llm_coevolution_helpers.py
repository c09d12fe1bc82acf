"""What the tests of LLM co-evolution share: scripted models, searches, a reader of grammars."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import nas_plugins as nap
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import ChatModel, ChatReply, ChatRequest
from nas_plugins.spaces.base import SearchSpace
from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution
from nas_plugins.testing.strategies import objectives, search

Script = Callable[[ChatRequest], str]


class ScriptedChat(ChatModel):
    """Answers as a function says and counts what it is asked."""

    def __init__(
        self, script: Script, *, small: bool = False, name: str = "scripted", finish: str = "stop"
    ) -> None:
        self.script = script
        self.name = name
        self.finish = finish
        self.capabilities = frozenset({"schema", "grammar"} | ({"small"} if small else set()))
        self.requests: list[ChatRequest] = []

    def complete(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        text = self.script(request)
        return ChatReply(text, self.name, self.finish, 100, 10, 0.25, None)


def uniform(request: ChatRequest) -> str:
    """A legal reply, the same for the same request."""
    assert request.uniform is not None
    return request.uniform(np.random.default_rng(int(request.digest[:12], 16)))


def generating(reply: str | Script, *, otherwise: Script = uniform) -> Script:
    """Answers questions for children so, and others otherwise."""

    def script(request: ChatRequest) -> str:
        if "knowledge" in request.template:
            return otherwise(request)
        return reply if isinstance(reply, str) else reply(request)

    return script


def children(*genes: str) -> str:
    """A reply with children."""
    return json.dumps({"children": [{"rationale": "r", "gene": gene} for gene in genes]})


def space() -> SearchSpace:
    """NAS-Bench-201: small enough to be listed, with a counting axis."""
    return nap.space("nasbench201")


def empty(m: int = 2) -> History:
    """A search that has not begun."""
    return History(space(), objectives(m))


def quick(llm: Any, **options: Any) -> LLMCoEvolution:
    """A strategy that asks early and often."""
    chosen = {
        "axis": "n_nor_conv_3x3",
        "n_initial": 1,
        "children": 3,
        "n_niches": 3,
        "attempts": 1,
        **options,
    }
    return LLMCoEvolution(llm=llm, **chosen)


def run(strategy: LLMCoEvolution, n: int = 24, *, seed: int = 0, batch: int = 1) -> History:
    """A search from the start."""
    return search(strategy, empty(), n, seed=seed, batch=batch)


def plain(history: History) -> list[tuple[int, ...]]:
    """The architectures of a search."""
    return [trial.architecture.indices for trial in history.trials]


def running(history: History) -> History:
    """The same trials, none of them finished."""
    trials = tuple(
        Trial(t.number, t.architecture, TrialState.RUNNING, notes=t.notes) for t in history.trials
    )
    return History(history.space, history.objectives, trials)


# -- grammars ------------------------------------------------------------------------------

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z][\w-]*|[()|?])')


class Grammar:
    """Reads the part of GBNF that the strategy writes: literals, rules, groups, ``|``, ``?``."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, Any] = {}
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            tokens = _TOKEN.findall(body)
            assert "".join(tokens) == re.sub(r'\s+(?=(?:[^"]*"[^"]*")*[^"]*$)', "", body)
            self.rules[name], rest = self._choice(tokens)
            assert not rest

    def accepts(self, text: str) -> bool:
        """Whether `text` as a whole follows ``root``."""
        return len(text) in self._ends(self.rules["root"], text, 0)

    def _choice(self, tokens: list[str]) -> tuple[Any, list[str]]:
        options = []
        while True:
            sequence, tokens = self._sequence(tokens)
            options.append(sequence)
            if not tokens or tokens[0] != "|":
                return ("or", options), tokens
            tokens = tokens[1:]

    def _sequence(self, tokens: list[str]) -> tuple[Any, list[str]]:
        items: list[Any] = []
        while tokens and tokens[0] not in "|)":
            head, tokens = tokens[0], tokens[1:]
            if head == "(":
                item, tokens = self._choice(tokens)
                assert tokens[0] == ")"
                tokens = tokens[1:]
            elif head[0] == '"':
                item = ("text", json.loads(head))
            else:
                item = ("rule", head)
            if tokens and tokens[0] == "?":
                item, tokens = ("or", [item, ("and", [])]), tokens[1:]
            items.append(item)
        return ("and", items), tokens

    def _ends(self, node: Any, text: str, start: int) -> set[int]:
        kind, value = node
        if kind == "text":
            return {start + len(value)} if text.startswith(value, start) else set()
        if kind == "rule":
            return self._ends(self.rules[value], text, start)
        if kind == "or":
            return set().union(*(self._ends(option, text, start) for option in value))
        ends = {start}
        for item in value:
            ends = set().union(*(self._ends(item, text, end) for end in ends))
        return ends


def counts_of(history: History) -> Mapping[str, int]:
    """What was counted in a search."""
    from nas_plugins.strategies.llm_coevolution.log import coevolution_log

    log = coevolution_log(history)
    assert log is not None
    return log.counts
