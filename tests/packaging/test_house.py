"""The house holds where import-linter cannot tell: private modules, names, and long functions."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "nas_plugins"

MAX_LINES = 60
REASON = "Long because "
"""How the sentence begins that says why a function is longer, at the end of its docstring."""

ABOVE = {"__main__", "cli"}
USERS = {
    "PyTorch": {
        *ABOVE,
        "_torch",
        "evaluators",
        "networks",
        "nni",
        "optuna",
        "report",
        "reproduction",
        "runner",
    },
    "Optuna": {*ABOVE, "optuna", "reproduction", "runner"},
    "NNI": {*ABOVE, "nni", "runner"},
}
"""Rooms that use a library, or call a room that does. All others do without, says a contract."""


@cache
def modules() -> dict[str, ast.Module]:
    """Parsed modules by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names that a module imports, at any depth of its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def home_of_private(name: str) -> str | None:
    """The package or module that keeps `name`, or a part of it, to itself."""
    parts = name.split(".")
    for i, part in enumerate(parts):
        if part.startswith("_") and not part.startswith("__"):
            return ".".join(parts[:i])
    return None


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(modules()[name]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def contracts() -> list[dict[str, Any]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    return found


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("nas_plugins.nni._space.model_space", "nas_plugins.nni"),
        ("nas_plugins.nni._translate.base", "nas_plugins.nni"),
        ("nas_plugins.runner.search._run", "nas_plugins.runner.search"),
        ("nas_plugins._files.replacing", "nas_plugins"),
        ("nas_plugins.__version__", None),
        ("nas_plugins.spaces.darts.DARTS", None),
    ],
)
def test_what_is_private_belongs_to_what_holds_it(name: str, home: str | None) -> None:
    assert home_of_private(name) == home


def test_no_module_imports_what_another_room_keeps_to_itself() -> None:
    wrong = []
    for name, tree in modules().items():
        for other in imported(tree):
            home = home_of_private(other) if other.startswith("nas_plugins.") else None
            if home is not None and not f"{name}.".startswith(f"{home}."):
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_imports_are_absolute() -> None:
    relative = {
        name for name, tree in modules().items() for o in imported(tree) if o.startswith(".")
    }
    assert not relative


def test_the_picture_in_contributing_is_the_contract() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"^```\n(cli .*?)^```", text, re.DOTALL | re.MULTILINE)
    drawn = [room for line in picture.splitlines() for room in line.split("  ")[0].split(" · ")]
    (layers,) = [c["layers"] for c in contracts() if c["type"] == "layers"]
    rooms = [room for layer in layers for room in re.split(r" [|:] ", layer)]
    assert drawn == [room for room in rooms if not room.startswith("_")]


@pytest.mark.parametrize("library", USERS)
def test_a_room_does_without_a_library_or_is_known_to_use_it(library: str) -> None:
    rooms = {name.split(".")[1] for name in modules() if "." in name}
    (contract,) = [c for c in contracts() if c["name"] == f"these do without {library}"]
    listed = {name.split(".", 1)[1] for name in contract["source_modules"]}
    whole = {name for name in listed if "." not in name}
    assert whole == rooms - USERS[library]


def test_a_class_name_means_one_class() -> None:
    counts = Counter(
        node.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, n in counts.items() if n > 1] == []


def test_functions_fit_a_screen_or_say_why_not() -> None:
    silent = [
        f"{name}.{function.name} has {lines} lines"
        for name in modules()
        for function in functions(name)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_LINES
        and REASON not in (ast.get_docstring(function) or "")
    ]
    assert not silent


def test_reasons_do_not_outlive_what_they_excuse() -> None:
    short = [
        f"{name}.{function.name}"
        for name in modules()
        for function in functions(name)
        if (function.end_lineno or 0) - function.lineno + 1 <= MAX_LINES
        and REASON in (ast.get_docstring(function) or "")
    ]
    assert not short
