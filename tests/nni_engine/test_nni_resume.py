"""Checkpoints: plain data, complete after a resume, never lost to a resume that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nni")

import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import SimplifiedModelSpace
from nni.nas.strategy import RegularizedEvolution as NNIEvolution
from nni_helpers import Scores, SmallSpace, TinySpace, experiment, metrics_of, searched

from nas_plugins.errors import EngineError
from nas_plugins.history import TrialState
from nas_plugins.nni import ArchiveEvolution, LocalSearch, RandomSearch
from nas_plugins.nni._state import plain

BOTH = ("quality:max", "latency_ms:min")
WITHOUT_SIXTH = (0, 1, 2, 3, 4, 6, 7, 8, 9)


def state_of(folder: Path, identity: str) -> dict[str, Any]:
    path = folder / identity / "checkpoint" / "state.ckpt.torch"
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state


def half_run(strategy: Any, folder: Path, *, evaluator: Scores | None = None) -> str:
    first = experiment(strategy, folder, 8, evaluator=evaluator)
    first.run()
    first.stop()
    return str(first.id)


@pytest.mark.parametrize("strategy", [ArchiveEvolution, LocalSearch])
def test_a_resumed_search_is_the_whole_search(strategy: Any, tmp_path: Path) -> None:
    identity = half_run(strategy(seed=0, objectives=BOTH), tmp_path)
    resumed = experiment(strategy(seed=0, objectives=BOTH), tmp_path, 16, identity=identity)
    resumed.resume()
    whole = searched(strategy(seed=0, objectives=BOTH), 16)
    found = resumed.strategy
    assert found.history == whole.history
    assert found.pareto_front() == whole.pareto_front()
    best = resumed.export_top_models(5)
    assert [m.metric for m in best] == [m.metric for m in whole.list_models(limit=5)]
    assert [dict(m.sample) for m in best] == [dict(m.sample) for m in whole.list_models(limit=5)]
    assert len(list(found.list_models(sort=False))) == 16
    assert len(list(found.engine.list_models())) == 16
    assert [dict(found.metrics(i)) for i in range(16)] == [
        dict(whole.metrics(i)) for i in range(16)
    ]
    resumed.stop()


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_an_engine_that_lives_on_lists_every_model_once(once: bool, when: str) -> None:
    def answer(sample: dict[str, Any]) -> Any:
        if len(evaluator.calls) == 6:
            raise KeyboardInterrupt
        return metrics_of(sample)

    evaluator = Scores(answer)
    options = {"seed": 0, "avoid_duplicates": once}
    space = SimplifiedModelSpace.from_model(SmallSpace() if once else TinySpace(), evaluator)
    engine = SequentialExecutionEngine(max_model_count=9)
    first, second = RandomSearch(**options), RandomSearch(**options)
    with pytest.raises(KeyboardInterrupt):
        first(space, engine)
    before = list(engine.list_models())[:5]
    if when != "after":
        second.load_state_dict(first.state_dict())
    second.initialize(space, engine)
    if when != "before":
        second.load_state_dict(first.state_dict())
    assert list(engine.list_models()) == before
    second.run()
    listed = list(engine.list_models())
    assert [id(model) for model in listed[:5]] == [id(model) for model in before]
    assert [id(model) for model in second.list_models(sort=False)] == [id(m) for m in listed]
    assert [dict(model.sample) for model in listed] == [evaluator.calls[i] for i in WITHOUT_SIXTH]
    assert len(evaluator.calls) == 10


def test_an_engine_keeps_the_models_of_other_strategies() -> None:
    engine = SequentialExecutionEngine(max_model_count=4)
    searched(RandomSearch(seed=0), engine=engine, space=TinySpace())
    foreign = list(engine.list_models())
    engine.max_model_count = 9
    first, second = RandomSearch(seed=0), RandomSearch(seed=0)
    searched(first, engine=engine)
    second.load_state_dict(first.state_dict())
    engine.max_model_count = 12
    searched(second, engine=engine)
    assert list(engine.list_models())[:4] == foreign
    assert list(engine.list_models())[4:] == list(second.list_models(sort=False))
    assert len(second.history) == 8


def test_without_a_seed_the_drawn_one_is_kept(tmp_path: Path) -> None:
    first = ArchiveEvolution()
    identity = half_run(first, tmp_path)
    second = ArchiveEvolution()
    resumed = experiment(second, tmp_path, 8, identity=identity)
    resumed.resume()
    assert second.state_dict() == first.state_dict()
    resumed.stop()


def test_a_checkpoint_is_plain_data(tmp_path: Path) -> None:
    identity = half_run(RandomSearch(objectives=BOTH), tmp_path)
    state = state_of(tmp_path, identity)["strategy"]
    assert json.loads(json.dumps(state)) == state
    assert plain(state) == state
    assert len(state["history"]["trials"]) == len(state["metrics"]) == 8


def test_failures_and_their_reasons_are_restored(tmp_path: Path) -> None:
    def answer(sample: dict[str, Any]) -> Any:
        if sample["op0"] in ("none", "skip"):
            raise RuntimeError("diverged")
        return metrics_of(sample)

    first = RandomSearch(seed=1)
    identity = half_run(first, tmp_path, evaluator=Scores(answer))
    failed = [t for t in first.history.trials if t.state is TrialState.FAILED]
    assert failed
    second = RandomSearch(seed=1)
    resumed = experiment(second, tmp_path, 8, identity=identity)
    resumed.resume()
    assert second.history == first.history
    assert {t.notes["reason"] for t in failed} == {"RuntimeError: diverged"}
    assert len(resumed.export_top_models(20)) == 8 - len(failed)
    resumed.stop()


def test_a_resume_that_fails_leaves_the_checkpoint_alone(tmp_path: Path) -> None:
    identity = half_run(RandomSearch(seed=0, objectives=BOTH), tmp_path)
    before = state_of(tmp_path, identity)
    other = experiment(
        RandomSearch(seed=0, objectives=["extra:min"]), tmp_path, 9, identity=identity
    )
    with pytest.raises(EngineError, match="`objectives`"):
        other.resume()
    other.stop()
    assert state_of(tmp_path, identity) == before
    copy = tmp_path / identity / "checkpoint" / "before-resume-1" / "state.ckpt.torch"
    assert torch.load(copy, weights_only=True) == before


def test_every_resume_keeps_a_copy(tmp_path: Path) -> None:
    identity = half_run(RandomSearch(seed=0), tmp_path)
    for n_trials in (10, 12):
        resumed = experiment(RandomSearch(seed=0), tmp_path, n_trials, identity=identity)
        resumed.resume()
        resumed.stop()
    folder = tmp_path / identity / "checkpoint"
    counts = [
        len(torch.load(path, weights_only=True)["strategy"]["metrics"])
        for path in sorted(folder.glob("before-resume-*/state.ckpt.torch"))
    ]
    assert counts == [8, 10]
    assert len(state_of(tmp_path, identity)["strategy"]["metrics"]) == 12


def test_the_state_is_saved_during_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_plugins.nni._strategy._MIN_PAUSE_S", 0.0)
    monkeypatch.setattr("nas_plugins.nni._strategy._CHECKPOINT_SHARE", 1e9)
    counts: list[int] = []

    def answer(sample: dict[str, Any]) -> Any:
        counts.append(len(state_of(tmp_path, search.id)["strategy"]["metrics"]))
        return metrics_of(sample)

    search = experiment(RandomSearch(seed=0), tmp_path, 6, evaluator=Scores(answer))
    search.run()
    assert counts == [0, 1, 2, 3, 4, 5]
    search.stop()


def test_strategies_of_nni_can_be_resumed_too(tmp_path: Path) -> None:
    RandomSearch()  # makes the changes to NNI
    options = {"population_size": 4, "sample_size": 2, "seed": 0}
    identity = half_run(NNIEvolution(**options), tmp_path)
    second = NNIEvolution(**options)
    resumed = experiment(second, tmp_path, 12, identity=identity)
    resumed.resume()
    assert second._individual_counter == 12
    resumed.stop()
