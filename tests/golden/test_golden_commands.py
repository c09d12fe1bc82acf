"""The other commands against golden copies; see ``test_golden.py``.

The reproductions of Arch-VQ train models for seconds to minutes. Where processor and version of
PyTorch are those of the recording their numbers must be the same; elsewhere only titles, headings
and rows, as training amplifies last digits. NAS_PLUGINS_GOLDEN_ALL=1 runs those too that take more
than 20 s each.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden_helpers import ONE, SEED, TABLE, UPDATE, Run, check, digest, golden, hidden, steady

DATA = os.environ.get("NAS_PLUGINS_DATA", "")


# -- lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["spaces", "strategies", "evaluators", "benchmarks", "proxies", "chat-models"]
)
def test_lists(run: Run, kind: str) -> None:
    """Names, summaries and tables; not the modules, which may move."""
    found = run("list", kind, "--json").json[kind]
    ours = [row for row in found if row["distribution"].startswith("nas-plugins")]
    rows = {row["name"]: [row["summary"], row.get("tables")] for row in ours}
    check(f"list-{kind}", {name: hidden(row, 300) for name, row in rows.items()})


def test_the_list_of_files(run: Run) -> None:
    files = run("data", "list", "--json").json["files"]
    for file in files:
        file["path"] = Path(file["path"]).name
        file["advice"] = digest(file["advice"])
    check("data-list", {file.pop("name"): file for file in files})


def test_the_list_of_tables_and_figures(run: Run) -> None:
    check("reproduce-list", run("reproduce", "--json").json)


@pytest.mark.parametrize("command", ["search", "sample", "score", "report", "reproduce", "list",
                                     "train arch-vq", "data list", "data fetch"])  # fmt: skip
def test_options(run: Run, command: str) -> None:
    ran = run(*command.split(), "--help")
    options = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ran.out)))
    check(f"help-{command.replace(' ', '-')}", {"code": ran.code, "options": options})


SEARCH = ("search", *TABLE, *ONE, "--trials", 3, "--quiet")
WRONG: dict[str, tuple[object, ...]] = {
    "strategy": (*SEARCH, "--strategy", "archive-evoluton"),
    "strategy option": (*SEARCH, "--strategy-option", "n_intial=3"),
    "metric": ("search", *TABLE, "--objective", "val_acuracy"),
    "benchmark": ("search", "--benchmark", "nasbench201/cifar1", *ONE),
    "absent data": ("search", "--benchmark", "nasbench101", "--objective", "val_accuracy"),
    "constraint": (*SEARCH, "--constraint", "latency_ms=3"),
    "no objective": ("search", *TABLE),
    "unknown option": (*SEARCH, "--trails", 3),
    "storage": (*SEARCH, "--storage", "sqlite:///s.db"),
    "engine": (*SEARCH, "--engine", "nnni"),
    "pruner": (*SEARCH, "--pruner", "medium"),
    "model": (*SEARCH, "--strategy", "llm-coevolution", "--llm", "nul"),
    "result": ("report", "--result", "absent.json", "--out", "r.html"),
    "sample": ("sample", "--space", "nasbench20"),
    "score": ("score", "--space", "nasbench201", "--proxies", "synflw"),
    "reproduce": ("reproduce", "llm-nas-tabel3"),
    "list": ("list", "space"),
}


def test_errors(run: Run) -> None:
    ran = {name: run(*words) for name, words in WRONG.items()}
    told = {name: [r.code, r.out, _without_waiting(r.err)] for name, r in ran.items()}
    check("errors", told)


def _without_waiting(text: str) -> list[str]:
    """What a slow machine says meanwhile is left out."""
    return [line for line in text.splitlines() if not line.startswith("preparing · ")]


# -- models and scores -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nasbench201", ("--space", "nasbench201")),
        ("nasbench101", ("--space", "nasbench101")),
        ("darts", ("--space", "darts")),
        ("paper", ("--space", "nasbench201", "--decoding", "paper", "--temperature", 1.5)),
        ("new", ("--space", "nasbench201", "--exclude-train", "--no-unique")),
    ],
)
def test_samples(run: Run, name: str, words: tuple[object, ...]) -> None:
    pytest.importorskip("torch")
    ran = run("sample", *words, "-n", 50, *SEED, "--json", "--out", "drawn.txt")
    drawn = Path("drawn.txt").read_text(encoding="utf-8")
    first = drawn.splitlines()[:8]
    check(f"sample-{name}", {**steady(ran.json), "sha256": digest(drawn), "first": first})


def test_scores(run: Run) -> None:
    """Gradients of a network with kinks: another processor's rounding moves some by 0.3 %."""
    pytest.importorskip("torch")
    words = ("--space", "nasbench201", "--proxies", "all", "--n", 4)
    found = steady(run("score", *words, *SEED, "--json").json)
    found["proxies"] = {proxy["name"]: digest(str(proxy)) for proxy in found["proxies"]}
    check("score", found, rel=1e-2, near=1e-6)


