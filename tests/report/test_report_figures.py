"""The plots show the right numbers and are figures that plotly accepts."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from report_helpers import OBJECTIVES, made_up, page_of

import nas_plugins as nap
from nas_plugins import pareto
from nas_plugins._frozen import FrozenDict
from nas_plugins.drawing.svg import text_width
from nas_plugins.history import History, Objective, Trial
from nas_plugins.protocols import Metric
from nas_plugins.report import _format
from nas_plugins.report._curves import best_curve, hypervolume_curve
from nas_plugins.report._parallel import important_decisions
from nas_plugins.results import SearchResult


@pytest.mark.parametrize(
    ("m", "names"),
    [
        (1, {"progress", "parallel"}),
        (2, {"front", "hypervolume", "parallel"}),
        (3, {"front-0-1", "front-0-2", "front-1-2", "hypervolume", "parallel"}),
    ],
)
def test_every_number_of_objectives_is_drawn(m: int, names: set[str]) -> None:
    import plotly.graph_objects as go

    page = page_of(made_up(40, m, true_front=((0.9, 0.1, 0.2)[:m], (0.5, 0.05, 0.1)[:m])))
    assert set(page.figures) == names
    for name, figure in page.figures.items():
        # Plotly raises on a property that does not exist.
        go.Figure({"data": figure["data"], "layout": figure["layout"]})
        assert f"plot-{name}" in {a.get("id") for a in page.named("div")}


def test_four_objectives_are_seen_in_six_pairs() -> None:
    page = page_of(made_up(12, 4))
    assert sum(name.startswith("front-") for name in page.figures) == 6


def test_the_scatter_holds_every_trial_once_and_the_front_as_steps() -> None:
    result = made_up(40)
    traces = {t["name"]: t for t in page_of(result).figures["front"]["data"]}
    numbers = [n for trace in traces.values() for n in trace["customdata"]]
    assert sorted(numbers) == list(range(40))
    front = traces["Found front"]
    assert set(front["customdata"]) == {t.number for t in result.history.front}
    assert front["line"]["shape"] == "hv"  # latency to the right, lower is better
    assert front["x"] == sorted(front["x"])
    assert all(
        f"Trial {n}<" in text for n, text in zip(front["customdata"], front["text"], strict=True)
    )


def test_the_view_starts_at_the_front_and_can_show_all() -> None:
    space = nap.space("nasbench201")
    values = [(90.0 + 0.1 * i, 1.0 + 0.1 * i) for i in range(10)] + [(10.0, 1.0), (12.0, 50.0)]
    architectures = space.architectures(space.random(12, np.random.default_rng(0)))
    trials = [
        Trial(i, a, values=v) for i, (a, v) in enumerate(zip(architectures, values, strict=True))
    ]
    page = page_of(SearchResult(History(space, OBJECTIVES[:2], tuple(trials))))
    figure = page.figures["front"]
    assert "2 trials lie outside the view" in page.text
    low, high = figure["layout"]["yaxis"]["range"]
    assert 80 < low < 90
    assert 90.9 < high < 95
    assert figure["views"]["All trials"]["yaxis.range"][0] < 10
    assert {b.get("data-view") for b in page.named("button")} >= {"Around the front", "All trials"}


def _skewed() -> SearchResult:
    """A front of seven, whose most accurate member has ten times the median latency."""
    space = nap.space("nasbench201")
    values = [(90.0 + 0.1 * i, 1.0 + 0.1 * i) for i in range(6)] + [(94.0, 12.5), (10.0, 60.0)]
    values += [(89.0 - 0.1 * i, 1.5 + 0.1 * i) for i in range(12)]
    architectures = space.architectures(space.random(len(values), np.random.default_rng(0)))
    trials = [
        Trial(i, a, values=v) for i, (a, v) in enumerate(zip(architectures, values, strict=True))
    ]
    result = SearchResult(
        History(space, OBJECTIVES[:2], tuple(trials)), true_front=((95.0, 400.0), (90.0, 1.0))
    )
    assert {t.number for t in result.history.front} == set(range(7))
    return result


def test_the_first_view_shows_the_whole_found_front() -> None:
    figure = page_of(_skewed()).figures["front"]
    front = next(t for t in figure["data"] if t["name"] == "Found front")
    for axis in ("x", "y"):
        low, high = figure["layout"][f"{axis}axis"]["range"]
        assert low < min(front[axis]) <= max(front[axis]) < high
    assert next(iter(figure["views"])) == "Around the front"
    assert figure["layout"]["xaxis"]["range"][1] < 100  # a far point of the true front may miss


def test_the_first_view_shows_the_found_front_in_every_pair() -> None:
    rng = np.random.default_rng(0)
    space = nap.space("nasbench201")
    values = np.exp(rng.normal(scale=2.0, size=(60, 3)))
    architectures = space.architectures(space.random(60, rng))
    trials = [Trial(i, a, values=values[i]) for i, a in enumerate(architectures)]
    result = SearchResult(History(space, OBJECTIVES[:3], tuple(trials)))
    figures = page_of(result).figures
    for name in ("front-0-1", "front-0-2", "front-1-2"):
        layout = figures[name]["layout"]
        front = next(t for t in figures[name]["data"] if t["name"] == "Found front")
        for axis in ("x", "y"):
            low, high = layout[f"{axis}axis"].get("range", (-np.inf, np.inf))
            assert low <= min(front[axis]) <= max(front[axis]) <= high


@pytest.mark.parametrize(
    ("violation", "true_front", "views"),
    [
        (1.0, ((70.0, 1.0), (95.0, 3.0)), ["All trials", "Around the true front"]),
        (1.0, ((70.0, 1.0),), []),
        (1.0, (), []),
        (0.0, (), []),  # the first trial dominates all others
    ],
    ids=["nothing feasible", "one true point", "no true front", "one found point"],
)
def test_all_trials_are_in_the_first_view_where_no_front_spans_one(
    violation: float, true_front: tuple[tuple[float, ...], ...], views: list[str]
) -> None:
    space = nap.space("nasbench201")
    architectures = space.architectures(space.random(30, np.random.default_rng(0)))
    trials = tuple(
        Trial(i, a, values=(90.0 - i, 1.0 + 10 * i), constraints={"mem<=9": violation})
        for i, a in enumerate(architectures)
    )
    history = History(space, OBJECTIVES[:2], trials)
    page = page_of(SearchResult(history, true_front=true_front))
    figure = page.figures["front"]
    assert "outside the view around" not in page.text
    assert [name for name in figure.get("views", {}) if "Logarithmic" not in name] == views
    for axis in ("x", "y"):
        low, high = figure["layout"][f"{axis}axis"].get("range", (-np.inf, np.inf))
        shown = [v for trace in figure["data"] for v in trace[axis]]
        assert low < min(shown) <= max(shown) < high


def test_a_skewed_axis_is_offered_logarithmic() -> None:
    views = page_of(_skewed()).figures["front"]["views"]
    assert list(views) == [
        "Around the front",
        "All trials",
        "Most of the front",
        "Logarithmic latency",
    ]
    assert views["Most of the front"]["xaxis.range"][1] < 12.5
    log = views["Logarithmic latency"]
    assert log["xaxis.type"] == "log"
    assert log["yaxis.type"] == "linear"  # one bad trial makes no skewed front
    low, high = log["xaxis.range"]
    assert low < np.log10(1.0) < np.log10(400.0) < high
    # Going back must turn the axis back too.
    assert all(v["xaxis.type"] == "linear" for n, v in views.items() if n != list(views)[-1])


def test_no_logarithm_is_offered_of_values_below_zero() -> None:
    result = made_up(40)
    shifted = [Trial(t.number, t.architecture, values=np.subtract(t.values, 0.5)) for t in
               result.history.trials]  # fmt: skip
    history = History(result.history.space, OBJECTIVES[:2], tuple(shifted))
    views = page_of(SearchResult(history)).figures["front"].get("views", {})
    assert not any("Logarithmic" in name for name in views)


def test_parallel_axes_cut_off_no_member_of_the_front() -> None:
    result = _skewed()
    page = page_of(result)
    latency = page.figures["parallel"]["data"][0]["dimensions"][-1]
    assert max(latency["values"]) == max(t.values[1] for t in result.history.front)
    assert "none of the front" in page.text


@pytest.mark.parametrize("true_front", [(), ((0.9, 0.1, 0.2), (0.5, 0.05, 0.1), (0.95, 0.3, 0.3))])
def test_the_hypervolume_curve_is_that_of_every_prefix(
    true_front: tuple[tuple[float, ...], ...],
) -> None:
    result = made_up(40, 3, true_front=true_front)
    curve = hypervolume_curve(result)
    assert curve is not None
    losses = result.history.losses
    basis = result.losses(true_front) if true_front else losses
    scale = pareto.Normalisation.front(basis)
    whole = pareto.hypervolume(scale(basis), [1.1] * 3) if true_front else 1.0
    for i in range(40):
        expected = pareto.hypervolume(scale(losses[: i + 1]), [1.1] * 3) / whole
        seen = [v for n, v in zip(curve.trials, curve.values, strict=True) if n <= i]
        assert seen[-1] == pytest.approx(expected)
    assert curve.trials[-1] == 39
    if true_front:
        assert curve.values[-1] == pytest.approx(result.quality()["hv_ratio"])


def test_the_hypervolume_is_computed_only_when_the_front_changes(monkeypatch) -> None:
    result = made_up(2000)
    calls = []
    original = pareto.hypervolume
    monkeypatch.setattr(pareto, "hypervolume", lambda *a: calls.append(1) or original(*a))
    hypervolume_curve(result)
    assert len(calls) < 100


def test_the_best_so_far_ignores_infeasible_trials() -> None:
    result = made_up(20, 1)
    cheat = Trial(
        20,
        result.history.trials[0].architecture,
        values=(9.0,),
        constraints=FrozenDict({"c": 1.0}),
    )
    curve = best_curve(SearchResult(result.history.extend([cheat])))
    values = [t.values[0] for t in result.history.trials]
    assert curve is not None
    assert curve.values[-1] == max(values)
    assert curve.trials[-1] == 20
    assert list(curve.values) == sorted(curve.values)


def test_an_unknown_front_is_said_in_the_caption() -> None:
    assert "no true front is known" in page_of(made_up()).text
    known = page_of(made_up(true_front=((1.0, 0.5), (0.5, 0.0)))).text
    assert "no true front is known" not in known


def test_parallel_axes_take_the_decisions_that_explain_most() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, size=(300, 30)).astype(np.int16)
    rows[:, 5] = 1
    ranks = np.argsort(np.argsort(rows[:, 17] + 0.1 * rng.random(300))) / 299
    chosen, varying = important_decisions(rows, ranks)
    assert varying == 29
    assert len(chosen) == 12
    assert 17 in chosen
    assert 5 not in chosen
    assert chosen == sorted(chosen)


def test_many_decisions_are_cut_and_the_caption_says_so() -> None:
    page = page_of(made_up(60, space="nasbench101"))
    assert "Of 26 decisions the 12 are shown" in page.text
    assert len(page.figures["parallel"]["data"][0]["dimensions"]) == 14


def test_parallel_lines_stay_near_their_choice() -> None:
    result = made_up(50)
    trace = page_of(result).figures["parallel"]["data"][0]
    first = np.array(trace["dimensions"][0]["values"])
    rows = result.history.space.rows([t.architecture for t in result.history.trials])
    assert np.abs(np.sort(first.round()) - np.sort(rows[:, 0])).max() == 0
    assert max(trace["line"]["color"]) == 1
    assert trace["line"]["color"] == sorted(trace["line"]["color"])  # the best lie on top


def test_a_minimised_objective_has_its_better_end_on_top() -> None:
    dimensions = page_of(made_up(30)).figures["parallel"]["data"][0]["dimensions"]
    accuracy, latency = dimensions[-2:]
    assert accuracy["range"][0] < accuracy["range"][1]
    assert latency["range"][0] > latency["range"][1]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ((91.6067, 10.0), "91.607"),
        ((4.123456, 3.0), "4.1235"),
        ((0.943176, 0.5), "0.94318"),
        ((1_234_567.0, 2.0), "1,234,567"),
        ((0.0000123, 0.0), "1.23e\N{HYPHEN-MINUS}05"),
        ((12.0, 3.0), "12"),
        ((-2.5, 1.0), "\N{MINUS SIGN}2.5"),
    ],
)
def test_values_have_five_digits_and_common_decimals(
    values: tuple[float, ...], written: str
) -> None:
    space = nap.space("nasbench201")
    a = space.sample(np.random.default_rng(0))
    trials = tuple(Trial(i, a, values=(v,)) for i, v in enumerate(values))
    column = _format.columns(SearchResult(History(space, OBJECTIVES[:1], trials)))[0]
    assert column.plain(values[0]) == written


def test_durations_are_readable() -> None:
    assert [_format.duration(s) for s in (3.214, 65, 185, 9000)] == [
        "3.21 s",
        "65.0 s",
        "3 min 5 s",
        "2 h 30 min",
    ]


def test_titles_of_parallel_axes_have_room() -> None:
    objectives = (Objective("a_very_long_metric"), Objective("latency_of_one_image", "min"))
    space = nap.CategoricalSpace({f"decision number {i}": ["a", "b"] for i in range(6)})
    rng = np.random.default_rng(0)
    trials = [
        Trial(i, a, values=rng.random(2))
        for i, a in enumerate(space.architectures(space.random(30, rng)))
    ]
    metrics = (Metric("latency_of_one_image", "milliseconds", "min"),)
    page = page_of(SearchResult(History(space, objectives, tuple(trials)), metrics=metrics))
    plot = next(a for a in page.named("div") if a.get("id") == "plot-parallel")
    labels = [d["label"] for d in page.figures["parallel"]["data"][0]["dimensions"]]
    width = float(re.sub(r"\D", "", plot["style"] or ""))
    assert (width - 146) / (len(labels) - 1) > 6.3 * max(map(len, labels))


def test_no_two_parallel_axes_have_one_title_and_no_two_choices_one_label() -> None:
    objectives = (Objective("latency_ms_edgegpu", "min"), Objective("latency_ms_edgetpu", "min"))
    names = [f"normal/node_{i}/{what}" for i in (3, 4) for what in ("op_0", "op_1", "inputs")]
    space = nap.CategoricalSpace({n: ["a.long.name.ReLU", "a.long.name.SiLU"] for n in names})
    rng = np.random.default_rng(0)
    trials = [
        Trial(i, a, values=rng.random(2))
        for i, a in enumerate(space.architectures(space.random(30, rng)))
    ]
    page = page_of(SearchResult(History(space, objectives, tuple(trials))))
    dimensions = page.figures["parallel"]["data"][0]["dimensions"]
    assert len({dimension["label"] for dimension in dimensions}) == len(names) + 2
    assert all(len(set(d["ticktext"])) == len(d["ticktext"]) for d in dimensions)


@pytest.mark.parametrize("metric", ["val_accuracy", "latency_ms_of_one_image_on_a_small_device"])
def test_titles_of_axes_fit_on_a_phone(metric: str) -> None:
    objectives = (Objective(metric, "max"), Objective("params_m", "min"))
    rng = np.random.default_rng(0)
    space = nap.space("nasbench201")
    trials = [Trial(i, space.sample(rng), values=rng.random(2)) for i in range(3)]
    metrics = (Metric(metric, "%", "max"),)
    page = page_of(SearchResult(History(space, objectives, tuple(trials)), metrics=metrics))
    template = json.loads(page.scripts[0])["template"]
    size = template["yaxis"]["title"]["font"]["size"]
    for line in page.figures["front"]["layout"]["yaxis"]["title"]["text"].split("<br>"):
        assert text_width(line, size) < 250  # the plot is 258 px wide


def test_parallel_axes_of_a_cell_are_whole_on_a_desktop() -> None:
    space = nap.space("nasbench201")
    objectives = (Objective("val_accuracy"), Objective("params_m", "min"))
    rng = np.random.default_rng(0)
    trials = [
        Trial(i, a, values=rng.random(2))
        for i, a in enumerate(space.architectures(space.random(30, rng)))
    ]
    metrics = (Metric("val_accuracy", "%", "max"), Metric("params_m", "M", "min"))
    page = page_of(SearchResult(History(space, objectives, tuple(trials)), metrics=metrics))
    plot = next(a for a in page.named("div") if a.get("id") == "plot-parallel")
    assert len(page.figures["parallel"]["data"][0]["dimensions"]) == 8
    assert float(re.sub(r"\D", "", plot["style"] or "")) < 1024  # px within a page's margins


def test_titles_beside_the_low_plot_of_the_hypervolume_fit() -> None:
    for true_front in ((), ((0.9, 0.1), (0.5, 0.05))):
        figure = page_of(made_up(10, 2, true_front=true_front)).figures["hypervolume"]
        title = figure["layout"]["yaxis"]["title"]["text"]
        assert text_width(title, 15.6) < 200  # the plot is 280 px high on a phone
