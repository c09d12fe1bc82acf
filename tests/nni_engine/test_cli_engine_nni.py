"""``nas-plugins search --engine nni``: the same search, the same documents."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nni")

import nni
from command_line import Ran
from nni_cli import ended, plugin_site, run, start

import nas_plugins as nap
import nas_plugins.nni
from nas_plugins._doing import Activity
from nas_plugins.errors import DataError, EvaluationError
from nas_plugins.results import SearchResult
from nas_plugins.runner.nni_evaluator import RequestEvaluator
from nas_plugins.runner.request import SearchRequest, named

TOY = ("search", "--space", "nasbench201", "--evaluator", "sum")
BOTH = ("--objective", "score:max", "--objective", "cost:min")
TABLE = ("search", "--benchmark", "nasbench201/cifar10", "--objective", "val_accuracy:max",
         "--objective", "latency_ms:min")  # fmt: skip
CHOICES = {"a/b": [3, 1, None], "c": [2.5, "x"], "d": list(range(8))}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plugin_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(autouse=True)
def here(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the test's own, and the evaluator ``sum``."""
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def both_engines(*words: object) -> tuple[Ran, Ran, SearchResult, SearchResult]:
    ran = [run(*words, "--engine", e, "--out", e, "--json") for e in ("optuna", "nni")]
    results = [SearchResult.load(Path(e, "result.json")) for e in ("optuna", "nni")]
    return ran[0], ran[1], results[0], results[1]


@pytest.mark.parametrize("strategy", ["archive-evolution", "local-search"])
def test_the_result_is_that_of_the_other_engine_trial_by_trial(strategy: str) -> None:
    try:
        nap.benchmark("nasbench201/cifar10")
    except DataError as error:
        pytest.skip(str(error))
    words = (*TABLE, "--constraint", "params_m<=1", "--strategy", strategy,
             "--trials", 40, "--seed", 3)  # fmt: skip
    ran, ours, result, found = both_engines(*words)
    assert (ran.code, ours.code) == (0, 0), ours.err
    assert found.history == result.history
    assert found.true_front == result.true_front
    assert found.quality() == result.quality()
    settings = {key: value for key, value in found.settings.items() if key != "engine"}
    assert settings == {k: v for k, v in result.settings.items() if k != "engine"}
    assert (result.settings["engine"], found.settings["engine"]) == ("optuna", "nni")
    assert found.versions["nni"] == "3.0"
    tables = [Path(e, "trials.csv").read_text(encoding="utf-8") for e in ("optuna", "nni")]
    assert tables[0] == tables[1]
    assert Path("nni/report.html").read_text(encoding="utf-8").startswith("<!")


def test_a_silence_says_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(Activity, "tell", lambda _, key, deed: heard.append(deed and deed.text))
    ran = run("search", "--space", "fbnet", "--evaluator", "sum", "--objective", "score",
              "--engine", "nni", "--trials", 2,
              "--warm-start", "complexity", "--warm-start-option", "pool=9")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "scoring a pool of 9 for the warm start" in heard


@pytest.mark.parametrize(
    "words",
    [
        ("--space", "nasbench101", "--evaluator", "sum"),
        ("--space", "darts", "--evaluator", "sum", "--evaluator", "complexity",
         "--constraint", "params_m<=3"),
        ("--space", "fbnet", "--evaluator", "sum"),
        ("--space", "categorical", "--space-option", f"decisions={json.dumps(CHOICES)}",
         "--evaluator", "sum"),
    ],
    ids=["nasbench101", "darts", "fbnet", "categorical"],
)  # fmt: skip
def test_every_registered_space_is_searched_alike(words: tuple[str, ...]) -> None:
    ran, ours, result, found = both_engines(
        "search", *words, *BOTH, "--trials", 20, "--seed", 1, "--quiet"
    )
    assert (ran.code, ours.code, ours.err) == (0, 0, "")
    assert found.history == result.history


def test_failures_and_infinite_values_are_those_of_the_other_engine() -> None:
    for option in ("fail_from=12", "fail_from=-1", "score=NaN", "score=Infinity"):
        ran, ours, result, found = both_engines(
            *TOY, *BOTH, "--evaluator-option", option, "--trials", 15, "--seed", 2
        )
        assert ours.code == ran.code == (0 if option in ("fail_from=12", "score=Infinity") else 1)
        assert found.history == result.history
        assert found.failures() == result.failures()
        assert [line for line in ours.err.splitlines() if "trials/s" not in line] == [
            line.replace("wrote optuna", "wrote nni")
            for line in ran.err.splitlines()
            if "trials/s" not in line
        ]


