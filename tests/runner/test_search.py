"""A whole search from Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import nas_plugins as nap
from nas_plugins._doing import Activity, Deed
from nas_plugins.cli import main
from nas_plugins.cli._errors import in_options
from nas_plugins.errors import (
    EngineError,
    MissingDependencyError,
    OutputError,
    PluginError,
    UnknownNameError,
    UsageError,
)
from nas_plugins.history import History, Proposal
from nas_plugins.runner.search import SearchBrokenError
from nas_plugins.spaces.base import Architecture
from nas_plugins.strategies.random import RandomSearch

TABLE = "nasbench201/cifar10"
BOTH = ["val_accuracy:max", "latency_ms:min"]


def total(architecture: Architecture) -> float:
    """A user's function of one objective."""
    return float(sum(architecture.indices))


def measured(architecture: Architecture) -> dict[str, float]:
    """A user's function of two."""
    return {"score": float(sum(architecture.indices)), "cost": float(architecture.indices[0])}


def sudden(architecture: Architecture) -> float:
    """One that ends its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


class First:
    """A user's strategy: an object with `propose` and nothing else."""

    def propose(self, history: History, n: int, rng: Any) -> list[Proposal]:
        """The first architectures that have not been seen."""
        found: list[Proposal] = []
        while len(found) < n:
            one = history.space.sample(rng)
            if one.key not in history.seen:
                found.append(Proposal(one))
        return found


class Loose:
    """An evaluator whose metrics are names."""

    metrics = ("loss",)

    def evaluate(self, architectures: Any) -> list[dict[str, float]]:
        """Nothing."""
        return [{"loss": 0.0} for _ in architectures]


def told(result: nap.SearchResult) -> list[tuple[Any, ...]]:
    """What a search has tried and found."""
    return [(t.number, str(t.architecture), t.values) for t in result.history.trials]


# -- what is searched ----------------------------------------------------------------------


