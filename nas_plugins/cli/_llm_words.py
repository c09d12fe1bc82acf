"""The options of ``nas-plugins search`` about the language model, as Typer reads them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

_option: Any = functools.partial(typer.Option, rich_help_panel="Language model")
_file: Any = functools.partial(_option, metavar="FILE")

Name: TypeAlias = Annotated[
    str | None,
    _option(
        help="Chat model that the strategy asks: local, openai:MODEL, replay:FILE, null, ...",
        metavar="NAME",
    ),
]
Option: TypeAlias = Annotated[
    list[str] | None,
    _option(help="Option of the chat model; repeatable.", metavar="key=value"),
]
Calls: TypeAlias = Annotated[
    int | None, _option(help="Most calls of the search, all workers and runs together.")
]
Tokens: TypeAlias = Annotated[int | None, _option(help="Most tokens, likewise.")]
USD: TypeAlias = Annotated[
    float | None, _option(help="Most US dollars, likewise; needs --llm-prices.")
]
Seconds: TypeAlias = Annotated[float | None, _option(help="Most seconds with a call under way.")]
Prices: TypeAlias = Annotated[
    Path | None, _file(help="TOML or JSON file with US dollars per million tokens.")
]
Ledger: TypeAlias = Annotated[
    Path | None,
    _file(help="File for every call; with --out, llm-calls.jsonl in that folder by default."),
]
Record: TypeAlias = Annotated[
    Path | None, _file(help="File for every reply, which --llm replay:FILE repeats.")
]
Cache: TypeAlias = Annotated[
    Path | None,
    _file(help="File that replies are taken from where it has them, and added to."),
]

__all__ = [
    "USD",
    "Cache",
    "Calls",
    "Ledger",
    "Name",
    "Option",
    "Prices",
    "Record",
    "Seconds",
    "Tokens",
]
