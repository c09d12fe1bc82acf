"""The report is one page that needs nothing else and survives odd searches and hostile text."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_helpers import HOSTILE, OBJECTIVES, Page, made_up, page_of

import nas_plugins as nap
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Trial, TrialState
from nas_plugins.protocols import Metric
from nas_plugins.report import render_report, write_report
from nas_plugins.report._tables import GROUP, NOTE_LIMIT, best_rows
from nas_plugins.results import SearchResult

TRUE_FRONT = ((1.0, 0.5), (0.9, 0.1), (0.5, 0.0))


def with_trials(result: SearchResult, *trials: Trial, **options: object) -> SearchResult:
    return SearchResult(result.history.extend(trials), **options)  # type: ignore[arg-type]


# -- what it says --------------------------------------------------------------------------


def test_the_page_says_what_was_found() -> None:
    result = made_up(true_front=TRUE_FRONT, source="a table made up")
    page = page_of(result)
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[123]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    for words in ("Pareto front", "Hypervolume", "Best architectures", "Settings", "a table made"):
        assert words in page.text
    assert f"{result.quality()['hv_ratio']:.4f}" in page.text
    for trial in result.history.front:
        assert str(trial.architecture) in page.text
    assert "--objective accuracy:max --objective latency:min --trials 12 --seed 0" in page.text
    drawings = [a for a in page.named("svg") if "nap-drawing" in (a["class"] or "")]
    rows = [a for a in page.named("tr") if a.get("id")]
    assert len(rows) == len(best_rows(result.history)) >= len(result.history.front)
    assert len(drawings) == result.counts()["distinct"]


def test_units_stand_with_the_values() -> None:
    page = page_of(made_up())
    assert "accuracy %" in page.text
    assert "latency (ms)" in page.text
    titles = page.figures["front"]["layout"]
    assert titles["xaxis"]["title"]["text"] == "latency (ms)<br>lower is better"
    assert titles["yaxis"]["title"]["text"] == "accuracy (%)<br>higher is better"


def test_one_objective_shows_the_regret() -> None:
    page = page_of(made_up(m=1, true_front=((2.0,),)))
    best = max(t.values[0] for t in made_up(m=1).history.trials)
    assert f"{2.0 - best:.4g}" in page.text
    assert "The optimum of the benchmark" in page.text


def test_every_trial_carries_its_notes_and_constraints() -> None:
    result = made_up(3)
    architecture = result.history.trials[0].architecture
    noted = Trial(
        3,
        architecture,
        values=(0.1, 0.2),
        notes=FrozenDict({"rationale": "wider\nand deeper", "long": "x" * (NOTE_LIMIT + 5)}),
        constraints=FrozenDict({"params": 2.5, "flops": -1.0}),
    )
    page = page_of(with_trials(result, noted))
    assert "wider\nand deeper" in page.text
    assert "2.5 (violated" in page.text
    assert "-1 (kept" in page.text
    assert "5 more characters" in page.text
    assert {"id": "notes-3", "class": "trial"} in page.named("details")


def test_many_notes_are_grouped() -> None:
    space = nap.space("nasbench201")
    rows = space.random(2 * GROUP + 1, np.random.default_rng(0))
    trials = [
        Trial(i, a, values=(i,), notes=FrozenDict({"origin": "x"}))
        for i, a in enumerate(space.architectures(rows))
    ]
    page = page_of(SearchResult(History(space, OBJECTIVES[:1], tuple(trials))))
    groups = [a for a in page.named("details") if a.get("class") == "group"]
    assert len(groups) == 3


def test_failures_are_counted_by_reason() -> None:
    result = made_up(4)
    a = result.history.trials[0].architecture
    slow = FrozenDict({"reason": "the device is too slow"})
    failed = [Trial(i, a, TrialState.FAILED, notes=slow) for i in (4, 5)]
    pruned = [Trial(6, a, TrialState.PRUNED), Trial(7, a, TrialState.RUNNING)]
    page = page_of(with_trials(result, *failed, *pruned, lost=("never began",)))
    assert "3 trials failed and 1 trial was pruned." in page.text
    assert "trials 4, 5" in page.text
    assert "never began" in page.text
    assert "No reason was recorded." in page.text
    assert "4 complete, 3 failed, 1 pruned, 1 running" in page.text


def test_the_best_are_listed_once_each_with_their_repeats() -> None:
    result = made_up(30, 1)
    best = result.history.best
    assert best is not None
    again = Trial(30, best.architecture, values=best.values)
    rows = best_rows(with_trials(result, again).history)
    assert rows[0].trial is best
    assert rows[0].repeats == (30,)
    assert [row.trial.values[0] for row in rows] == sorted(
        (row.trial.values[0] for row in rows), reverse=True
    )
    assert len(rows) == 20


def test_the_recorded_command_comes_first_and_limits_are_said() -> None:
    result = made_up()
    settings = FrozenDict({**result.settings, "command": ["run", "a b"], "workers": 4})
    page = page_of(SearchResult(result.history, settings=settings))
    assert "run 'a b'" in page.text
    assert "ran in several workers" in page.text


# -- one file, no network ------------------------------------------------------------------


def test_the_page_loads_nothing() -> None:
    page = page_of(made_up())
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    style = page.source.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_scripts_of_the_page_and_no_others() -> None:
    page = page_of(made_up())
    policy = next(
        a["content"]
        for a in page.named("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    executed = page.scripts[1:]
    assert len(executed) == 2
    for script in executed:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_plotly_is_inlined_once_and_offers_no_upload() -> None:
    page = page_of(made_up(m=3))
    assert sum(len(script) > 1_000_000 for script in page.scripts) == 1
    assert "modeBarButtons:" in page.scripts[-1]


def test_the_page_follows_the_colour_scheme() -> None:
    source = page_of(made_up()).source
    assert "prefers-color-scheme: dark" in source.split("<style>")[1].split("</style>")[0]
    used = set(re.findall(r'"\$css":"(--[\w-]+)"', source))
    style = source.split("<style>")[1].split("</style>")[0]
    light, dark = style.split("prefers-color-scheme: dark", 1)
    assert used
    for name in used:
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_importing_the_report_imports_no_plotly() -> None:
    code = (
        "import sys, nas_plugins.report as r; r.draw; "
        "print([m for m in ('plotly', 'torch', 'optuna', 'moocore') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# -- hostile text --------------------------------------------------------------------------


def test_text_from_outside_cannot_become_markup() -> None:
    result = made_up(3, 1)
    first = result.history.trials[0].architecture
    marked = Trial(3, first, values=(2.0,), notes=FrozenDict({HOSTILE: HOSTILE}))
    failed = Trial(4, first, TrialState.FAILED, notes=FrozenDict({"reason": HOSTILE}))
    hostile = SearchResult(
        result.history.extend([marked, failed]),
        settings=FrozenDict({"strategy": HOSTILE, "trials": 5, HOSTILE: HOSTILE}),
        source=HOSTILE,
        lost=(HOSTILE,),
    )
    page = page_of(hostile)
    assert page.text.count("alert(1)") >= 8
    assert not page.named("img")
    assert len(page.scripts) == 3
    render_report(hostile).encode()  # what UTF-8 cannot hold was replaced


def test_choices_of_a_space_cannot_become_markup() -> None:
    space = nap.CategoricalSpace({HOSTILE: [HOSTILE, "b"], "other": ["a", "b"]})
    trials = [
        Trial(i, a, values=(i, -i)) for i, a in enumerate(space.architectures([[0, 0], [1, 1]]))
    ]
    page = page_of(SearchResult(History(space, OBJECTIVES[:2], tuple(trials))))
    assert not page.named("img")
    plots = json.dumps(page.figures)
    assert "<img" not in plots
    assert "<script" not in plots
    assert "&lt;img" in plots


# -- odd searches --------------------------------------------------------------------------


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.RUNNING, None])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_search_without_values_still_has_a_report(state: TrialState | None, m: int) -> None:
    space = nap.space("nasbench201")
    trials = (Trial(0, space.sample(np.random.default_rng(0)), state),) if state else ()
    page = page_of(SearchResult(History(space, OBJECTIVES[:m], trials)))
    assert "nothing to plot" in page.text
    assert not page.figures
    assert max(map(len, page.scripts)) < 100_000


def test_a_search_whose_trials_were_all_lost_has_a_report() -> None:
    history = History(nap.space("nasbench201"), OBJECTIVES[:2])
    page = page_of(SearchResult(history, lost=("no device",) * 3))
    assert "3 failed" in page.text
    assert "no device" in page.text


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_single_trial_has_a_report(m: int) -> None:
    page = page_of(made_up(1, m))
    assert "parallel" not in page.figures
    assert page.figures


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("m", [1, 2])
def test_infinite_values_are_told_and_not_drawn(value: float, m: int) -> None:
    result = made_up(4, m)
    other = result.history.space.mutate(
        result.history.trials[0].architecture, np.random.default_rng(0)
    )
    odd = Trial(4, other, values=(value, 1.0)[:m])
    page = page_of(with_trials(result, odd))
    assert "has an infinite value and is not drawn" in page.text
    assert "\N{INFINITY}" in page.text
    for figure in page.figures.values():
        for trace in figure["data"]:
            assert all(math.isfinite(v) for v in trace.get("y", ()))


def test_only_infinite_values_leave_nothing_to_plot() -> None:
    space = nap.space("nasbench201")
    trial = Trial(0, space.sample(np.random.default_rng(0)), values=(math.inf, 1.0))
    page = page_of(SearchResult(History(space, OBJECTIVES[:2], (trial,))))
    assert not page.figures
    assert "nothing to plot" in page.text


def test_infeasible_trials_are_marked() -> None:
    result = made_up(4)
    a = result.history.trials[0].architecture
    odd = Trial(4, a, values=(2.0, -1.0), constraints=FrozenDict({"size<=1": 3.0}))
    page = page_of(with_trials(result, odd))
    assert "Infeasible" in [trace["name"] for trace in page.figures["front"]["data"]]
    assert "1 of the complete ones infeasible" in page.text
    assert "Trial 4" not in "".join(_texts_of(page.figures["front"], "Found front"))


def _texts_of(figure: dict, name: str) -> list[str]:
    return next(trace["text"] for trace in figure["data"] if trace["name"] == name)


def _held(result: SearchResult, *latencies: float) -> SearchResult:
    """The search with a limit on a metric that is no objective."""
    trials = [
        replace(t, constraints=FrozenDict({"latency_ms<=12": latency - 12}))
        for t, latency in zip(result.history.trials, latencies, strict=True)
    ]
    return replace(
        result,
        history=replace(result.history, trials=tuple(trials)),
        metrics=(*result.metrics, Metric("latency_ms", "ms", "min")),
    )


def test_a_limited_metric_is_shown_and_its_limit_named() -> None:
    result = _held(made_up(4, 1, true_front=((2.0,),)), 9.653, 14.5, 11.25, 3.0)
    page = page_of(result)
    cells = [a.get("data-label") for a in page.named("td")]
    assert cells.count("latency_ms (ms)") == 4
    limit = "latency_ms \N{LESS-THAN OR EQUAL TO}\N{NO-BREAK SPACE}12\N{NARROW NO-BREAK SPACE}ms"
    assert f"Constraints{limit}" in page.text
    assert f"The optimum of the benchmark under {limit} is" in page.text
    assert f"from the optimum under {limit}" in page.text
    assert f"Strategy random maximised accuracy under {limit} over 4 trials." in page.text
    assert "9.653" in page.text
    assert "9.653 (kept)" in page.text
    assert "14.5 (violated)" in page.text
    hover = page.figures["progress"]["data"][1]["text"][0]
    assert "latency_ms: <b>14.500" in hover


def test_what_violates_a_constraint_is_grey_and_no_best_colour() -> None:
    result = made_up(6, 1)
    best = max(result.history.trials, key=lambda t: t.values[0]).number
    latencies = [13.0 if t.number == best else 5.0 for t in result.history.trials]
    page = page_of(_held(result, *latencies))
    rows = {a["id"]: a.get("class") for a in page.named("tr") if a.get("id")}
    assert rows.pop(f"trial-{best}") == "infeasible"
    assert set(rows.values()) == {None}
    assert page.text.count("infeasible") >= 1
    trace = page.figures["parallel"]["data"][0]
    accuracy = trace["dimensions"][-1]["values"]
    assert trace["line"]["color"][accuracy.index(max(accuracy))] == 0
    assert "What violates a constraint is grey" in page.text


def test_where_nothing_is_feasible_the_page_says_so() -> None:
    result = made_up(3)
    trials = tuple(
        Trial(t.number, t.architecture, values=t.values, constraints=FrozenDict({"c": 1.0}))
        for t in result.history.trials
    )
    page = page_of(SearchResult(History(result.history.space, OBJECTIVES[:2], trials)))
    assert "No complete trial satisfies all constraints" in page.text
    assert "hypervolume" not in page.figures


# -- the file ------------------------------------------------------------------------------


def test_the_same_search_gives_the_same_page() -> None:
    assert render_report(made_up()) == render_report(made_up())


def test_a_saved_search_gives_the_same_page(tmp_path: Path) -> None:
    result = made_up(true_front=TRUE_FRONT)
    result.save(tmp_path / "result.json")
    assert render_report(SearchResult.load(tmp_path / "result.json")) == render_report(result)


def test_a_report_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    for title in ("old", "A & B"):
        assert write_report(made_up(), path, title=title) == path
    assert "<h1>A &amp; B</h1>" in path.read_text(encoding="utf-8")
    assert not list(path.parent.glob("*.partial"))


def test_reports_are_small_and_share_their_script(tmp_path: Path) -> None:
    one, two = (write_report(made_up(n), tmp_path / f"{n}.html") for n in (5, 50))
    script = next(tmp_path.glob("plotly-*.js"))
    assert {path.name for path in tmp_path.iterdir()} == {one.name, two.name, script.name}
    assert one.stat().st_size < 1_000_000 < script.stat().st_size
    for path in (one, two):
        page = Page(path.read_text(encoding="utf-8"))
        assert [a["src"] for a in page.named("script") if "src" in a] == [script.name]
        assert script.name in page.text  # the page says what must lie beside it


def test_a_torn_script_is_written_again(tmp_path: Path) -> None:
    write_report(made_up(), tmp_path / "r.html")
    script = next(tmp_path.glob("plotly-*.js"))
    whole = script.stat().st_size
    script.write_text("torn")
    write_report(made_up(), tmp_path / "r.html")
    assert script.stat().st_size == whole


def test_a_single_file_needs_nothing_beside_it(tmp_path: Path) -> None:
    path = write_report(made_up(), tmp_path / "r.html", single_file=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == render_report(made_up())


@pytest.mark.parametrize(
    ("named", "written"),
    [("there.1", "there.1/report.html"), ("new", "new/report.html"), ("r.htm", "r.htm")],
)
def test_a_folder_gets_a_report(named: str, written: str, tmp_path: Path) -> None:
    (tmp_path / "there.1").mkdir()
    assert made_up().report(str(tmp_path / named)) == tmp_path / written
    assert (tmp_path / written).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_five_thousand_trials_stay_small(space: str) -> None:
    result = made_up(5000, space=space)
    noted = tuple(
        Trial(t.number, t.architecture, values=t.values, notes=FrozenDict({"note": "y" * 200}))
        for t in result.history.trials
    )
    page = page_of(SearchResult(History(result.history.space, OBJECTIVES[:2], noted)))
    assert len(page.source) - max(map(len, page.scripts)) < 8_000_000


# -- from a point to its drawing -----------------------------------------------------------


def _anchors(page: Page) -> dict[str, str]:
    return dict(json.loads(page.scripts[0])["anchors"])


def test_every_point_leads_to_a_drawing() -> None:
    result = made_up(50)
    again = Trial(50, result.history.trials[3].architecture, values=(0.0, 1.0))
    page = page_of(with_trials(result, again))
    anchors = _anchors(page)
    assert set(anchors) == {str(number) for number in range(51)}
    assert anchors["50"] == anchors["3"]  # the same architecture
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert set(anchors.values()) <= set(ids)
    drawn = [a for tag, a in page.tags if tag == "svg"]
    assert len(drawn) == len({t.architecture.key for t in result.history.trials})


def test_the_drawings_of_a_long_search_stay_small() -> None:
    page = page_of(made_up(2000))
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page.source, flags=re.DOTALL)
    assert len(body) < 1_000_000
    assert 20 < len(_anchors(page)) < 2000
