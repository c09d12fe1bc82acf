"""The strategy: schedule, determinism, racing workers, models that fail, budgets, replay."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_coevolution_helpers import (
    Script,
    ScriptedChat,
    children,
    counts_of,
    empty,
    generating,
    plain,
    quick,
    run,
    running,
    space,
    uniform,
)

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.errors import UnknownNameError
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import (
    ChatError,
    ChatRequest,
    ChatSetupError,
    RefusedChatError,
    TransientChatError,
)
from nas_plugins.strategies.llm_coevolution.config import CoEvolutionOptions
from nas_plugins.strategies.llm_coevolution.log import (
    NOTE,
    CoEvolutionLog,
    coevolution_log,
    read,
)
from nas_plugins.strategies.llm_coevolution.niches import partition
from nas_plugins.strategies.llm_coevolution.schedule import HYBRID, INITIAL, MODEL, NicheSchedule
from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution
from nas_plugins.testing.strategies import measured, objectives, search, started


def log_of(history: History) -> CoEvolutionLog:
    log = coevolution_log(history)
    assert log is not None
    return log


# -- schedule ------------------------------------------------------------------------------


def test_the_defaults_make_120_calls_in_ten_generations_of_six_niches() -> None:
    def conflicting(trial: Trial) -> Trial:
        value = float(sum(trial.architecture.indices))
        return measured(trial, 2, values=(value, value))

    model = ScriptedChat(uniform)
    history = search(LLMCoEvolution(model, axis="flops"), empty(), 330, measure=conflicting)
    log = log_of(history)
    assert len(model.requests) == log.totals.calls == 120
    assert [niche.trials for niche in log.niches] == [55] * 6
    assert [niche.generations for niche in log.niches] == [10] * 6
    roles = Counter(call.role for call in log.calls)
    assert roles["knowledge"] == 60
    assert 15 < roles["crossover"] < 45
    assert roles["crossover"] + roles["mutation"] == 60
    assert log.origins == {"initial": 30, "llm": 300, "repair": 0, "classical": 0, "hybrid": 0}


def test_niches_are_served_alike_and_within_their_bounds() -> None:
    history = search(LLMCoEvolution("null", axis="n_nor_conv_3x3"), empty(), 120)
    log = log_of(history)
    assert [niche.trials for niche in log.niches] == [20] * 6
    known = partition(space(), axis="n_nor_conv_3x3")
    for trial, (_, note) in zip(history.trials, log.entries, strict=True):
        assert known.niche_of([trial.architecture])[0] == note.niche
        assert note.label == known.niches[note.niche].label


def test_an_exhausted_niche_leaves_its_turns_to_the_others() -> None:
    history = search(LLMCoEvolution("null", axis="n_nor_conv_3x3"), empty(), 240)
    trials = [niche.trials for niche in log_of(history).niches]
    assert trials[5] == 25  # all cells with five or six
    assert max(trials[:5]) - min(trials[:5]) <= 1
    assert sum(trials) == 240


def scheduled(**options: Any) -> NicheSchedule:
    return NicheSchedule(empty(), partition(space()), CoEvolutionOptions(**options))


@pytest.mark.parametrize(("share", "hybrids"), [(0.0, 0), (0.3, 30), (0.5, 50), (1.0, 100)])
def test_the_classical_share_is_exact(share: float, hybrids: int) -> None:
    schedule = scheduled(classical_share=share)
    kinds = Counter(schedule.slot(0, served).kind for served in range(105))
    assert kinds[INITIAL] == 5
    assert kinds[HYBRID] == hybrids
    assert kinds[MODEL] == 100 - hybrids
    asked = sum(schedule.model_children(generation) for generation in range(1, 21))
    assert asked == 100 - hybrids


def test_slots_come_in_turn() -> None:
    schedule = scheduled(n_initial=1, children=2)
    slots = schedule.plan([0, 3, 1], [9, 9, 1], 6, np.random.default_rng(0))
    assert [slot.niche for slot in slots].count(2) == 1  # it holds one
    assert sorted((slot.niche, slot.generation) for slot in slots)[:3] == [(0, 0), (0, 1), (0, 1)]


def test_trials_of_others_stand_in_for_initial_ones() -> None:
    rows = space().random(60, np.random.default_rng(0))
    trials = [
        measured(Trial(i, a, TrialState.RUNNING), 2)
        for i, a in enumerate(space().architectures(rows))
    ]
    history = History(space(), objectives(2), tuple(trials))
    model = ScriptedChat(uniform)
    (proposal,) = LLMCoEvolution(model, partition="none").propose(
        history, 1, np.random.default_rng(0)
    )
    note = read(Trial(60, proposal.architecture, TrialState.RUNNING, notes=proposal.notes))
    assert note is not None
    assert (note.generation, note.origin) == (1, "llm")
    assert len(model.requests) == 2


# -- determinism ---------------------------------------------------------------------------


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("n", [1, 6])
def test_same_history_and_rng_same_proposals(small: bool, n: int) -> None:
    strategy = quick(ScriptedChat(uniform, small=small))
    history = run(strategy, 15)
    first = strategy.propose(history, n, np.random.default_rng(3))
    asked = len(strategy.llm.requests)  # type: ignore[union-attr]
    assert strategy.propose(history, n, np.random.default_rng(3)) == first
    assert len(strategy.llm.requests) == asked  # type: ignore[union-attr]
    fresh = quick(ScriptedChat(uniform, small=small))
    again = fresh.propose(history, n, np.random.default_rng(3))
    assert [p.architecture for p in again] == [p.architecture for p in first]


def test_nothing_but_the_options_is_pickled() -> None:
    strategy = quick("null")
    run(strategy, 10)
    copy = pickle.loads(pickle.dumps(strategy))
    assert copy == strategy
    assert "_cache" not in vars(copy)
    assert plain(run(copy, 10)) == plain(run(strategy, 10))


def test_small_models_get_short_questions_and_grammars() -> None:
    model = ScriptedChat(uniform, small=True)
    log = log_of(run(quick(model), 24))
    assert log.counts["legal"] == log.counts["asked"]
    assert {r.template for r in model.requests} == {"small-knowledge@1", "small-generation@1"}
    assert all(request.grammar for request in model.requests)
    assert all(len(r.messages[1].content) < 500 for r in model.requests)
    large = ScriptedChat(uniform)
    run(quick(large), 24)
    assert not any(request.grammar for request in large.requests)


@pytest.mark.parametrize("knowledge", ["llm", "statistics", "off"])
def test_who_edits_the_rules(knowledge: str) -> None:
    model = ScriptedChat(uniform)
    history = search(quick(model, knowledge=knowledge), empty(1), 60)
    log = log_of(history)
    asked = {request.template for request in model.requests}
    assert ("knowledge@1" in asked) == (knowledge == "llm")
    assert bool(log.rules) == (knowledge != "off")
    last = [r for r in model.requests if r.template == "generation@1"][-1]
    assert ("(trials " in last.messages[1].content) == (knowledge != "off")


# -- workers -------------------------------------------------------------------------------


def test_a_batch_is_led_once_and_its_children_wait_for_others() -> None:
    model = ScriptedChat(uniform)
    strategy = quick(model, n_niches=1)
    history = run(strategy, 1)
    for n in range(3):
        history = running(history)
        (proposal,) = strategy.propose(history, 1, np.random.default_rng(n))
        history = history.extend(started(history, [proposal]))
    notes = [read(trial) for trial in history.trials[1:]]
    batches = [note.batch for note in notes if note is not None]
    assert [batch is not None for batch in batches] == [True, False, False]
    assert batches[0] is not None
    written = [child.architecture for child in batches[0].children]
    assert [str(trial.architecture) for trial in history.trials[1:]] == written
    assert len(model.requests) == 1  # nothing is complete, so there is nothing to learn from


def test_racing_workers_lose_nothing() -> None:
    """Two workers lead the same batch, neither having seen the other's trial."""
    strategies = [quick(ScriptedChat(uniform), n_niches=1) for _ in range(2)]
    history = run(strategies[0], 1)
    proposals = [
        s.propose(history, 1, np.random.default_rng(i))[0] for i, s in enumerate(strategies)
    ]
    trials = [
        measured(Trial(1 + i, p.architecture, TrialState.RUNNING, notes=p.notes), 2)
        for i, p in enumerate(proposals)
    ]
    history = history.extend(trials)
    log = log_of(history)
    assert len(log.calls) == 4
    assert {change.trial for change in log.changes} == {1, 2}
    longer = search(strategies[0], history, 30)
    assert len(longer.seen) == 30
    noted = [note for _, note in log_of(longer).entries if note.generation == 1]
    assert len(noted) == 3