def test_a_search_finds_what_the_command_line_finds(capsys: pytest.CaptureFixture[str]) -> None:
    result = nap.search(TABLE, objectives=BOTH, trials=25, seed=0)
    words = ["--benchmark", TABLE, "--objective", BOTH[0], "--objective", BOTH[1]]
    assert main(["search", *words, "--trials", "25", "--seed", "0", "--json", "--quiet"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["front"] == result.summary()["front"]
    assert document["settings"] == dict(result.settings)
    assert result.front[0] == result.best
    assert {t.number for t in result.front} == {row["trial"] for row in document["front"]}


def test_names_and_objects_mean_the_same() -> None:
    named = nap.search(TABLE, objectives=BOTH, trials=12, seed=3, strategy="random")
    built = nap.search(
        nap.benchmark(TABLE),
        objectives=[nap.Objective("val_accuracy", "max"), nap.Objective("latency_ms", "min")],
        trials=12,
        seed=3,
        strategy=RandomSearch(),
    )
    assert told(built) == told(named)
    assert built.settings["benchmark"] == TABLE


def test_a_function_is_searched_over_ones_own_choices() -> None:
    space = {"depth": [2, 4, 8], "op": ["conv", "pool"]}
    result = nap.search(space, total, objectives="loss:min", trials=6)
    assert result.best is not None
    assert result.best.architecture.choices == {"depth": 2, "op": "conv"}
    assert result.counts()["complete"] == 6
    assert result.settings["evaluators"] == ["total"]


def test_a_function_may_return_a_dictionary_and_stand_beside_a_benchmark() -> None:
    result = nap.search(
        TABLE, measured, objectives=["val_accuracy", "cost:min"], constraints="score<=11",
        trials=15, seed=0,
    )  # fmt: skip
    assert [str(o) for o in result.history.objectives] == ["val_accuracy:max", "cost:min"]
    assert all(t.violation == 0 for t in result.front)
    assert result.counts()["infeasible"] > 0


def test_what_a_function_does_not_return_fails_its_trials_with_the_reason() -> None:
    result = nap.search("nasbench201", measured, objectives="size:min", trials=3)
    assert result.best is None
    assert result.counts()["failed"] == 3
    assert "returned no metric 'size'" in next(iter(result.failures()))


@pytest.mark.parametrize("returned", [None, "much", [1.0], {"loss": None}])
def test_what_is_no_number_fails_its_trials_with_the_reason(returned: Any) -> None:
    result = nap.search({"a": [1, 2]}, lambda _: returned, objectives="loss:min", trials=1)
    (reason,) = result.failures()
    shown = returned if isinstance(returned, dict) else {"loss": returned}
    assert f"must return numbers for ['loss'], got {shown}" in reason


def test_evaluators_of_ones_own_names() -> None:
    small = nap.evaluator("complexity", resolution=16)
    result = nap.search(
        "nasbench201", {"small": small, "full": nap.evaluator("complexity")},
        objectives=["small.flops_m", "full.params_m"], trials=5, seed=0,
    )  # fmt: skip
    assert [o.name for o in result.history.objectives] == ["small.flops_m", "full.params_m"]


def test_a_strategy_of_ones_own_and_a_warm_start() -> None:
    result = nap.search(
        TABLE, objectives="val_accuracy", trials=8, seed=0, strategy=First(),
        warm_start="complexity", warm_start_trials=3, warm_start_options={"pool": 20},
    )  # fmt: skip
    assert result.counts()["complete"] == 8
    assert sum("warm-start" in trial.notes for trial in result.history.trials) == 3
    assert "First" in result.settings["strategy"]


def test_a_strategy_that_fails_is_called_by_its_own_name(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def propose(self, history: History, n: int, rng: Any) -> list[Proposal]:
            raise ValueError("mine")

    result = nap.search(TABLE, objectives="val_accuracy", trials=1, strategy=Broken())
    assert "Broken failed; random architectures stand in" in caplog.text
    assert "ValueError: mine" in result.history.trials[0].notes["fallback"]


def test_a_language_model_is_an_argument_of_its_own() -> None:
    kept = nap.search(
        TABLE, objectives=BOTH, trials=4, seed=0, strategy="llm-coevolution",
        llm={"name": "null", "calls": 3},
    )  # fmt: skip
    assert kept.settings["strategy_options"] == {"llm": "null", "max_calls": 3}
    with pytest.raises(UsageError, match=r"`llm\[calls\]` goes with a strategy that asks"):
        nap.search(TABLE, objectives=BOTH, llm={"calls": 3})


# -- engines, workers, storages -------------------------------------------------------------


WARM = {"warm_start": "complexity", "warm_start_trials": 2, "warm_start_options": {"pool": 30}}


@pytest.fixture
def deeds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said to be done while a search runs, as its display hears it; "" when it is over."""
    heard: list[str] = []
    tell = Activity.tell

    def listen(self: Activity, key: Hashable, deed: Deed | None) -> None:
        heard.append(deed.text if deed else "")
        tell(self, key, deed)

    monkeypatch.setattr(Activity, "tell", listen)
    return heard


def test_what_takes_long_is_told_before_and_in_the_search(deeds: list[str]) -> None:
    nap.search(
        "nasbench201", ["latency-model", "surrogate"], trials=1, seed=0, **WARM,
        objectives=["latency-model.params_m", "surrogate.flops_m"],
        evaluator_options={
            "latency-model.source": "complexity", "latency-model.metric": "params_m",
            "latency-model.n": 30, "surrogate.truth": "complexity", "surrogate.metric": "flops_m",
            "surrogate.labels": 9, "surrogate.proxies": None,
        },
    )  # fmt: skip
    assert [deed for deed in deeds if deed] == [
        "measuring 30 architectures for the latency model",
        "scoring a pool of 30 for the warm start",
        "measuring 9 labels for the surrogate",
    ]


def test_workers_keep_to_the_budget_and_callbacks_are_called_here(deeds: list[str]) -> None:
    seen: list[tuple[int, str, int]] = []

    def note(study: Any, trial: Any) -> None:
        seen.append((trial.number, trial.state.name, os.getpid()))

    result = nap.search(
        "nasbench201", measured, objectives=["score:max", "cost:min"], trials=11, seed=0,
        workers=2, callbacks=[note], **WARM,
    )  # fmt: skip
    assert result.counts()["complete"] == 11
    assert sorted(seen) == [(i, "COMPLETE", os.getpid()) for i in range(11)]
    assert set(deeds) == {"scoring a pool of 30 for the warm start", ""}  # in another process


def test_what_does_not_reach_workers_is_told_before_the_search() -> None:
    with pytest.raises(UsageError, match=r"`workers=2` sends `evaluators` .* pickle"):
        nap.search("nasbench201", lambda a: 1.0, objectives="x:min", workers=2)
    with pytest.raises(UsageError, match=r"sends `over` and `evaluators` to other processes"):
        nap.search({"a": [1, 2]}, lambda a: 1.0, objectives="x:min", workers=2)


def test_lost_workers_leave_what_was_found() -> None:
    with pytest.raises(SearchBrokenError, match="workers were lost") as raised:
        nap.search("nasbench201", sudden, objectives="x:min", trials=5, workers=2)
    assert isinstance(raised.value, EngineError)
    assert not raised.value.lost
    assert raised.value.result.counts()["failed"] >= 1
    assert raised.value.result.settings["status"] == "broken"


def test_two_searches_in_one_folder_are_refused_and_dead_ones_are_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".nas-plugins.lock").write_text("1")  # of a process that was killed
    asked: Any = {"objectives": "val_accuracy", "trials": 2, "seed": 0, "out": out}

    def meanwhile(study: Any, trial: Any) -> None:
        with pytest.raises(OutputError, match=rf"in use by another process .{os.getpid()}"):
            nap.search(TABLE, **asked)

    nap.search(TABLE, **asked, callbacks=[meanwhile])
    names = {file.name for file in out.iterdir() if file.suffix != ".js"}
    assert names == {"report.html", "result.json", "trials.csv"}
    nap.search(TABLE, **asked)


def removed(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def halved(file: Path) -> None:
    """Whole records, so that nothing but the length tells."""
    content = file.read_bytes()
    os.truncate(file, content.rfind(b"\n", 0, len(content) // 2) + 1 or len(content) // 2)


@pytest.mark.parametrize(
    ("kind", "workers", "harm"),
    [
        ("sqlite", 1, removed),
        ("sqlite", 1, halved),
        ("journal", 1, removed),
        ("journal", 1, emptied),
        ("journal", 2, halved),
    ],
)
def test_a_storage_that_is_lost_on_the_way_breaks_the_search_and_keeps_what_was_found(
    kind: str, workers: int, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    if harm is removed and os.name == "nt":
        pytest.skip("Windows removes no file that is open")
    file = tmp_path / "s.storage"
    ended: list[int] = []

    def after(study: Any, trial: Any) -> None:
        ended.append(trial.number)
        if len(ended) == 4:
            harm(file)

    with pytest.raises(SearchBrokenError, match="storage") as broken:
        nap.search(
            TABLE, objectives="val_accuracy", trials=12, seed=0, workers=workers,
            storage=f"{kind}:///{file}", study="a", callbacks=[after], out=tmp_path / "out",
        )  # fmt: skip
    assert broken.value.lost
    found = nap.SearchResult.load(tmp_path / "out")
    assert found.settings["status"] == "broken"
    complete = {trial.number for trial in found.history.complete}
    # With workers, the last may have ended after the parent looked into the file.
    assert len(complete & {*ended}) >= len(ended) - (workers - 1)
    assert len(ended) < 12


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import nas_plugins as nap\n"
        f"nap.search({TABLE!r}, objectives='val_accuracy', trials=4, workers=2)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0
    assert "call it below if __name__ == '__main__':" in ran.stderr


@pytest.mark.parametrize("url", ["sqlite:///{}/s.db", "journal:///{}/s.log"])
def test_a_resumed_search_goes_on_as_if_never_interrupted(url: str, tmp_path: Path) -> None:
    def search(trials: int, **more: Any) -> nap.SearchResult:
        return nap.search(TABLE, objectives=BOTH, trials=trials, seed=5, **more)

    kept = {"storage": url.format(tmp_path), "study": "mine"}
    search(6, **kept)
    with pytest.raises(EngineError, match="pass `resume=True`"):
        search(12, **kept)
    resumed = search(12, resume=True, **kept)
    assert told(resumed) == told(search(12))
    with pytest.raises(EngineError, match="was begun with seed 5, not 6"):
        nap.search(TABLE, objectives=BOTH, trials=14, seed=6, resume=True, **kept)


def test_a_callback_ends_the_search() -> None:
    def stop(study: Any, trial: Any) -> None:
        if trial.number == 4:
            study.stop()

    result = nap.search(TABLE, objectives=BOTH, trials=50, callbacks=[stop])
    assert (result.counts()["trials"], result.settings["status"]) == (5, "stopped")


@pytest.mark.parametrize("error", [OSError("no disk"), ValueError("mine")])
def test_what_a_callback_raises_comes_through(error: Exception) -> None:
    def fail(study: Any, trial: Any) -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        nap.search(TABLE, objectives=BOTH, trials=5, callbacks=[fail])


def test_a_search_in_a_thread() -> None:
    found: list[nap.SearchResult] = []
    thread = threading.Thread(
        target=lambda: found.append(nap.search(TABLE, objectives=BOTH, trials=3))
    )
    thread.start()
    thread.join()
    assert found[0].counts()["complete"] == 3


def test_an_experiment_of_nni(tmp_path: Path) -> None:
    pytest.importorskip("nni.nas")
    wanted = {"objectives": "score:max", "trials": 4, "seed": 0, "strategy": "random"}
    result = nap.search("nasbench201", measured, engine="nni", **wanted)
    assert told(result) == told(nap.search("nasbench201", measured, **wanted))
    with pytest.raises(UsageError, match="`callbacks` go with `engine=optuna`"):
        nap.search(TABLE, objectives=BOTH, engine="nni", callbacks=[print])


# -- wrong arguments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"trials": 0}, UsageError, "`trials` must be >= 1, got 0"),
        ({"trials": "5"}, TypeError, "`trials` must be a whole number, got '5'"),
        ({"trials": None}, TypeError, "`trials` must be a whole number, got None"),
        ({"seed": 1.5}, TypeError, "`seed` must be a whole number, got 1.5"),
        ({"workers": "2"}, TypeError, "`workers` must be a whole number, got '2'"),
        ({"warm_start": "complexity", "warm_start_trials": -1}, UsageError,
         "`warm_start_trials` must be >= 1, got -1"),
        ({"storage": "postgresql://localhost/x", "study": "a"}, MissingDependencyError,
         "storage postgresql://localhost/x needs the driver of its database: No module named"),
        ({"timeout": "1"}, TypeError, "`timeout` must be a number of seconds, got '1'"),
        ({"timeout": -1}, UsageError, "`timeout` must be > 0, got -1"),
        ({"resume": True}, UsageError, "`resume` needs `storage=...` and `study=...`"),
        ({"objectives": ()}, UsageError, "give at least one of `objectives`; there are val_acc"),
        ({"objectives": "val_acc"}, UnknownNameError, "did you mean 'val_accuracy'"),
        ({"over": "nasbench21"}, UnknownNameError, "did you mean 'nasbench201'"),
        ({"over": "nasbench201", "evaluators": total, "objectives": "loss"}, UsageError,
         "say which way 'loss' is better"),
        ({"over": {"a": [1, 2]}}, UsageError, "say what to measure: give `evaluators`, or"),
        ({"over": {}, "evaluators": total}, UsageError, "`over`: `decisions` must not be empty"),
        ({"over": {"a": 3}, "evaluators": total}, UsageError,
         "`over`: `choices` of decision 'a' must be a list, got 3"),
        ({"over": {"a": "abc"}, "evaluators": total}, UsageError, "must be a list, got 'abc'"),
        ({"space_options": {"a": 1}}, UsageError, "`space_options` are for a name"),
        ({"evaluators": [total, measured]}, UsageError, "may hold one function"),
        ({"evaluators": ["complexity", "complexity"]}, UsageError, "given more than once"),
        ({"evaluators": 3}, TypeError, "`evaluators` must be names, evaluators"),
        ({"evaluators": Loose}, TypeError, "`evaluators` must be objects, got the class Loose"),
        ({"evaluators": Loose()}, PluginError, "Loose of test_search: `metrics` must be"),
        ({"strategy": First}, TypeError, "`strategy` must be an object, got the class First"),
        ({"over": 3}, TypeError, "`over` must be the name"),
        ({"strategy": 3}, TypeError, "must have a method `propose`"),
        ({"strategy": First(), "strategy_options": {"n": 1}}, UsageError, "are for a name"),
        ({"pruner": "medan"}, UnknownNameError, "did you mean 'median'"),
        ({"engine": "optun"}, UnknownNameError, "did you mean 'optuna'"),
        ({"storage": "s.db", "study": "a"}, UsageError, "`storage` must be a URL"),
        ({"storage": Path("s.db"), "study": "a"}, TypeError, "`storage` must be a str, got Posi"),
        ({"pruner": Path("median")}, TypeError, "`pruner` must be a str"),
        ({"strategy_options": ["n_initial"]}, TypeError, "`strategy_options` must be a dict"),
        ({"objectives": None}, UsageError, "give at least one of `objectives`"),
        ({"objectives": 3}, TypeError, "`objectives` are written 'val_accuracy:max', several"),
        ({"objectives": {"val_accuracy": "min"}}, TypeError, "`objectives` are written"),
        ({"objectives": [("val_accuracy", "max")]}, TypeError, "`objectives` are written"),
        ({"constraints": 5}, TypeError, "`constraints` are written 'latency_ms<=5'"),
        ({"callbacks": print}, TypeError, "`callbacks` must be a list of functions"),
        ({"callbacks": [3]}, TypeError, "`callbacks` must be a list of functions"),
        ({"out": 3}, TypeError, "`out` must be a path, got 3"),
        ({"llm": 3}, TypeError, "`llm` must be the name of a chat model or a dictionary"),
        ({"llm": {3: 3}}, UnknownNameError, "unknown key of `llm` 3; known: cache, calls"),
        ({"llm": {"name": "null", "options": 3}}, TypeError, "`llm[options]` must be a dict"),
        ({"strategy": "optuna:tpe"}, UnknownNameError,
         "which is a sampler of Optuna's own, for nap.compare(...)"),
        ({"over": "darts"}, UsageError, "'darts' is a space; say what to measure: give `eval"),
        ({"warm_start": "darts"}, UnknownNameError, "'darts', which is the name of a space; "),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(wrong: dict[str, Any], error: Any, text: str) -> None:
    with pytest.raises(error) as raised:
        nap.search(**{"over": TABLE, "objectives": BOTH, **wrong})
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`trials` must be >= 1, got 0", "--trials must be >= 1, got 0"),
        ("`resume` needs `storage=...`", "--resume needs --storage URL"),
        ("give at least one of `objectives`; there", "give at least one --objective; there"),
        ("pass `resume=True` (with `study`)", "pass --resume (with --study)"),
        ("`llm[calls]` goes with `engine=nni`", "--llm-calls goes with --engine nni"),
        ("strategy 'x': `seed` must be > 0", "strategy 'x': `seed` must be > 0"),
        ("`n_initial` must be >= 1", "`n_initial` must be >= 1"),
    ],
)
def test_the_command_line_has_its_own_words(text: str, shown: str) -> None:
    assert in_options(text) == shown


# -- the result ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result() -> nap.SearchResult:
    return nap.search(TABLE, objectives=BOTH, trials=30, seed=0)


def test_a_result_is_readable(result: nap.SearchResult) -> None:
    lines = repr(result).splitlines()
    assert lines[0].startswith("SearchResult: 30 of 30 trials complete, front of 11, hv_ratio")
    assert lines[1].split() == ["trial", *BOTH, "architecture"]
    assert lines[2].split()[0] == str(result.front[0].number)
    assert lines[-1] == "... and 1 more"
    page = result._repr_html_()
    assert page.count("<tr>") == 11
    assert "|nor_conv" in page


def test_a_result_says_when_nothing_is_feasible_and_how_it_ended() -> None:
    result = nap.search(
        TABLE, objectives="val_accuracy", constraints="latency_ms<=-1", trials=5, seed=0,
        callbacks=[lambda study, trial: study.stop() if trial.number == 2 else None],
    )  # fmt: skip
    told_first = repr(result).splitlines()[0]
    assert told_first.startswith("SearchResult: 3 of 3 trials complete, stopped, none feasible")


def test_a_result_is_kept(result: nap.SearchResult, tmp_path: Path) -> None:
    result.save(str(tmp_path / "out"))
    names = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".js"}
    assert names == {"result.json", "trials.csv", "report.html"}
    result.save(tmp_path / "one" / "kept.json")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["kept.json"]
    for path in (tmp_path / "out", str(tmp_path / "out/result.json"), tmp_path / "one/kept.json"):
        assert nap.SearchResult.load(path) == result
    result.report(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!")


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    wanted: Any = {"trials": np.int64(3), "seed": np.int64(2), "timeout": np.float64(60)}
    result = nap.search(TABLE, objectives=BOTH, out=tmp_path, **wanted)
    assert nap.SearchResult.load(tmp_path).settings["seed"] == 2
    assert told(result) == told(nap.search(TABLE, objectives=BOTH, trials=3, seed=2))


def test_out_is_written_at_the_end(tmp_path: Path) -> None:
    nap.search(TABLE, objectives=BOTH, trials=3, out=tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out" / "report.html").is_file()


@pytest.mark.parametrize(("objectives", "axes"), [(BOTH[:1], "trial"), (BOTH, "val_accuracy")])
def test_a_front_is_drawn(objectives: list[str], axes: str) -> None:
    figure = nap.search(TABLE, objectives=objectives, trials=9, seed=0).plot_front()
    assert sum(len(trace.x) for trace in figure.data[:2]) == 9
    assert figure.layout.xaxis.title.text == axes


def test_without_pandas_a_sentence_says_what_to_install(
    result: nap.SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        result.to_dataframe()


def test_a_data_frame_has_a_row_per_trial(result: nap.SearchResult) -> None:
    pytest.importorskip("pandas")
    frame = result.to_dataframe()
    assert len(frame) == 30
    assert frame["front"].sum() == len(result.front)
    assert {"number", "architecture", "1<-0", "val_accuracy", "latency_ms"} <= set(frame.columns)


Show = Callable[..., str]


@pytest.mark.parametrize(("progress", "shown"), [(None, False), (False, False), (True, True)])
def test_progress_is_shown_on_request(
    progress: bool | None, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    nap.search(TABLE, objectives="val_accuracy:min", trials=3, progress=progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("3/3 trials" in captured.err) is shown
    assert ("note: val_accuracy is better when larger" in captured.err) is shown


# -- known before the first trial ----------------------------------------------------------

CHOICES = {"lr": [0.1, 0.01], "depth": [2, 4]}


@pytest.mark.parametrize(
    ("over", "evaluator", "objective", "reason"),
    [
        (CHOICES, "complexity", "params_m:min", "defines no complexity"),
        (CHOICES, "zero-cost", "synflow:max", "has no networks to measure"),
        (CHOICES, "latency", "latency_ms:min", "has no networks to measure"),
        ("darts", "table", "val_accuracy:max", "of 'nasbench201', not of 'darts'"),
    ],
)
def test_what_no_trial_can_be_measured_by_is_told_before_the_first(
    over: Any, evaluator: str, objective: str, reason: str
) -> None:
    if evaluator in {"zero-cost", "latency"}:
        pytest.importorskip("torch")
    given = {"table": nap.benchmark(TABLE)} if evaluator == "table" else evaluator
    space = nap.space(over) if isinstance(over, str) else over
    with pytest.raises(UsageError, match=f"`evaluators={evaluator}`: .*{reason}"):
        nap.search(space, given, objectives=objective, trials=5)


def test_a_warm_start_that_can_score_nothing_is_told_before_the_first_trial() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=r"`warm_start=zero-cost`: .*no networks to measure"):
        nap.search(CHOICES, _depth, objectives="loss:min", trials=2, warm_start="zero-cost")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give at least one of `objectives`; a function has any that you name"),
        (
            {"objectives": "loss:min", "constraints": "loss<4"},
            "`constraints`: `constraint` must be written name<=number or .*, got 'loss<4'",
        ),
        ({"objectives": "loss:min", "constraints": "loss=4"}, "must be written name<=number"),
    ],
)
def test_a_function_is_told_what_to_write(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nap.search(CHOICES, _depth, trials=2, **given)


def test_a_function_that_prunes_is_not_without_a_reason() -> None:
    def pruned(architecture: Architecture) -> float:
        raise optuna.TrialPruned

    result = nap.search(CHOICES, pruned, objectives="loss:min", trials=2)
    assert "pruned while it was evaluated" in repr(result)


def _depth(architecture: Architecture) -> float:
    return 1.0