def test_no_secret_of_an_option_or_the_environment_is_in_a_file_or_stream(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    option, variable = "CANARY-option-a8f2", "CANARY-variable-a8f2"
    monkeypatch.setenv("TOY_API_KEY", variable)
    ran = run(*TOY, *BOTH, "--evaluator-option", f"api_key={option}", "--evaluator-option",
              "fail_from=8", "--engine", "nni", "--trials", 6, "--seed", 2, "--storage", "kept",
              "--study", "a", "--out", "out", "--json")  # fmt: skip
    assert ran.json["counts"]["failed"] > 0
    files = [path for path in here.rglob("*") if path.is_file()]
    assert {"nas-plugins.json", "result.json"} <= {path.name for path in files}
    assert any(path.name.startswith("state.ckpt") for path in files)
    shown = {str(path): path.read_bytes() for path in files}
    shown |= {"out": ran.out.encode(), "err": ran.err.encode(), "log": caplog.text.encode()}
    assert [n for n, text in shown.items() if option.encode() in text] == []
    assert [n for n, text in shown.items() if variable.encode() in text] == []


def test_the_warm_start_is_the_same() -> None:
    warm = ("--warm-start", "sum", "--warm-start-trials", 4, "--warm-start-option", "pool=30")
    ran, ours, result, found = both_engines(*TOY, *BOTH, *warm, "--trials", 10, "--seed", 0)
    assert (ran.code, ours.code) == (0, 0)
    assert found.history == result.history
    assert "warm-start" in found.history.trials[0].notes


def test_nothing_is_left_behind_and_no_chatter_is_shown(here: Path, nni_home: Path) -> None:
    ran = run(*TOY, *BOTH, "--engine", "nni", "--trials", 8, "--json")
    assert ran.code == 0
    assert ran.json["settings"]["storage"] is None
    assert ran.json["settings"]["seed"] >= 0
    assert all("trials/s" in line for line in ran.err.splitlines())
    assert [path.name for path in here.iterdir()] == [nni_home.name]
    assert not (nni_home / "nni-experiments").exists()


def test_a_small_space_ends_the_search() -> None:
    few = ("--space-option", 'decisions={"a": [1, 2], "b": [1, 2]}')
    ran = run("search", "--space", "categorical", *few, "--evaluator", "sum", *BOTH,
              "--engine", "nni", "--trials", 9, "--json")  # fmt: skip
    assert ran.code == 0
    assert ran.json["counts"]["complete"] == 4
    assert "nothing new is left" in ran.err


def test_the_timeout_ends_it() -> None:
    ran = run(*TOY, *BOTH, "--evaluator-option", "seconds=0.05", "--trials", 100000,
              "--timeout", 1, "--engine", "nni", "--json")  # fmt: skip
    assert ran.code == 0
    assert ran.json["settings"]["status"] == "timeout"
    assert "timeout after" in ran.err


KEPT = ("--engine", "nni", "--storage", "kept", "--study", "a", "--json", "--quiet")


def test_a_resumed_experiment_is_the_whole_one(here: Path) -> None:
    words = (*TOY, *BOTH)
    assert run(*words, *KEPT, "--trials", 6, "--seed", 5).json["counts"]["trials"] == 6
    assert {p.name for p in (here / "kept").iterdir()} == {"a"}
    ran = run(*words, *KEPT, "--trials", 14, "--resume")
    whole = run(*words, "--engine", "nni", "--trials", 14, "--seed", 5, "--json").json
    assert ran.json["settings"]["seed"] == 5
    assert ran.json["settings"]["storage"] == "nni:///kept"
    assert ran.json["front"] == whole["front"]
    assert ran.json["counts"] == whole["counts"]
    again = run(*words, *KEPT, "--trials", 14, "--resume")
    assert again.json["front"] == whole["front"]


def test_an_experiment_that_a_script_has_begun_goes_on(here: Path) -> None:
    from nni.nas.experiment import NasExperiment, NasExperimentConfig
    from nni.nas.hub.pytorch import NasBench201

    config = NasExperimentConfig("sequential", "simplified", max_trial_number=6)
    config.experiment_working_directory = here / "kept"
    config.log_level = "error"
    evaluator = nas_plugins.nni.evaluator(
        nap.evaluator("sum"), objectives=["score:max", "cost:min"]
    )
    strategy = nas_plugins.nni.ArchiveEvolution(seed=5)
    script = NasExperiment(NasBench201(), evaluator, strategy, config, id="a")
    script.run()
    script.stop()
    ran = run(*TOY, *BOTH, *KEPT, "--trials", 12, "--resume")
    whole = run(*TOY, *BOTH, "--engine", "nni", "--trials", 12, "--seed", 5, "--json").json
    assert ran.code == 0, ran.err
    assert ran.json["front"] == whole["front"]
    assert ran.json["counts"] == whole["counts"]
    assert ran.json["settings"]["seed"] == 5


def test_what_does_not_fit_an_experiment_is_refused() -> None:
    words = (*TOY, *BOTH, "--trials", 4)
    run(*words, *KEPT, "--seed", 5)
    for more, code, text in [
        ((), 4, "exists already in nni:///kept; pass --resume"),
        (("--resume", "--seed", 6), 4, "was begun with seed 5, not 6"),
        (("--resume", "--strategy", "random"), 4, "strategy 'archive-evolution', not 'random'"),
        (("--resume", "--workers", 2), 4, "was begun with --workers 1"),
        (("--resume", "--study", "b"), 2, "unknown study of nni:///kept 'b'; known: a"),
        (("--study", "a b"), 2, "--study must be at most 32 letters"),
        (("--storage", "sqlite:///s.db"), 2, "--storage sqlite:///s.db goes with --engine optuna"),
    ]:
        ran = run(*words, *KEPT, *more)
        assert (ran.code, ran.out) == (code, "")
        assert text in ran.err
        assert "internal" not in ran.err
    ran = run(*words, "--engine", "nni", "--storage", "kept", "--resume")
    assert (ran.code, ran.err) == (2, "error: --storage needs --study NAME; there is a\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoint/state.ckpt.torch", b""),
        ("checkpoint/state.ckpt.torch", b"\x80\x04garbage"),
        ("nas-plugins.json", b'{"settings": 7, "seed": 5}'),
        ("nas-plugins.json", b'{"settings": {}, "seed": -1}'),
    ],
)
def test_a_damaged_experiment_is_told_in_one_sentence(
    begun: Path, here: Path, name: str, content: bytes
) -> None:
    shutil.copytree(begun, here / "kept")
    (here / "kept" / "a" / name).write_bytes(content)
    ran = run(*TOY, *BOTH, *KEPT, "--trials", 4, "--resume")
    assert (ran.code, ran.out) == (4, "")
    assert f"kept/a/{name.partition('/')[0]}" in ran.err.splitlines()[-1]


