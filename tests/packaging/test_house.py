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
        "_tensors",
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

PARSERS = {
    "bz2.BZ2Decompressor",
    "csv.DictReader",
    "csv.reader",
    "gzip.open",
    "json.load",
    "json.loads",
    "np.load",
    "np.loadtxt",
    "onnxruntime.InferenceSession",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "safetensors.safe_open",
    "safetensors.torch.load",
    "safetensors.torch.load_file",
    "tarfile.open",
    "tomllib.loads",
    "torch.load",
    "yaml.load",
    "yaml.safe_load",
    "zipfile.ZipFile",
}
READERS = {
    "_arrays": "the home",
    "_reading": "the home",
    "_tensors": "the home",
    "benchmarks.loaders.nats_bench": "a home of its own: the official archives",
    "benchmarks.loaders.pickles": "a home of its own: pickles from outside",
    "benchmarks.nasbench301": "a home of its own: the only network in ONNX",
    "cli._options": "a word of the command line",
    "evaluators.zero_cost.pool": "a process of ours at the other end of the pipe",
    "llm._openai": "a reply of a server, bounded by its time and tokens",
    "llm._transformers": "the back end of a tokenizer, read from memory",
    "llm.jsonl": "a home of its own: lines that may be torn",
    "llm.prices": "tomllib, which is imported by name",
    "nni._registration": "a file of this package",
    "nni._tuner": "values that NNI hands over",
    "optuna._attributes": "attributes of a study",
    "optuna._known": "attributes of a study",
    "optuna._study": "attributes of a study",
    "report._header": "a value that the page itself shows",
    "runner.journal": "a home of its own: lines that may be torn",
    "spaces.categorical": "one architecture in words",
    "spaces.nasbench101": "one architecture in words",
    "spaces.vit": "one architecture in words",
    "strategies.arch_vq.fit": "states that only torch writes, with weights_only",
    "strategies.llm_coevolution.log": "a note of a trial",
    "strategies.llm_coevolution.replies": "a reply of a model",
    "testing.evaluators": "what a test has just written",
    "testing.spaces": "what a test has just written",
    "testing.strategies": "what a test has just written",
}
"""Modules that call a parser themselves, and why; all others read through the home."""


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


def dotted(node: ast.expr) -> str:
    """``"a.b"`` of such an expression; empty of any other."""
    if isinstance(node, ast.Name):
        return node.id
    owner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{owner}.{node.attr}" if isinstance(node, ast.Attribute) and owner else ""


def parsers_in(tree: ast.Module) -> set[str]:
    """The raw parsers that a module calls, subclasses, or imports by name."""
    named = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name.replace("numpy.", "np.") for name in {*named, *imported(tree)}} & PARSERS


def test_files_are_parsed_in_one_place() -> None:
    wrong = {
        name: found
        for name, tree in modules().items()
        if name.partition(".")[2] not in READERS and (found := parsers_in(tree))
    }
    assert not wrong


def test_a_raw_parser_is_found_however_it_is_named() -> None:
    for line in ("json.loads(x)", "from json import loads", "import numpy\nnumpy.load(x)"):
        assert parsers_in(ast.parse(line)), line
