"""``nas-plugins list``: what is installed, the broken plug-ins with their error."""

from __future__ import annotations

from typing import Annotated

import typer

from nas_plugins import registry
from nas_plugins.cli._console import print_json, print_table, print_text
from nas_plugins.errors import unknown_name

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
    found = {key: registry.listing(KINDS[key]) for key in ([kind] if kind else KINDS)}
    if as_json:
        print_json({key: [one.to_json() for one in plugins] for key, plugins in found.items()})
        return
    for key, plugins in found.items():
        print_table(
            key,
            ["name", "summary", "distribution"],
            [(one.name, one.error or one.summary, one.distribution) for one in plugins],
        )
        for one in plugins:
            if one.tables:
                print_text(f"{one.name}: {', '.join(one.tables)}")
