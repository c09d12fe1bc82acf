"""``--llm`` and its kin: models, budgets, recordings, ledgers, and what a result says of them."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from nas_plugins import _secrets
from nas_plugins.llm import read_ledger
from nas_plugins.runner import language_model, workers

SEARCH = ("search", "--benchmark", "nasbench201/cifar10", "--strategy", "llm-coevolution",
          "--strategy-option", "n_initial=1", "--strategy-option", "axis=n_nor_conv_3x3",
          "--objective", "val_accuracy:max", "--objective", "latency_ms:min")  # fmt: skip
MODEL = ("--llm", "null")
SMALL = ("--trials", 30, "--seed", 0)
JSON = ("--json", "--quiet")


@pytest.fixture(scope="module")
def loopback() -> ModuleType:
    """The server of the chat models' tests."""
    path = Path(__file__).parents[1] / "llm" / "loopback.py"
    spec = importlib.util.spec_from_file_location("cli_llm_loopback", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def block_of(ran):
    assert ran.code == 0, ran.err
    return ran.json["llm_coevolution"]


# -- what a result says --------------------------------------------------------------------


def test_the_document_has_niches_rules_counts_rates_and_costs(run):
    ran = run(*SEARCH, *MODEL, *SMALL, *JSON)
    block = block_of(ran)
    assert sum(niche["trials"] for niche in block["niches"]) == 30
    assert block["rules"]
    assert all(rule["evidence"] and rule["polarity"] in "+-" for rule in block["rules"])
    assert block["counts"]["legal"] == block["counts"]["asked"] > 0
    assert block["rates"]["fallback"] == 0
    assert block["totals"]["calls"] == sum(role["calls"] for role in block["by_role"].values())
    assert block["totals"]["usd"] == 0
    assert block["models"] == ["null"]
    assert "calls" not in block
    assert ran.json["settings"]["strategy_options"]["llm"] == "null"


def test_other_searches_have_no_such_block(run):
    ran = run("search", "--benchmark", "nasbench201/cifar10", "--objective", "val_accuracy:max",
              "--trials", 5, *JSON)  # fmt: skip
    assert ran.code == 0
    assert "llm_coevolution" not in ran.json


def test_the_table_is_followed_by_calls_and_shares(run):
    ran = run(*SEARCH, *MODEL, *SMALL, "--quiet")
    assert "language model null: " in ran.out
    assert "children usable (100.0%)" in ran.out
    assert "fallback 0 trials (0.0%)" in ran.out


def test_the_folder_has_the_story_the_sections_and_the_ledger(run, tmp_path):
    ran = run(*SEARCH, *MODEL, *SMALL, "--out", "kept")
    assert ran.code == 0
    saved = json.loads((tmp_path / "kept" / "result.json").read_text())
    block = saved["details"]["llm_coevolution"]
    assert len(read_ledger(tmp_path / "kept" / "llm-calls.jsonl")) == block["totals"]["calls"]
    page = (tmp_path / "kept" / "report.html").read_text()
    assert '<section id="niches">' in page
    assert '<section id="model">' in page
    assert "--llm null" in page  # how to repeat it
    assert "llm-calls.jsonl" not in json.dumps(saved["settings"])
    ran = run("report", "--result", "kept/result.json", "--out", "again.html")
    assert ran.code == 0
    assert (tmp_path / "again.html").read_text() == page


def test_a_storage_gives_the_report_without_the_model(run, tmp_path, monkeypatch):
    url = ("--storage", "journal:///s.log", "--study", "a")
    run(*SEARCH, *MODEL, *SMALL, *url, "--llm-record", "run.jsonl", "--quiet")
    (tmp_path / "run.jsonl").unlink()
    ran = run("report", *url, "--out", "r.html")
    assert ran.code == 0
    assert "goes without" not in ran.err
    assert '<section id="rules">' in (tmp_path / "r.html").read_text()


# -- recording and repeating ---------------------------------------------------------------


def test_a_recorded_run_is_repeated_exactly(run):
    first = run(*SEARCH, *MODEL, *SMALL, *JSON, "--llm-record", "run.jsonl")
    again = run(*SEARCH, "--llm", "replay:run.jsonl", *SMALL, *JSON)
    assert block_of(first)["origins"] == block_of(again)["origins"]
    assert first.json["front"] == again.json["front"]
    for part in ("niches", "rules", "counts", "rates", "fallbacks"):
        assert block_of(first)[part] == block_of(again)[part]
    assert block_of(again)["totals"]["cached"] == block_of(again)["totals"]["calls"]


def test_what_was_not_recorded_ends_in_the_classical_operator(run):
    run(*SEARCH, *MODEL, "--trials", 12, "--seed", 0, *JSON, "--llm-record", "run.jsonl")
    ran = run(*SEARCH, "--llm", "replay:run.jsonl", "--trials", 30, "--seed", 5, *JSON)
    block = block_of(ran)
    assert block["origins"]["classical"] > 0
    assert any("replay miss" in reason for reason in block["fallbacks"])


def test_a_cache_answers_the_second_time(run):
    first = run(*SEARCH, *MODEL, *SMALL, *JSON, "--llm-cache", "cache.jsonl")
    again = run(*SEARCH, *MODEL, *SMALL, *JSON, "--llm-cache", "cache.jsonl")
    assert first.json["front"] == again.json["front"]
    assert block_of(first)["totals"]["cached"] == 0
    assert block_of(again)["totals"]["attempts"] == 0


# -- budgets -------------------------------------------------------------------------------


def test_a_budget_ends_the_calls_and_not_the_search(run):
    ran = run(*SEARCH, *MODEL, *SMALL, *JSON, "--llm-calls", 4)
    block = block_of(ran)
    assert block["totals"]["attempts"] == 4
    assert ran.json["counts"]["complete"] == 30
    assert any("budget of 4 calls is used up" in reason for reason in block["fallbacks"])
    said = run(*SEARCH, *MODEL, *SMALL, "--quiet", "--llm-calls", 4).out
    assert f": 4 calls, {block['not_made']} not made for want of budget" in said


def test_a_resumed_search_may_have_a_larger_budget(run):
    kept = ("--storage", "journal:///s.log", "--study", "a", "--out", "kept", "--seed", 0, *JSON)
    first = run(*SEARCH, *MODEL, "--trials", 20, *kept, "--llm-calls", 4)
    assert block_of(first)["totals"]["attempts"] == 4
    more = run(*SEARCH, *MODEL, "--trials", 60, *kept, "--llm-calls", 7, "--resume")
    assert block_of(more)["totals"]["attempts"] == 7
    other = run(*SEARCH, "--llm", "off", "--trials", 70, *kept, "--resume")
    assert other.code == 4
    assert "strategy_options" in other.err


def test_workers_keep_to_one_budget(run):
    ran = run(*SEARCH, *MODEL, *SMALL, *JSON, "--llm-calls", 5, "--workers", 2)
    assert block_of(ran)["totals"]["attempts"] == 5
    assert ran.json["counts"]["complete"] == 30
    assert "ledger" not in ran.json["settings"]["strategy_options"]


def test_a_ledger_of_another_search_does_not_count(run, tmp_path):
    words = (*SEARCH, *MODEL, *SMALL, *JSON, "--llm-calls", 4, "--out", "kept")
    for _ in range(2):
        assert block_of(run(*words))["totals"]["attempts"] == 4
    assert len(read_ledger(tmp_path / "kept" / "llm-calls.old.jsonl")) >= 4
    shared = (*words, "--llm-ledger", "kept/llm-calls.jsonl")
    assert block_of(run(*shared))["totals"]["attempts"] == 0  # that one was asked for


def test_a_search_that_cannot_begin_leaves_the_ledger(run, tmp_path):
    kept = ("--storage", "journal:///s.log", "--study", "a", "--out", "kept", "--quiet")
    run(*SEARCH, *MODEL, *SMALL, *kept)
    before = (tmp_path / "kept" / "llm-calls.jsonl").read_text()
    assert run(*SEARCH, *MODEL, *SMALL, *kept).code == 4  # the study exists already
    assert (tmp_path / "kept" / "llm-calls.jsonl").read_text() == before


def test_dollars_need_prices_and_are_counted_with_them(run, tmp_path, loopback, monkeypatch):
    pytest.importorskip("openai")
    with loopback.serving(loopback.says("no children here")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        words = (*SEARCH, "--llm", "openai:gpt-test", *SMALL, *JSON, "--llm-usd", 0.001)
        ran = run(*words)
        assert ran.code == 2
        assert "`max_usd` needs a price" in ran.err
        prices = {"date": "2026-01-01", "gpt-test": {"input": 1.0, "output": 1.0}}
        (tmp_path / "prices.json").write_text(json.dumps(prices))
        block = block_of(run(*words, "--llm-prices", "prices.json"))
    assert 0 <= block["totals"]["usd"] <= 0.001
    assert any("budget of 0.001 usd" in reason for reason in block["fallbacks"])


# -- an endpoint ---------------------------------------------------------------------------


def test_an_endpoint_is_asked_where_the_environment_says(run, tmp_path, loopback, monkeypatch):
    pytest.importorskip("openai")
    cells = ["|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|nor_conv_1x1~2|"]

    def reply(body):
        if "rationale" in json.dumps(body["response_format"]):
            children = [{"rationale": "deeper", "gene": cell} for cell in cells]
            return json.dumps({"children": children})
        return json.dumps({"edits": []})

    with loopback.serving(loopback.answers(reply)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
        ran = run(*SEARCH, "--llm", "openai:gpt-test", *SMALL, "--json", "--out", "kept",
                  "--llm-calls", 20)  # fmt: skip
        block = block_of(ran)
        assert block["models"] == ["served-model-2026"]
        assert len(server.requests) == block["totals"]["attempts"] <= 20
        assert {body["model"] for body in server.requests} == {"gpt-test"}
        assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert block["totals"]["prompt_tokens"] == 100 * block["totals"]["attempts"]
    assert block["totals"]["unpriced"] == block["totals"]["attempts"]
    for file in sorted((tmp_path / "kept").iterdir()):
        assert "sk-very-secret" not in file.read_text()
    assert "sk-very-secret" not in ran.out + ran.err


def canary(place: str) -> str:
    return f"CANARY-{place}-a8f2"


PLANTED = ("key", "base", "query", "header", "extra", "evaluator", "warm", "url")


@pytest.fixture
def echoing(loopback, monkeypatch):
    """An endpoint that repeats all that it knows; its key, address and headers are canaries."""
    pytest.importorskip("openai")

    def echo(handler, body):
        told = " ".join([str(handler.headers), json.dumps(body), *map(canary, PLANTED)])
        loopback.says(told, model=canary("key"))(handler, body)

    with loopback.serving(echo) as server:
        address = server.url.replace("http://", f"http://me:{canary('base')}@")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{address}?token={canary('query')}")
        monkeypatch.setenv("OPENAI_API_KEY", canary("key"))
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Auth: {canary('header')}")
        yield server


@pytest.fixture
def forgetful(monkeypatch):
    """Workers that begin as fast as a fork does and know no secret, as fresh processes do."""
    fork, work = multiprocessing.get_context("fork"), workers.work

    def forget_and_work(written, pipe):
        _secrets._known.clear()
        work(pickle.loads(written), pipe)

    def process(*, target, args, **options):
        request, pipe = args
        return fork.Process(target=forget_and_work, args=(pickle.dumps(request), pipe), **options)

    context = SimpleNamespace(Pipe=fork.Pipe, Process=process)
    monkeypatch.setattr(workers, "multiprocessing", SimpleNamespace(
        get_context=lambda _: context, current_process=multiprocessing.current_process
    ))  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="forks")
@pytest.mark.parametrize("n_workers", [1, 2])
def test_no_planted_secret_is_in_any_output(
    run_overheard, tmp_path, echoing, forgetful, n_workers
):
    words = (
        "search", "--space", "nasbench201", "--strategy", "llm-coevolution", "--trials", 8,
        "--objective", "score:max", "--objective", "cost:min", "--seed", 0,
        "--strategy-option", "n_initial=1", "--strategy-option", "axis=n_nor_conv_3x3",
        "--llm", "openai:gpt-test", "--llm-calls", 2, "--llm-record", "rec.jsonl",
        "--llm-option", "extra=" + json.dumps({"api_key": canary("extra")}),
        "--evaluator", "sum", "--evaluator-option", f"token={canary('evaluator')}",
        "--evaluator-option", "fail_from=12", "--warm-start", "sum",
        "--warm-start-trials", 1, "--warm-start-option", "pool=9",
        "--warm-start-option", f"sum.token={canary('warm')}",
        "--storage", f"sqlite:///file:s.db?uri=true&password={canary('url')}",
        "--study", "a", "--workers", n_workers, "--out", "kept", "--json", "--debug",
    )  # fmt: skip
    ran = run_overheard(*words)
    assert ran.code == 0, ran.err
    assert echoing.requests
    assert ran.json["counts"]["failed"]  # the evaluator has told its token
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"result.json", "trials.csv", "report.html", "rec.jsonl"} <= {f.name for f in files}
    shown = {file.name: file.read_bytes().decode("utf-8", "replace") for file in files}
    shown |= {"stdout": ran.out, "stderr": ran.err}
    assert {n for n, text in shown.items() if "CANARY" in text} == set()
    assert "no memory" in shown["result.json"]
    assert "***" in shown["rec.jsonl"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p@CANARY-x@127.0.0.1:1/db?password=CANARY-y",
        "nosuch+driver://me:p@CANARY-x@host/db?password=CANARY-y",
        "nni:///folder?password=CANARY-y",
    ],
)
def test_no_password_of_a_storage_that_cannot_be_used_is_shown(run, url):
    ran = run(
        *SEARCH[:3], *SEARCH[-4:], "--trials", 1, "--storage", url, "--study", "a", "--debug"
    )
    assert ran.code in (2, 3, 4), ran.err  # whether there is a driver
    assert "***" in ran.err
    assert "CANARY" not in ran.out + ran.err