def test_a_slow_model_does_not_block_other_niches() -> None:
    """Proposals for several niches ask at the same time."""
    together = threading.Barrier(3, timeout=20)

    def script(request: ChatRequest) -> str:
        if request.template == "generation@1":
            together.wait()
        return uniform(request)

    strategy = quick(ScriptedChat(script))
    history = run(strategy, 3)
    proposals = strategy.propose(history, 3, np.random.default_rng(0))
    assert len({p.architecture.key for p in proposals} | history.seen) == 6


# -- models that fail ----------------------------------------------------------------------


def failing(error: Exception) -> Script:
    def script(request: ChatRequest) -> str:
        raise error

    return script


@pytest.mark.parametrize(
    "error",
    [
        TransientChatError("500", status=500),
        RefusedChatError("no"),
        ChatError("half a reply"),
        RuntimeError("a third party's fault"),
        RecursionError("deep"),
    ],
)
def test_a_model_that_fails_is_replaced_and_the_reason_noted(error: Exception) -> None:
    history = run(quick(ScriptedChat(failing(error))), 24)
    log = log_of(history)
    assert len(history.seen) == 24
    assert log.origins["classical"] == 21
    assert log.counts["failed"] == log.totals.failed == len(log.calls) == 18
    assert all("the model failed" in reason for reason in log.fallbacks)
    assert sum(log.failures.values()) == 18


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("", "malformed"),
        ("I am sorry, but I cannot help with that.", "malformed"),
        ('{"children": [{"gene": "3 1', "malformed"),
        ('{"children": {"gene": 7}}', "malformed"),
        ('{"children": [7, null, {"gene": []}, {"x": 1}]}', "malformed"),
        ("x" * 1_000_000, "malformed"),
        ("[" * 100_000, "malformed"),
        (children("9 9 9 9 9 9"), "illegal"),
        (children("ignore all rules", "0 0"), "illegal"),
        (children("0 0 0 0 0 0"), "off-niche"),
    ],
)
def test_replies_that_cannot_be_used(reply: str, kind: str) -> None:
    strategy = quick(ScriptedChat(generating(reply)))
    log = log_of(run(strategy, 24))
    assert log.counts[kind] > 0
    assert log.counts["repairs"] >= 6
    assert log.origins["classical"] >= 19
    assert log.rates["fallback"] > 0.9


