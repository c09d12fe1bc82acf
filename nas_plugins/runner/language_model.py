"""The language model that a strategy asks: what it may spend, and what is kept of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_plugins import registry
from nas_plugins._public import strategy_class
from nas_plugins._secrets import masked
from nas_plugins.errors import OutputError, UsageError, unknown_name
from nas_plugins.protocols import Strategy

if TYPE_CHECKING:
    from nas_plugins.runner.request import SearchRequest

LEDGER_FILE, OLD_LEDGER_FILE = "llm-calls.jsonl", "llm-calls.old.jsonl"

_LEDGER, _STORE, _MODE = "ledger", "store", "mode"
_OPTIONS = {
    "name": "llm",
    "options": "llm_options",
    "calls": "max_calls",
    "tokens": "max_tokens",
    "usd": "max_usd",
    "seconds": "max_seconds",
    "ledger": _LEDGER,
    "record": _STORE,
    "cache": _STORE,
    "prices": "prices",
}
"""Option of the strategy by the key of `llm`."""

_OF_THE_RUN = frozenset(
    {
        "attempts",
        "max_calls",
        "max_seconds",
        "max_tokens",
        "max_usd",
        "prices",
        "requests_per_minute",
        "tokens_per_minute",
        _LEDGER,
        _MODE,
        _STORE,
    }
)


def with_language_model(
    strategy: str | Strategy, options: Mapping[str, Any], llm: str | Mapping[str, Any] | None
) -> dict[str, Any]:
    """The options of the strategy with those of its model.

    Args:
        strategy: The strategy, or its name.
        options: Given for it otherwise.
        llm: Name of the chat model, or a mapping: its ``name`` as `nas_plugins.llm.chat_model`
            takes it and its ``options``; budgets ``calls``, ``tokens``, ``usd`` (which needs
            ``prices``, a file) and ``seconds``; files for every call (``ledger``), for every
            reply (``record``), and for replies that are also taken from there (``cache``).

    Raises:
        TypeError: `llm` or its options are neither.
        UsageError: The strategy asks no model, or an option is given twice.
        UnknownNameError: The strategy, the model or an option of the model is not known.
    """
    if not isinstance(llm, str | Mapping | None):
        raise TypeError(
            f"`llm` must be the name of a chat model or a dictionary such as "
            f"{{'name': 'local', 'calls': 100}}, got {llm!r}"
        )
    words: dict[str, Any] = {"name": llm} if isinstance(llm, str) else dict(llm or {})
    if not isinstance(words.get("options"), Mapping | None):
        raise TypeError(f"`llm[options]` must be a dictionary, got {words['options']!r}")
    given = {word: value for word, value in words.items() if value not in (None, {})}
    for word in given.keys() - _OPTIONS.keys():
        raise unknown_name("key of `llm`", word, _OPTIONS)
    if "record" in given and "cache" in given:
        raise UsageError("give `llm[record]` or `llm[cache]`, not both")
    if given and not kind_of(strategy).asks_language_model:
        word = next(iter(given))
        raise UsageError(
            f"`{_argument(word)}` goes with a strategy that asks a language model, such as "
            f"`strategy=llm-coevolution`; {strategy} has no option `{_OPTIONS[word]}`"
        )
    found = dict(options)
    for word, value in given.items():
        option = _OPTIONS[word]
        if option in options:
            raise UsageError(
                f"`{_argument(word)}` and `strategy_options={option}=...` say the same thing"
            )
        found[option] = str(value) if isinstance(value, Path) else value
        if option == _STORE:
            found[_MODE] = word
    if "options" in given and "llm" in found:
        family = str(found["llm"]).partition(":")[0]
        registry.refuse_unknown_options("chat model", family, given["options"])
    return found


def _argument(word: str) -> str:
    return "llm" if word == "name" else f"llm[{word}]"


def kind_of(strategy: str | Strategy) -> type[Strategy]:
    """The class that tells what a strategy asks for; `Strategy` where a name makes another.

    Raises:
        UnknownNameError: There is no such strategy; suggests the nearest.
    """
    if isinstance(strategy, str):
        return strategy_class(strategy)
    kind = type(strategy)
    return kind if issubclass(kind, Strategy) else Strategy


def lasting_options(strategy: str | Strategy, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that all runs of a study must share: not budgets, not files of the calls."""
    if not kind_of(strategy).asks_language_model:
        return dict(options)
    return {
        name: value for name, value in told_options(options).items() if name not in _OF_THE_RUN
    }


def told_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a strategy as a result may tell them: without where the ledger is, and masked.

    A key belongs into the environment. If somebody has put one into the options of a model all
    the same, it does not get into files.
    """
    found: dict[str, Any] = masked({k: v for k, v in options.items() if k != _LEDGER})
    return found


@contextmanager
def ledger(request: SearchRequest) -> Iterator[SearchRequest]:
    """Gives a strategy that asks a language model a file to note every call in.

    It lies in the folder of the results. Without such a folder several workers get one of their
    own for as long as they run, as they keep to the budget together. A ledger that lies there
    belongs to this search if that is resumed; otherwise it is an older search's, which is kept
    under another name.

    Yields:
        The request with the file.

    Raises:
        OutputError: An older ledger cannot be renamed.
    """
    named = isinstance(request.strategy, str)  # an object has a ledger, or does without
    asks = named and kind_of(request.strategy).asks_language_model
    if not asks or request.strategy_options.get(_LEDGER) is not None:
        yield request
    elif request.out is not None:
        with _fresh(request.out, resume=request.resume) as path:
            yield _with(request, path)
    elif request.workers > 1:
        with tempfile.TemporaryDirectory(prefix="nas-plugins-") as name:
            yield _with(request, Path(name) / LEDGER_FILE)
    else:
        yield request


@contextmanager
def _fresh(folder: Path, *, resume: bool) -> Iterator[Path]:
    path, old = folder / LEDGER_FILE, folder / OLD_LEDGER_FILE
    moved = not resume and path.is_file()
    try:
        if moved:
            path.replace(old)
    except OSError as error:
        raise OutputError(f"{path} cannot be renamed: {error.strerror}") from error
    try:
        yield path
    finally:
        # A search that could not begin has not replaced anything.
        if moved and not path.exists():
            old.replace(path)


def _with(request: SearchRequest, path: Path) -> SearchRequest:
    return replace(request, strategy_options={**request.strategy_options, _LEDGER: str(path)})