# -- wrong use -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--llm", "opeani:gpt"), 2, "did you mean 'openai'?"),
        (("--llm", "replay:nothing.jsonl"), 2, "`replay` must name a file of recorded replies"),
        (("--llm", "openai:gpt"), 2, "OPENAI_API_KEY"),
        (("--llm", "local", "--llm-option", "thread=2"), 2, "did you mean 'threads'?"),
        ((*MODEL, "--llm-calls", -1), 2, "`max_calls` must be >= 0"),
        ((*MODEL, "--llm-record", "a", "--llm-cache", "b"), 2, "--llm-record or --llm-cache"),
        ((*MODEL, "--strategy-option", "llm=off"), 2, "--llm and --strategy-option llm="),
        (
            (*MODEL, "--llm-prices", "nothing.json"),
            2,
            "cannot read the prices: cannot read nothing.json",
        ),
        (
            (*MODEL, "--llm-ledger", "/dev/null/x"),
            2,
            "`ledger` must be a file that can be written",
        ),
        ((*MODEL, "--llm-record", "/dev/null/x"), 2, "`store` must be a file that can be written"),
    ],
)
def test_what_cannot_work_is_told_before_any_trial(run, monkeypatch, words, code, said):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if "OPENAI_API_KEY" in said:
        pytest.importorskip("openai")
    ran = run(*SEARCH, *words, *SMALL)
    assert ran.code == code
    assert said in ran.err
    assert "trials" not in ran.out