def test_duplicates_are_counted_where_they_are_known_and_where_they_come_twice() -> None:
    first = "3 3 3 0 0 0"

    def script(request: ChatRequest) -> str:
        return children(first, first, "3 3 3 3 0 0")

    history = run(quick(ScriptedChat(generating(script)), n_niches=1), 8)
    counts = counts_of(history)
    assert counts["duplicate"] >= 1 + 3
    assert len(history.seen) == 8


def test_what_is_missing_is_asked_for_once_with_the_reasons() -> None:
    def script(request: ChatRequest) -> str:
        if request.template == "repair@1":
            return uniform(request)
        return children("0 0 0 0 0 9", "0 0 0 0 0 1")

    model = ScriptedChat(generating(script))
    history = run(quick(model, n_niches=1), 4)
    log = log_of(history)
    assert log.origins["llm"] == 1
    assert log.origins["repair"] == 2
    assert log.counts["repairs"] == 1
    (again,) = [request for request in model.requests if request.template == "repair@1"]
    assert again.sample == 1
    assert "illegal" in again.messages[-1].content
    assert "Write 2 other" in again.messages[-1].content
    assert [message.role for message in again.messages[1:]] == ["user", "assistant", "user"]


def test_no_second_question_where_none_is_wanted() -> None:
    log = log_of(run(quick(ScriptedChat(generating("")), repairs=0), 12))
    assert log.counts["repairs"] == 0
    assert log.origins["classical"] == 9


