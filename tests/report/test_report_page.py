"""The report is one page that needs nothing else and survives odd searches and hostile text."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import nas_plugins as nap
from nas_plugins import pareto, registry
from nas_plugins._frozen import FrozenDict
from nas_plugins.history import History, Objective, Trial, TrialState
from nas_plugins.protocols import Metric
from nas_plugins.report import draw, render_report, write_report
from nas_plugins.report._figures import hypervolume_curve, shown_decisions
from nas_plugins.results import SearchResult

HOSTILE = '</script><script>alert(1)</script><img src="http://x.test/a.png" onerror="x">'
OBJECTIVES = (Objective("accuracy"), Objective("latency", "min"), Objective("energy", "min"))
VOID = {"meta", "br", "col", "link", "img", "input", "hr"}


class _Page(HTMLParser):
    """Collects elements, attributes and the text outside scripts; checks the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        (self.scripts if inside == "script" else self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def figures(self) -> dict[str, dict]:
        return next(json.loads(s) for s in self.scripts if s.startswith('{"figure'))


def _result(
    n: int = 12, m: int = 2, *, space: str = "nasbench201", **options: object
) -> SearchResult:
    built = nap.space(space)
    rng = np.random.default_rng(0)
    trials = [Trial(i, built.sample(rng), values=tuple(rng.random(m).tolist())) for i in range(n)]
    return SearchResult(
        History(built, OBJECTIVES[:m], tuple(trials)),
        settings=FrozenDict({"strategy": "random", "seed": 0, "trials": n}),
        metrics=(Metric("accuracy", "%", "max"), Metric("latency", "ms", "min")),
        **options,  # type: ignore[arg-type]
    )


def _page(result: SearchResult) -> _Page:
    return _Page(render_report(result))


def test_the_page_says_what_was_found() -> None:
    result = _result(true_front=((1.0, 0.5), (0.9, 0.1), (0.5, 0.0)))
    page = _page(result)
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[123]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    for words in ("accuracy [%]", "latency [ms]", "Pareto front", "Hypervolume", "Settings"):
        assert words in page.text
    assert f"{result.quality()['hv_ratio']:.1%}" in page.text
    for trial in result.history.front:
        assert str(trial.architecture) in page.text
    assert "--objective accuracy:max --objective latency:min --trials 12 --seed 0" in page.text
    drawings = [tag for tag, _ in page.tags if tag == "svg"]
    assert len(drawings) == len(result.history.front)


def test_the_page_loads_nothing() -> None:
    page = _page(_result())
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "img"}
        assert not attributes.get("src")
        assert not (attributes.get("href") or "").startswith("http")
    style = render_report(_result()).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


@pytest.mark.parametrize("m", [1, 2, 3])
def test_every_number_of_objectives_is_drawn(m: int) -> None:
    figures = _page(_result(m=m)).figures()
    assert set(figures) == {"figure-objective", "figure-parallel"} | (
        {"figure-hypervolume"} if m > 1 else set()
    )
    kinds = {1: "scatter", 2: "scatter", 3: "splom"}
    assert figures["figure-objective"]["data"][0]["type"] == kinds[m]


def test_text_from_outside_cannot_become_markup() -> None:
    result = _result(3, 1)
    first = result.history.trials[0]
    marked = Trial(3, first.architecture, values=(2.0,), notes=FrozenDict({HOSTILE: HOSTILE}))
    failed = Trial(4, first.architecture, TrialState.FAILED, notes=FrozenDict({"reason": HOSTILE}))
    hostile = SearchResult(
        result.history.extend([marked, failed]),
        settings=FrozenDict({"strategy": HOSTILE, "trials": 5, HOSTILE: HOSTILE}),
        source=HOSTILE,
    )
    page = _page(hostile)
    assert page.text.count("alert(1)") >= 5
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [script for script in page.scripts if script.startswith("alert")]


def test_choices_of_a_space_cannot_become_markup() -> None:
    space = nap.CategoricalSpace({HOSTILE: [HOSTILE, "b"], "other": ["a", "b"]})
    trials = [
        Trial(i, a, values=(i, -i)) for i, a in enumerate(space.architectures([[0, 0], [1, 1]]))
    ]
    page = _page(SearchResult(History(space, OBJECTIVES[:2], tuple(trials))))
    assert not [tag for tag, _ in page.tags if tag == "img"]


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.RUNNING, None])
def test_a_search_without_values_still_has_a_report(state: TrialState | None) -> None:
    space = nap.space("nasbench201")
    trials = (Trial(0, space.sample(np.random.default_rng(0)), state),) if state else ()
    page = _page(SearchResult(History(space, OBJECTIVES[:2], trials)))
    assert "nothing to draw yet" in page.text
    assert not page.scripts


def test_infinite_values_and_constraints_are_shown() -> None:
    result = _result(4)
    architecture = result.history.trials[0].architecture
    odd = [
        Trial(4, architecture, values=(math.inf, 1.0)),
        Trial(5, architecture, values=(2.0, -1.0), constraints=FrozenDict({"size<=1": 3.0})),
    ]
    page = _page(SearchResult(result.history.extend(odd)))
    names = [trace["name"] for trace in page.figures()["figure-objective"]["data"]]
    assert "infeasible trial" in names
    assert "1 infeasible trials" in re.sub(r"(infeasible trials) (\d)", r"\2 \1", page.text)


def test_the_same_search_gives_the_same_page() -> None:
    assert render_report(_result()) == render_report(_result())


def test_the_hypervolume_curve_is_that_of_every_prefix() -> None:
    result = _result(40, 3)
    numbers, volumes = hypervolume_curve(result)
    losses = result.history.losses
    scale = pareto.Normalisation.front(losses[pareto.front_mask(losses)])
    expected = [pareto.hypervolume(scale(losses[: i + 1]), [1.1] * 3) for i in range(40)]
    assert numbers == list(range(40))
    assert volumes == pytest.approx(expected)


def test_many_decisions_are_cut_to_those_that_vary() -> None:
    result = _result(50, space="nasbench101")
    shown = shown_decisions(result)
    assert len(shown) == 12
    assert "12 decisions of 26" in _page(result).text


@pytest.mark.slow
def test_five_thousand_trials_stay_readable() -> None:
    text = render_report(_result(5000))
    without_library = len(text) - max(len(s) for s in _Page(text).scripts)
    assert without_library < 4_000_000


@pytest.mark.parametrize("name", [n for n in registry.names("space") if n != "categorical"])
def test_every_space_is_drawn(name: str) -> None:
    space = nap.space(name)
    for seed in range(5):
        architecture = space.sample(np.random.default_rng(seed))
        picture = draw(architecture)
        page = _Page(picture)
        assert page.tags[0][0] == "svg"
        assert page.tags[0][1].get("aria-label")
        assert "nan" not in picture.lower().replace("nanum", "")
        assert draw(architecture) == picture


def test_a_long_chain_is_drawn_over_several_lines() -> None:
    space = nap.CategoricalSpace.macro(30, ["conv", "pool"])
    picture = draw(space.sample(np.random.default_rng(0)))
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', picture)[1])  # type: ignore[index]
    assert width < 900


def test_a_report_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report(_result(), path, title="A & B") == path
    assert "A &amp; B" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
