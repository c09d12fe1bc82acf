"""Any strategy tells its own part of a result and a report, a third party's like ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest
from report_helpers import HOSTILE, Page, made_up, page_of

from nas_plugins import Strategy, registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Proposal, Trial
from nas_plugins.results import SearchResult
from nas_plugins.sections import (
    Badge,
    DataTable,
    Details,
    Facts,
    Figure,
    GroupedTrials,
    Section,
    StrategySummary,
    Swatch,
    Text,
    Trials,
)
from nas_plugins.strategy_report import sections_of, summary_of, with_summary


class Teams(Strategy):
    """A third party's: two teams take turns, and a note says whose turn it was."""

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        return []

    @classmethod
    def summary(cls, history: History, settings: Mapping[str, Any]) -> StrategySummary | None:
        turns = sum("team" in trial.notes for trial in history.trials)
        return StrategySummary("teams", {"turns": turns}, (f"{turns} turns",)) if turns else None

    @classmethod
    def sections(cls, history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
        if cls.summary(history, settings) is None:
            return ()
        numbers = tuple(trial.number for trial in history.trials)
        teams = GroupedTrials("team", (HOSTILE, "B"), (numbers[::2], numbers[1::2]), ((0,), (1,)))
        row = ((Swatch(0), HOSTILE), Trials(numbers, most=3), Badge("fair", "good"))
        spec = {"data": [{"type": "bar", "x": [1], "y": [2]}], "layout": {}}
        blocks = (
            Text(("Two teams: ", HOSTILE), "lead"),
            DataTable(
                ("Turns", "Value", "Note"), (("Turns", f"{len(numbers)}", "in all"),), (), "tiles"
            ),
            teams,
            Figure("goals", ("Goals.",), spec, "Bars of goals"),
            Details("All turns", "a few", (DataTable(("Team", "Trials", "How"), (row,)),)),
        )
        how = Text("my-tool replay", "command")
        return Section("teams", "Teams", blocks), Section("settings", "", (how,))

    @classmethod
    def facts(cls, trial: Trial) -> Mapping[str, Facts]:
        told = trial.notes.get("team")
        return (
            {}
            if told is None
            else {"team": (("turn", (f"of team {told}, after ", Trials((0,)))),)}
        )


class Broken(Strategy):
    """Raises whatever it is asked."""

    def propose(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        return []

    @classmethod
    def sections(cls, history: History, settings: Mapping[str, Any]) -> tuple[Section, ...]:
        raise RuntimeError("out of order")


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our plug-ins, one that cannot be imported, one that raises, one that is no class."""
    known = registry.entry_points

    def with_others(group: str) -> EntryPoints:
        named = {
            "a-absent": "no_such_module:Strategy",
            "a-broken": f"{__name__}:Broken",
            "a-function": "math:sqrt",
            "teams": f"{__name__}:Teams",
        }
        fakes = [EntryPoint(name, value, group) for name, value in named.items()]
        others = fakes if group == "nas_plugins.strategies" else []
        return EntryPoints([*known(group=group), *others])

    monkeypatch.setattr(registry, "entry_points", with_others)


def played(strategy: str | None = "teams") -> SearchResult:
    result = made_up()
    trials = tuple(
        replace(trial, notes=FrozenDict({"team": "AB"[trial.number % 2], "other": HOSTILE}))
        for trial in result.history.trials
    )
    settings = {"trials": 12, **({} if strategy is None else {"strategy": strategy})}
    history = replace(result.history, trials=trials)
    return replace(result, history=history, settings=FrozenDict(settings))


def part(page: Page, section: str) -> str:
    return page.source.split(f'<section id="{section}">')[1].split("</section>")[0]


def test_a_section_is_rendered_with_all_that_may_stand_in_it() -> None:
    page = page_of(played())
    told = part(page, "teams")
    assert '<p class="lead">Two teams: ' in told
    assert '<ul class="tiles">' in told
    assert "var(--group-0)" in told
    assert '<span class="badge good">fair</span>' in told
    assert '<a href="#trial-' in told
    assert " and 9 more" in told
    assert "<b>All turns</b>" in told
    assert "Of no team" not in str(page.figures["teams"])
    assert [trace["name"] for trace in page.figures["teams"]["data"]][-1] == "Front of all teams"
    assert page.figures["goals"]["data"][0]["y"] == [2]
    assert "alert(1)" in told
    assert "<script" not in told


def test_it_may_add_to_a_section_of_the_page() -> None:
    page = page_of(played())
    assert page.source.count('<section id="settings">') == 1
    assert "<code>my-tool replay</code>" in part(page, "settings")


def test_notes_that_it_knows_are_told_in_its_words() -> None:
    page = page_of(played())
    assert "<dt>turn</dt><dd>of team B, after <a href=" in page.source
    assert "<dt>team</dt>" not in page.source
    assert "<dt>other</dt>" in page.source


@pytest.mark.parametrize("strategy", ["teams", None, "gone", "random", "a-broken", "a-absent"])
def test_whoever_knows_the_trials_is_found_and_the_broken_disturb_nobody(
    strategy: str | None,
) -> None:
    result = played(strategy)
    assert [s.anchor for s in sections_of(result.history, result.settings)] == [
        "teams",
        "settings",
    ]
    summary = summary_of(result.history, result.settings)
    assert summary is not None
    assert summary.lines == ("12 turns",)


def test_a_result_keeps_the_block() -> None:
    result = with_summary(played())
    assert json.loads(json.dumps(result.summary()))["teams"] == {"turns": 12}
    assert with_summary(made_up()) == made_up()
    assert sections_of(made_up().history, made_up().settings) == ()


@pytest.mark.parametrize(
    ("options", "model"),
    [({}, "nasbench201"), ({"model": "my folder"}, "'my folder'"), ({"model": "none"}, None)],
)
def test_arch_vq_says_how_to_look_into_its_space(options: dict[str, str], model: str) -> None:
    settings = FrozenDict({"strategy": "arch-vq", "strategy_options": options})
    told = unescape(part(page_of(replace(made_up(), settings=settings)), "settings"))
    command = f"nas-plugins report --latent {model} --out latent.html"
    assert (command in told) == (model is not None)
    assert ("Look into the latent space" in told) == (model is not None)