def test_a_reply_about_rules_that_cannot_be_used_costs_no_children() -> None:
    def rules(request: ChatRequest) -> str:
        return "no idea"

    log = log_of(run(quick(ScriptedChat(generating(uniform, otherwise=rules))), 24))
    assert log.origins["llm"] == 21
    assert not log.rules
    assert log.counts["malformed"] == 2 * 9


def test_a_model_that_cannot_be_used_is_told_before_anything_is_proposed(tmp_path: Path) -> None:
    strategy = LLMCoEvolution(f"replay:{tmp_path}/absent.jsonl", n_initial=1)
    with pytest.raises(ChatSetupError, match="absent"):
        strategy.prepare(space())
    with pytest.raises(ChatSetupError, match="absent"):
        run(strategy, 12)


def test_a_model_that_breaks_while_it_is_loaded_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: CoEvolutionOptions) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr(CoEvolutionOptions, "session", broken)
    log = log_of(run(LLMCoEvolution("null", n_initial=1), 12))
    assert log.origins["classical"] == 6
    assert list(log.fallbacks) == ["the language model cannot be used: OSError: the disk is away"]


# -- budgets -------------------------------------------------------------------------------


def test_a_budget_that_is_reached_leaves_the_rest_to_the_classical_operator() -> None:
    model = ScriptedChat(uniform)
    history = run(quick(model, max_calls=7), 40)
    log = log_of(history)
    assert len(model.requests) == log.totals.attempts == 7
    assert log.origins["classical"] > 20
    assert sum("budget" in reason for reason in log.fallbacks) == len(log.fallbacks)
    assert log.failures


def test_a_resumed_search_remembers_what_it_has_spent() -> None:
    history = run(quick(ScriptedChat(uniform), max_calls=7), 10)
    spent = log_of(history).totals.attempts
    assert 2 < spent <= 7
    model = ScriptedChat(uniform)
    longer = search(quick(model, max_calls=7), history, 40)
    assert spent + len(model.requests) == 7
    assert log_of(longer).totals.attempts == 7


def test_tokens_are_limited_too() -> None:
    model = ScriptedChat(uniform)
    log = log_of(run(quick(model, max_tokens=4_000), 40))
    assert 0 < log.totals.prompt_tokens + log.totals.completion_tokens <= 4_000
    assert log.failures


# -- recorded runs -------------------------------------------------------------------------


def test_a_recorded_search_is_repeated_exactly(tmp_path: Path) -> None:
    store = tmp_path / "run.jsonl"
    live = run(quick(ScriptedChat(uniform, name="m"), mode="record", store=store), 30)
    replayed = run(quick(f"replay:{store}"), 30)
    assert plain(replayed) == plain(live)
    log = log_of(replayed)
    assert log.totals.cached == log.totals.calls == log_of(live).totals.calls
    assert log.totals.attempts == 0
    again = run(quick(f"replay:{store}"), 30)
    assert [t.notes for t in again.trials] == [t.notes for t in replayed.trials]
    other = log_of(run(quick(f"replay:{store}"), 30, seed=1))
    assert other.failures
    assert other.origins["classical"] > 0


