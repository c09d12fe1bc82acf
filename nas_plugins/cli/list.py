"""``nas-plugins list``: what is installed, the broken plug-ins with their error."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas_plugins import registry
from nas_plugins.cli._console import console, print_json, print_table
from nas_plugins.errors import unknown_name
from nas_plugins.registry import PluginInfo

KINDS = {
    "spaces": "space",
    "strategies": "strategy",
    "evaluators": "evaluator",
    "benchmarks": "benchmark",
    "proxies": "proxy",
    "chat-models": "chat model",
}


def list_plugins(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="spaces, strategies, evaluators, benchmarks, proxies or chat-models; default all."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """List what is installed: spaces, strategies, evaluators, benchmarks, proxies, chat models.

    A plug-in that cannot be imported is listed with its error.
    """
    if kind is not None and kind not in KINDS:
        raise unknown_name("kind of plug-in", kind, KINDS)
    found = {key: _describe(KINDS[key]) for key in ([kind] if kind else KINDS)}
    if as_json:
        print_json(found)
        return
    for key, plugins in found.items():
        print_table(
            key,
            ["name", "summary", "distribution"],
            [(p["name"], p["error"] or p["summary"], p["distribution"]) for p in plugins],
        )
        for plugin in plugins:
            if plugin.get("tables"):
                console().print(f"{plugin['name']}: {', '.join(plugin['tables'])}", markup=False)


def _describe(kind: str) -> list[dict[str, Any]]:
    return [_row(kind, plugin) for plugin in registry.listing(kind)]


def _row(kind: str, plugin: PluginInfo) -> dict[str, Any]:
    row: dict[str, Any] = dict(vars(plugin))
    if kind == "benchmark":
        row["tables"] = []
        if plugin.error is None:
            try:
                row["tables"] = _tables(plugin.name)
            except Exception as error:  # a third party's plug-in may do anything
                row["error"] = f"tables() fails: {type(error).__name__}: {error}"
    return row


def _tables(family: str) -> list[str]:
    """Full names of a benchmark's tables; the family itself when it has but one."""
    tables = getattr(registry.load("benchmark", family), "tables", None)
    return [*tables()] if callable(tables) else [family]


__all__ = ["KINDS", "list_plugins"]