def test_a_missing_package_is_told_with_its_command(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    ran = run(*SEARCH, "--llm", "local", *SMALL)
    assert ran.code == 3
    assert "pip install" in ran.err


@pytest.mark.parametrize("words", [MODEL, ("--llm-calls", 3), ("--llm-option", "threads=2")])
def test_other_strategies_ask_no_model(run, words):
    ran = run("search", "--benchmark", "nasbench201/cifar10", "--objective", "val_accuracy",
              *words, *SMALL)  # fmt: skip
    assert ran.code == 2
    assert f"{words[0]} goes with a strategy that asks a language model" in ran.err
    assert "archive-evolution has no option" in ran.err


def test_keys_do_not_get_into_settings():
    options = {"llm_options": {"extra": {"api_key": "x", "max_tokens": 5}}, "ledger": "f"}
    assert language_model.told_options(options) == {
        "llm_options": {"extra": {"api_key": "***", "max_tokens": 5}}
    }


# -- an absent table -----------------------------------------------------------------------

ABSENT = ("search", "--space", "nasbench201", "--benchmark", "hw-nas-bench/cifar10/edgegpu",
          "--strategy", "llm-coevolution", "--objective", "val_accuracy:max")  # fmt: skip


def test_where_the_table_is_absent_the_pip_package_serves_and_that_is_said(run):
    ran = run(*ABSENT, *MODEL, "--objective", "params_m:min", *SMALL, *JSON)
    assert ran.code == 0
    settings = ran.json["settings"]
    assert settings["benchmark"] == "nasbench201/cifar10"
    assert settings["stands_in_for"] == "hw-nas-bench/cifar10/edgegpu"
    assert "nasbench201/cifar10 stands in for it" in ran.err
    assert "latency_ms" not in ran.json["objectives"]


@pytest.mark.parametrize(
    "words",
    [
        ("--objective", "energy_mj:min"),
        ("--objective", "latency_ms:min"),  # of the device in the benchmark's name
        ("--constraint", "latency_ms<=5"),
        ("--objective", "hw-nas-bench.latency_ms:min"),
        ("--objective", "latency_ms:min", "--constraint", "energy_mj<=5"),
        ("--objective", "latency_ms:min", "--benchmark-option", "accuracy_source=auto"),
    ],
)
def test_nothing_stands_in_for_what_only_the_table_has(run, words):
    ran = run(*ABSENT, *MODEL, *words, *SMALL)
    assert ran.code == 3
    assert "data fetch hw-nas-bench" in ran.err


def test_a_table_that_is_there_serves_itself(run, data_folder, monkeypatch):
    if not (data_folder / "hwnasbench_nb201.npz").is_file():
        pytest.skip("NAS_PLUGINS_DATA holds no hwnasbench_nb201.npz")
    monkeypatch.setenv("NAS_PLUGINS_DATA", str(data_folder))
    ran = run(*ABSENT, *MODEL, "--objective", "energy_mj:min", *SMALL, *JSON)
    assert ran.code == 0
    assert ran.json["settings"]["benchmark"] == "hw-nas-bench/cifar10/edgegpu"
    assert "stands_in_for" not in ran.json["settings"]


def test_prompts_tell_the_task_unless_they_hide_it(run, tmp_path):
    for hidden, told in (("metrics", True), ("benchmark,dataset", False)):
        ran = run(*SEARCH, *MODEL, "--strategy-option", f"hide={hidden}", "--trials", 10,
                  "--llm-record", f"{hidden}.jsonl", *JSON)  # fmt: skip
        assert ran.code == 0
        assert ("cifar10" in (tmp_path / f"{hidden}.jsonl").read_text()) is told