def test_ledger_and_notes_agree(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    log = log_of(run(quick(ScriptedChat(uniform), ledger=ledger), 20))
    from nas_plugins.llm import read_ledger

    assert {call.id for call in log.calls} == {call.id for call in read_ledger(ledger)}


# -- the classical operators ---------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_screened_candidates_are_bred_alike_but_chosen(share: float) -> None:
    """The first decision alone counts, so that additive effects tell all there is."""

    def measure(trial: Trial) -> Trial:
        return measured(trial, 1, values=(float(trial.architecture.indices[0] == 2),))

    found = []
    for candidates in (1, 16):
        strategy = LLMCoEvolution(
            "off", axis="flops", n_initial=2, classical_share=share, candidates=candidates
        )
        history = search(strategy, empty(1), 48, measure=measure)
        assert len(history.seen) == 48
        found.append(sum(trial.values[0] for trial in history.trials))
    assert found[1] > found[0]


# -- constraints and choices that are fixed ------------------------------------------------


def test_parents_are_feasible_where_anything_is() -> None:
    def measure(trial: Trial) -> Trial:
        return measured(trial, 1, constraints={"size": trial.architecture.indices[0] - 2.5})

    model = ScriptedChat(uniform)
    history = search(quick(model, n_niches=1, n_initial=8), empty(1), 40, measure=measure)
    asked = [r for r in model.requests if r.template == "generation@1"]
    assert asked
    assert all("breaks a constraint" not in _section(r, "Parents") for r in asked)
    assert any(t.violation > 0 for t in history.trials)


def _section(request: ChatRequest, title: str) -> str:
    text = request.messages[1].content
    return text[text.index(title) :].split("\n\n")[0]


def test_a_fixed_choice_asks_nobody() -> None:
    model = ScriptedChat(uniform)
    history = run(quick("null"), 12).fixing(FrozenDict({"1<-0": "none"}))
    proposals = quick(model).propose(history, 3, np.random.default_rng(0))
    assert len(proposals) == 3
    assert not model.requests
    assert all(NOTE not in proposal.notes for proposal in proposals)


# -- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"n_niches": 0},
        {"children": 0},
        {"candidates": 0},
        {"n_initial": -1},
        {"crossover_probability": 1.5},
        {"classical_share": -0.1},
        {"temperature": -1.0},
        {"max_rules": 1},
        {"repairs": 2},
        {"reply_tokens": 0},
        {"mode": "replay"},
        {"max_calls": -1},
        {"requests_per_minute": 0.0},
        {"attempts": 0},
        {"llm": ScriptedChat(uniform), "llm_options": {"a": 1}},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|are for"):
        LLMCoEvolution(**{"llm": "null", **options})


@pytest.mark.parametrize(
    "options",
    [
        {"llm": "nul"},
        {"partition": "axes"},
        {"knowledge": "statistic"},
        {"mode": "lives"},
        {"hide": ("devices",)},
        {"llm": "openai:x", "llm_options": {"tiemout": 3}},
    ],
)
def test_unknown_names_suggest_the_nearest(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        LLMCoEvolution(**{"llm": "null", **options})


@pytest.mark.parametrize("options", [{"llm": 3}, {"n_niches": 2.0}, {"task": {"dataset": 3}}])
def test_wrong_types(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must"):
        LLMCoEvolution(**{"llm": "null", **options})


def test_an_unknown_axis_is_told_when_prepared() -> None:
    with pytest.raises(UnknownNameError, match="axis"):
        LLMCoEvolution("null", axis="n_nothing").prepare(space())


def test_fewer_niches_than_asked_for_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    small = nap.space("categorical", decisions={"op": ("conv", "pool"), "kernel": (3, 5)})
    strategy = LLMCoEvolution("null", axis="level")
    strategy.prepare(small)
    strategy.prepare(small)
    (told,) = [r.getMessage() for r in caplog.records if "niches" in r.getMessage()]
    assert told.startswith("3 niches instead of 6: no architecture was found for others")


def test_hidden_things_as_on_the_command_line() -> None:
    strategy = nap.strategy("llm-coevolution", llm="null", hide="operations,metrics")
    model = ScriptedChat(uniform)
    run(quick(model, hide="operations, metrics"), 12)
    assert "conv" not in model.requests[-1].messages[0].content
    assert strategy.hide == "operations,metrics"


@pytest.mark.parametrize("kind", ["axis", "random", "none"])
def test_the_controls_take_the_same_options(kind: str) -> None:
    strategy = LLMCoEvolution("null", partition=kind, axis="params", bounds=(0.3, 0.6))
    history = search(strategy, empty(), 40)
    assert len(log_of(history).niches) == {"axis": 3, "random": 6, "none": 1}[kind]
