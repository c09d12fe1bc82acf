"""Prices of tokens: only what the user gives, with the date they were read."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_plugins._frozen import FrozenDict
from nas_plugins._reading import json_value, refusing, text
from nas_plugins.errors import DataError, UnknownNameError, unknown_name
from nas_plugins.llm.errors import ChatSetupError

_MILLION = 1e6
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Price:
    """What a model's tokens cost.

    Attributes:
        input: US dollars per million tokens of prompts, >= 0.
        output: US dollars per million tokens of replies, >= 0.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ValueError(f"`{name}` of a price must be a number >= 0, got {value!r}")


@dataclass(frozen=True)
class Prices:
    """Prices of models.

    Attributes:
        date: When they were read, for reports.
        models: By name, as the endpoint returns it or as it is asked for.
    """

    date: str = ""
    models: FrozenDict[Price] = field(default_factory=FrozenDict)

    @classmethod
    def of(cls, source: Prices | Mapping[str, Any] | str | Path | None) -> Prices:
        """Reads prices.

        Args:
            source: A mapping, or a TOML or JSON file that holds one: ``date`` is when the
                prices were read, every other key is a model with its ``input`` and ``output``
                in US dollars per million tokens. ``None`` is no prices.

        Raises:
            ChatSetupError: There is no such file, or something in it is wrong.
        """
        if source is None:
            return cls()
        if isinstance(source, Prices):
            return source
        if isinstance(source, Mapping):
            return _prices(source, "`prices`")
        return _prices(_read(Path(source)), f"`prices` of {source}")

    def usd(self, prompt_tokens: int, completion_tokens: int, *names: str) -> float | None:
        """What a call costs, by the first of the names that has a price; else ``None``."""
        for name in names:
            if name in self.models:
                price = self.models[name]
                return (prompt_tokens * price.input + completion_tokens * price.output) / _MILLION
        return None


def _prices(data: Mapping[str, Any], what: str) -> Prices:
    models = {name: entry for name, entry in data.items() if name != "date"}
    if models and not data.get("date"):
        raise ChatSetupError(f"{what} must have a `date`: when they were read")
    found: dict[str, Price] = {}
    for name, entry in models.items():
        try:
            found[name] = entry if isinstance(entry, Price) else _price(entry)
        except (TypeError, ValueError, UnknownNameError) as error:
            raise ChatSetupError(
                f"{what} must give {name!r} an `input` and an `output`, in US dollars per "
                f"million tokens: {error}"
            ) from None
    return Prices(str(data.get("date", "")), FrozenDict(found))


def _price(entry: Any) -> Price:
    """The price that an entry says; refuses what is in none."""
    if not isinstance(entry, Mapping):
        raise TypeError(f"got {entry!r}")
    known = ("input", "output")
    for key in entry:
        if key not in known:
            raise unknown_name("key", key, known)
    for key in known:
        if key not in entry:
            raise TypeError(f"there is no {key!r}")
    return Price(**entry)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with refusing(path, "a file of prices"):
            content = text(path, most=_LARGEST)
            toml = path.suffix.lower() == ".toml"
            data = _toml(content) if toml else json_value(content)
    except DataError as error:
        raise ChatSetupError(f"cannot read the prices: {error}") from error
    if not isinstance(data, Mapping):
        raise ChatSetupError(f"{path} must hold an object, got {type(data).__name__}")
    return data


def _toml(content: str) -> Any:
    try:
        tomllib = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        raise ChatSetupError(
            "prices in TOML need Python 3.11 or newer; write them as JSON"
        ) from None
    return tomllib.loads(content)
