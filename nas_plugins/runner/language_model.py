"""``--llm``: the language model that a strategy asks, what it may spend, what is kept of it."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nas_plugins import registry
from nas_plugins.errors import OutputError, UsageError
from nas_plugins.runner.options import Options, options_of
from nas_plugins.runner.problem import Plan

OPTION = "--llm-option"
LEDGER_FILE, OLD_LEDGER_FILE = "llm-calls.jsonl", "llm-calls.old.jsonl"

_LEDGER, _STORE, _MODE = "ledger", "store", "mode"
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
_SECRET = re.compile(r"key|secret|password|credential|authori[sz]|(?:^|[_-])token$", re.IGNORECASE)


@dataclass(frozen=True)
class LLMPlan:
    """What ``--llm`` and its kin were given; plain data.

    Attributes:
        name: Of the chat model, as `nas_plugins.llm.chat_model` takes it.
        options: Of the model.
        calls, tokens, usd, seconds: Budgets.
        ledger: File for every call.
        record: File for every reply.
        cache: The same, and replies that it holds already are taken from there.
        prices: File with US dollars per million tokens.
    """

    name: str | None = None
    options: Options = field(default_factory=dict)
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None
    ledger: Path | None = None
    record: Path | None = None
    cache: Path | None = None
    prices: Path | None = None

    def joined(self, strategy: str, options: Options) -> dict[str, Any]:
        """The options of the strategy with those of its model.

        Args:
            strategy: Its name.
            options: What ``--strategy-option`` was given.

        Raises:
            UsageError: The strategy asks no model, or an option is given twice.
            UnknownNameError: The strategy, the model or an option of the model is not known.
        """
        given = self._given()
        if not given:
            return dict(options)
        known = inspect.signature(registry.load("strategy", strategy)).parameters
        for word, (option, _) in given.items():
            if option not in known:
                raise UsageError(
                    f"{word} goes with a strategy that asks a language model, such as "
                    f"--strategy llm-coevolution; {strategy} has no option `{option}`"
                )
            if option in options:
                raise UsageError(f"{word} and --strategy-option {option}=... say the same thing")
        found = {**options, **dict(given.values())}
        if self.options:
            family = str(found.get("llm", known["llm"].default)).partition(":")[0]
            with options_of("chat model", family, self.options):
                pass
        return found

    def _given(self) -> dict[str, tuple[str, Any]]:
        """Option of the strategy and its value, by the word on the command line."""
        if self.record is not None and self.cache is not None:
            raise UsageError("give --llm-record or --llm-cache, not both")
        words: dict[str, tuple[str, Any]] = {
            "--llm": ("llm", self.name),
            OPTION: ("llm_options", dict(self.options) or None),
            "--llm-calls": ("max_calls", self.calls),
            "--llm-tokens": ("max_tokens", self.tokens),
            "--llm-usd": ("max_usd", self.usd),
            "--llm-seconds": ("max_seconds", self.seconds),
            "--llm-ledger": (_LEDGER, _text(self.ledger)),
            "--llm-record": (_STORE, _text(self.record)),
            "--llm-cache": (_STORE, _text(self.cache)),
            "--llm-prices": ("prices", _text(self.prices)),
        }
        given = {word: pair for word, pair in words.items() if pair[1] is not None}
        for word, mode in (("--llm-record", "record"), ("--llm-cache", "cache")):
            if word in given:
                given[f"{word} (its mode)"] = (_MODE, mode)
        return given


def lasting_options(strategy: str, options: Options) -> dict[str, Any]:
    """The options that all runs of a study must share: not budgets, not files of the calls."""
    if not _asks(strategy):
        return dict(options)
    return {name: value for name, value in shown(options).items() if name not in _OF_THE_RUN}


def shown(options: Options) -> dict[str, Any]:
    """Options of a strategy as a result may tell them: without where the ledger is, and masked.

    A key belongs into the environment. If somebody has put one into the options of a model all
    the same, it does not get into files.
    """
    kept = {name: value for name, value in options.items() if name != _LEDGER}
    if isinstance(kept.get("llm_options"), Mapping):
        kept["llm_options"] = _masked(kept["llm_options"])
    return kept


@contextmanager
def ledger(plan: Plan, *, out: Path | None, workers: int, resume: bool) -> Iterator[Plan]:
    """Gives a strategy that asks a language model a file to note every call in.

    It lies in the folder of the results. Without such a folder several workers get one of their
    own for as long as they run, as they keep to the budget together.

    Args:
        plan: What is searched.
        out: Folder of the results.
        workers: Processes.
        resume: Whether a ledger that is there belongs to this search; otherwise it is an older
            search's, which is kept under another name.

    Yields:
        The plan with the file.

    Raises:
        OutputError: An older ledger cannot be renamed.
    """
    if not _asks(plan.strategy) or plan.strategy_options.get(_LEDGER) is not None:
        yield plan
    elif out is not None:
        with _fresh(out, resume=resume) as path:
            yield _with(plan, path)
    elif workers > 1:
        with tempfile.TemporaryDirectory(prefix="nas-plugins-") as name:
            yield _with(plan, Path(name) / LEDGER_FILE)
    else:
        yield plan


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


def _with(plan: Plan, path: Path) -> Plan:
    return replace(plan, strategy_options={**plan.strategy_options, _LEDGER: str(path)})


def _asks(strategy: str) -> bool:
    """Whether a strategy asks a language model and notes its calls."""
    known = inspect.signature(registry.load("strategy", strategy)).parameters
    return "llm" in known and _LEDGER in known


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: "***" if _SECRET.search(str(k)) else _masked(v) for k, v in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


__all__ = ["LEDGER_FILE", "OPTION", "LLMPlan", "lasting_options", "ledger", "shown"]
