"""Models run by transformers, with a tiny one that knows nothing."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
from chat_helpers import ask

from nas_plugins.llm import ChatError, ChatModel, ChatSetupError, chat_model

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
torch = pytest.importorskip("torch")

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of a few thousand weights, whose tokens are bytes."""
    path = tmp_path_factory.mktemp("model")
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    vocabulary = {"<end>": 0, **{c: i + 1 for i, c in enumerate(sorted(byte_level.alphabet()))}}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = byte_level(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=0,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> ChatModel:
    return chat_model(f"transformers:{folder}", device="cpu")


def test_the_request_decides_the_reply_and_nobody_else_draws(model: ChatModel) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = model.complete(ask(seed=1, max_tokens=20))
    assert torch.equal(torch.rand(3), expected)
    assert model.complete(ask(seed=2, max_tokens=20)).text != first.text
    assert model.complete(ask(seed=1, max_tokens=20)).text == first.text
    greedy = [model.complete(ask(seed=k, max_tokens=20, temperature=0)).text for k in (1, 2)]
    assert greedy[0] == greedy[1]


def test_tokens_are_counted_and_a_cut_reply_is_visible(model: ChatModel) -> None:
    reply = model.complete(ask("ab", max_tokens=5, seed=3))
    assert reply.prompt_tokens == len("<|user|>ab<|assistant|>")
    assert reply.completion_tokens <= 5
    assert reply.cut == (reply.completion_tokens == 5)
    assert reply.usd == 0.0


def test_a_grammar_and_a_schema_are_obeyed(model: ChatModel) -> None:
    pytest.importorskip("llguidance")
    assert model.capabilities == {"schema", "grammar", "small", "free"}
    grammar = 'root ::= d " " d " " d\nd ::= [0-4]'
    schema = {
        "type": "object",
        "properties": {"gene": {"type": "string", "pattern": "^[0-4]{6}$"}},
        "required": ["gene"],
        "additionalProperties": False,
    }
    for seed in range(5):
        reply = model.complete(ask(grammar=grammar, seed=seed))
        assert re.fullmatch("[0-4] [0-4] [0-4]", reply.text)
        assert reply.finish_reason == "stop"
    found = [model.complete(ask(schema=schema, seed=s, max_tokens=150)) for s in range(5)]
    whole = [json.loads(reply.text) for reply in found if not reply.cut]
    assert all(re.fullmatch("[0-4]{6}", data["gene"]) for data in whole)


def test_what_the_model_cannot_do_is_a_chat_error(model: ChatModel) -> None:
    with pytest.raises(ChatError, match=r"the prompt has \d+ tokens, the model takes 256"):
        model.complete(ask("x" * 300))
    if "grammar" in model.capabilities:
        for wrong in ({"grammar": "root ::= [0-"}, {"schema": {"type": "nonsense"}}):
            with pytest.raises(ChatError, match="is not understood"):
                model.complete(ask(**wrong))


def test_a_model_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ChatSetupError, match="`transformers` must name a model"):
        chat_model("transformers")
    with pytest.raises(ChatSetupError, match="must name a model of the hub or a folder, got"):
        chat_model(f"transformers:{tmp_path}")
    with pytest.raises(ValueError, match="`dtype` must be"):
        chat_model("transformers:x", dtype="int4")


def test_a_model_pickles_without_its_weights(model: ChatModel) -> None:
    again = pickle.loads(pickle.dumps(model))
    assert len(pickle.dumps(model)) < 2000
    assert again.complete(ask(seed=1, max_tokens=4)).text == (
        model.complete(ask(seed=1, max_tokens=4)).text
    )