# -- tables and figures of papers --------------------------------------------------------------


def table(found: dict[str, Any]) -> dict[str, Any]:
    """One table of a reproduction; a spread becomes a list, columns of times are left out."""
    kept = [i for i, name in enumerate(found["columns"]) if name not in ("min", "model min")]
    rows = [[_cell(row[i]) for i in kept] for row in found["rows"]]
    columns = [found["columns"][i] for i in kept]
    return {"title": found["title"], "columns": columns, "rows": rows, "notes": found["notes"]}


def _cell(cell: Any) -> Any:
    if isinstance(cell, dict):
        return [_cell(value) for value in cell.values()]
    return float(f"{cell:.7g}") if isinstance(cell, float) else cell


def document(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What is recorded of a reproduction."""
    tables = [table(one) for one in found["tables"]]
    for one in tables:
        one["notes"] = digest(str(one["notes"]))
    files = sorted(file.name for file in folder.iterdir() if file.is_file())
    return {
        "title": found["title"],
        "settings": found["settings"],
        "remarks": [digest(re.sub(r"\d+\.\d minutes", "minutes", r)) for r in found["remarks"]],
        "files": [name for name in files if name.startswith(found["name"])],
        "tables": {one.pop("title"): one for one in tables},
    }


@pytest.mark.parametrize("name", ["table2", "table3", "table4", "table5"])
def test_reproductions_of_llm_nas(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if not DATA:
        pytest.skip("NAS_PLUGINS_DATA is not set")
    if name == "table5":
        pytest.importorskip("xgboost")
    monkeypatch.setenv("NAS_PLUGINS_DATA", DATA)
    words = ("--quick", "--seeds", 1, "--evaluations", 24, "--datasets", "cifar10",
             "--devices", "fpga", "--quiet", "--json", "--out", "there")  # fmt: skip
    ran = run("reproduce", f"llm-nas-{name}", *words)
    if "absent" in ran.err:
        pytest.skip(ran.err)
    assert ran.code == 0, ran.err
    check(f"reproduce-llm-nas-{name}", document(ran.json, Path("there")), rel=1e-4, near=1e-6)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose trained models the tables share."""
    return tmp_path_factory.mktemp("reproduction")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def machine() -> str:
    """What decides the last digits of a training: PyTorch, the processor and the code it takes.

    The processor's marketing name does not suffice: virtual machines say "AMD EPYC" for all
    generations, with and without AVX-512.
    """
    torch = pytest.importorskip("torch")
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else platform.processor()
    found = re.findall(r"^(?:cpu family|model|model name|stepping)\s*:.*", text, re.MULTILINE)
    processor = " ".join(dict.fromkeys(found)) or text
    return digest(f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} {processor}")


LONG = pytest.mark.skipif(
    not os.environ.get("NAS_PLUGINS_GOLDEN_ALL"), reason="NAS_PLUGINS_GOLDEN_ALL is not set"
)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "name",
    [
        "figure2",
        "table3",
        *(pytest.param(n, marks=LONG)
          for n in ("table5", "table2", "table4", "table6", "table7", "figure3")),
    ],
)  # fmt: skip
def test_reproductions_of_arch_vq(run: Run, models: Path, name: str) -> None:
    words = ("--quick", "--seeds", 1, "--samples", 200, "--quiet", "--json", "--out", models)
    ran = run("reproduce", f"arch-vq-{name}", *words)
    assert ran.code == 0, ran.err
    found = document(ran.json, models)
    found["remarks"] = len(found["remarks"])  # they tell of the training
    found["machine"] = machine()
    recorded = f"reproduce-arch-vq-{name}"
    if UPDATE or golden(recorded)["machine"] == found["machine"]:
        check(recorded, found, rel=1e-4, near=1e-6)
    else:
        assert shape(found) == shape(golden(recorded))


def shape(found: dict[str, Any]) -> dict[str, Any]:
    """A reproduction without its numbers."""
    tables = {
        title: [one["columns"], [row[0] for row in one["rows"]]]
        for title, one in found["tables"].items()
    }
    return {**found, "machine": "", "tables": tables}
