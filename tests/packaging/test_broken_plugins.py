"""Plug-ins that do not keep to their role: exit 2 with their name, and no trial left running."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import entry_points
from pathlib import Path

import optuna
import pytest
from command_line import Run, captured
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.errors import PluginError
from nas_plugins.protocols import measured

_PLUGINS = '''
"""What does all that it must not."""

import sys

import nas_plugins as nap


class Good:
    """Counts."""

    metrics = (nap.Metric("score", "", "max"),)

    def evaluate(self, architectures):
        return [{"score": float(sum(a.indices))} for a in architectures]


class ExitsWhenBuilt(Good):
    def __init__(self):
        sys.exit("bye")


class RaisesWhenBuilt(Good):
    def __init__(self):
        raise RuntimeError("no licence")


class MetricsOfText(Good):
    metrics = "score"


class MetricTwice(Good):
    metrics = (nap.Metric("score", "", "max"), nap.Metric("score", "", "max"))


class FewRows(Good):
    def evaluate(self, architectures):
        return []


class NoList(Good):
    def evaluate(self, architectures):
        return {"score": 1.0}


class RowsOfText(Good):
    def evaluate(self, architectures):
        return ["1.0" for _ in architectures]


class TextForNumber(Good):
    def evaluate(self, architectures):
        return [{"score": "0.5"} for _ in architectures]


class HalfAPair(Good):
    def evaluate(self, architectures):
        return [{"score": 1.0, "acc\\ud800": 1.0} for _ in architectures]


class ExitsWhenAsked(Good):
    def evaluate(self, architectures):
        sys.exit(0)


class RaisesHalfAPair(Good):
    def evaluate(self, architectures):
        raise RuntimeError("lost \\ud800 half")


class NoRepr(Good):
    metrics = None

    def __repr__(self):
        raise RuntimeError("no words")


class Draws(nap.Strategy):
    """Draws at random."""

    def propose(self, history, n, rng):
        found = history.space.architectures(history.space.random(n, rng))
        return [nap.Proposal(a, self.notes) for a in found]

    notes = {}


class ProposesNone(Draws):
    def propose(self, history, n, rng):
        return None


class ProposesText(Draws):
    def propose(self, history, n, rng):
        return ["a"]


class ExitsWhenProposing(Draws):
    def propose(self, history, n, rng):
        raise SystemExit(3)


class NotesOfNumbers(Draws):
    notes = {"loss": 1.5}


class NotesOfHalfAPair(Draws):
    notes = {"idea": "x\\ud800"}


class Endless(Draws):
    def propose(self, history, n, rng):
        while True:
            yield from super().propose(history, 1, rng)
'''
_EXITS = "raise SystemExit('at the door')\n"
EVALUATORS = {
    "exits-when-built": "cannot be built: SystemExit: bye",
    "raises-when-built": "cannot be built: RuntimeError: no licence",
    "metrics-of-text": "`metrics` must be `Metric`s, got 's'",
    "metric-twice": "declares metric 'score' twice",
    "few-rows": "one dictionary per architecture, got 0 for 1",
    "no-list": "must return a list",
    "rows-of-text": "must return dictionaries of metrics, got '1.0'",
    "text-for-number": "metric 'score' must be a number, got '0.5'",
    "half-a-pair": "a metric's name must be text",
    "exits-when-asked": "fails to evaluate: SystemExit: 0",
    "no-repr": "no-repr",
}
STRATEGIES = {
    "proposes-none": "`propose` must return a list, got None",
    "proposes-text": "`propose` must return proposals, got 'a'",
    "exits-when-proposing": "fails to propose: SystemExit: 3",
    "notes-of-numbers": "notes must be text by name, got 'loss': 1.5",
}
SEARCH = ("search", "--space", "categorical", "--space-option",
          'decisions={"a": [1, 2, 3], "b": [1, 2, 3]}', "--objective", "score", "--trials", 4,
          "--seed", 0, "--storage", "journal:///s.log", "--study", "s", "--quiet")  # fmt: skip


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    info = site / "misbehaved-1.0.dist-info"
    info.mkdir(parents=True)
    work.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaved\nVersion: 1.0\n")
    evaluators = [*EVALUATORS, "good", "raises-half-a-pair"]
    strategies = [*STRATEGIES, "notes-of-half-a-pair", "endless"]
    lines = ["[nas_plugins.evaluators]", "exits = exits_now:Any", *map(_point, evaluators)]
    lines += ["[nas_plugins.strategies]", *map(_point, strategies)]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (site / "misbehaved.py").write_text(_PLUGINS)
    (site / "exits_now.py").write_text(_EXITS)
    monkeypatch.syspath_prepend(site)
    for module in ("misbehaved", "exits_now"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.chdir(work)


def _point(name: str) -> str:
    return f"{name} = misbehaved:{name.title().replace('-', '')}"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return captured(capsys)


def _states() -> list[TrialState]:
    if not Path("s.log").exists():
        return []
    storage = JournalStorage(JournalFileBackend("s.log"))
    found = optuna.load_study(study_name="s", storage=storage).trials
    return [trial.state for trial in found]


@pytest.mark.parametrize(
    ("name", "workers"), [*((n, 1) for n in EVALUATORS), ("exits-when-asked", 2)]
)
def test_an_evaluator_is_named(run: Run, name: str, workers: int) -> None:
    ran = run(*SEARCH, "--evaluator", name, "--strategy", "random", "--workers", workers)
    assert ran.code == 2
    assert f"evaluator '{name}'" in ran.err
    assert EVALUATORS[name] in ran.err
    assert "Traceback" not in ran.err
    assert TrialState.RUNNING not in _states()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_named(run: Run, name: str) -> None:
    ran = run(*SEARCH, "--evaluator", "good", "--strategy", name)
    assert ran.code == 2
    assert f"strategy '{name}'" in ran.err
    assert STRATEGIES[name] in ran.err
    assert "Traceback" not in ran.err
    assert TrialState.RUNNING not in _states()


@pytest.mark.parametrize("name", ["notes-of-half-a-pair", "endless"])
def test_what_can_be_kept_is_kept(run: Run, name: str) -> None:
    ran = run(*SEARCH, "--evaluator", "good", "--strategy", name, "--out", "out")
    assert ran.code == 0, ran.err
    assert _states() == [TrialState.COMPLETE] * 4
    if name.startswith("notes"):
        assert "\\\\ud800" in Path("out/result.json").read_text(encoding="utf-8")


def test_a_failure_in_no_encoding_is_a_failure(run: Run) -> None:
    ran = run(*SEARCH, "--evaluator", "raises-half-a-pair", "--strategy", "random")
    assert ran.code != 0
    assert _states() == [TrialState.FAIL] * 4
    assert r"RuntimeError: lost \ud800 half" in ran.err


def test_a_module_that_exits_does_not_end_the_list(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = entry_points(group="nas_plugins.evaluators")
    theirs = [point for point in points if point.module in ("misbehaved", "exits_now")]
    with monkeypatch.context() as only:  # importing all of ours takes seconds
        only.setattr(registry, "entry_points", lambda group: theirs)
        found = {one.name: one for one in registry.listing("evaluator")}
    assert "SystemExit: at the door" in str(found["exits"].error)
    assert found["good"].error is None
    ran = run(*SEARCH, "--evaluator", "exits")
    assert ran.code == 2
    assert "evaluator 'exits'" in ran.err


def test_in_python_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    space = nap.CategoricalSpace({"a": [1, 2, 3]})
    with pytest.raises(PluginError, match="evaluator 'few-rows': `evaluate` must return one"):
        measured(nap.evaluator("few-rows"), [space.architecture({"a": 1})])
    with pytest.raises(PluginError, match="strategy 'proposes-none'"):
        nap.search(space, nap.evaluator("good"), objectives="score", trials=2,
                   strategy="proposes-none")  # fmt: skip


def test_what_was_found_before_stands(tmp_path: Path) -> None:
    class Tires(nap.Strategy):
        def propose(self, history, n, rng):  # type: ignore[no-untyped-def]
            found = history.space.architectures(history.space.random(n, rng))
            return [nap.Proposal(a) for a in found] if len(history) < 3 else None

    from nas_plugins.runner.search import SearchBrokenError

    space = nap.CategoricalSpace({"a": range(9)})
    with pytest.raises(SearchBrokenError, match="must return a list, got None") as caught:
        nap.search(space, lambda a: float(a.indices[0]), objectives="score:max", trials=6,
                   strategy=Tires(), out=tmp_path / "out")  # fmt: skip
    assert len(caught.value.result.history.complete) == 3
    kept = nap.SearchResult.load(tmp_path / "out" / "result.json")
    assert kept.history.complete == caught.value.result.history.complete
