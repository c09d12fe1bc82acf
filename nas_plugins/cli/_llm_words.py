"""The options of ``nas-plugins search`` about the language model, as Typer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

_PANEL = "Language model"
_FILE = "FILE"

Name: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Chat model that the strategy asks: local, openai:MODEL, replay:FILE, null, ...",
        metavar="NAME",
        rich_help_panel=_PANEL,
    ),
]
Option: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="Option of the chat model; repeatable.", metavar="key=value", rich_help_panel=_PANEL
    ),
]
Calls: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Most calls of the search, all workers and runs together.", rich_help_panel=_PANEL
    ),
]
Tokens: TypeAlias = Annotated[
    int | None, typer.Option(help="Most tokens, likewise.", rich_help_panel=_PANEL)
]
USD: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Most US dollars, likewise; needs --llm-prices.", rich_help_panel=_PANEL),
]
Seconds: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Most seconds with a call under way.", rich_help_panel=_PANEL),
]
Prices: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="TOML or JSON file with US dollars per million tokens.",
        metavar=_FILE,
        rich_help_panel=_PANEL,
    ),
]
Ledger: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="File for every call; with --out, llm-calls.jsonl in that folder by default.",
        metavar=_FILE,
        rich_help_panel=_PANEL,
    ),
]
Record: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="File for every reply, which --llm replay:FILE repeats.",
        metavar=_FILE,
        rich_help_panel=_PANEL,
    ),
]
Cache: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="File that replies are taken from where it has them, and added to.",
        metavar=_FILE,
        rich_help_panel=_PANEL,
    ),
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
