"""The report of an LLM co-evolution: niches, rules, calls; whatever a model wrote stays text."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from report_helpers import HOSTILE, OBJECTIVES, Page, made_up, page_of

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.llm import CallRecord
from nas_plugins.results import SearchResult
from nas_plugins.strategies.llm_coevolution.knowledge import Edit
from nas_plugins.strategies.llm_coevolution.log import (
    NOTE,
    BatchRecord,
    Child,
    CoEvolutionLog,
    Note,
    coevolution_log,
    proposal_notes,
)
from nas_plugins.strategies.llm_coevolution.report import MAX_CALLS
from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution
from nas_plugins.testing.strategies import search

SECTIONS = {"niches", "rules", "model"}


@cache
def evolved(m: int = 2, llm: str = "null") -> SearchResult:
    strategy = LLMCoEvolution(llm=llm, axis="n_nor_conv_3x3", n_niches=3, n_initial=2, children=3)
    begun = History(nap.space("nasbench201"), OBJECTIVES[:m])
    found, rng = search(strategy, begun, 36, seed=0), np.random.default_rng(0)
    trials = tuple(replace(trial, values=tuple(rng.random(m))) for trial in found.trials)
    return replace(made_up(m=m), history=History(found.space, found.objectives, trials))


def log_of(result: SearchResult) -> CoEvolutionLog:
    log = coevolution_log(result.history)
    assert log is not None
    return log


def with_notes(*notes: Note) -> SearchResult:
    """A made-up search whose first trials have these notes."""
    result = made_up(max(len(notes), 3))
    trials = [
        replace(trial, notes=proposal_notes(note)) if note is not None else trial
        for trial, note in zip(result.history.trials, [*notes, *[None] * 3], strict=False)
    ]
    return replace(result, history=replace(result.history, trials=tuple(trials)))


def ids(page: Page) -> set[str | None]:
    return {attributes.get("id") for _, attributes in page.tags}


def cells(page: Page, section: str) -> str:
    """The source of a section."""
    return page.source.split(f'<section id="{section}">')[1].split("</section>")[0]


# -- what it says --------------------------------------------------------------------------


def test_other_searches_have_no_such_sections() -> None:
    assert not SECTIONS & ids(page_of(made_up()))


def test_every_niche_has_a_row_and_a_colour_in_the_plot() -> None:
    result = evolved()
    log, page = log_of(result), page_of(result)
    assert ids(page) >= SECTIONS
    traces = {trace.get("name"): trace for trace in page.figures["niches"]["data"]}
    for niche in log.niches:
        assert niche.label in page.text
        assert len(traces[niche.label]["x"]) == niche.trials
        members = traces[niche.label]["customdata"]
        full = traces[niche.label]["marker"]["opacity"]
        shown = {n for n, o in zip(members, full, strict=True) if o == 1}
        assert shown == set(niche.front)
    line = traces["Front of all niches"]
    assert len(line["x"]) == len(result.history.front)


def test_links_lead_to_a_trial_on_the_page() -> None:
    result = evolved()
    page = page_of(result)
    targets = {a["href"] for a in page.named("a") if a["href"]}
    assert {target.removeprefix("#") for target in targets} <= ids(page)
    for niche in log_of(result).niches:
        assert all({f"#trial-{n}", f"#notes-{n}"} & targets for n in niche.front)


def test_rules_stand_with_polarity_scope_support_and_evidence() -> None:
    result = evolved()
    log, page = log_of(result), page_of(result)
    assert log.rules
    told = cells(page, "rules")
    for rule in log.rules:
        assert f"{rule.support:,}</td>" in told
        assert all(f'-{n}">{n}</a>' in told for n in rule.evidence)
    assert "+ helps" in told
    assert "harms" in told
    generations = {change.generation for change in log.changes}
    assert all(f"<b>Generation {generation}</b>" in told for generation in generations)


def test_notes_are_facts_instead_of_json() -> None:
    result = evolved()
    page = page_of(result)
    assert '"batch"' not in page.text
    assert '{"v":' not in page.text
    assert "the language model, crossover of trials" in page.text
    assert "a uniform draw in the niche" in page.text
    assert "asked here" in page.text


def test_calls_are_told_by_role_by_niche_and_one_by_one() -> None:
    result = evolved()
    log, page = log_of(result), page_of(result)
    told = cells(page, "model")
    assert f"{log.totals.calls} calls to null." in told
    for role in {call.role for call in log.calls}:
        assert f'<th scope="row">{role}</th>' in told
    listed = told.split("All calls")[1]
    assert listed.count("<tr>") == 1 + len(log.calls)
    assert "0 USD" in told


def test_costs_that_nobody_knows_are_called_unpriced() -> None:
    call = CallRecord("a", role="mutation", model="m", prompt_tokens=7, attempts=3, usd=None)
    lost = CallRecord("b", role="mutation", asked="openai:m", outcome="transport: 503", usd=0.5)
    note = Note(
        0, "x = 1", 1, "llm", batch=BatchRecord(calls=(call,), counts=FrozenDict({"asked": 2}))
    )
    told = cells(page_of(with_notes(note)), "model")
    assert told.count("unpriced") >= 3  # the tile, the table of roles, the ledger
    both = replace(note, batch=BatchRecord(calls=(call, lost)))
    told = cells(page_of(with_notes(both)), "model")
    assert "1 call unpriced" in told
    assert "transport: 503" in told


def test_what_stood_in_is_counted_with_its_reason() -> None:
    told = cells(page_of(evolved(llm="off")), "model")
    assert "No language model was asked." in told
    assert "Why a classical operator stood in" in told
    assert "the search has no language model" in told


@pytest.mark.parametrize(("m", "plots"), [(1, {"niches"}), (3, {"niches-0-1", "niches-1-2"})])
def test_any_number_of_objectives_is_drawn(m: int, plots: set[str]) -> None:
    figures = page_of(evolved(m)).figures
    assert plots <= set(figures)
    names = {trace["name"] for name in plots for trace in figures[name]["data"]}
    assert {niche.label for niche in log_of(evolved(m)).niches} <= names


def test_trials_of_no_niche_are_told() -> None:
    page = page_of(with_notes(Note(0, "x = 1", 0, "initial")))
    assert "2 trials belong to none." in page.text
    assert "Of no niche" in {t["name"] for t in page.figures["niches"]["data"]}


# -- what others wrote ---------------------------------------------------------------------


def hostile(text: str) -> SearchResult:
    call = CallRecord(
        "a", role=text, niche=text, generation=text, asked=text, model=text, template=text,
        finish_reason=text, outcome=text,
    )  # fmt: skip
    edits = (
        Edit("add", "", "+", "global", text, (0,)),
        Edit("add", "", "-", text, text, (1,)),
    )
    batch = BatchRecord(
        (Child(text, "llm", text),), edits, (call,), FrozenDict({text: 1, "asked": 1})
    )
    note = {
        "v": 1, "niche": 0, "label": text, "generation": 1, "origin": "classical",
        "reason": text, "rationale": text, "operator": text, "parents": [0, 1, 99],
    }  # fmt: skip
    result = with_notes(Note(0, text, 1, "llm", text, text, text, (0,), batch))
    # The strategy cleans what it writes; another program need not.
    raw = replace(result.history.trials[1], notes=FrozenDict({NOTE: json.dumps(note)}))
    trials = (result.history.trials[0], raw, *result.history.trials[2:])
    return replace(result, history=replace(result.history, trials=trials))


def test_what_a_model_wrote_cannot_become_markup() -> None:
    plain, page = page_of(with_notes(Note(0, "x", 0, "initial"))), page_of(hostile(HOSTILE))
    assert len(page.scripts) == len(plain.scripts)
    assert not page.named("img")
    assert "alert(1)" in page.text
    names = {trace["name"] for trace in page.figures["niches"]["data"]}
    assert all("<" not in name for name in names)


def test_long_words_are_cut() -> None:
    once, long = len(page_of(hostile("y")).source), len(page_of(hostile("y" * 100_000)).source)
    assert long - once < 20_000


def test_a_torn_note_is_shown_as_it_is() -> None:
    result = with_notes(Note(0, "x = 1", 0, "initial"))
    torn = replace(result.history.trials[1], notes=FrozenDict({NOTE: '{"v":1,"niche'}))
    trials = (result.history.trials[0], torn, *result.history.trials[2:])
    page = page_of(replace(result, history=replace(result.history, trials=trials)))
    assert '{"v":1,"niche' in page.text


def test_of_very_many_calls_the_first_are_listed() -> None:
    calls = tuple(CallRecord(f"{i}", role="mutation", usd=0.0) for i in range(MAX_CALLS + 5))
    page = page_of(with_notes(Note(0, "x = 1", 1, "llm", batch=BatchRecord(calls=calls))))
    assert "5 more are left out" in cells(page, "model")


def test_a_search_without_values_still_has_its_story() -> None:
    result = evolved()
    trials = tuple(
        Trial(t.number, t.architecture, TrialState.RUNNING, notes=t.notes)
        for t in result.history.trials
    )
    page = page_of(replace(result, history=replace(result.history, trials=trials)))
    assert ids(page) >= SECTIONS
    assert not page.figures
