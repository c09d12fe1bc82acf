"""Optuna's trials become a history: complete, in order, and the same at whatever pace."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import optuna
import pytest
from engine_helpers import SPACE, DistinctPair, value_of
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from nas_plugins.errors import EngineError
from nas_plugins.history import Objective, TrialState
from nas_plugins.optuna import (
    ArchiveEvolutionSampler,
    RandomArchitectureSampler,
    StrategySampler,
    history,
    study_settings,
    suggest,
)
from nas_plugins.optuna import _attributes as attributes
from nas_plugins.optuna import trial_log as log_module
from nas_plugins.optuna.trial_log import TrialLog

DISTRIBUTIONS = {d.name: CategoricalDistribution(d.choices) for d in SPACE.decisions}
OBJECTIVES = (Objective("x", "min"), Objective("y"))
STATES = (OptunaState.COMPLETE, OptunaState.FAIL, OptunaState.PRUNED, OptunaState.RUNNING)


@settings(max_examples=40, deadline=None)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["enqueue", "ask", "suggest", "tell", "look"]), st.integers(0, 10**6)
        ),
        max_size=60,
    ),
    tail=st.sampled_from([0, 2, 512]),
)
def test_a_log_kept_up_to_date_equals_one_made_anew(
    events: list[tuple[str, int]], tail: int
) -> None:
    """Whatever happens between two looks, and however long trials hang."""
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    log = TrialLog(SPACE, OBJECTIVES)
    before = log_module._MAX_TAIL
    log_module._MAX_TAIL = tail
    open_trials: list[optuna.Trial] = []
    try:
        for event, number in events:
            if event == "enqueue":
                choices = SPACE.sample(np.random.default_rng(number)).choices
                study.enqueue_trial(dict(list(choices.items())[: 1 + number % 8]))
            elif event == "ask":
                open_trials.append(study.ask())
            elif event == "look":
                trials = study.get_trials(deepcopy=False)
                exclude = number % (len(trials) + 1)
                found = log.history(trials, exclude=exclude)
                anew = TrialLog(SPACE, OBJECTIVES).history(trials, exclude=exclude)
                assert found == anew
                assert found.seen == anew.seen
                assert found.front == anew.front
                assert np.array_equal(found.losses, anew.losses)
                assert all(t.number != exclude for t in found.trials)
            elif open_trials:
                trial = open_trials[number % len(open_trials)]
                for decision in SPACE.decisions:
                    trial.suggest_categorical(decision.name, decision.choices)
                if event == "tell":
                    open_trials.remove(trial)
                    state = STATES[number % 3]
                    values = [number % 7, number % 5] if state == OptunaState.COMPLETE else None
                    study.tell(trial, values, state)
    finally:
        log_module._MAX_TAIL = before


def test_states_values_and_constraints_are_kept() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    params = SPACE.sample(np.random.default_rng(0)).choices
    for state in (*STATES, OptunaState.WAITING):
        study.add_trial(
            create_trial(
                state=state,
                params=params,
                distributions=DISTRIBUTIONS,
                values=[1.0, float("inf")] if state == OptunaState.COMPLETE else None,
                system_attrs={"constraints": [0.5, -1.0]},
            )
        )
    found = history(study, space=SPACE).trials
    assert [t.state.name for t in found] == ["COMPLETE", "FAILED", "PRUNED", "RUNNING", "RUNNING"]
    assert found[0].values == (1.0, float("inf"))
    assert found[0].constraints == {"0": 0.5, "1": -1.0}
    assert found[0].violation == 0.5
    assert all(t.architecture.choices == params for t in found)


def test_trials_that_are_no_architecture_are_left_out() -> None:
    space = DistinctPair()
    study = optuna.create_study()
    wide = {name: CategoricalDistribution([0, 1, 2, 3]) for name in "ab"}
    for params in ({"a": 0, "b": 1}, {"a": 1, "b": 1}, {"a": 3, "b": 1}, {"a": 2}, {}):
        distributions = {name: wide[name] for name in params}
        study.add_trial(create_trial(params=params, distributions=distributions, value=0.0))
    assert [t.number for t in history(study, space=space).trials] == [0]


def test_published_choices_count_until_the_parameters_contradict_them() -> None:
    study = optuna.create_study(sampler=RandomArchitectureSampler(space=SPACE, seed=0))
    trial = study.ask()
    first = trial.suggest_categorical("op0", SPACE.decisions[0].choices)
    found = history(study, space=SPACE).trials
    assert [t.state for t in found] == [TrialState.RUNNING]
    published = json.loads(study.trials[0].system_attrs["nas_plugins:choices"])
    assert found[0].architecture.choices == published
    assert published["op0"] == first
    study._storage.set_trial_system_attr(
        trial._trial_id, "nas_plugins:choices", json.dumps({**published, "op0": "other"})
    )
    assert history(study, space=SPACE).trials == ()


def test_names_and_directions_of_the_objectives() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    assert history(study, space=SPACE).objectives == (
        Objective("value_0", "min"),
        Objective("value_1"),
    )
    study.set_metric_names(["latency", "accuracy"])
    assert [o.name for o in history(study, space=SPACE).objectives] == ["latency", "accuracy"]
    study.set_metric_names(["same", "same"])
    assert [o.name for o in history(study, space=SPACE).objectives] == ["value_0", "value_1"]


def test_a_trial_that_hangs_for_ever_slows_nothing_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_MAX_TAIL", 5)
    sampler = StrategySampler("random", space=SPACE, seed=0)
    study = optuna.create_study(sampler=sampler)
    zombie = study.ask()
    zombie.suggest_categorical("op0", SPACE.decisions[0].choices)
    study.optimize(value_of, n_trials=30)
    log = sampler._memories.of(study)._log
    assert log is not None
    assert log._settled >= 25
    assert len({json.dumps(t.params) for t in study.trials[1:]}) == 30
    for decision in SPACE.decisions:
        zombie.suggest_categorical(decision.name, decision.choices)
    study.tell(zombie, 1.0)
    study.optimize(value_of, n_trials=1)
    states = [t.state for t in log.history(study.get_trials(deepcopy=False)).trials]
    assert states == [TrialState.COMPLETE] * 32


# -- texts in attributes ------------------------------------------------------------------

texts = st.one_of(
    st.text(max_size=50),
    st.integers(2000, 5000).map(lambda n: "x" * n),
    st.integers(300, 2500).map(lambda n: '"\n' * n),
    st.integers(200, 1200).map(lambda n: "é😀\x00" * n),
    st.text(alphabet=st.characters(codec=None), max_size=30).map(lambda t: t * 200),
)


@settings(max_examples=60, deadline=None)
@given(texts, st.data())
def test_texts_round_trip_in_pieces_and_half_of_them_is_nothing(
    text: str, data: st.DataObject
) -> None:
    entries = list(attributes.entries("note:a", text))
    assert all(len(json.dumps(value)) <= attributes.PIECE for _, value in entries)
    assert attributes.read(dict(entries), "note:a") == text
    missing = data.draw(st.integers(0, len(entries) - 1))
    torn = dict(entries[:missing] + entries[missing + 1 :])
    assert attributes.read(torn, "note:a") is None
    assert attributes.read_notes(dict(entries)) == {"a": text}


def test_a_long_text_overwritten_by_another_is_never_a_mixture() -> None:
    old = list(attributes.entries("note:a", "x" * 5000))
    new = list(attributes.entries("note:a", "y" * 5000))
    for written in range(len(new) + 1):
        found = attributes.read(dict(old + new[:written]), "note:a")
        assert found in ("x" * 5000 if written == 0 else None, "y" * 5000, None)
    assert attributes.read(dict(old + new), "note:a") == "y" * 5000


def test_notes_with_awkward_names_stay_apart() -> None:
    notes = {"a": "1" * 3000, "a:0": "2" * 3000, "piece:0:note:a": "3", "n" * 300: "4"}
    written = dict(attributes.note_entries(notes))
    found = attributes.read_notes(written)
    assert found.pop("n" * 200) == "4"
    assert found == {k: v for k, v in notes.items() if k != "n" * 300}


@pytest.mark.parametrize("junk", ["", "{", "[1]", "3", '"text"', None, 7, {"pieces": 2}])
def test_foreign_choices_are_no_choices(junk: object) -> None:
    assert attributes.read_choices({"nas_plugins:choices": junk}) == {}


_NESTED = "[" * 100_000
_BAD_CONSTRAINTS = (["x"], [None], [float("nan")], [10**400], [True], "x", {"a": 1}, 7)


def _asked_after(entries: list[tuple[str, object]]) -> int:
    """How many of the trials before a hostile one a further trial of the study still knows."""
    sampler = ArchiveEvolutionSampler(seed=0, space=SPACE)
    study = optuna.create_study(sampler=sampler)
    study.optimize(value_of, n_trials=3)
    trial = study.ask()
    suggest(trial, SPACE)
    for key, value in entries:
        study._storage.set_trial_system_attr(trial._trial_id, key, value)
    for _ in range(3):
        suggest(study.ask(), SPACE)
    study.tell(trial, 1.0)
    for _ in range(2):
        suggest(study.ask(), SPACE)
    return len(history(study, space=SPACE).complete)


@pytest.mark.parametrize("value", _BAD_CONSTRAINTS, ids=lambda v: repr(v)[:20])
def test_a_trial_whose_constraints_are_none_is_left_out_with_one_warning(
    value: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert _asked_after([("constraints", value)]) == 3
    study = optuna.create_study()
    study.add_trial(_hostile({"constraints": value}))
    log = TrialLog(SPACE, (Objective("x", "min"),))
    caplog.clear()
    for _ in range(3):
        assert not log.history(study.get_trials(deepcopy=False)).trials
    (told,) = caplog.records
    assert told.getMessage().startswith("Trial#0 is left out: ")
    assert len(told.getMessage()) < 250


def _hostile(system_attrs: dict[str, object]) -> optuna.trial.FrozenTrial:
    params = {d.name: d.choices[0] for d in SPACE.decisions}
    return create_trial(
        params=params, distributions=DISTRIBUTIONS, value=1.0, system_attrs=system_attrs
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("nas_plugins:note:x", {"pieces": pieces, "crc32": 0})
            for pieces in (None, "3", -1, 0, 3 * 10**6, 10**400, float("nan"), [1], {})
        ),
        ("nas_plugins:note:x", 7),
        *(
            (f"nas_plugins:{name}", text)
            for name in ("choices", "drawn", "rest")
            for text in (_NESTED, "{", "7", "[1]", '{"a": [1]}', '{"a": "b"}', '{"a": NaN}', 7)
        ),
        ("nas_plugins:constraint-names", [[1]]),
        ("nas_plugins:constraint-names", 7),
        ("fixed_params", 7),
        ("nas_plugins:failure", [1]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_no_attribute_of_one_trial_stops_or_slows_a_study(key: str, value: object) -> None:
    assert _asked_after([(key, value)]) >= 3


def test_a_head_that_promises_many_pieces_costs_no_more_than_there_are() -> None:
    class Counting(dict[str, object]):
        reads = 0

        def get(self, key: str, default: object = None) -> object:
            Counting.reads += 1
            return super().get(key, default)

    found = Counting({"nas_plugins:note:x": {"pieces": 3_000_000, "crc32": 0}})
    assert attributes.read_notes(found) == {}
    assert Counting.reads < 5


@pytest.mark.parametrize("names", [["a", "b"], [7], [None], [""], "ab", {"a": 1}, 7, [["a"]], []])
def test_names_of_metrics_that_are_none_change_nothing(names: object) -> None:
    study = optuna.create_study()
    study.add_trial(_hostile({}))
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", names)
    (objective,) = history(study, space=SPACE).objectives
    assert objective.name in ("value", "7", "None", "['a']")
    assert objective.direction == "min"


@pytest.mark.parametrize("key", ["space", "objectives", "seed", "settings", "versions"])
@pytest.mark.parametrize("text", [_NESTED, "7.5", "[7]", '{"a": 1}', '"x"'], ids=lambda v: v[:9])
def test_no_attribute_of_a_study_ends_in_a_traceback(key: str, text: str) -> None:
    study = optuna.create_study()
    study.add_trial(_hostile({}))
    for name, content in attributes.entries(key, text):
        study.set_user_attr(name, content)
    foreign = key == "space" and text != _NESTED
    refused = pytest.raises(EngineError, match="cannot be built here")
    with refused if foreign else contextlib.nullcontext():
        assert len(history(study).trials) == 1
    found = study_settings(study)
    assert set(found) <= {key}