@pytest.fixture(scope="module")
def begun(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment ``a`` of two trials."""
    folder = tmp_path_factory.mktemp("begun") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(plugins))
        patch.setenv("HOME", str(folder.parent))
        words = ("--engine", "nni", "--storage", folder, "--study", "a")
        assert run(*TOY, *BOTH, *words, "--trials", 2, "--seed", 5, "--json").code == 0
    return folder


def test_another_run_keeps_its_experiment(here: Path) -> None:
    import filelock

    (here / "kept" / "a").mkdir(parents=True)
    with filelock.FileLock(here / "kept" / "a" / "nas-plugins.lock"):
        ran = run(*TOY, *BOTH, *KEPT, "--trials", 4)
    assert ran.code == 4
    assert "another process works on experiment 'a'" in ran.err


# -- signals ------------------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name != "posix", reason="signals need POSIX")


def wait_for(process: subprocess.Popen[str], file: Path, text: str) -> None:
    until = time.monotonic() + 300
    while not (file.exists() and text in file.read_text(encoding="utf-8")):
        assert process.poll() is None, file.read_text(encoding="utf-8")
        assert time.monotonic() < until
        time.sleep(0.05)


def way_on(stderr: str) -> list[str]:
    """The words of the command that the message shows."""
    return shlex.split(stderr.split("to go on: nas-plugins ")[1].splitlines()[0])


@posix
def test_an_interrupted_search_goes_on_to_the_same_result(plugins: Path, here: Path) -> None:
    words = (*TOY, *BOTH, "--evaluator-option", "seconds=0.2", "--engine", "nni", "--seed", 7,
             "--storage", "kept", "--study", "a", "--json", "--trials", 30)  # fmt: skip
    process = start(plugins, here, *words)
    wait_for(process, here / "err", "/30 trials")
    process.send_signal(signal.SIGTERM)
    ran = ended(process, here)
    assert ran.code == 143, ran.err
    assert "Traceback" not in ran.err
    document = ran.json
    assert document["settings"]["status"] == "terminated"
    assert 0 < document["counts"]["complete"] == document["counts"]["trials"] < 30
    assert "--resume" in way_on(ran.err)

    process = start(plugins, here, *way_on(ran.err))
    wait_for(process, here / "err", "/30 trials")
    process.send_signal(signal.SIGINT)
    wait_for(process, here / "err", "stopping")
    process.send_signal(signal.SIGINT)
    ran = ended(process, here)
    assert ran.code == 130, ran.err
    assert ran.json["counts"]["failed"] == 0

    found = run(*way_on(ran.err)).json
    whole = run(*TOY, *BOTH, "--engine", "nni", "--seed", 7, "--trials", 30, "--json").json
    assert found["settings"]["status"] == "finished"
    assert found["counts"] == whole["counts"]
    assert found["front"] == whole["front"]


@posix
def test_without_a_folder_nothing_can_go_on(plugins: Path, here: Path) -> None:
    process = start(plugins, here, *TOY, *BOTH, "--evaluator-option", "seconds=0.2", "--trials",
                    400, "--engine", "nni", "--json")  # fmt: skip
    wait_for(process, here / "err", "/400 trials")
    process.send_signal(signal.SIGINT)
    ran = ended(process, here)
    assert ran.code == 130
    assert ran.json["counts"]["complete"] > 0
    assert "--storage and --study keep them" in ran.err


# -- several workers ----------------------------------------------------------------------------


def test_secrets_reach_trial_processes_through_their_environment_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    options = {"api_key": "CANARY-option-a8f2", "key_length": 18}
    other = {"api_key": "CANARY-other-a8f2"}
    request = SearchRequest(
        space="nasbench201",
        evaluators=named("sum"),
        objectives=("score:max",),
        evaluator_options=options,
        benchmark_options={"url": "db://me:CANARY-url-a8f2@host", "deep": [other, 7, [True]]},
    )
    ours = [
        RequestEvaluator(request),
        nas_plugins.nni.evaluator("sum", objectives=["score:max"], **options),
        nas_plugins.nni.evaluator("sum", objectives=["score:max"], **other),
    ]
    with_secrets = dict(os.environ)
    for one in ours:
        written = nni.dump(one)
        assert "CANARY" not in written
        assert nni.load(written) == one
    assert b"CANARY" not in pickle.dumps(ours[1])
    there = nni.load(nni.dump(ours[0]))
    assert there._asked["evaluator_options"] == options
    assert there._asked["benchmark_options"] == dict(request.benchmark_options)
    assert dict(os.environ) == with_secrets
    written = nni.dump(ours[1])  # the second, as those of the benchmark come first
    del os.environ["NAS_PLUGINS_SECRET_API_KEY_2"]
    with pytest.raises(EvaluationError, match="set NAS_PLUGINS_SECRET_API_KEY_2 to it"):
        nni.load(written)


def processes_of(identity: str) -> list[Any]:
    """What runs for an experiment, wherever it was started."""
    import psutil

    def words(process: Any) -> list[str]:
        try:
            return list(process.cmdline())
        except psutil.Error:
            return []

    services = [p for p in psutil.process_iter() if {"--experiment-id", identity} <= set(words(p))]
    return [*services, *(c for s in services for c in s.children(recursive=True))]


@posix
@pytest.mark.slow
def test_several_workers_are_killed_interrupted_and_done(plugins: Path, here: Path) -> None:
    identity = f"killed-{os.getpid()}"
    canary = "CANARY-option-a8f2"
    words = (*TOY, *BOTH, "--evaluator-option", "seconds=0.5", "--engine", "nni", "--seed", 7,
             "--evaluator-option", f"api_key={canary}", "--evaluator-option", "key_length=18",
             "--workers", 2, "--storage", "kept", "--study", identity, "--json",
             "--trials", 8)  # fmt: skip
    try:
        process = start(plugins, here, *words)
        wait_for(process, here / "err", "/8 trials")
        process.kill()
        process.wait()
        assert processes_of(identity)  # its service, which nobody has told

        process = start(plugins, here, *words, "--resume")
        wait_for(process, here / "err", "/8 trials")
        process.send_signal(signal.SIGTERM)
        ran = ended(process, here)
        assert ran.code == 143, ran.err
        assert "ending the NNI service" in ran.err
        assert "Traceback" not in ran.err
        assert not processes_of(identity)

        again = [word.replace("***", canary) for word in way_on(ran.err)]
        ran = ended(start(plugins, here, *again), here)
        assert ran.code == 0, ran.err
        counts = ran.json["counts"]
        assert counts["complete"] == counts["distinct"] == counts["trials"] == 8
        assert not processes_of(identity)
        files = [path for path in here.rglob("*") if path.is_file()]
        assert any(path.name == "nni.sqlite" for path in files)
        assert [path for path in files if canary.encode() in path.read_bytes()] == []
    finally:
        for left in processes_of(identity):
            left.kill()
